"""Findings about replication slots. A slot that merely is inactive is none: on replicas that is how it has to be."""

from __future__ import annotations

from typing import Iterator, NamedTuple

from patroni.dcs import slot_name_from_member_name

from ...hazards import permanent_slots
from ...versions import parse_version
from ..facts import NO_CREDENTIALS, Facts, Finding, Patroni, PatroniMember, Postgres, Slot
from ..units import lsn, size
from .kinds import comma, finding

#: Patroni moves slots on replicas from the first of these releases on; from the second on it copes with lost ones.
MOVES_SINCE, COPES_SINCE = (3, 2, 0), (4, 0, 7)


class Place(NamedTuple):
    """A slot and where it is."""

    facts: Facts
    patroni: Patroni
    member: PatroniMember
    postgres: Postgres
    slot: Slot

    def __str__(self) -> str:
        return f'{self.member.name}, slot {self.slot.name}'

    @property
    def owners(self) -> list[PatroniMember]:
        """The members that the slot is named after."""
        return [member for member in self.patroni.members if slot_name_from_member_name(member.name) == self.slot.name]

    @property
    def drop(self) -> str:
        """The statement that drops it."""
        return "SELECT pg_catalog.pg_drop_replication_slot('{0}')".format(self.slot.name.replace("'", "''"))


def judge_slots(facts: Facts) -> Iterator[Finding]:
    """Look at the slots of each PostgreSQL that could be asked."""
    patroni = facts.patroni
    for member in patroni.members if patroni else []:
        postgres = member.postgres
        if patroni is None or postgres is None:
            continue
        if postgres.error and not member.error:  # a member that is gone altogether is a finding already
            yield finding(
                'slot-unknown',
                'info' if postgres.error == NO_CREDENTIALS else 'unknown',
                member.name,
                postgres.error,
                'its replication slots and the size of its pg_wal could not be told',
                'run this as a user whose patroni.yml has the credentials, and from a host that pg_hba.conf lets in',
            )
        for slot in postgres.slots:
            place = Place(facts, patroni, member, postgres, slot)
            yield from _lost(place)
            yield from _stuck(place)
            yield from _xmin(place)
            yield from _retains(place)


def _lost(place: Place) -> Iterator[Finding]:
    slot, version = place.slot, parse_version(place.member.version)
    stalls = (
        version is not None
        and MOVES_SINCE <= version < COPES_SINCE
        and place.member.name != place.patroni.leader
        and slot.type == 'physical'
    )
    if slot.wal_status == 'lost':
        seen = 'wal_status lost: PostgreSQL has removed WAL that the slot should have kept'
    elif slot.restart_lsn is None and slot.type == 'physical' and not slot.active and stalls:
        seen = 'restart_lsn is NULL: the slot keeps no WAL'
    else:
        return
    leads = place.member.name == place.patroni.leader
    consequence = (
        'whoever reads from it can not go on'
        if leads or not place.owners
        else f'nobody reads from it now; after a failover to {place.member.name} WAL may be missing for {place.owners[0].name}'
    )
    if stalls:
        # It is the position to advance the slot to that Patroni compares with none: a leader before 4.0.0 gives none.
        consequence += (
            '; Patroni {0} fails at it on every loop (TypeError){1}, and moves no other slot of this node '
            'either: pg_wal grows'.format(
                place.member.version,
                ''
                if slot.name in place.patroni.published_slots
                else ' as soon as the leader publishes a position for it (Patroni 4.0.0 and later do)',
            )
        )
    remedy = f'drop it on {place.member.name}: {place.drop}'
    if place.owners:
        remedy += '; Patroni creates it anew'
        if leads:
            remedy += '. If {0} does not stream again after that: patronictl reinit {1} {0}'.format(
                place.owners[0].name, place.patroni.scope
            )
    else:
        remedy += ', and build anew what reads from it'
    if place.postgres.max_slot_wal_keep_size:
        remedy += f'. max_slot_wal_keep_size is {size(place.postgres.max_slot_wal_keep_size)}'
    yield finding('slot-lost', 'critical' if stalls else 'warning', str(place), seen, consequence, remedy)


