"""Findings about replication slots: stuck, lost, holding xmin, keeping too much; and the silence about all others."""

from __future__ import annotations

from typing import Any

import pytest

from patroni_etcd3_compat.check.facts import Facts, PatroniMember, Slot
from tests.unit.finding_facts import MB, facts, found, one, patroni_facts, patroni_member, text_of, with_slots

SLOTS = ('slot-stuck', 'slot-lost', 'slot-retains-wal', 'slot-holds-xmin')


def slot(name: str, at: int | None = 900, later: int | None = None, **different: Any) -> Slot:
    """An inactive physical slot; positions in MB."""
    ret = Slot(name, 'physical', False, at and at * MB, later and later * MB, 100 * MB, None, None, 'reserved')
    for key, value in different.items():
        assert hasattr(ret, key)
        setattr(ret, key, value)
    return ret


def on_replica(
    *slots: Slot,
    others: tuple[PatroniMember, ...] = (),
    version: str = '4.1.5',
    interval: float | None = 30,
    leader_slots: tuple[Slot, ...] = (),
    config: Any = None,
) -> Facts:
    """These slots on a replica; the leader went on from 950 to 990 MB."""
    leader = patroni_member(
        'lead-er',
        '4.1.5',
        position=950 * MB,
        later_position=990 * MB,
        postgres=with_slots(*leader_slots, in_recovery=False),
    )
    replica = patroni_member('node1', version, position=950 * MB, later_position=990 * MB, postgres=with_slots(*slots))
    return facts(patroni=patroni_facts(leader, replica, *others, **(config or {})), slots_interval=interval)


def kinds(some: Facts) -> list[str]:
    """Identifiers of what was found about slots."""
    return [finding.id for finding in found(some, *SLOTS)]


def test_inactive_slots_are_normal() -> None:
    """Whatever their wal_status on a replica, while they move or nobody knows."""
    for status in ('reserved', 'extended', 'unreserved', None):
        assert kinds(on_replica(slot('lead_er', 900, 990, wal_status=status))) == []
        assert kinds(on_replica(slot('lead_er', 900, wal_status=status), interval=None)) == []


def test_stuck() -> None:
    """The same position twice, while the member that it is for was ahead of it and went on."""
    some = on_replica(slot('lead_er', 900, 900))
    finding = one(some, 'slot-stuck')
    assert finding.severity == 'critical' and finding.where == 'node1, slot lead_er'
    for part in (
        'restart_lsn 0/38400000 in two samples 30 s apart',
        'lead-er moved on from 0/3B600000 to 0/3DE00000',
        'retains 100 MB',
        'pg_wal of node1 (128 MB now)',
        "pg_drop_replication_slot('lead_er')",
    ):
        assert part in text_of(finding)


@pytest.mark.parametrize(
    'some',
    [
        on_replica(slot('lead_er', 900, 900), interval=None),  # one sample says nothing
        on_replica(slot('lead_er', 900, 901)),  # moves
        on_replica(slot('lead_er', 970, 970)),  # ahead of the member: has to wait for it
        on_replica(slot('lead_er', 950, 950)),  # was where the member was
        on_replica(
            slot('still', 900, 900), others=(patroni_member('still', position=950 * MB, later_position=950 * MB),)
        ),
        on_replica(slot('lead_er', None, None)),  # keeps nothing
        on_replica(slot('node1', 900, 900)),  # its own
        on_replica(slot('stopped', 900, 900)),  # of nobody who went on
        on_replica(
            slot('still', 900, 900), others=(patroni_member('still', position=900 * MB, later_position=900 * MB),)
        ),
        on_replica(slot('quiet', 900, 900), others=(patroni_member('quiet', position=None),)),
        on_replica(slot('lead_er', 900, 900, type='logical')),  # moves when it can
        on_replica(
            slot('lead_er', 900, 900), others=(patroni_member('lead.er', position=900 * MB, later_position=900 * MB),)
        ),
    ],
)
def test_not_stuck(some: Facts) -> None:
    """It has to hold, or it can't be told."""
    assert not found(some, 'slot-stuck')


