"""Plans made for real clusters and followed to the letter: every command and every gate is run as it stands there."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.environments import Environment, environment
from lab.etcd import EtcdCluster
from lab.load import WriteLoad
from lab.monitor import Monitor
from lab.node import unprivileged_user
from lab.patroni import PatroniCluster
from lab.releases import NEWEST
from tests.check.follow import Follower, Shell, etcd_site, made, patroni_site, restore, versions


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
        assert done[:5] == ['snapshot 3.4'] + [f'upgrade {name} 3.4' for name in first] + ['snapshot 3.5']
        assert len(done) == 8 and sorted(done[5:]) == [f'upgrade etcd{i} 3.5' for i in range(3)]
        assert follower.done[-2] == f'move-leader {done[-1].split()[1]} {done[5].split()[1]}'

        back = plan['steps'][-1]
        assert not back['reversible']
        restore(etcd, shell, back['back_commands'], '3.4', tmp_path)
        assert versions(etcd) == {('3.4', '3.4')}
        patroni.wait_primary()
        patroni.wait_replicas()


@pytest.mark.parametrize('old, new', [('3.3.11', NEWEST)])
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
        assert follower.done == ['save-config'] + [f'upgrade {name} {new}' for name in others] + [
            'pause',
            f'upgrade {primary.name} {new}',
            'resume',
        ]
