"""Findings about members that are not there any more: one, or all of them."""

from __future__ import annotations

from typing import Iterator

from patroni.dcs import slot_name_from_member_name

from ...dynamic import permanent_slots, uses_slots
from ..facts import Facts, Patroni
from ..patroni_cluster import all_gone, known, leader_of, place
from .examples import patroni_has
from .patroni_members import SUBJECT
from .registry import PATRONI_DOCS, PATRONI_GATE, Seen


@SUBJECT.finding(
    'patroni-all-down',
    'no Patroni runs, in a cluster that was started once',
    f'{PATRONI_DOCS}faq.html',
    critical='',
    stops=PATRONI_GATE,
    shown=['tests/check/test_outages_patroni.py::test_members_gone'],
    example=patroni_has(leader=None, members=[], initialized=True),
)
def all_down(facts: Facts) -> Iterator[Seen]:
    """Find a cluster whose configuration is in the DCS, and none of whose members is."""
    patroni = facts.patroni
    if patroni is None or not all_gone(patroni):
        return
    yield Seen(
        'critical',
        where=patroni.scope,
        seen=f'{place(patroni)} has the keys initialize and config, no leader key and no member',
        consequence='no Patroni runs, or none reaches etcd: nobody is promoted, and no load balancer finds a primary. '
        'PostgreSQL may still run',
        remedy='on each node: systemctl status patroni, and the log of Patroni; start it everywhere',
    )


@SUBJECT.finding(
    'patroni-member-gone',
    'a member is missing',
    f'{PATRONI_DOCS}dynamic_configuration.html',
    warning='a slot is named after a member without a key, or one that --members names has none',
    stops=PATRONI_GATE,
    shown=['tests/check/test_outages_patroni.py::test_members_gone'],
    example=patroni_has(retained_slots=['node2', 'node3']),
)
def member_gone(facts: Facts) -> Iterator[Seen]:
    """Find members that are expected, or that have a slot, and that have no key."""
    patroni = known(facts)
    if patroni is None:
        return
    names = {member.name for member in patroni.members if member.in_dcs}
    reported = {member.name for member in patroni.members if not member.in_dcs}  # as a member that is down
    missing = [name for name in patroni.expected if name not in names | reported]
    for name in missing:
        yield _expected(patroni, name, f'--members names it, and it has no key below {place(patroni)}/members/')
    number = patroni.expected_number
    if number is not None and len(names) < number:
        seen = f'{len(names)} of {number} members (--members) have a key below {place(patroni)}/members/'
        yield _expected(patroni, patroni.scope, seen)
    known_slots = {slot_name_from_member_name(name) for name in {*names, *reported, *missing}}
    for slot, seen in _slots(patroni).items():
        if slot not in known_slots:
            yield Seen(
                'warning',
                where=f'slot {slot}',
                seen=f'{seen}, and no member with a key is called so',
                consequence='its Patroni is stopped or cannot reach etcd: it is no candidate in a failover. WAL is '
                'kept for it until member_slots_ttl is over, and then nothing tells that it was there',
                remedy='check Patroni on that node: systemctl status patroni. To notice it later as well: check '
                '--members with all names',
            )


def _expected(patroni: Patroni, where: str, seen: str) -> Seen:
    return Seen(
        'warning',
        where=where,
        seen=seen,
        consequence='a Patroni is stopped or cannot reach etcd: it is no candidate in a failover',
        remedy='check Patroni on that node: systemctl status patroni',
    )


def _slots(patroni: Patroni) -> dict[str, str]:
    """Return slots of members, by name where they were seen; not what Patroni keeps for another reason."""
    config = patroni.config
    if not uses_slots(config):
        return {}
    found = dict.fromkeys(patroni.retained_slots, 'the leader retains this slot (key /status)')
    leader = leader_of(patroni)
    if leader and leader.postgres and not config.get('ignore_slots'):
        for slot in leader.postgres.slots:
            if slot.type == 'physical' and not slot.active:
                found.setdefault(slot.name, f'{leader.name} has this physical slot, which nobody uses')
    permanent = permanent_slots(config)
    return {name: seen for name, seen in found.items() if name not in permanent}
