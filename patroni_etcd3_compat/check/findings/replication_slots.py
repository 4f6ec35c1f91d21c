"""Findings about replication slots. A slot that is just inactive is no finding: on replicas that is normal."""

from __future__ import annotations

from typing import Iterator

from ...dynamic import permanent_slots
from ...versions import parse_version
from ..facts import NO_CREDENTIALS, Facts, PatroniMember, Postgres
from ..units import comma, lsn, size
from .examples import MB, both, patroni_member, patroni_runs, replica_has
from .registry import PATRONI, PATRONI_GATE, POSTGRES_DOCS, Seen, Subject
from .slot_places import Place, places

SUBJECT = Subject(100, 'Replication slots')

_VIEW = f'{POSTGRES_DOCS}view-pg-replication-slots.html'

#: Patroni moves slots on replicas from the first of these releases on; from the second on lost ones do not stop it.
MOVES_SINCE, COPES_SINCE = (3, 2, 0), (4, 0, 7)


@SUBJECT.finding(
    'slot-stuck',
    'a replication slot does not move while its member does',
    f'{PATRONI}issues/3184',
    critical='in two samples (--slots-interval, at least twice loop_wait)',
    unknown='if the two samples are closer',
    stops=PATRONI_GATE,
    at_the_end=True,
    shown=['tests/check/test_command_patroni.py::test_slots_stuck'],
    example=replica_has(later_restart_lsn=900 * MB),
)
def stuck(facts: Facts) -> Iterator[Seen]:
    """Find slots at one position in two samples, while what they should follow was ahead of it and moved on."""
    for place in places(facts):
        slot = place.slot
        if (
            place.interval is None
            or slot.restart_lsn is None
            or slot.type != 'physical'
            or slot.later_restart_lsn != slot.restart_lsn
            or place.member in place.owners
            or _stands_still(place.member)
        ):
            continue
        followed = _followed(place)
        if followed:
            yield _stuck(place, place.interval, followed)


def _stuck(place: Place, interval: float, followed: str) -> Seen:
    slot = place.slot
    loop_wait = place.patroni.config.get('loop_wait')
    least = 2 * (loop_wait if isinstance(loop_wait, int) and not isinstance(loop_wait, bool) else 10)
    retains = f'; it retains {size(slot.retained)}' if slot.retained is not None else ''
    seen = f'restart_lsn {lsn(slot.restart_lsn, "unknown")} in two samples {interval:g} s apart, {followed}{retains}'
    if interval < least and not slot.active:
        return Seen(
            'unknown',
            where=str(place),
            seen=seen,
            consequence='Patroni moves it every loop_wait, so the samples are too close for a verdict',
            remedy=f'use --slots-interval {least} or more',
        )
    return Seen(
        'critical',
        where=str(place),
        seen=seen,
        consequence=f'WAL from that position on stays in pg_wal of {place.member.name} '
        f'({size(place.postgres.wal_size, "size unknown")} now) until the disk is full',
        remedy='if there is a finding about the releases of the members as well, do what it says; else search the log '
        f'of Patroni there for the name of the slot. If the disk gets full: {place.drop}, Patroni creates it again '
        'when it is needed',
    )


def _followed(place: Place) -> str | None:
    """Return what moved on while the slot did not; ``None`` if the slot need not move."""
    start = place.slot.restart_lsn or 0
    if place.owners:
        moves = [(owner.name, owner.position, owner.later_position) for owner in place.owners]
        if all(_moved(start, position, later) for _, position, later in moves):
            return comma([f'{name} moved on from {lsn(position)} to {lsn(later)}' for name, position, later in moves])
        return None
    for member in place.patroni.members:
        if member.name != place.patroni.leader or member is place.member or member.postgres is None:
            continue
        for other in member.postgres.slots:
            if other.name == place.slot.name and _moved(start, other.restart_lsn, other.later_restart_lsn):
                return (
                    f'the same slot on the leader {member.name} moved on from {lsn(other.restart_lsn)} to '
                    f'{lsn(other.later_restart_lsn)}'
                )
    return None


def _stands_still(member: PatroniMember) -> bool:
    """Return whether a server itself was at one position in both samples: then its slots cannot move either."""
    return member.position is not None and member.position == member.later_position


