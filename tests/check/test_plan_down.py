"""Plans for an older etcd, followed to the letter, and the way up again after them. Run by ``make soak``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.environments import Environment, environment
from lab.etcd import EtcdCluster
from lab.load import WriteLoad
from lab.monitor import Monitor
from lab.node import PatroniNode, unprivileged_user
from lab.packages import etcd_clients
from lab.patroni import PatroniCluster
from lab.processes import LabError, wait_until
from lab.releases import NEWEST
from tests.check.command import run
from tests.check.follow import Follower, Shell, etcd_site, made, restore, versions


def endpoints(etcd: EtcdCluster) -> tuple[str, str]:
    """The option that names all members."""
    return '--endpoints', ','.join(etcd.hosts)


def found(etcd: EtcdCluster) -> set[str]:
    """The identifiers of what check finds."""
    return {finding['id'] for finding in json.loads(run('check', '-f', 'json', *endpoints(etcd)).out)['findings']}


def shell_for(plan: dict[str, Any], newest: str, backup: Path, **filled_in: str) -> Shell:
    """A shell with the clients of the newest member."""
    return Shell(plan, etcd_clients(newest), BACKUP=str(backup), **filled_in)


def cached(node: PatroniNode) -> str:
    """The configuration that a node keeps for itself."""
    return next(node.folder.rglob('patroni.dynamic.json')).read_text()


def down_and_up(etcd: EtcdCluster, env: Environment, newer: str, older: str, backup: Path) -> tuple[list[str], str]:
    """Follow the plan down and the plan up again, under Patroni and a write load.

    :returns: what was done on the way down, and the member that led etcd before.
    """
    with PatroniCluster(env, etcd) as patroni:
        config = str(patroni.nodes[0].config_file)
        with Monitor(patroni) as monitor, WriteLoad(patroni) as load:
            plan = made('-c', config, '--etcd-to', older)
            leader = next(entry['name'] for entry in plan['members'] if entry['role'] == 'leader')
            down = Follower(plan, shell_for(plan, newer, backup), etcd_site(etcd))
            down.follow()
            assert versions(etcd) == {(older, older)}
            plan = made('-c', config, '--etcd-to', newer)
            Follower(plan, shell_for(plan, newer, backup), etcd_site(etcd)).follow()
            assert versions(etcd) == {(newer, newer)}
            load.stop()
            assert (monitor.demotions, monitor.leader_changes) == (0, 0)
        load.verify()
    assert all(member.running for member in etcd.members)
    return down.done, leader


@pytest.mark.parametrize('newer, older', [('3.7', '3.6'), ('3.6', '3.5')])
def test_down_and_up_again(newest: Environment, tmp_path: Path, newer: str, older: str) -> None:
    """Patroni and a write load do not notice the downgrade, nor the upgrade after it."""
    with EtcdCluster([newer] * 3) as etcd:
        done, leader = down_and_up(etcd, newest, newer, older, tmp_path)
        others = [f'etcd{i}' for i in range(3) if f'etcd{i}' != leader]
        assert done == [
            f'snapshot down-to-{older}',
            f'enable-downgrade {older}',
            *(f'downgrade {name} {older}' for name in others),
            f'move-leader {leader} {others[0]}',
            f'downgrade {leader} {older}',
        ]


def test_two_releases_down_and_up_again_under_stock_patroni(tmp_path: Path) -> None:
    """One plan leads from 3.7 to 3.5, another one back, and Patroni needs no package for it."""
    stock = environment(NEWEST, plugin=False).for_user(unprivileged_user())
    with EtcdCluster(['3.7'] * 3) as etcd:
        done, _ = down_and_up(etcd, stock, '3.7', '3.5', tmp_path)
        assert [word for word in done if word.startswith('enable')] == ['enable-downgrade 3.6', 'enable-downgrade 3.5']


@pytest.mark.parametrize('newer, older', [('3.7', '3.6'), ('3.6', '3.5')])
def test_given_up_half_way(tmp_path: Path, newer: str, older: str) -> None:
    """A plan that was stopped goes on in a new one; the way back of its steps works; meanwhile no upgrade is planned.

    No Patroni is involved.
    """
    with EtcdCluster([newer] * 3) as etcd:
        before = etcd.members[0].version
        plan = made(*endpoints(etcd), '--etcd-to', older)
        shell, site = shell_for(plan, newer, tmp_path), etcd_site(etcd)

        def whole() -> bool:
            return bool(versions(etcd) == {(newer, newer)}) and not found(etcd)

        Follower(plan, shell, site).follow(2)
        assert versions(etcd) == {(newer, older)} and found(etcd) == {'etcd-downgrade'}
        for command in plan['steps'][1]['back_commands']:
            shell.must(command)
        wait_until(whole, 60, f'the cluster version {newer}')

        follower = Follower(plan, shell, site)
        follower.follow(3)
        assert found(etcd) == {'etcd-downgrade', 'etcd-versions-differ'}
        ended = run('plan', *endpoints(etcd), '--etcd-to', newer, '-f', 'json')
        failed = [check['id'] for check in json.loads(ended.out)['prechecks'] if check['result'] == 'failed']
        assert ended.status == 1 and failed == ['etcd-downgrade']
        on = made(*endpoints(etcd), '--etcd-to', older)
        assert {step['action']['action'] for step in on['steps']} == {'snapshot', 'downgrade', 'move-leader'}

        member = follower.done[-1].split()[1]
        step = plan['steps'][2]
        assert step['reversible'] and before in step['back']
        for command in step['back_commands']:
            shell.must(command)
        site['upgrade']({'member': member, 'to': before})
        wait_until(whole, 60, f'the cluster version {newer}')

        plan = made(*endpoints(etcd), '--etcd-to', older)
        shell = shell_for(plan, newer, tmp_path)
        Follower(plan, shell, site).follow(3)
        on = made(*endpoints(etcd), '--etcd-to', older)
        Follower(on, shell_for(on, newer, tmp_path), site).follow()
        assert versions(etcd) == {(older, older)} and not found(etcd)


def test_snapshot(newest: Environment, tmp_path: Path) -> None:
    """The way back by the snapshot works after a switchover that it does not know of: the primary stays.

    With a Patroni that runs, paused as it is, the former leader is promoted. That is why the plan stops it.
    """
    with EtcdCluster(['3.6'] * 3) as etcd, PatroniCluster(newest, etcd) as patroni:
        plan = made('-c', str(patroni.nodes[0].config_file), '--etcd-to', '3.5')
        shell = shell_for(plan, '3.6', tmp_path)
        Follower(plan, shell, etcd_site(etcd)).follow(1)
        former = patroni.wait_primary()
        other = next(node for node in patroni.nodes if node is not former)
        commands = plan['steps'][-1]['back_commands']

        def switch_over() -> None:
            patroni.patronictl('switchover', '--leader', former.name, '--candidate', other.name, '--force')
            wait_until(lambda: patroni.primary() is other, 60, 'the switchover')
            patroni.wait_replicas()

        switch_over()
        restore(etcd, patroni, shell, commands, '3.6', tmp_path, patroni_runs=True)
        wait_until(lambda: patroni.primary() is former, 60, 'the promotion of the former leader')
        patroni.wait_replicas()

        switch_over()
        patroni.edit_config(ttl=37)
        wait_until(lambda: all('"ttl": 37' in cached(node) for node in patroni.nodes), 30, 'the configuration')
        postmaster = other.postmaster_pid()
        restore(etcd, patroni, shell, commands, '3.6', tmp_path)
        assert (patroni.wait_primary(), other.postmaster_pid()) == (other, postmaster)
        answer = other.rest('GET', '/config')
        assert answer is not None and answer[1]['ttl'] == 37
        assert versions(etcd) == {('3.6', '3.6')}


def test_with_authentication(tmp_path: Path) -> None:
    """The plan from 3.7 to 3.5 works with authentication on, with a user of role root for etcdctl.

    No Patroni is involved.
    """
    with EtcdCluster(['3.7'] * 3, auth=('root', 'sesame')) as etcd:
        plan = made(*endpoints(etcd), '--user', 'root:sesame', '--etcd-to', '3.5')
        shell = shell_for(plan, '3.7', tmp_path, ETCDCTL_USER='root:sesame', PATRONI_ETCD3_PASSWORD='sesame')
        Follower(plan, shell, etcd_site(etcd)).follow()
        assert versions(etcd) == {('3.5', '3.5')}


def test_what_enabling_is_for() -> None:
    """Without it the older release does not start on the data."""
    with EtcdCluster(['3.7'] * 3) as etcd:
        with pytest.raises(LabError):
            etcd.upgrade(0, '3.6')
        assert 'is not supported' in etcd.members[0].log_text()


@pytest.mark.parametrize('newer, older', [('3.7', '3.6'), ('3.6', '3.5')])
def test_what_the_last_gate_is_for(newer: str, older: str, tmp_path: Path) -> None:
    """An upgrade that begins before etcd has ended the downgrade leaves the cluster at the older release.

    Here etcd looks for the end once in an hour, in place of every 5 s.
    """
    with EtcdCluster([newer] * 3, extra_flags=['--downgrade-check-time=1h']) as etcd:
        plan = made(*endpoints(etcd), '--etcd-to', older)
        shell = shell_for(plan, newer, tmp_path)
        Follower(plan, shell, etcd_site(etcd)).follow(2)
        prefix = 'experimental-' if older == '3.5' else ''
        for i, member in enumerate(etcd.members):
            member.flags = [f'--{prefix}downgrade-check-time=1h']
            etcd.upgrade(i, older)
        (gate,) = [gate for gate in plan['health'] if 'is over' in gate['title']]
        if older != '3.5':  # where to look for it is to end it
            assert not shell.succeeds(gate['command'])
        for i, member in enumerate(etcd.members):
            member.flags = []
            etcd.upgrade(i, newer)
        wait_until(lambda: found(etcd) == {'etcd-downgrade'}, 30, 'the finding')
        assert versions(etcd) == {(newer, older)}
        shell.must(plan['steps'][1]['back_commands'][0])
        wait_until(lambda: versions(etcd) == {(newer, newer)}, 60, 'the cluster version')


def test_gate_of_3_5_ends_the_downgrade(tmp_path: Path) -> None:
    """It opens even where etcd looks for the end once in an hour, and an upgrade that begins then has its effect."""
    with EtcdCluster(['3.6'] * 3, extra_flags=['--downgrade-check-time=1h']) as etcd:
        plan = made(*endpoints(etcd), '--etcd-to', '3.5')
        shell = shell_for(plan, '3.6', tmp_path)
        Follower(plan, shell, etcd_site(etcd)).follow(2)
        for i, member in enumerate(etcd.members):
            member.flags = ['--experimental-downgrade-check-time=1h']
            etcd.upgrade(i, '3.5')
        (gate,) = [gate for gate in plan['health'] if 'is over' in gate['title']]
        shell.passes(gate)
        for i, member in enumerate(etcd.members):
            member.flags = []
            etcd.upgrade(i, '3.6')
        wait_until(lambda: versions(etcd) == {('3.6', '3.6')} and not found(etcd), 60, 'the cluster version')


def test_refused_releases_do_not_start() -> None:
    """3.4 before 3.4.32 ends on a cluster of 3.5, as the refusal says."""
    with EtcdCluster(['3.5'] * 3) as etcd:
        ended = run('plan', *endpoints(etcd), '--etcd-to', '3.4.23', '-f', 'json')
        (refusal,) = json.loads(ended.out)['refusals']
        assert (ended.status, refusal['id']) == (2, 'least-down')
        with pytest.raises(LabError):
            etcd.upgrade(0, '3.4.23')
        assert 'cluster cannot be downgraded' in etcd.members[0].log_text()