def test_samples_too_close() -> None:
    """Patroni moves slots once in loop_wait: no verdict before twice that time, unless somebody reads from it."""
    for interval, config in ((20, {}), (20, {'loop_wait': True}), (20, {'loop_wait': None}), (21, {'loop_wait': '30'})):
        some = on_replica(slot('lead_er', 900, 900), interval=interval, config=config)
        assert one(some, 'slot-stuck').severity == 'critical'
    finding = one(on_replica(slot('lead_er', 900, 900), interval=19), 'slot-stuck')
    assert finding.severity == 'unknown' and '--slots-interval 20' in finding.remedy
    for some in (
        on_replica(slot('lead_er', 900, 900), interval=5, config={'loop_wait': 2}),
        on_replica(slot('lead_er', 900, 900, active=True), interval=5),
    ):
        assert one(some, 'slot-stuck').severity == 'critical'


def test_permanent_slot_that_moves_on_the_leader_alone() -> None:
    """The position that counts is that of the same slot on the leader."""
    config = {'slots': {'backup': {'type': 'physical'}}}
    moving, standing, behind = slot('backup', 950, 980, active=True), slot('backup', 950, 950), slot('backup', 900, 950)
    finding = one(on_replica(slot('backup', 900, 900), leader_slots=(moving,), config=config), 'slot-stuck')
    assert 'the same slot on the leader lead-er moved on' in finding.seen and finding.where == 'node1, slot backup'
    for on_leader in (standing, behind, slot('other', 950, 980)):
        some = on_replica(slot('backup', 900, 900), leader_slots=(on_leader,), config=config)
        assert not found(some, 'slot-stuck')
    assert not found(on_replica(leader_slots=(standing,), config=config), 'slot-stuck')
    third = patroni_member('third', postgres=with_slots(moving))  # of another replica nothing follows
    assert not found(on_replica(slot('backup', 900, 900), others=(third,), config=config), 'slot-stuck')


@pytest.mark.parametrize(
    'version, severity',
    [('4.1.5', 'warning'), ('4.0.6', 'critical'), ('3.2.0', 'critical'), ('3.1.2', 'warning'), ('4.0.7', 'warning')],
)
def test_lost(version: str, severity: str) -> None:
    """With the statement that drops it; Patroni 3.2.0 to 4.0.6 moves no other slot while it is there."""
    finding = one(on_replica(slot("lead_er'", None, wal_status='lost'), version=version), 'slot-lost')
    assert finding.severity == severity and "pg_drop_replication_slot('lead_er''')" in finding.remedy
    assert ('TypeError' in finding.consequence) is (severity == 'critical')


def test_lost_on_a_replica() -> None:
    """Nobody reads from it there, so nobody has to be built anew; least of all the leader."""
    finding = one(on_replica(slot('lead_er', None, wal_status='lost')), 'slot-lost')
    assert 'nobody reads from it now' in finding.consequence and 'reinit' not in finding.remedy


def test_lost_on_the_leader() -> None:
    """Nothing stalls there; a member may have to be built anew."""
    some = on_replica(version='4.0.6', leader_slots=(slot('node1', None, wal_status='lost'),))
    assert some.patroni
    some.patroni.members[0].version = '4.0.6'
    finding = one(some, 'slot-lost')
    assert finding.severity == 'warning' and 'patronictl reinit batman node1' in finding.remedy


def test_slot_without_a_position() -> None:
    """Never reserved: only where Patroni stumbles over it."""
    assert kinds(on_replica(slot('x', None, retained=None, wal_status=None), version='4.0.6')) == ['slot-lost']
    assert kinds(on_replica(slot('x', None, retained=None, wal_status=None), version='4.1.5')) == []


def test_xmin() -> None:
    """Of an inactive slot only."""
    finding = one(on_replica(slot('lead_er', 900, 990, xmin='745')), 'slot-holds-xmin')
    assert finding.severity == 'warning' and '745' in finding.seen and 'pg_drop_replication_slot' in finding.remedy
    assert 'hot_standby_feedback' in finding.consequence
    finding = one(on_replica(leader_slots=(slot('node1', xmin='745'),)), 'slot-holds-xmin')
    assert finding.where == 'lead-er, slot node1' and 'hot_standby_feedback' not in finding.consequence
    assert kinds(on_replica(slot('lead_er', 900, 990, xmin='745', active=True))) == []
    assert kinds(on_replica(slot('logical', 900, 990, catalog_xmin='745', type='logical'))) == []


