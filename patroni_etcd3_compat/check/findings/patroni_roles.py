"""Findings about PostgreSQL that accepts writes beside the leader's."""

from __future__ import annotations

from typing import Iterator

from ..facts import Facts, Patroni, PatroniMember
from ..patroni_cluster import is_primary, known, leader_of
from ..units import comma
from .examples import both, patroni_member, postgres_of
from .patroni_members import SUBJECT
from .registry import PATRONI_DOCS, PATRONI_GATE, Seen


@SUBJECT.finding(
    'patroni-two-primaries',
    'more than one PostgreSQL accepts writes',
    f'{PATRONI_DOCS}pause.html',
    critical='two members are not in recovery',
    warning='one member is not in recovery, another one holds the leader key, and its role is unknown',
    stops=PATRONI_GATE,
    proved=['tests/check/test_outages_patroni.py::test_two_primaries'],
    example=both(patroni_member(2, state='running', timeline=2, api_role='primary'), postgres_of(2, in_recovery=False)),
)
def two_primaries(facts: Facts) -> Iterator[Seen]:
    """Find members that are not in recovery, beside the leader or beside each other."""
    patroni = known(facts)
    if patroni is None:
        return
    primaries = [member for member in patroni.members if is_primary(member)]
    others = [member for member in primaries if member.name != patroni.leader]
    if len(primaries) > 1:
        yield _both_write(patroni, primaries, others)
    elif others and patroni.leader is not None and _role_unknown(patroni):
        (other,) = others
        yield Seen(
            'warning',
            where=other.name,
            seen=f'not in recovery{_timeline(other)}, and {patroni.leader} holds the leader key',
            consequence=f'whether {patroni.leader} accepts writes as well is unknown',
            remedy=f'normal for some seconds in a failover; else ask PostgreSQL on {patroni.leader}: '
            'SELECT pg_is_in_recovery()',
        )


def _role_unknown(patroni: Patroni) -> bool:
    """Return whether the role of the holder of the leader key is unknown."""
    leader = leader_of(patroni)
    return leader is None or is_primary(leader) is None


def _both_write(patroni: Patroni, primaries: list[PatroniMember], others: list[PatroniMember]) -> Seen:
    if patroni.leader is None:
        holder, wrong = 'nobody holds the leader key', 'those that are not to stay'
    else:
        holder, wrong = f'{patroni.leader} holds the leader key', comma([member.name for member in others])
    if patroni.paused:
        cure = f'then patronictl resume {patroni.scope}: Patroni demotes {wrong}'
    else:
        cure = f'then read the log of Patroni on {wrong}: it has to demote a primary without the leader key'
    cure += f'. What does not stream after that: patronictl reinit {patroni.scope} MEMBER'
    return Seen(
        'critical',
        where=comma([member.name for member in primaries]),
        seen=', '.join(f'{member.name} is not in recovery{_timeline(member)}' for member in primaries) + f'; {holder}',
        consequence='each of them accepts writes that the others never see; what only one of them has is lost when it '
        'follows another one again',
        remedy=f'keep clients away from {wrong} now, and save what was written there (pg_dump); {cure}',
    )


def _timeline(member: PatroniMember) -> str:
    return f' (timeline {member.timeline})' if member.timeline is not None else ''
