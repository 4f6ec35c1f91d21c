"""Releases of Patroni side by side while etcd is down, and what the log says about incompatible versions."""

from __future__ import annotations

from typing import Any, Callable

from lab.monitor import Monitor
from lab.processes import wait_until
from lab.releases import NEWEST
from tests.mixed import wal

WARNS = 'WARNING: Patroni members of different versions: '


def test_etcd_outage_with_failsafe_mode(mixed: Callable[..., Any]) -> None:
    """The primary stays; the slots advance at the latest when etcd is back and the failsafe mode is over."""
    with mixed(
        'etcd down for five rounds, failsafe_mode',
        ['3.2.1', '4.0.2+package', '4.0.3'],
        ttl=20,
        settings={'bootstrap': {'dcs': {'failsafe_mode': True}}},
    ) as cluster, Monitor(cluster) as monitor:
        leader, ours, control = cluster.nodes
        cluster.round(follow=[ours, control])
        status = wal.read_key(cluster.etcd, 'status')
        cluster.etcd.members[0].kill()
        cluster.wait_log(leader, 'continue to run as a leader because failsafe mode is enabled')
        before = wal.slots(ours)
        for _ in range(5):
            cluster.round()
            for name, slot in wal.slots(ours).items():
                assert (slot.restart_lsn or 0) >= (before[name].restart_lsn or 0), wal.slots(ours)
        cluster.etcd.members[0].start()
        for _ in range(3):
            last = cluster.round(follow=[ours, control])
        assert abs(last[ours.name] - last[control.name]) <= wal.ROUND, cluster.rounds
        assert monitor.demotions == monitor.leader_changes == 0
        after = wal.read_key(cluster.etcd, 'status')
        assert set(status) == set(after) == {'optime'}, (status, after)
        assert (
            WARNS + 'node1 (3.2.1) beside node2 (4.0.2), node3 (4.0.3): failsafe_mode wants all members at one '
            'version' in ours.log_text()
        )


def test_etcd_frozen(mixed: Callable[..., Any]) -> None:
    """An etcd that hangs for one round delays the slots and has no other effect."""
    with mixed(
        'etcd frozen for a round',
        ['3.2.1', '4.0.2+package', '4.0.3'],
        ttl=20,
        settings={'bootstrap': {'dcs': {'failsafe_mode': True}}},
    ) as cluster, Monitor(cluster) as monitor:
        _, ours, control = cluster.nodes
        cluster.round(follow=[ours, control])
        cluster.etcd.members[0].freeze()
        try:
            cluster.round()
        finally:
            cluster.etcd.members[0].thaw()
        for _ in range(2):
            last = cluster.round(follow=[ours, control])
            assert abs(last[ours.name] - last[control.name]) <= wal.ROUND, cluster.rounds
        assert monitor.demotions == monitor.leader_changes == 0


def test_warning_under_the_newest_release(mixed: Callable[..., Any]) -> None:
    """A permanent slot whose position the leader does not publish is logged under the newest release, too.

    WAL on the replica, which runs 4.1.5 with this package, grows until the slot is removed. The log then says that the
    hazard is over.
    """
    with mixed(
        'permanent slot, leader 3.1.2',
        ['3.1.2', f'{NEWEST}+package'],
        settings={'bootstrap': {'dcs': {'slots': {'archive': {'type': 'physical'}}}}},
    ) as cluster:
        leader, replica = cluster.nodes
        wait_until(lambda: 'archive' in wal.slots(leader) and 'archive' in wal.slots(replica), 60, 'the slot')
        for _ in range(4):
            wal.query(leader, "SELECT pg_replication_slot_advance('archive', pg_current_wal_insert_lsn())")
            cluster.round()
        sizes = [round_[replica.name] for round_ in cluster.rounds]
        assert sizes[-1] - sizes[0] >= 2 * wal.ROUND, sizes
        warnings = [line.split(WARNS)[1] for line in replica.log_text().splitlines() if WARNS in line]
        assert len(warnings) == 1, warnings
        assert f'leader node1 (3.1.2) beside node2 ({NEWEST})' in warnings[0]
        assert 'upgrade the leader to 3.2.0' in warnings[0]
        cluster.edit_config(slots=None)
        cluster.wait_log(replica, 'INFO: All Patroni members run compatible versions again')
