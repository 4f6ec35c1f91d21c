"""Members that are not plain replicas: their slots on a replica on Patroni 4.0.2 with this package."""

from __future__ import annotations

import functools
import re
from typing import Any, Callable

from lab.node import PatroniNode
from lab.processes import wait_until
from lab.releases import NEWEST
from tests.mixed import wal
from tests.mixed.cluster import MixedCluster, StandbyCluster

RELEASES = ['3.2.1', '4.0.2+package', '4.0.3']


def known_as_stopped(cluster: MixedCluster, node: PatroniNode) -> bool:
    """Return whether the member key of a node says so."""
    return 'xlog_location' not in (wal.read_key(cluster.etcd, f'members/{node.name}') or {})


def is_replica(node: PatroniNode) -> bool:
    """Return whether a node is up as a replica."""
    return node.role() == 'replica'


def test_cascading_replicas(mixed: Callable[..., Any]) -> None:
    """Slots of replicas that stream from another replica advance, too, and hold when these are down."""
    with mixed('cascading replicas', RELEASES) as cluster:
        _, ours, control = cluster.nodes
        below_ours = cluster.join('4.0.2+package', 'below-ours', {'tags': {'replicatefrom': ours.name}})
        below_control = cluster.join('4.0.3', 'below-control', {'tags': {'replicatefrom': control.name}})
        for _ in range(4):
            last = cluster.round(follow=[ours, control, below_ours, below_control])
            assert abs(last[ours.name] - last[control.name]) <= wal.ROUND, cluster.rounds
            assert abs(last[below_ours.name] - last[below_control.name]) <= wal.ROUND, cluster.rounds
        for stopped, name in ((below_ours, 'below_ours'), (below_control, 'below_control')):
            stopped.stop()
            wait_until(functools.partial(known_as_stopped, cluster, stopped), 60, 'the member to be known as stopped')
            cluster.round(follow=[ours], held=[name])
            held = wal.slots(ours)[name].restart_lsn
            assert held
            cluster.round(follow=[ours], held=[name])
            assert wal.slots(ours)[name].restart_lsn == held
            stopped.start()
            wait_until(functools.partial(is_replica, stopped), 60, 'the member to be back')
            cluster.round(follow=[ours, control])
            assert (wal.slots(ours)[name].restart_lsn or 0) > held


def test_nostream_member(mixed: Callable[..., Any]) -> None:
    """A member that does not stream gets no slot, and the other slots advance."""
    with mixed('nostream member', RELEASES) as cluster:
        _, ours, control = cluster.nodes
        apart = cluster.join('4.0.3', 'apart', {'tags': {'nostream': True}})
        for _ in range(3):
            last = cluster.round(follow=[ours, control], without=[apart])
            assert abs(last[ours.name] - last[control.name]) <= wal.ROUND, cluster.rounds
            assert apart.name not in wal.slots(ours)
        assert wal.position(apart) < wal.position(ours)


def test_members_that_share_a_slot(mixed: Callable[..., Any]) -> None:
    """A slot that two names share holds for the member that is behind, which cannot get its slot."""
    with mixed('names that fold to one slot', RELEASES) as cluster:
        _, ours, control = cluster.nodes
        first = cluster.join('3.2.1', 'node-9')
        cluster.round(follow=[ours, control])
        second = cluster.join('3.2.1', 'node.9')
        wait_until(
            lambda: wal.read_key(cluster.etcd, 'members/' + second.name).get('xlog_location'),
            60,
            'the second to tell how far it is',
        )
        for _ in range(3):
            cluster.round(follow=[ours], held=['node_9'], without=[second])
        assert wal.position(second) < wal.position(first)
        held = wal.slots(ours)['node_9'].restart_lsn
        assert held and held <= wal.position(second)
        second.stop()
        # its key goes when the ttl is over
        wait_until(lambda: wal.read_key(cluster.etcd, 'members/' + second.name) is None, 180, 'the second to be gone')
        cluster.round(follow=[ours, control])


def test_standby_cluster(mixed: Callable[..., Any]) -> None:
    """Under a standby leader on 3.2.1, the slots of its cluster advance on a replica with this package."""
    with mixed('source of a standby cluster', [NEWEST]) as source, StandbyCluster(source, RELEASES) as cluster:
        leader, ours, control = cluster.nodes
        for _ in range(5):
            last = cluster.round(follow=[ours, control])
            assert abs(last[ours.name] - last[control.name]) <= wal.ROUND, cluster.rounds
        assert ours.log_text().count(f'INFO: Leader {leader.name} runs Patroni 3.2.1') == 1
        assert set(wal.read_key(cluster.etcd, 'status', cluster.scope)) == {'optime'}


def test_lost_slot(mixed: Callable[..., Any]) -> None:
    """A lost slot is reported once, with the statement that drops it, and the other slots advance.

    4.0.3 shows the difference: it fails in each HA loop, and no slot advances any more.
    """
    lost = "ERROR: Replication slot 'away' is lost"
    with mixed('a lost slot', RELEASES) as cluster:
        _, ours, control = cluster.nodes
        away = cluster.join('3.2.1', 'away')
        # A Patroni that starts after the members has them in the order of their names. It fails at the lost slot before
        # it reaches the others.
        for node in (ours, control):
            node.config['postgresql']['parameters']['max_slot_wal_keep_size'] = '128MB'
            node.restart()
        cluster.wait_replicas()
        cluster.round(follow=[ours, control])
        away.stop()
        while not all(wal.slots(node)[away.name].wal_status == 'lost' for node in (ours, control)):
            cluster.round(follow=[ours, control], held=[away.name])
            assert len(cluster.rounds) < 12, wal.slots(ours)
        del control.config['postgresql']['parameters']['max_slot_wal_keep_size']
        control.reload()  # otherwise its slots, which do not advance, would soon be lost as well
        wait_until(lambda: wal.query(control, 'SHOW max_slot_wal_keep_size') == [('-1',)], 30, 'the reload')
        away.start()
        cluster.wait_log(ours, lost)
        cluster.wait_log(control, 'TypeError')
        before = wal.slots(control)
        for _ in range(2):
            cluster.round(follow=[ours], held=[away.name])
        assert {name: slot.restart_lsn for name, slot in wal.slots(control).items()} == {
            name: slot.restart_lsn for name, slot in before.items()
        }
        assert ours.log_text().count(lost) == 1 and 'TypeError' not in ours.log_text()

        statement = re.findall('is lost: .*(SELECT .*)', ours.log_text())
        for node in (ours, control):
            wal.query(node, statement[0])
        for _ in range(3):
            last = cluster.round(follow=[ours, control])
            assert abs(last[ours.name] - last[control.name]) <= wal.ROUND, cluster.rounds
        assert ours.log_text().count(lost) == 1