def _moved(start: int, position: int | None, later: int | None) -> bool:
    """Return whether a position was ahead of *start* at the first sample, and further at the second."""
    return position is not None and later is not None and start < position < later


@SUBJECT.finding(
    'slot-lost',
    'a replication slot has lost the WAL that it should retain',
    f'{PATRONI}pull/3388',
    critical='if Patroni (3.2.0 to 4.0.6) moves no other slot because of it',
    warning='',
    stops=PATRONI_GATE,
    at_the_end=True,
    shown=['tests/check/test_command_patroni.py::test_slot_lost'],
    example=both(patroni_runs('4.0.6', '4.0.6'), replica_has(restart_lsn=None, retained=None, wal_status='lost')),
)
def lost(facts: Facts) -> Iterator[Seen]:
    """Find slots that PostgreSQL has invalidated, and those without a position that stop Patroni."""
    for place in places(facts):
        slot, stalls = place.slot, _stalls(place)
        if slot.wal_status == 'lost':
            seen = 'wal_status lost: PostgreSQL has removed WAL that the slot should have retained'
        elif slot.restart_lsn is None and slot.type == 'physical' and not slot.active and stalls:
            seen = 'restart_lsn is NULL: the slot retains no WAL'
        else:
            continue
        yield Seen(
            'critical' if stalls else 'warning',
            where=str(place),
            seen=seen,
            consequence=_lost_for_whom(place) + (_stalled(place) if stalls else ''),
            remedy=_drop_and_rebuild(place),
        )


def _stalls(place: Place) -> bool:
    """Return whether Patroni there fails at a lost slot, and moves no other one."""
    version = parse_version(place.member.version)
    in_range = version is not None and MOVES_SINCE <= version < COPES_SINCE
    return in_range and not place.on_leader and place.slot.type == 'physical'


def _lost_for_whom(place: Place) -> str:
    if place.on_leader or not place.owners:
        return 'whatever reads from it cannot continue'
    owner = place.owners[0].name
    return f'nobody reads from it now; after a failover to {place.member.name} WAL may be missing for {owner}'


def _stalled(place: Place) -> str:
    # What Patroni compares with None is the position to advance the slot to, which a leader before 4.0.0 does not
    # publish.
    when = (
        ''
        if place.slot.name in place.patroni.published_slots
        else ' as soon as the leader publishes a position for it (Patroni 4.0.0 and later do)'
    )
    return (
        f'; Patroni {place.member.version} fails at it in every loop (TypeError){when}, and moves no other slot of '
        'this node either: pg_wal grows'
    )


def _drop_and_rebuild(place: Place) -> str:
    remedy = f'drop it on {place.member.name}: {place.drop}'
    if not place.owners:
        remedy += ', and rebuild what reads from it'
    else:
        remedy += '; Patroni creates it again'
        if place.on_leader:
            owner, scope = place.owners[0].name, place.patroni.scope
            remedy += f'. If {owner} does not stream after that: patronictl reinit {scope} {owner}'
    if place.postgres.max_slot_wal_keep_size:
        remedy += f'. max_slot_wal_keep_size is {size(place.postgres.max_slot_wal_keep_size)}'
    return remedy


@SUBJECT.finding(
    'slot-retains-wal',
    'a replication slot retains more WAL than the server may keep',
    _VIEW,
    warning='',
    info='if the slot moves on between two samples (--slots-interval)',
    at_the_end=True,
    proved=['tests/check/test_consequences_patroni.py::test_slot_retains_wal'],
    example=replica_has(name='old_standby', retained=2048 * MB, later_restart_lsn=900 * MB),
)
def retains_wal(facts: Facts) -> Iterator[Seen]:
    """Find slots that retain more than max_wal_size and wal_keep_size."""
    for place in places(facts):
        slot, postgres = place.slot, place.postgres
        settings = ((postgres.max_wal_size, 'max_wal_size'), (postgres.wal_keep_size, 'wal_keep_size'))
        limits = [(value, name) for value, name in settings if value is not None]
        if slot.retained is None or not limits or slot.wal_status == 'lost' or slot.retained <= max(limits)[0]:
            continue
        limit, name = max(limits)
        moves = _moved(0, slot.restart_lsn, slot.later_restart_lsn)
        yield Seen(
            'info' if moves else 'warning',
            where=str(place),
            seen=f'{"active" if slot.active else "inactive"}, retains {size(slot.retained)}, more than {name} '
            f'({size(limit)}). {_owner(place)}',
            consequence='it moves on: pg_wal shrinks when its reader has caught up' if moves else _grows(postgres),
            remedy='nothing, if it catches up: compare again later' if moves else _bring_back_or_drop(place),
        )


