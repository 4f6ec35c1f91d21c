"""Other ways of plans, followed to the letter: back, around what is refused, and direct. With ``make soak``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lab.environments import Environment
from lab.etcd import EtcdCluster
from lab.monitor import Monitor
from lab.packages import etcd_binaries, etcd_version, line_of, version_key
from lab.patroni import PatroniCluster
from tests.check.command import run
from tests.check.follow import Follower, Shell, etcd_site, made, put_back_empty, versions


def test_one_member_goes_back(tmp_path: Path) -> None:
    """The way back from the first member: in place, and, from there again, out of the cluster and empty. etcd alone."""
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

        plan = made('--endpoints', ','.join(etcd.hosts), '--etcd-to', '3.4')  # and on again, with the member's new id
        Follower(plan, Shell(plan, BACKUP=str(tmp_path)), site).follow()
        assert versions(etcd) == {('3.4', '3.4')}


def test_refusals_and_the_paths_that_work(tmp_path: Path) -> None:
    """Authentication on before 3.5, and 3.6 before 3.5.26: refused, and what is offered works. etcd alone."""
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


def test_etcd_direct(newest: Environment, tmp_path: Path) -> None:
    """3.3 -> 3.5 in one go, with this package on every node: nothing is noticed."""
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
