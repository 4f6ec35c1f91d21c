"""What a record tells: who was what from when to when. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from ..record import Event, Key, Record, State, changed, replay
from ..record.event import BEGAN, ENDED, RESUMED, WATCHING
from ..record.state import FINDING, LEADER, NOBODY, STATE, UP, VERSION

#: Seconds without a line after which nobody looked on: a recorder writes one each minute.
QUIET = 150


@dataclass
class Span:
    """Something that had one value for a while."""

    #: what it is
    key: Key
    #: its value
    value: str
    #: first look at which it had it
    start: datetime
    #: look at which it had it no more, or the last one
    end: datetime
    #: it had it at the beginning of the record
    from_start: bool = False
    #: it has it at the end of the record
    to_end: bool = False

    @property
    def seconds(self) -> float:
        """How long."""
        return max((self.end - self.start).total_seconds(), 0)


@dataclass
class Step:
    """A member that was made another version."""

    #: its version
    key: Key
    #: versions
    before: str
    after: str
    #: when it stopped answering; the same as :attr:`end` if no look saw that
    start: datetime
    #: when it answered with the new version
    end: datetime
    #: the change was seen only afterwards: nobody looked on when it happened
    unseen: bool = False

    @property
    def seconds(self) -> float:
        """How long."""
        return max((self.end - self.start).total_seconds(), 0)


@dataclass
class Gap:
    """A time in which nobody looked on."""

    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        """How long."""
        return max((self.end - self.start).total_seconds(), 0)


@dataclass
class Story:
    """Everything that a record tells."""

    #: what was looked at
    of: str
    start: datetime
    end: datetime
    #: the command was ended, and not killed
    ended: bool
    #: seconds between two looks, as far as they are known
    every: list[float]
    #: names of the hosts that looked
    hosts: list[str]
    #: lines of the file that are no events
    broken: int
    #: the events, but for signs of life
    events: list[Event]
    first: State
    last: State
    spans: list[Span] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)

    def of_kind(self, about: str, what: str | None = None, value: str | None = None) -> list[Span]:
        """Return the spans about something."""
        return [
            span
            for span in self.spans
            if span.key.about == about and what in (None, span.key.what) and value in (None, span.value)
        ]

    def without_leader(self, about: str) -> list[Span]:
        """Return when nobody led: ``etcd``, or a Patroni cluster."""
        return self.of_kind(about, LEADER, NOBODY)

    def leader_changes(self, about: str) -> int:
        """Return how often another one led than before, in all clusters. Nobody is no other one."""
        changes = 0
        last: dict[str, str] = {}
        for span in self.of_kind(about, LEADER):
            if span.value != NOBODY:
                changes += last.get(span.key.cluster, span.value) != span.value
                last[span.key.cluster] = span.value
        return changes


def tell(record: Record) -> Story | None:
    """Return what a record tells; ``None`` if it has no look.

    :param record: as it was read.
    """
    events: list[Event] = []
    for event in record.events:  # their order counts: a clock may have been set back meanwhile
        events.append(replace(event, time=max(_time(event), _time((events or [event])[-1]))))
    place = next((number for number, event in enumerate(events) if event.kind == BEGAN), None)
    if place is None:
        return None
    events = events[place:]
    first: State = {}
    replay(first, events[0])
    story = Story(
        of=str(events[0].data.get('of') or 'etcd'),
        start=_time(events[0]),
        end=_time(events[-1]),
        ended=events[-1].kind == ENDED,
        every=sorted({float(every) for every in map(_every, events) if every}),
        hosts=sorted({event.host for event in events if event.host}),
        broken=record.broken,
        events=[event for event in events if event.kind != WATCHING],
        first=first,
        last={},
    )
    story.gaps = _gaps(events)
    _follow(story)
    return story


def _time(event: Event) -> datetime:
    assert event.time is not None
    return event.time


def _every(event: Event) -> float | None:
    every = event.data.get('every')
    return every if isinstance(every, (int, float)) and every > 0 else None


def _gaps(events: list[Event]) -> list[Gap]:
    every, gaps = 0.0, []
    for before, event in zip([events[0], *events], events):
        every = _every(before) or every
        silent = (_time(event) - _time(before)).total_seconds() > QUIET + 3 * every
        if event.kind in (RESUMED, BEGAN) and event is not events[0] or silent:
            gaps.append(Gap(_time(before), _time(event)))
    return gaps


def _follow(story: Story) -> None:
    """Make the spans, and the steps out of them."""
    now: dict[Key, Span] = {}
    down: dict[Key, Span] = {}
    state: State = {}
    for event in story.events:
        replay(state, event)
        time, key = _time(event), changed(event)
        for each in sorted({*now, *state} if event.kind == BEGAN else {key} if key else ()):
            span = now.get(each)
            if span and span.value != state.get(each):
                span.end = time
                story.spans.append(now.pop(each))
            if each in state and each not in now:
                now[each] = Span(each, state[each], time, time, from_start=event is story.events[0])
                if each.what == STATE:
                    _downtime(down, now[each])
        step = _step(story, event, key, down) if key else None
        story.steps += [step] if step else []
    for span in now.values():
        span.end, span.to_end = story.end, True
        story.spans.append(span)
    story.spans.sort(key=lambda span: (span.start, span.key))
    story.last = state


def _downtime(down: dict[Key, Span], state: Span) -> None:
    """Keep when a member was last down: silent, gone, or one after the other."""
    last = down.get(state.key)
    if state.value != UP and (last is None or last.value == UP):
        down[state.key] = Span(state.key, state.value, state.start, state.start)
    elif state.value == UP and last:
        last.value, last.end = UP, state.start


def _step(story: Story, event: Event, key: Key, down: dict[Key, Span]) -> Step | None:
    """Return the step that ends with a new version. It began when the member was seen to stop answering before."""
    before, after = event.data.get('before'), event.data.get('after')
    if key.what != VERSION or key.about == FINDING or not isinstance(before, str) or not isinstance(after, str):
        return None
    time = _time(event)
    last = down.get(key._replace(what=STATE))
    start = last.start if last and (last.value != UP or last.end == time) else time
    return Step(key, before, after, start, time, any(gap.end == time for gap in story.gaps))


def findings_of(story: Story) -> list[Span]:
    """Return the spans of the findings: one for each severity that each had."""
    return story.of_kind(FINDING)


def outages_of(story: Story) -> list[Span]:
    """Return when members did not answer or were gone, and when a cluster could not be seen."""
    return [span for span in story.spans if span.key.what == STATE and span.value != UP and span.key.about != FINDING]


def versions_of(state: State, about: str) -> list[str]:
    """Return the versions of etcd or of Patroni at a moment, each once."""
    return sorted({value for key, value in state.items() if key.about == about and key.what == VERSION})