def _bring_back_or_drop(place: Place) -> str:
    rebuild = '' if place.slot.type == 'physical' else ' (a logical subscriber has to be rebuilt then)'
    return f'bring its reader back, or give the slot up: {place.give_up}{rebuild}'


def _grows(postgres: Postgres) -> str:
    now = f' ({size(postgres.wal_size)})' if postgres.wal_size is not None else ''
    most = postgres.max_slot_wal_keep_size
    if most is not None and most >= 0:
        end = f'; at {size(most)} (max_slot_wal_keep_size) the slot is lost'
    else:
        end = ', until the disk is full'
    free = f' ({size(postgres.free_disk)} free)' if postgres.free_disk is not None else ''
    return f'pg_wal{now} cannot shrink while the slot does not move{end}{free}'


def _owner(place: Place) -> str:
    """Return whose slot it is, a sentence."""
    if place.owners:
        return f'It belongs to member {comma([_state(owner) for owner in place.owners])}'
    if place.slot.name in permanent_slots(place.patroni.config):
        return 'It is a permanent slot of the configuration'
    return 'It belongs to no known member: to one that is stopped or gone, or to something else that reads from it'


def _state(owner: PatroniMember) -> str:
    parts = (
        None if owner.in_dcs else 'no key in etcd',
        owner.state or 'state unknown',
        'REST API does not answer' if owner.error else None,
    )
    return f'{owner.name} ({", ".join(filter(None, parts))})'


@SUBJECT.finding(
    'slot-holds-xmin',
    'an inactive replication slot holds back VACUUM',
    _VIEW,
    warning='',
    proved=['tests/check/test_consequences_patroni.py::test_slot_holds_xmin'],
    example=replica_has(xmin='745'),
)
def holds_xmin(facts: Facts) -> Iterator[Seen]:
    """Find inactive slots that hold back vacuum. On replicas, logical slots that Patroni keeps there are inactive."""
    for place in places(facts):
        slot = place.slot
        catalog = slot.catalog_xmin if slot.type == 'logical' and place.on_leader else None
        if slot.active or not (slot.xmin or catalog):
            continue
        where = '' if place.on_leader else ' (on the primary, if hot_standby_feedback is on)'
        after = (
            '; Patroni creates it again when it is needed' if place.owners else ', if nothing reads from it any more'
        )
        yield Seen(
            'warning',
            where=str(place),
            seen=f'inactive, with xmin {slot.xmin}' if slot.xmin else f'inactive, with catalog_xmin {catalog}',
            consequence=f'VACUUM cannot remove what was deleted since, so tables grow{where}'
            if slot.xmin
            else 'VACUUM cannot remove what was deleted from the system catalogs since, so they grow',
            remedy=place.give_up + after,
        )


@SUBJECT.finding(
    'slot-unknown',
    'the replication slots of a member are unknown',
    _VIEW,
    unknown='',
    info='if the configuration has no credentials to ask with',
    at_the_end=True,
    proved=['tests/check/test_consequences_patroni.py::test_slot_unknown'],
    example=patroni_member(2, postgres=Postgres(error='connection refused')),
)
def unknown(facts: Facts) -> Iterator[Seen]:
    """Find members whose PostgreSQL could not be asked."""
    for member in facts.patroni.members if facts.patroni else []:
        error = member.postgres.error if member.postgres else None
        if error and not member.error:  # of a member that is gone altogether another finding tells
            yield Seen(
                'info' if error == NO_CREDENTIALS else 'unknown',
                where=member.name,
                seen=error,
                consequence='its replication slots and the size of its pg_wal are unknown',
                remedy='run this as a user who can read the credentials in patroni.yml, and from a host that '
                'pg_hba.conf lets in',
            )
