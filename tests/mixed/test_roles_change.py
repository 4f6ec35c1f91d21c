"""Patroni 3.2.1, 4.0.2 with this package and 4.0.3 side by side, while the leader changes."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, Callable

import pytest

from lab.node import PatroniNode
from lab.pids import descendants
from lab.processes import wait_until
from lab.releases import NEWEST
from tests.mixed import wal
from tests.mixed.cluster import MixedCluster

TAKES = 'INFO: Leader {0} runs Patroni 3.2.1, which does not publish'
STOPS = 'INFO: No longer taking the positions of member slots from the members: leader {0} runs Patroni {1}'


def within_a_round(cluster: MixedCluster, ours: PatroniNode, control: PatroniNode) -> None:
    """Check that after the last round, WAL on `ours` is as large as on `control`, plus or minus a round."""
    last = cluster.rounds[-1]
    assert abs(last[ours.name] - last[control.name]) <= wal.ROUND, cluster.rounds


def test_fifteen_rounds(mixed: Callable[..., Any]) -> None:
    """For fifteen rounds, stock grows without end, and WAL with this package stays as on 4.0.3 and on 3.2.1."""
    with mixed('15 rounds', ['3.2.1', '4.0.2', '4.0.2+package', '4.0.3', '3.2.1'], etcd=['3.5'] * 3) as cluster:
        _, stock, ours, control, old = cluster.nodes
        for _ in range(15):
            cluster.round(follow=[ours, control])
            within_a_round(cluster, ours, control)
            within_a_round(cluster, ours, old)
        last = cluster.rounds[-1]
        assert last[stock.name] >= 13 * wal.ROUND and last[ours.name] < 5 * wal.ROUND


@pytest.mark.parametrize('release', ['3.0.2', '3.3.11'])
def test_every_affected_release(mixed: Callable[..., Any], release: str) -> None:
    """4.0.0, 4.0.1 and 4.0.2 with this package behave as 4.0.3, under the oldest leaders and the last of 3.x."""
    releases = [release, '4.0.0+package', '4.0.1+package', '4.0.2+package', '4.0.3']
    with mixed(f'4.0.0, 4.0.1, 4.0.2 under {release}', releases) as cluster:
        replicas = cluster.nodes[1:]
        for _ in range(4):
            cluster.round(follow=replicas)
            for ours in replicas[:-1]:
                within_a_round(cluster, ours, replicas[-1])


def test_switched_off(mixed: Callable[..., Any]) -> None:
    """``member_slots: off`` restores stock behaviour, by configuration, after a reload, and from the environment."""
    with mixed(
        'member_slots: off',
        ['3.2.1', '4.0.2+package', '4.0.2+package', '4.0.3'],
        settings={'etcd3': {'member_slots': False}},
    ) as cluster:
        _, by_config, by_environment, control = cluster.nodes
        before = wal.slots(by_config)
        cluster.round(follow=[control])
        cluster.round(follow=[control])
        assert wal.slots(by_config) == before

        del by_config.config['etcd3']['member_slots'], by_environment.config['etcd3']['member_slots']
        by_environment.env['PATRONI_ETCD3_MEMBER_SLOTS'] = 'off'
        by_config.reload()
        by_environment.restart()
        cluster.wait_replicas()
        before = wal.slots(by_environment)
        cluster.round(follow=[by_config, control])
        within_a_round(cluster, by_config, control)
        cluster.round(follow=[by_config, control])
        assert wal.slots(by_environment) == before
        assert not any('Taking them from the members' in line for line in by_environment.log_text().splitlines())

        by_config.config['etcd3']['member_slots'] = 'off'
        by_config.reload()
        cluster.wait_log(by_config, STOPS.partition('leader')[0] + 'member_slots is off')
        before = wal.slots(by_config)
        cluster.round(follow=[control])
        assert wal.slots(by_config) == before


def test_switchover_and_back(mixed: Callable[..., Any]) -> None:
    """A leader on 4.x publishes the positions itself, and the package does nothing until an older one leads again.

    A leader with this package writes the positions of its own slots to ``/status``.
    """
    with mixed('switchover and back', ['3.2.1', '4.0.2+package', '4.0.3']) as cluster:
        old, ours, control = cluster.nodes
        cluster.round(follow=[ours, control])

        cluster.switchover(control)
        cluster.wait_log(ours, STOPS.format(control.name, '4.0.3'))
        for _ in range(3):
            cluster.round(follow=[ours])
        within_a_round(cluster, ours, control)

        cluster.switchover(old)
        for _ in range(3):
            cluster.round(follow=[ours, control])
            within_a_round(cluster, ours, control)
        assert ours.log_text().count(TAKES.format(old.name)) == 2
        assert set(wal.read_key(cluster.etcd, 'status')) == {'optime'}

        cluster.switchover(ours)
        cluster.wait_log(ours, STOPS.format(ours.name, '4.0.2'))
        published: list[Any] = []
        for _ in range(2):
            cluster.round(follow=[control])
            wait_until(lambda: is_published(cluster, ours, published), 30, '/status to be that of the slots')
        cluster.switchover(old)
        for _ in range(3):
            cluster.round(follow=[ours, control])
            within_a_round(cluster, ours, control)


def is_published(cluster: MixedCluster, leader: PatroniNode, seen: list[Any]) -> bool:
    """Return whether ``/status`` has the positions of the leader's slots, and nothing else except its own.

    :param seen: each content of ``/status`` that was read is added here.
    """
    seen.append(wal.read_key(cluster.etcd, 'status'))
    positions = dict(seen[-1].get('slots') or {})
    positions.pop(leader.name, None)
    return positions == {name: slot.restart_lsn for name, slot in wal.slots(leader).items()}


def test_leader_upgraded_in_pause(mixed: Callable[..., Any]) -> None:
    """After the leader's upgrade to 4.1.5, with PostgreSQL running, the package stops and the slots still advance."""
    with mixed('leader upgraded in pause', ['3.2.1', '4.0.2+package', '4.0.3']) as cluster:
        leader, ours, control = cluster.nodes
        for _ in range(2):
            cluster.round(follow=[ours, control])
        cluster.upgrade_in_pause(leader, NEWEST)
        cluster.wait_log(ours, STOPS.format(leader.name, NEWEST))
        for _ in range(4):
            cluster.round(follow=[ours, control])
            within_a_round(cluster, ours, control)
        assert cluster.primary() is leader