def _stuck(place: Place) -> Iterator[Finding]:
    """Two samples, and the position that the slot should follow was ahead of it already and went on."""
    slot, interval = place.slot, place.facts.slots_interval
    if (
        interval is None
        or slot.restart_lsn is None
        or slot.type != 'physical'
        or slot.later_restart_lsn != slot.restart_lsn
        or place.member in place.owners
    ):
        return
    followed = _followed(place)
    if not followed:
        return
    loop_wait = place.patroni.config.get('loop_wait')
    least = 2 * (loop_wait if isinstance(loop_wait, int) and not isinstance(loop_wait, bool) else 10)
    seen = 'restart_lsn {0} in two samples {1:g} s apart, {2}{3}'.format(
        lsn(slot.restart_lsn, 'unknown'), interval, followed, _kept(slot)
    )
    if interval < least and not slot.active:
        yield finding(
            'slot-stuck',
            'unknown',
            str(place),
            seen,
            'Patroni moves it every loop_wait, the samples are too close for a verdict',
            f'try with --slots-interval {least} or more',
        )
        return
    yield finding(
        'slot-stuck',
        'critical',
        str(place),
        seen,
        'WAL from that position on stays in pg_wal of {0} ({1} now) until the disk is full'.format(
            place.member.name, size(place.postgres.wal_size, 'size unknown')
        ),
        'where a finding about the releases of the members stands beside this one: what it says; else look for the '
        f'name of the slot in the log of Patroni there. If the disk gets full: {place.drop}, Patroni creates it anew when it '
        'is needed',
    )


def _followed(place: Place) -> str | None:
    """Who went on while the slot stood still; ``None`` if it need not move."""
    start = place.slot.restart_lsn or 0
    if place.owners:
        if all(
            owner.position is not None
            and owner.later_position is not None
            and start < owner.position < owner.later_position
            for owner in place.owners
        ):
            return comma(
                [
                    f'{owner.name} went on from {lsn(owner.position)} to {lsn(owner.later_position)}'
                    for owner in place.owners
                ]
            )
        return None
    for member in place.patroni.members:
        for other in (
            member.postgres.slots
            if member.postgres and member.name == place.patroni.leader and member is not place.member
            else []
        ):
            if (
                other.name == place.slot.name
                and other.restart_lsn is not None
                and other.later_restart_lsn is not None
                and start < other.restart_lsn < other.later_restart_lsn
            ):
                return f'the same slot on the leader {member.name} went on from {lsn(other.restart_lsn)} to {lsn(other.later_restart_lsn)}'
    return None


def _xmin(place: Place) -> Iterator[Finding]:
    if place.slot.active or not place.slot.xmin:
        return
    yield finding(
        'slot-holds-xmin',
        'warning',
        str(place),
        f'inactive, with xmin {place.slot.xmin}',
        'VACUUM can not remove what was deleted since, tables grow'
        + ('' if place.member.name == place.patroni.leader else ' (on the primary, when hot_standby_feedback is on)'),
        '{0}{1}'.format(
            place.drop,
            '; Patroni creates it anew when it is needed' if place.owners else ', if nobody reads from it any more',
        ),
    )


def _retains(place: Place) -> Iterator[Finding]:
    slot, postgres = place.slot, place.postgres
    limits = [
        (value, name)
        for value, name in ((postgres.max_wal_size, 'max_wal_size'), (postgres.wal_keep_size, 'wal_keep_size'))
        if value is not None
    ]
    if slot.retained is None or not limits or slot.wal_status == 'lost':
        return
    limit, name = max(limits)
    if slot.retained <= limit:
        return
    owner = _owner(place)
    consequence = 'pg_wal{0} can not shrink while the slot stays where it is'.format(
        f' ({size(postgres.wal_size)})' if postgres.wal_size is not None else ''
    )
    most = postgres.max_slot_wal_keep_size
    if most is not None and most >= 0:
        consequence += f'; at {size(most)} (max_slot_wal_keep_size) the slot is lost'
    else:
        consequence += ', up to the end of the disk'
    if postgres.free_disk is not None:
        consequence += f' ({size(postgres.free_disk)} free)'
    yield finding(
        'slot-retains-wal',
        'warning',
        str(place),
        '{0}, keeps {1}, more than {2} ({3}). {4}'.format(
            'active' if slot.active else 'inactive', size(slot.retained), name, size(limit), owner
        ),
        consequence,
        'bring its reader back, or give the slot up: {0}{1}'.format(
            place.drop, '' if slot.type == 'physical' else ' (a logical subscriber has to be built anew then)'
        ),
    )


def _owner(place: Place) -> str:
    if place.owners:
        return 'It belongs to member {0}'.format(
            comma(
                [
                    '{0} ({1})'.format(
                        owner.name,
                        ', '.join(
                            filter(
                                None,
                                (
                                    None if owner.in_dcs else 'no key in etcd',
                                    owner.state or 'state unknown',
                                    None if not owner.error else 'REST API does not answer',
                                ),
                            )
                        ),
                    )
                    for owner in place.owners
                ]
            )
        )
    if place.slot.name in permanent_slots(place.patroni.config):
        return 'It is a permanent slot of the configuration'
    return 'It belongs to no member that is there: one that is stopped or gone, or something else that reads from it'


def _kept(slot: Slot) -> str:
    return f'; it keeps {size(slot.retained)}' if slot.retained is not None else ''
