"""Remedies without this package, on stock Patroni 4.0.2: see docs/mixed-versions.md."""

from __future__ import annotations

from typing import Any, Callable

from lab.processes import wait_until
from lab.releases import NEWEST
from tests.mixed import wal


def test_work_arounds(mixed: Callable[..., Any]) -> None:
    """Each work-around stops the growth as documented, and without it WAL grows again.

    One replica has the tag ``nofailover`` throughout; the others are tried one after the other on a second one.
    """
    with mixed('work-arounds, stock', ['3.2.1', '4.0.2']) as cluster:
        leader, stock = cluster.nodes
        tagged = cluster.join('4.0.2', settings={'tags': {'nofailover': True}})

        def grows() -> None:
            before = wal.slots(stock)
            for _ in range(5):
                last = cluster.round()
            assert wal.slots(stock) == before
            assert last[stock.name] - last[tagged.name] > wal.ROUND, cluster.rounds

        def bounded() -> None:
            for _ in range(2):
                last = cluster.round()
            assert abs(last[stock.name] - last[tagged.name]) <= wal.ROUND, cluster.rounds

        grows()
        assert not wal.slots(tagged)

        # first aid: stuck slots are dropped by hand, and Patroni creates them again at a later position
        before = wal.slots(stock)
        for name in before:
            wal.query(stock, f"SELECT pg_drop_replication_slot('{name}')")
        wait_until(lambda: wal.slots(stock).keys() == before.keys(), 30, 'the slots to be made anew')
        assert all((wal.slots(stock)[name].restart_lsn or 0) > (slot.restart_lsn or 0) for name, slot in before.items())
        full = cluster.rounds[-1][stock.name]
        assert cluster.round()[stock.name] < full  # the next checkpoint removes it, first on the leader, then here
        grows()

        # the members are declared as permanent slots, whose positions a leader from 3.2.0 on publishes
        cluster.edit_config(slots={node.name: {'type': 'physical'} for node in cluster.nodes})
        wait_until(
            lambda: wal.slot_name(leader.name) in (wal.read_key(cluster.etcd, 'status').get('slots') or {}),
            30,
            'the leader to publish positions',
        )
        bounded()
        cluster.edit_config(slots=None)
        wait_until(lambda: 'slots' not in wal.read_key(cluster.etcd, 'status'), 30, 'the leader to publish no more')
        grows()

        cluster.edit_config(member_slots_ttl=0)
        wait_until(lambda: not wal.slots(stock), 30, 'the slots to be dropped')
        bounded()


def test_ways_out(mixed: Callable[..., Any]) -> None:
    """Each permanent remedy works on replicas with piled-up WAL, in pause and with PostgreSQL running.

    This package is installed beside 4.0.2 on one replica, 4.0.3 replaces it on another, and finally 4.1.5 runs on the
    leader.
    """
    with mixed(
        'ways out: package on node2, 4.0.3 on node3, leader on the newest', ['3.2.1', '4.0.2', '4.0.2', '4.0.2']
    ) as cluster:
        leader, with_package, later, stock = cluster.nodes
        for _ in range(5):
            full = cluster.round()
        cluster.upgrade_in_pause(with_package, '4.0.2+package')
        cluster.upgrade_in_pause(later, '4.0.3')
        for _ in range(2):
            last = cluster.round(follow=[with_package, later])
        for node in (with_package, later):
            assert last[node.name] <= full[node.name] - 2 * wal.ROUND, cluster.rounds
        assert last[stock.name] >= full[stock.name] + wal.ROUND, cluster.rounds
        cluster.upgrade_in_pause(leader, NEWEST)
        for _ in range(2):
            last = cluster.round(follow=[with_package, later, stock])
        assert abs(last[stock.name] - last[with_package.name]) <= wal.ROUND, cluster.rounds
