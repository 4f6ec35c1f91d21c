"""Plans made for real clusters and followed to the letter: every command and every gate is run as it stands there."""
import json

from pathlib import Path
from typing import Any, Dict

import pytest

from command import run
from follow import etcd_site, Follower, patroni_site, put_back_empty, restore, Shell
from lab.environments import Environment, environment
from lab.etcd import EtcdCluster, request
from lab.load import WriteLoad
from lab.packages import etcd_binaries, etcd_version, line_of, version_key
from lab.node import unprivileged_user
from lab.patroni import Monitor, PatroniCluster


def made(*args: str) -> Dict[str, Any]:
    """A plan as the command makes it. There is nothing in the way."""
    ended = run('plan', *args, '-f', 'json')
    assert (ended.status, ended.err) == (0, ''), ended
    plan: Dict[str, Any] = json.loads(ended.out)
    assert plan['ready'] and plan['refusals'] == [], plan
    return plan


def versions(cluster: EtcdCluster) -> Any:
    """Lines that the members and the cluster run."""
    found = [request(member.url, 'GET', '/version')[1] for member in cluster.members]
    return {tuple(entry[name].rpartition('.')[0] for name in ('etcdserver', 'etcdcluster')) for entry in found}


def test_etcd_one_minor_release_at_a_time(newest: Environment, tmp_path: Path) -> None:
    """3.3 -> 3.5 under a Patroni and a write load that notice nothing, and the way back after the last step."""
    with EtcdCluster(['3.3'] * 3) as etcd, PatroniCluster(newest, etcd) as patroni:
        config = str(patroni.nodes[0].config_file)
        plan = made('-c', config, '--etcd-to', '3.5')
        shell = Shell(plan, BACKUP=str(tmp_path))
        follower = Follower(plan, shell, etcd_site(etcd))
        leader = next(entry['name'] for entry in plan['members'] if entry['role'] == 'leader')
        with Monitor(patroni) as monitor, WriteLoad(patroni) as load:
            follower.follow()
            load.stop()
            assert (monitor.demotions, monitor.leader_changes) == (0, 0)
        load.verify()
        assert versions(etcd) == {('3.5', '3.5')}

        done = [word for word in follower.done if not word.startswith('move-leader')]
        first = [name for name in ('etcd0', 'etcd1', 'etcd2') if name != leader] + [leader]
        assert done[:5] == ['snapshot 3.4'] + ['upgrade {0} 3.4'.format(name) for name in first] + ['snapshot 3.5']
        assert len(done) == 8 and sorted(done[5:]) == ['upgrade etcd{0} 3.5'.format(i) for i in range(3)]
        assert follower.done[-2] == 'move-leader {0} {1}'.format(done[-1].split()[1], done[5].split()[1])

        back = plan['steps'][-1]
        assert not back['reversible']
        restore(etcd, shell, back['back_commands'], '3.4', tmp_path)
        assert versions(etcd) == {('3.4', '3.4')}
        patroni.wait_primary()
        patroni.wait_replicas()


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
            'snapshot', 'upgrade', 'upgrade', 'move-leader', 'upgrade']


@pytest.mark.parametrize('old, new', [('3.3.11', '4.1.5')])
def test_patroni(tmp_path: Path, old: str, new: str) -> None:
    """Replicas first, then the leader in pause: its PostgreSQL is not restarted, no row is lost."""
    before, after = (environment(release).for_user(unprivileged_user()) for release in (old, new))
    with EtcdCluster(['3.5']) as etcd, PatroniCluster(before, etcd, nodes=3) as patroni:
        config = str(patroni.nodes[0].config_file)
        plan = made('-c', config, '--patroni-to', new)
        primary = patroni.wait_primary()
        postmaster = primary.postmaster_pid()
        shell = Shell(plan, BACKUP=str(tmp_path), SLOTS_INTERVAL='6')
        follower = Follower(plan, shell, patroni_site(patroni, after))
        with WriteLoad(patroni) as load:
            follower.follow()
            load.stop()
        load.verify()
        assert (patroni.primary(), primary.postmaster_pid()) == (primary, postmaster)
        others = [node.name for node in patroni.nodes if node is not primary]
        assert follower.done == ['save-config'] + ['upgrade {0} {1}'.format(name, new) for name in others] + [
            'pause', 'upgrade {0} {1}'.format(primary.name, new), 'resume']
