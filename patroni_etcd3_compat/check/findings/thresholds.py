"""Findings about limits that the command was given: how far a replica may lag, how large pg_wal may be."""

from __future__ import annotations

from typing import Callable, Iterator

from ..facts import Facts, Limit, PatroniMember
from ..units import size
from .examples import MB, both, patroni_member
from .registry import PATRONI_DOCS, POSTGRES_DOCS, Seen, Subject

SUBJECT = Subject(105, 'Limits of the command line')


def _limits(**limits: Limit) -> Callable[[Facts], None]:
    """Return what sets limits, as the command line does."""

    def change(facts: Facts) -> None:
        for name, limit in limits.items():
            setattr(facts.limits, name, limit)

    return change


def _beyond(
    facts: Facts, limit: Limit, value: Callable[[PatroniMember], int | None]
) -> Iterator[tuple[str, PatroniMember, str]]:
    """Yield the severity, the member, and the value with the limit in words, for each member beyond a limit."""
    for member in facts.patroni.members if facts.patroni else []:
        count = value(member)
        severity = limit.severity(count)
        if severity:
            allowed = limit.critical if severity == 'critical' else limit.warning
            yield severity, member, f'{size(count)}, more than {size(allowed)}'


@SUBJECT.finding(
    'patroni-lag-limit',
    'a replica lags by more than --lag',
    f'{PATRONI_DOCS}replication_modes.html',
    critical='beyond the second limit',
    warning='beyond the first limit',
    shown=['tests/check/test_outages_patroni.py::test_replica_lags'],
    example=both(_limits(lag=Limit(16 * MB, 1024 * MB)), patroni_member(2, lag=50 * MB)),
)
def lag(facts: Facts) -> Iterator[Seen]:
    """Find replicas that are too far behind the leader."""
    for severity, member, text in _beyond(facts, facts.limits.lag, lambda member: member.lag):
        yield Seen(
            severity,
            where=member.name,
            seen=f'it lags by {text}',
            consequence='A failover to it loses what it lacks. Beyond maximum_lag_on_failover Patroni avoids it',
            remedy='see whether it streams (patronictl list, pg_stat_replication on the leader) and what slows it',
        )


@SUBJECT.finding(
    'patroni-wal-limit',
    'pg_wal is larger than --wal',
    f'{POSTGRES_DOCS}wal-configuration.html',
    critical='beyond the second limit',
    warning='beyond the first limit',
    shown=['tests/check/test_consequences_patroni.py::test_few_synchronous'],
    example=both(_limits(wal=Limit(64 * MB, 4096 * MB))),
)
def wal(facts: Facts) -> Iterator[Seen]:
    """Find servers with more WAL than there may be."""

    def wal_size(member: PatroniMember) -> int | None:
        return member.postgres.wal_size if member.postgres else None

    for severity, member, text in _beyond(facts, facts.limits.wal, wal_size):
        yield Seen(
            severity,
            where=member.name,
            seen=f'pg_wal has {text}',
            consequence='PostgreSQL stops when the disk of pg_wal is full',
            remedy='look for the slot that retains most (check -v), for a failing archive_command (pg_stat_archiver), '
            'and at wal_keep_size',
        )
