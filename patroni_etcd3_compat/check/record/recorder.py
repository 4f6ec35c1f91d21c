"""What ``check --watch --record`` does after each look: it records what has changed, before anybody is shown it."""

from __future__ import annotations

import contextlib
import time
from datetime import datetime, timezone
from typing import Callable, Iterator

import click

from ..arguments import FILE_NAME
from ..collect import ConfigError
from ..facts import Facts, Finding, Fleet
from ..fleet import name_of
from ..output import same_file
from ..render.text import one_line
from ..repeat import PROGRAM
from .changes import began, changes, replay
from .event import BEGAN, ENDED, RESUMED, WATCHING, Event
from .file import RecordError, RecordFile
from .state import Key, State, keys_of, state_of

#: Seconds after which the record says that somebody still looks on, if nothing has changed.
_QUIET = 60

#: If so many events wait for a disk that is full, no more are made: what changes meanwhile is one change later.
_WAITING = 10000

record_option = click.option(
    '--record',
    type=FILE_NAME,
    metavar='FILE',
    help='With --watch: add a line of JSON to FILE for each change: versions, leaders, members, findings. What is '
    'in it stays; "report FILE" makes a report of it.',
)

Saw = Callable[['Facts | Fleet', 'list[Finding]'], None]


@contextlib.contextmanager
def recording(path: str | None, seconds: float | None, output: str | None = None) -> Iterator[Saw]:
    """Return what is to be called after each look; without a file it does nothing.

    :param path: ``--record``.
    :param seconds: ``--watch``.
    :param output: ``--output``, which each look replaces.

    :raises:
        :exc:`click.ClickException`: if the file cannot be used, or without ``--watch``.
    """
    if path is None:
        yield lambda facts, findings: None
        return
    if seconds is None:
        raise click.UsageError('--record needs --watch: what changes is recorded')
    if same_file(output, path):
        raise click.UsageError(f'{path} would be overwritten: name another file with --output')
    try:
        recorder = Recorder(RecordFile(path), seconds)
    except RecordError as e:
        raise click.ClickException(str(e)) from e
    try:
        yield recorder.saw
    finally:
        recorder.end()


def subject(facts: Facts | Fleet) -> str:
    """Return what is looked at, which is the same for all of a record."""
    if isinstance(facts, Fleet):
        return f'all Patroni clusters below {facts.namespace}'
    return f'Patroni cluster {name_of(facts.patroni)}' if facts.patroni else 'etcd'


class Recorder:
    """Follows the looks at a cluster, and adds to a file what has changed.

    :param file: the file; it is closed by :meth:`end`.
    :param seconds: between two looks.
    """

    def __init__(self, file: RecordFile, seconds: float) -> None:
        self._file, self._seconds = file, seconds
        #: what is known, as the events have told it; None: nothing yet
        self._state: State | None = None
        self._of: object = None
        self._last: datetime | None = None
        self._resumed = False
        self._waiting: list[Event] = []
        self._failed = False
        self._host = ''
        self._spoke = 0.0
        for event in file.found.events if file.found else ():
            self._last = event.time
            if event.kind == BEGAN:
                self._state, self._of = {}, event.data.get('of')
            if self._state is not None:
                replay(self._state, event)

    def saw(self, facts: Facts | Fleet, findings: list[Finding]) -> None:
        """Record what has changed since the last look.

        :raises:
            :exc:`ConfigError`: if the file is the record of something else.
        """
        self._host = facts.asked_from
        if self._of not in (None, subject(facts)):
            raise ConfigError(f'{self._file.path} is the record of {self._of}, not of {subject(facts)}: name another')
        if len(self._waiting) >= _WAITING:
            self._add([])
            if self._waiting:
                return
        state = state_of(facts, findings, self._state)
        if self._state is None:
            self._of = subject(facts)
            events = [began(state, subject(facts))]
            events[0].data['every'] = self._seconds
        else:
            events = [] if self._resumed else [self._goes_on()]
            events += changes(self._state, state, _seen(findings, state))
        if not events and time.monotonic() - self._spoke >= _QUIET:
            events = [Event(WATCHING, 'nothing has changed')]
        self._resumed, self._state = True, state
        if events or self._failed:
            self._add(events)

    def _goes_on(self) -> Event:
        since = f'{self._last:%Y-%m-%d %H:%M:%S} UTC' if self._last else 'an unknown time'
        broken = self._file.found.broken if self._file.found else 0
        text = f'the record goes on; nothing was recorded since {since}'
        return Event(RESUMED, text, {'of': str(self._of), 'every': self._seconds, 'broken': broken})

    def _add(self, events: list[Event]) -> None:
        now = datetime.now(timezone.utc)
        for event in events:
            event.time, event.host = now, self._host
        self._waiting += events
        self._spoke = time.monotonic()
        try:
            self._file.add(self._waiting)
        except OSError as e:
            if not self._failed:
                _say(f'cannot write {self._file.path}: {e.strerror or e.errno}; goes on, and tries again')
            self._failed = True
            del self._waiting[: self._file.added]
            return
        if self._failed:
            _say(f'{self._file.path} is written again, with what had to wait')
        self._waiting, self._failed = [], False

    def end(self) -> None:
        """Record that nobody looks on any more, and close the file."""
        if self._resumed:
            self._add([Event(ENDED, 'the record ends here: the command was ended')])
        self._file.close()


def _seen(findings: list[Finding], state: State) -> dict[Key, str]:
    return {key: finding.seen for finding in reversed(findings) for key in keys_of(finding, state)}


def _say(text: str) -> None:
    click.echo(f'{PROGRAM}: {one_line(text)}', err=True)