def test_retained() -> None:
    """More than max_wal_size and wal_keep_size; with whose it is."""
    stopped = patroni_member('stopped', state='stopped', error='connection refused')
    some = on_replica(slot('stopped', retained=2000 * MB), others=(stopped,))
    finding = one(some, 'slot-retains-wal')
    assert finding.severity == 'warning' and 'retains 2.0 GB, more than max_wal_size (1.0 GB)' in finding.seen
    assert 'It belongs to member stopped (stopped, REST API does not answer)' in finding.seen
    assert (
        'permanent slot'
        in one(
            on_replica(slot('backup', retained=2000 * MB), config={'slots': {'backup': {'type': 'physical'}}}),
            'slot-retains-wal',
        ).seen
    )
    assert 'no known member' in one(on_replica(slot('gone', retained=2000 * MB)), 'slot-retains-wal').seen
    assert kinds(on_replica(slot('gone', retained=1024 * MB))) == []


def test_retained_and_the_settings() -> None:
    """wal_keep_size may be the larger one; without either nothing can be said; where the end is."""
    many = slot('gone', retained=2000 * MB)
    some = on_replica(many)
    assert some.patroni
    postgres = some.patroni.members[1].postgres
    assert postgres
    postgres.wal_keep_size = 3000 * MB
    assert kinds(some) == []
    postgres.max_wal_size = postgres.wal_keep_size = None
    assert kinds(some) == []
    postgres.max_wal_size, postgres.max_slot_wal_keep_size, postgres.free_disk = 1024 * MB, 4096 * MB, 10 * MB
    finding = one(some, 'slot-retains-wal')
    assert 'at 4.0 GB (max_slot_wal_keep_size) the slot is lost (10 MB free)' in finding.consequence
    assert 'pg_wal (128 MB) cannot shrink' in finding.consequence
    for unlimited in (None, -1):
        postgres.max_slot_wal_keep_size = unlimited
        assert 'until the disk is full' in one(some, 'slot-retains-wal').consequence
    assert 'subscriber' not in finding.remedy
    many.type = 'logical'
    assert 'subscriber' in one(some, 'slot-retains-wal').remedy


def test_slots_of_a_server_that_stands_still() -> None:
    """The slots of a server that does not move itself cannot move: that server is the fault, not its slots."""
    some = on_replica(slot('lead_er', 900, 900))
    assert some.patroni
    some.patroni.members[1].later_position = some.patroni.members[1].position
    assert 'slot-stuck' not in kinds(some)


def test_retained_by_a_slot_that_moves() -> None:
    """A slot that moves on between the samples catches up by itself: an information, and nothing to drop."""
    behind = slot('old', 900, 940, retained=4096 * MB)
    finding = one(on_replica(behind), 'slot-retains-wal')
    assert finding.severity == 'info' and 'pg_drop_replication_slot' not in finding.remedy
    behind.later_restart_lsn = behind.restart_lsn
    finding = one(on_replica(behind), 'slot-retains-wal')
    assert finding.severity == 'warning' and 'pg_drop_replication_slot' in finding.remedy


def test_permanent_slot_leaves_the_configuration_first() -> None:
    """Patroni creates a permanent slot again, so the remedy begins with the configuration."""
    kept = slot('backup', 900, retained=4096 * MB, xmin='7')
    some = on_replica(kept, config={'slots': {'backup': {'type': 'physical'}}})
    for id in ('slot-retains-wal', 'slot-holds-xmin'):
        remedy = one(some, id).remedy
        assert remedy.index('patronictl edit-config batman') < remedy.index("pg_drop_replication_slot('backup')")


def test_catalog_xmin() -> None:
    """An inactive logical slot on the leader holds it. On a replica, Patroni keeps such slots inactive."""
    logical = slot('app', 900, type='logical', catalog_xmin='745')
    finding = one(on_replica(leader_slots=(logical,)), 'slot-holds-xmin')
    assert finding.seen == 'inactive, with catalog_xmin 745' and 'system catalogs' in finding.consequence
    assert kinds(on_replica(logical)) == []
    logical.active = True
    assert kinds(on_replica(leader_slots=(logical,))) == []
