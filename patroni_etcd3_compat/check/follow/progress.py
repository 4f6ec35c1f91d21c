"""The file with what was done of a plan: a line of JSON per event, synced, so that it survives an interruption."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import datetime, timezone
from typing import Any, Iterator, Mapping


class OtherPlan(ValueError):
    """The file belongs to another plan."""


class Progress:
    """The progress of one plan.

    :param path: the file; it is made if it does not exist.
    :param plan: the text of the plan.

    :raises:
        :exc:`OtherPlan`: the file is about another text.
    """

    def __init__(self, path: str, plan: str) -> None:
        self.path = path
        digest = hashlib.sha256(plan.encode()).hexdigest()
        events = list(self._events())
        begun = next((event for event in events if event.get('event') == 'begun'), None)
        if begun and begun.get('plan') != digest:
            raise OtherPlan(path)
        #: number of each step that was done, and when
        self.done = {
            int(event['step']): str(event['time'])
            for event in events
            if event.get('event') == 'done' and isinstance(event.get('step'), int)
        }
        self.note('resumed' if begun else 'begun', plan=digest)

    def _events(self) -> Iterator[Mapping[str, Any]]:
        """Yield the events; a line that was cut off by a crash is none."""
        try:
            with open(self.path, encoding='utf-8') as stream:
                for line in stream:
                    try:
                        event = json.loads(line)
                    except ValueError:
                        continue
                    if isinstance(event, dict):
                        yield event
        except FileNotFoundError:
            return

    def note(self, event: str, **data: object) -> None:
        """Append an event.

        :param event: ``begun``, ``resumed``, ``done``, ``failed`` or ``finished``.
        :param data: what belongs to it.
        """
        time = datetime.now(timezone.utc).isoformat(timespec='seconds')
        line = json.dumps({'time': time, 'event': event, **data})
        with open(self.path, 'ab+') as stream:
            stream.seek(0, os.SEEK_END)
            if stream.tell():
                stream.seek(-1, os.SEEK_END)
                line = line if stream.read(1) == b'\n' else f'\n{line}'
            stream.write(f'{line}\n'.encode())
            stream.flush()
            os.fsync(stream.fileno())
