"""Other uses of plans, followed to the letter: back, around refusals, and direct. Run by ``make soak``."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lab.environments import Environment
from lab.etcd import EtcdCluster, request
from lab.load import WriteLoad
from lab.monitor import Monitor
from lab.packages import etcd_binaries, etcd_version, line_of, version_key
from lab.patroni import PatroniCluster
from lab.processes import LabError, wait_until
from tests.check.command import run
from tests.check.follow import Follower, Shell, etcd_site, made, put_back_empty, versions


def test_one_member_goes_back(tmp_path: Path) -> None:
    """The first member is rolled back in place and, upgraded again, by removing and adding it empty.

    No Patroni is involved.
    """
    with EtcdCluster(['3.3'] * 3) as etcd:
        plan = made('--endpoints', ','.join(etcd.hosts), '--etcd-to', '3.4')
        shell = Shell(plan, BACKUP=str(tmp_path))
        site = etcd_site(etcd)
        Follower(plan, shell, site).follow(2)
        step = plan['steps'][1]
        member, before = step['action']['member'], plan['members'][0]['version']
        assert step['reversible'] and before in step['back']
        assert versions(etcd) == {('3.3', '3.3'), ('3.4', '3.3')}
        site['upgrade']({'member': member, 'to': before})
        assert versions(etcd) == {('3.3', '3.3')}
        site['upgrade']({'member': member, 'to': '3.4'})
        put_back_empty(etcd, shell, step['back_commands'], before)
        assert versions(etcd) == {('3.3', '3.3')}

        plan = made('--endpoints', ','.join(etcd.hosts), '--etcd-to', '3.4')  # forward again: the member has a new ID
        Follower(plan, Shell(plan, BACKUP=str(tmp_path)), site).follow()
        assert versions(etcd) == {('3.4', '3.4')}


def test_refusals_and_the_paths_that_work(tmp_path: Path) -> None:
    """Authentication on before 3.5, and 3.6 before 3.5.26, are refused, and the offered alternatives work.

    No Patroni is involved.
    """
    newest = etcd_version('3.5')
    older = next(version for version in etcd_binaries() if line_of(version) == '3.5')
    with EtcdCluster(['3.4'] * 3, auth=('root', 'sesame')) as etcd:
        site = etcd_site(etcd)

        def refused(to: str) -> Any:
            ended = run('plan', '--endpoints', ','.join(etcd.hosts), '--etcd-to', to, '-f', 'json')
            (refusal,) = json.loads(ended.out)['refusals']
            assert (ended.status, ended.err) == (2, '')
            return refusal

        def follow(to: str) -> None:
            plan = made('--endpoints', ','.join(etcd.hosts), '--etcd-to', to)
            Follower(plan, Shell(plan, BACKUP=str(tmp_path)), site).follow()

        refusal = refused(older)
        assert refusal['id'] == 'auth'
        _, off, again, _, on = refusal['commands']
        shell = Shell({'variables': [{'name': 'ETCDCTL_PASSWORD', 'value': 'sesame', 'export': True}]})
        shell.must(off)
        etcd.auth = None
        assert again == 'patroni-etcd3-compat plan --etcd-to ' + line_of(older)
        follow(older)
        shell.must(on)
        etcd.auth = ('root', 'sesame')
        assert versions(etcd) == {('3.5', '3.5')}
        assert etcd.token(0)

        if version_key(older) < (3, 5, 26) <= version_key(newest):
            refusal = refused('3.6')
            assert refusal['id'] == 'least-3.6' and refusal['commands'][0].split()[3] == '3.5.26'


def test_health_on_3_4_before_3_6(tmp_path: Path) -> None:
    """After a ``GET /health`` on 3.4, the plan leads to 3.7 and every member lives; its snapshot gates can fail.

    No Patroni is involved.
    """
    with EtcdCluster(['3.4'] * 3) as etcd:
        for member in etcd.members:
            assert request(member.url, 'GET', '/health')[0] == 200
        plan = made('--endpoints', ','.join(etcd.hosts), '--etcd-to', '3.7')
        shell = Shell(plan, BACKUP=str(tmp_path))
        Follower(plan, shell, etcd_site(etcd)).follow()
        assert versions(etcd) == {('3.7', '3.7')} and all(member.running for member in etcd.members)

        for step in plan['steps']:
            if step['action']['action'] == 'snapshot':
                snapshot = tmp_path / f'etcd-before-{step["action"]["before"]}.db'
                complete = next(gate['command'] for gate in step['gates'] if 'complete' in gate['title'])
                assert shell.succeeds(complete)
                snapshot.write_bytes(snapshot.read_bytes()[:-5000])
                assert not shell.succeeds(complete)
                snapshot.unlink()
                assert not any(
                    shell.succeeds(gate['command']) for gate in step['gates'] if '$BACKUP' in gate['command']
                )


@pytest.mark.parametrize(
    'way, asked, error',
    [
        (('3.4', '3.5', '3.6'), '/health', 'detected disallowed v2 WAL'),
        (('3.5', '3.6', '3.7'), '/version', 'unmarshal should never fail'),
    ],
)
def test_what_the_log_snapshots_are_for(way: tuple[str, ...], asked: str, error: str) -> None:
    """Without them the last release does not start; it would be no use to let the plan leave them out."""
    with EtcdCluster(way[:1]) as etcd:
        assert request(etcd.members[0].url, 'GET', asked)[0] == 200
        for version in way[1:-1]:
            etcd.upgrade(0, version)
        etcd.logs_began_anew()  # which is not true
        with pytest.raises(LabError):
            etcd.upgrade(0, way[-1])
        assert error in etcd.members[0].log_text()


def test_what_the_first_write_is_for() -> None:
    """Without one, members that run 3.5 believe that they were removed when the first one becomes 3.6."""
    with EtcdCluster(['3.4'] * 3) as etcd:
        for version in ('3.5', '3.6'):
            etcd.logs_began_anew()  # nothing was asked of the v2 API
            with contextlib.suppress(LabError):
                for i in range(3):
                    etcd.upgrade(i, version)
        assert any('permanently removed from the cluster' in member.log_text() for member in etcd.members)


def test_learner(tmp_path: Path) -> None:
    """With a learner in the cluster the gate of health opens; it would not if a command asked the learner."""
    with EtcdCluster(['3.5'] * 4) as etcd:
        learner = etcd.members[3]
        listed = etcd.call(0, 'cluster/member/list', {})[1]['members']
        own = next(entry['ID'] for entry in listed if entry['name'] == learner.name)
        learner.stop()
        shutil.rmtree(str(learner.folder / 'data'))

        def changed(rpc: str, body: dict[str, Any]) -> bool:
            return bool(etcd.call(0, f'cluster/member/{rpc}', body)[0] == 200)

        # refused until the members have known each other for 5 s
        wait_until(lambda: changed('remove', {'ID': own}), 30, 'the removal of a member', interval=1)
        added = {'peerURLs': [learner.peer_url], 'isLearner': True}
        wait_until(lambda: changed('add', added), 30, 'the learner', interval=1)
        peers = ','.join(f'{member.name}={member.peer_url}' for member in etcd.members)
        learner.bootstrap = ['--initial-cluster', peers, '--initial-cluster-state', 'existing']
        learner.start()
        plan = made('--endpoints', ','.join(etcd.hosts), '--etcd-to', '3.6')
        assert 'learner' in {entry['role'] for entry in plan['members']}
        assert sum(step['action'].get('member') == learner.name for step in plan['steps']) == 2
        healthy = next(gate for gate in plan['health'] if 'healthy' in gate['title'])
        Shell(plan, BACKUP=str(tmp_path)).passes(healthy)
        assert not Shell(plan, ENDPOINTS=','.join(etcd.hosts)).succeeds(healthy['command'])


def test_etcd_direct(newest: Environment, tmp_path: Path) -> None:
    """With this package on every node, a direct upgrade 3.3 -> 3.5 is not noticed."""
    with EtcdCluster(['3.3'] * 3) as etcd, PatroniCluster(newest, etcd) as patroni:
        config = str(patroni.nodes[0].config_file)
        plan = made('-c', config, '--etcd-to', '3.5', '--direct')
        assert 'skips 3.4' in plan['warnings'][0]
        follower = Follower(plan, Shell(plan, BACKUP=str(tmp_path)), etcd_site(etcd))
        with Monitor(patroni) as monitor:
            follower.follow()
            assert (monitor.demotions, monitor.leader_changes) == (0, 0)
        assert versions(etcd) == {('3.5', '3.5')}
        assert [word.split()[0] for word in follower.done] == [
            'snapshot',
            'upgrade',
            'upgrade',
            'move-leader',
            'upgrade',
        ]


def test_every_release_under_load(newest: Environment, tmp_path: Path) -> None:
    """One plan leads from 3.3 to 3.7 under Patroni and a write load, after ``GET /health`` on each member of 3.4."""
    with EtcdCluster(['3.3'] * 3) as etcd, PatroniCluster(newest, etcd) as patroni:
        config = str(patroni.nodes[0].config_file)
        with Monitor(patroni) as monitor, WriteLoad(patroni) as load:
            for to in ('3.4', '3.7'):
                plan = made('-c', config, '--etcd-to', to)
                Follower(plan, Shell(plan, BACKUP=str(tmp_path)), etcd_site(etcd)).follow()
                assert versions(etcd) == {(to, to)}
                for member in etcd.members if to == '3.4' else ():
                    assert request(member.url, 'GET', '/health')[0] == 200
            load.stop()
            assert (monitor.demotions, monitor.leader_changes) == (0, 0)
        load.verify()
        assert all(member.running for member in etcd.members)
