"""Findings about replicas that cannot follow: they do not stream, or are too far behind to be promoted."""

from __future__ import annotations

from typing import Iterator

from ..facts import Facts, Patroni, PatroniMember
from ..patroni_cluster import (
    behind,
    candidates,
    is_on,
    known,
    leader_of,
    maximum_lag,
    may_be_promoted,
    may_take_over,
    replicas,
    streams,
)
from ..units import size
from .examples import MB, both, patroni_has, patroni_member
from .patroni_members import SUBJECT
from .registry import PATRONI_DOCS, PATRONI_GATE, Seen


@SUBJECT.finding(
    'patroni-not-streaming',
    'a replica does not stream',
    f'{PATRONI_DOCS}replication_modes.html',
    critical='no other replica streams that could take over',
    warning='',
    stops=PATRONI_GATE,
    proved=['tests/check/test_outages_patroni.py::test_replica_does_not_stream'],
    example=patroni_member(2, state='running'),
)
def not_streaming(facts: Facts) -> Iterator[Seen]:
    """Find replicas that run, and do not stream though they should."""
    patroni = known(facts)
    if patroni is None or patroni.leader is None:
        return
    might = candidates(patroni)
    other = any(streams(patroni, member) is not False for member in might)
    for member in _not_streaming(patroni):
        alone = not other and member in might
        yield Seen(
            'critical' if alone else 'warning',
            where=member.name,
            seen=_state(patroni, member),
            consequence=_consequence(patroni, member, alone),
            remedy=f'read the log of PostgreSQL on {member.name} (why its WAL receiver fails: pg_hba.conf, password, '
            f'WAL that is gone); if it cannot follow any more: patronictl reinit {patroni.scope} {member.name}',
        )


def _not_streaming(patroni: Patroni) -> list[PatroniMember]:
    return [
        member
        for member in replicas(patroni)
        if streams(patroni, member) is False and not is_on(member.tags.get('nostream'))
    ]


def _state(patroni: Patroni, member: PatroniMember) -> str:
    """Return the state of a replica that does not stream, with all that tells how far it is behind."""
    lag = behind(patroni, member)
    leader = leader_of(patroni)
    parts = [f'state {member.state!r} instead of streaming']
    if member.state_from == 'key':
        parts[0] += ' (from its key, up to ttl old)'
    if lag is not None:
        parts.append(f'{size(lag)} behind what {patroni.leader} has published')
    if leader and None not in (leader.timeline, member.timeline) and leader.timeline != member.timeline:
        parts.append(f'timeline {member.timeline}, while {patroni.leader} is on {leader.timeline}')
    return ', '.join(parts)


def _consequence(patroni: Patroni, member: PatroniMember, alone: bool) -> str:
    if member.state == 'in archive recovery':
        gets = 'it gets WAL from the archive alone'
    else:
        gets = 'it gets no WAL'
    lag, most = behind(patroni, member), maximum_lag(patroni)
    if not may_take_over(member):
        return f'{gets}; its tags keep it from being promoted in any case'
    if not may_be_promoted(patroni, member):
        return f'{gets}; the key /sync does not name it, so it is not promoted'
    if lag is not None and lag > most:
        after = f'it is not promoted, being more than maximum_lag_on_failover ({size(most)}) behind'
        return f'{gets}; {after}' + (', and no other replica streams: no failover is possible' if alone else '')
    after = f'if {patroni.leader} fails, it may be promoted without the newest commits'
    return f'{gets}; {after}' + (', and no other replica streams' if alone else '')


@SUBJECT.finding(
    'patroni-lag',
    'a replica that streams is too far behind to be promoted',
    f'{PATRONI_DOCS}dynamic_configuration.html',
    critical='all candidates are',
    warning='',
    stops=PATRONI_GATE,
    shown=['tests/check/test_outages_patroni.py::test_replica_lags'],
    example=both(patroni_member(2, position=980 * MB), patroni_has(position=1000 * MB)),
)
def too_far_behind(facts: Facts) -> Iterator[Seen]:
    """Find replicas that stream and are behind by more than ``maximum_lag_on_failover``."""
    patroni = known(facts)
    if patroni is None or patroni.leader is None:
        return
    most, silent = maximum_lag(patroni), [member.name for member in _not_streaming(patroni)]
    far = {member.name: behind(patroni, member) or 0 for member in candidates(patroni)}
    everybody = all(lag > most for lag in far.values())
    for name, lag in far.items():
        if lag > most and name not in silent:
            yield Seen(
                'critical' if everybody else 'warning',
                where=name,
                seen=f'{size(lag)} behind what {patroni.leader} has published; maximum_lag_on_failover is {size(most)}',
                consequence=f'it is not promoted if {patroni.leader} fails'
                + (', and no other replica could be: no failover is possible' if everybody else ''),
                remedy=f'find out what holds it back: network and disk of {name}, long queries there; '
                'pg_stat_replication on the leader shows where it stands',
            )
