"""Findings about releases of Patroni side by side: each row of ``hazards`` that has an identifier of its own is one."""

from __future__ import annotations

from typing import Callable, Iterator, Mapping

from ...hazards import HAZARDS, MEMBER_SLOTS, Hazard, Releases
from ...hits import Hit, hazards
from ...versions import dotted, parse_version
from ..cluster import uncovered
from ..facts import Facts
from ..units import comma
from .examples import Change, patroni_member, patroni_runs
from .registry import Check, Seen, Subject

SUBJECT = Subject(80, 'Patroni: releases side by side')

#: Releases of Patroni that the examples are made with.
_EXAMPLES = ('3.0.4', '3.1.2', '3.2.2', '3.3.2', '4.0.1', '4.0.2', '4.0.4', '4.1.5')

#: A configuration that all hazards apply to.
_CONFIG = {'synchronous_mode': 'quorum', 'failsafe_mode': True, 'ttl': 20, 'slots': {'backup': {'type': 'physical'}}}

#: Bugs that every member of such a release has, in whichever order an upgrade goes: a plan does not name them.
_OF_ANY_ORDER = ('patroni-stale-etcd', 'patroni-canceled-watch')

#: Tests on real servers that show what follows from a hazard, by its identifier.
_PROVED = {
    'patroni-member-slots': ['tests/mixed/test_replica_wal.py::test_wal_stays_bounded'],
    'patroni-permanent-slots': ['tests/check/test_consequences_patroni.py::test_permanent_slots'],
    'patroni-quorum-commit': ['tests/check/test_consequences_patroni.py::test_quorum_before_4'],
    'patroni-minimum-times': ['tests/check/test_consequences_patroni.py::test_minimum_times'],
    'patroni-failover-priority': ['tests/check/test_consequences_patroni.py::test_failover_priority_before_3_2'],
    'patroni-role-primary': ['tests/check/test_consequences_patroni.py::test_role_primary'],
}

#: Hazards that this test finds on real servers; what follows from them is quoted.
_SHOWN = {
    id: ['tests/check/test_consequences_patroni.py::test_hazards_are_shown']
    for id in (
        'patroni-before-3.1',
        'patroni-failsafe-mode',
        'patroni-failsafe-bugs',
        'patroni-quorum-replica',
        'patroni-quorum-bugs',
        'patroni-slots-hold-xmin',
        'patroni-leader-race',
        'patroni-stale-etcd',
        'patroni-canceled-watch',
    )
}


def hits(facts: Facts) -> list[Hit]:
    """Return the hazards that apply to the members; none if nothing could be read about Patroni."""
    patroni = facts.patroni
    if patroni is None or patroni.error or not (patroni.members or patroni.leader):
        return []
    members = patroni.members
    versions, tags = {each.name: each.version for each in members}, {each.name: each.tags for each in members}
    found = [_without_cured(facts, hit) for hit in hazards(patroni.leader, versions, patroni.config, tags)]
    return [hit for hit in found if hit.one]


def _without_cured(facts: Facts, hit: Hit) -> Hit:
    """Leave out the members that are safe because the package serves them."""
    if not hit.hazard.cured or hit.hazard is MEMBER_SLOTS:  # there it depends on an option
        return hit
    lacking = uncovered(facts)
    return hit._replace(one={name: version for name, version in hit.one.items() if name in lacking})


def _check_of(id: str) -> Check:
    def check(facts: Facts) -> Iterator[Seen]:
        for hit in hits(facts):
            if hit.hazard.id == id:
                yield Seen(
                    _severity(facts, hit),
                    where=_where(hit),
                    seen=_seen(hit),
                    consequence=hit.hazard.consequence + _what_cures(facts, hit),
                    remedy=hit.hazard.remedy,
                    link=hit.hazard.source,
                )

    return check


def _cured(facts: Facts, hit: Hit) -> list[str]:
    """Return the members for which the package does something about it."""
    if hit.hazard is not MEMBER_SLOTS:
        return []
    lacking = uncovered(facts)
    return [name for name in hit.other if name not in lacking]


def _severity(facts: Facts, hit: Hit) -> str:
    """Return that of the row; a warning if the package is there, whose option ``member_slots`` may be off."""
    return 'warning' if hit.other and len(_cured(facts, hit)) == len(hit.other) else hit.hazard.severity


def _what_cures(facts: Facts, hit: Hit) -> str:
    names = _cured(facts, hit)
    return (
        f'; on {comma(names)} the package takes the positions from the members, unless member_slots is off'
        if names
        else ''
    )


def _where(hit: Hit) -> str:
    affected = hit.other if hit.hazard.leads and hit.other else dict(hit.one, **hit.other)
    return comma(sorted(affected))


def _seen(hit: Hit) -> str:
    def members(versions: Mapping[str, str]) -> str:
        return comma([f'{name} (Patroni {version})' for name, version in versions.items()])

    seen = ('leader ' if hit.hazard.leads else '') + members(hit.one)
    return seen + (f' beside {members(hit.other)}' if hit.other else '')


def _example_of(hazard: Hazard) -> Change:
    def first(releases: Releases) -> str:
        return next(release for release in reversed(_EXAMPLES) if parse_version(release) in releases)

    one = first(hazard.one)
    runs = patroni_runs(one, first(hazard.other) if hazard.other else one, **_CONFIG)

    def change(facts: Facts) -> None:
        runs(facts)
        patroni_member(2, tags={hazard.tag: 0} if hazard.tag else {})(facts)

    return change


def _condition(hazard: Hazard) -> str:
    """Return in words for which releases it is found."""
    one = f'{"a leader" if hazard.leads else "a member"} {_range(hazard.one)}'
    one += f' with the tag {hazard.tag}' if hazard.tag else ''
    return f'{one} beside a member {_range(hazard.other)}' if hazard.other else one


def _range(releases: Releases) -> str:
    since = f'from {dotted(releases.since)} on' if releases.since else ''
    before = f'before {dotted(releases.before)}' if releases.before else ''
    return ', '.join(filter(None, (since, before)))


def _register() -> None:
    for id in dict.fromkeys(hazard.id for hazard in HAZARDS):
        rows = [hazard for hazard in HAZARDS if hazard.id == id]
        severity, condition = rows[0].severity, '; or '.join(map(_condition, rows))
        register: Callable[[Check], Check] = SUBJECT.finding(
            id,
            rows[0].summary,
            rows[0].source,
            critical=condition if severity == 'critical' else None,
            warning=condition
            if severity == 'warning'
            else 'if the package or the patch serves these replicas'
            if rows[0] is MEMBER_SLOTS
            else None,
            info=condition if severity == 'info' else None,
            cured=rows[0].cured,
            shown=_SHOWN.get(id, ()),
            proved=_PROVED.get(id, ()),
            noted=severity == 'info' and id not in _OF_ANY_ORDER,
            example=_example_of(rows[0]),
        )
        register(_check_of(id))


_register()
