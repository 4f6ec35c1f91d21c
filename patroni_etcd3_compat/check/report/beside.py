"""The steps of a plan beside what a record tells. Pure.

A record shows versions, leaders, the pause and what serves a member. What else a plan asks for, such as a snapshot,
leaves no trace in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Mapping

from ...versions import parse_version
from ..record import Event
from ..record.state import ETCD, LEADER, PATRONI, PAUSED, SERVES, VERSION
from .story import Story

#: What became of a step.
SEEN, ALREADY, NOT_SEEN, NO_TRACE = 'seen', 'already so at the beginning', 'not seen', 'leaves no trace in a record'

#: The same where the record is about several Patroni clusters, and the plan does not say which of them it means.
UNKNOWN = 'unknown: the plan does not name the cluster'


class PlanError(ValueError):
    """A file is no plan; the text says why."""


@dataclass
class Planned:
    """A step of the plan, and what was seen of it."""

    number: int
    title: str
    result: str
    #: the event that shows it
    event: Event | None = None
    #: a step that stands behind it in the plan was seen before
    late: bool = False


@dataclass
class Comparison:
    """A plan beside a record."""

    title: str
    taken: str
    steps: list[Planned]
    #: versions, leaders and the pause that changed without a step of the plan
    others: list[Event]


def compare(story: Story, plan: object) -> Comparison:
    """Lay the steps of a plan beside what happened.

    :param story: what the record tells.
    :param plan: the document of ``plan -f json``.

    :raises:
        :exc:`PlanError`: if it is no such document.
    """
    if not isinstance(plan, dict) or not isinstance(plan.get('steps'), list) or 'subject' not in plan:
        raise PlanError('it is no plan: make one with plan -f json')
    if plan.get('schema') != 2:
        raise PlanError(f'its schema {plan.get("schema")} is not known here, only 2')
    subject = ETCD if plan['subject'] == 'etcd' else PATRONI
    free = [event for event in story.events if event.kind in _TOLD]
    steps: list[Planned] = []
    latest: datetime | None = None
    for number, step in enumerate(plan['steps'], 1):
        action = step.get('action') if isinstance(step, dict) else None
        if not isinstance(action, dict):
            raise PlanError(f'its step {number} has no action')
        planned = _planned(story, number, str(step.get('title', '')), action, subject, free, step.get('cluster'))
        if planned.event:
            free.remove(planned.event)
            planned.late = latest is not None and planned.event.time is not None and planned.event.time < latest
            latest = planned.event.time if latest is None or not planned.late else latest
        steps.append(planned)
    return Comparison(str(plan.get('title', '')), str(plan.get('taken', '')), steps, free)


#: Kinds of events that a plan causes.
_TOLD = (
    f'{ETCD}-{VERSION}',
    f'{ETCD}-{LEADER}',
    f'{PATRONI}-{VERSION}',
    f'{PATRONI}-{LEADER}',
    f'{PATRONI}-{PAUSED}',
    f'{PATRONI}-{SERVES}',
)


def _planned(
    story: Story,
    number: int,
    title: str,
    action: Mapping[str, object],
    subject: str,
    free: list[Event],
    cluster: object,
) -> Planned:
    name, member, to = action.get('action'), action.get('member'), action.get('to')
    if name in ('pause', 'resume', 'install-package') or subject == PATRONI and name == 'upgrade':
        # Members of different clusters may have the same names.
        clusters = {key.cluster for key in (*story.first, *story.last) if key.about == PATRONI}
        if cluster is None and len(clusters) > 1:
            return Planned(number, title, UNKNOWN)
        free = [event for event in free if cluster in (None, event.cluster)]
    else:
        cluster = None
    if name in ('upgrade', 'downgrade'):
        kind, wanted = f'{subject}-{VERSION}', str(to)
        found = [event for event in free if event.kind == kind and event.data.get('name') == member]
        return _first(
            story,
            number,
            title,
            [each for each in found if _is(each.data.get('after'), wanted)],
            (subject, member, VERSION, wanted),
            cluster,
        )
    if name == 'move-leader':
        found = [event for event in free if event.kind == f'{ETCD}-{LEADER}' and event.data.get('after') == to]
        return _first(story, number, title, found, (ETCD, '', LEADER, str(to)))
    if name in ('pause', 'resume'):
        value = 'on' if name == 'pause' else 'off'
        found = [event for event in free if event.kind == f'{PATRONI}-{PAUSED}' and event.data.get('after') == value]
        return _first(story, number, title, found, None)
    if name == 'install-package':
        found = [event for event in free if event.kind == f'{PATRONI}-{SERVES}' and event.data.get('name') == member]
        found = [event for event in found if str(event.data.get('after')).startswith(('package', 'patch'))]
        return _first(story, number, title, found, (PATRONI, member, SERVES, 'package'), cluster)
    return Planned(number, title, NO_TRACE)


def _first(
    story: Story,
    number: int,
    title: str,
    found: list[Event],
    state: tuple[str, object, str, str] | None,
    cluster: object = None,
) -> Planned:
    if found:
        return Planned(number, title, SEEN, found[0])
    if state:
        about, name, what, wanted = state
        at_first = [
            value
            for key, value in story.first.items()
            if (key.about, key.name, key.what) == (about, name, what) and cluster in (None, key.cluster)
        ]
        if any(_is(value, wanted) or what == SERVES and value.startswith(wanted) for value in at_first):
            return Planned(number, title, ALREADY)
    return Planned(number, title, NOT_SEEN)


def _is(value: object, wanted: str) -> bool:
    """Return whether a value is what a plan wants: the same, or a release of that line."""
    if not isinstance(value, str):
        return False
    found, line = parse_version(value), parse_version(wanted)
    if found and line and wanted.count('.') == 1:
        return found[:2] == line[:2]
    return value == wanted
