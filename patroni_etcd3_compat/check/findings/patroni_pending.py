"""Findings about what is going to happen: settings that wait for a restart, and a switchover that is scheduled."""

from __future__ import annotations

from typing import Iterator

from ..facts import Facts, Switchover
from ..patroni_cluster import known
from ..units import comma
from .examples import patroni_has, patroni_member
from .patroni_members import SUBJECT
from .registry import PATRONI_DOCS, PATRONI_GATE, Seen


@SUBJECT.finding(
    'patroni-pending-restart',
    'settings wait for a restart of PostgreSQL',
    f'{PATRONI_DOCS}patronictl.html',
    info='',
    noted=True,
    shown=['tests/check/test_outages_patroni.py::test_pending'],
    example=patroni_member(2, pending_restart=True),
)
def pending_restart(facts: Facts) -> Iterator[Seen]:
    """Find members whose PostgreSQL has to be restarted for a setting."""
    patroni = known(facts)
    names = [member.name for member in patroni.members if member.pending_restart] if patroni else []
    if patroni and names:
        yield Seen(
            'info',
            where=comma(names),
            seen='pending restart',
            consequence='settings that were changed are not in use yet; the next restart of PostgreSQL applies them, '
            'whatever it is for',
            remedy=f'patronictl restart {patroni.scope} --pending, one member at a time: add its name',
        )


@SUBJECT.finding(
    'patroni-switchover-scheduled',
    'a switchover is scheduled',
    f'{PATRONI_DOCS}patronictl.html',
    warning='',
    stops=PATRONI_GATE,
    proved=[
        'tests/check/test_outages_patroni.py::test_pending',
        'tests/check/test_consequences_patroni.py::test_scheduled_switchover',
    ],
    example=patroni_has(switchover=Switchover('2026-07-02T03:00:00+00:00', 'node1', 'node2')),
)
def switchover_scheduled(facts: Facts) -> Iterator[Seen]:
    """Find a switchover that Patroni will perform by itself."""
    patroni = known(facts)
    if patroni is None or patroni.switchover is None:
        return
    planned = patroni.switchover
    yield Seen(
        'warning',
        where=patroni.scope,
        seen=f'at {planned.at}, from {planned.leader or "the leader"} to {planned.candidate or "the best candidate"}',
        consequence='Patroni performs it by itself at that time, in the middle of an upgrade as well; the steps of a '
        'plan are for the leader of now',
        remedy=f'before an upgrade: patronictl flush {patroni.scope} switchover, or wait until it is over',
    )