def test_failover_with_a_member_behind(mixed: Callable[..., Any]) -> None:
    """When the primary dies, a member that is behind catches up from the replica with this package.

    The member is behind by more than ``wal_keep_size``, so only the slot on that replica has kept its WAL.
    """
    with mixed('failover with a member behind', ['3.2.1', '4.0.2+package', '3.2.1'], ttl=20) as cluster:
        primary, ours, behind = cluster.nodes
        cluster.round(follow=[ours])
        receiver = next(
            pid
            for pid in descendants(behind.postmaster_pid() or 0)
            if b'walreceiver' in Path(f'/proc/{pid}/cmdline').read_bytes()
        )
        os.kill(receiver, signal.SIGSTOP)
        try:
            for _ in range(4):
                cluster.round(follow=[ours], held=[behind.name], without=[behind])
            held = wal.slots(ours)[behind.name].restart_lsn
            assert held and held <= wal.position(behind)
            assert wal.position(ours) - held > 3 * wal.ROUND << 20
            primary.kill()
            assert cluster.wait_primary() is ours
        finally:
            os.kill(receiver, signal.SIGCONT)
        cluster.wait_replicas()
        wait_until(lambda: wal.position(behind) >= wal.position(ours), 60, 'the member to catch up')


def test_leader_of_unknown_version(mixed: Callable[..., Any]) -> None:
    """Under a leader whose member key has no version, nothing is changed, as on 4.0.3: no slot advances."""
    with mixed('leader of unknown version', ['3.2.1', '4.0.2+package', '4.0.3']) as cluster:
        leader, ours, control = cluster.nodes
        cluster.round(follow=[ours, control])
        (leader.folder / 'sitecustomize.py').write_text(WITHOUT_VERSION)
        leader.env['PYTHONPATH'] = str(leader.folder)
        cluster.upgrade_in_pause(leader, '3.2.1')
        cluster.wait_log(ours, STOPS.format(leader.name, 'of an unknown version'))
        assert 'version' not in wal.read_key(cluster.etcd, 'members/' + leader.name)
        before = wal.slots(ours), wal.slots(control)
        for _ in range(2):
            cluster.round()
        assert (wal.slots(ours), wal.slots(control)) == before
        del leader.env['PYTHONPATH']
        cluster.upgrade_in_pause(leader, '3.2.1')
        cluster.round(follow=[ours, control])
        assert ours.log_text().count(TAKES.format(leader.name)) == 2


WITHOUT_VERSION = """\
# A Patroni that does not tell its version.
from patroni.dcs.etcd3 import Etcd3

stock = Etcd3.touch_member


def touch_member(self, data):
    data.pop('version', None)
    return stock(self, data)


Etcd3.touch_member = touch_member
"""
