"""Plans for real clusters, followed to the letter: every command and every gate is run unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.environments import Environment, environment
from lab.etcd import EtcdCluster
from lab.load import WriteLoad
from lab.monitor import Monitor
from lab.node import unprivileged_user
from lab.patroni import PatroniCluster
from lab.processes import wait_until
from lab.releases import NEWEST
from tests.check.follow import Follower, Shell, etcd_site, made, past_the_facade, patroni_site, restore, versions


def test_etcd_one_minor_release_at_a_time(newest: Environment, tmp_path: Path) -> None:
    """Patroni and a write load do not notice the upgrade 3.3 -> 3.5; the rollback after the last step works.

    So it does after a switchover that the snapshot does not know of: the primary stays, and its PostgreSQL runs on.
    """
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
        assert done[:5] == ['snapshot 3.4'] + [f'upgrade {name} 3.4' for name in first] + ['snapshot 3.5']
        assert len(done) == 8 and sorted(done[5:]) == [f'upgrade etcd{i} 3.5' for i in range(3)]
        assert follower.done[-2] == f'move-leader {done[-1].split()[1]} {done[5].split()[1]}'

        back = plan['steps'][-1]
        assert not back['reversible']
        primary = patroni.wait_primary()
        other = next(node for node in patroni.nodes if node is not primary)
        patroni.patronictl('switchover', '--leader', primary.name, '--candidate', other.name, '--force')
        wait_until(lambda: patroni.primary() is other, 60, 'the switchover')
        patroni.wait_replicas()
        postmaster = other.postmaster_pid()
        restore(etcd, patroni, shell, back['back_commands'], '3.4', tmp_path)
        assert versions(etcd) == {('3.4', '3.4')}
        assert (patroni.wait_primary(), other.postmaster_pid()) == (other, postmaster)
        patroni.wait_replicas()


@pytest.mark.parametrize('old, new', [('3.3.11', NEWEST)])
def test_patroni(tmp_path: Path, old: str, new: str) -> None:
    """Replicas are upgraded first, then the leader in pause: its PostgreSQL is not restarted, and no row is lost."""
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
        assert follower.done == ['save-config'] + [f'upgrade {name} {new}' for name in others] + [
            'pause',
            f'upgrade {primary.name} {new}',
            'resume',
        ]


def test_stock_patroni_gets_the_package_first(newest: Environment, tmp_path: Path) -> None:
    """A stock Patroni on etcd 3.2 gets the package before etcd is upgraded, wherever the command is installed.

    The command runs in a Python that has the package. What it plans comes from the member keys.
    """
    stock = environment('4.0.11', plugin=False).for_user(unprivileged_user())
    ours = environment('4.0.11').for_user(unprivileged_user())
    with EtcdCluster(['3.2'] * 3) as etcd, PatroniCluster(stock, etcd) as patroni:
        config = str(patroni.nodes[0].config_file)
        plan = made('-c', config, '--etcd-to', '3.4')
        primary = patroni.wait_primary()
        others = [node.name for node in patroni.nodes if node is not primary]
        install = [f'install-package {name}' for name in [*others, primary.name]]
        shell = Shell(plan, BACKUP=str(tmp_path), ENDPOINTS=','.join(member.real_url for member in etcd.members))
        site = {'install-package': patroni_site(patroni, ours)['upgrade'], **etcd_site(etcd)}
        follower = Follower(past_the_facade(plan, etcd), shell, site)
        with Monitor(patroni) as monitor, WriteLoad(patroni) as load:
            follower.follow()
            load.stop()
            assert (monitor.demotions, monitor.leader_changes) == (0, 0)
        load.verify()
        assert [word for word in follower.done if word.startswith('install')] == install
        assert follower.done.index('resume') < follower.done.index('snapshot 3.3')
        assert versions(etcd) == {('3.4', '3.4')}
