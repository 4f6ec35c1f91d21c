"""What was done of a plan, as events of a record: each is on the disk before the next step is shown."""

from __future__ import annotations

import hashlib
import socket
from datetime import datetime, timezone

from ..facts import JSON
from ..record import Event
from ..record.file import RecordFile

#: Kinds of events.
BEGUN, RESUMED, DONE, FAILED, FINISHED = (f'plan-{word}' for word in ('begun', 'resumed', 'done', 'failed', 'finished'))


class OtherPlan(ValueError):
    """The file belongs to another plan."""


class Progress:
    """The progress of one plan.

    :param path: the file; it is made if it does not exist.
    :param plan: the text of the plan.

    :raises:
        :exc:`OtherPlan`: the file is about another text.
        :exc:`~.record.file.RecordError`: it is no such file, or somebody else follows a plan with it.
    """

    def __init__(self, path: str, plan: str) -> None:
        self.path = path
        digest = hashlib.sha256(plan.encode()).hexdigest()
        self._file = RecordFile(path)
        events = self._file.found.events if self._file.found else []
        begun = next((event for event in events if event.kind == BEGUN), None)
        if begun and begun.data.get('plan') != digest:
            raise OtherPlan(path)
        #: number of each step that was done, and when
        self.done = {
            event.data['step']: f'{event.time:%Y-%m-%d %H:%M:%S} UTC'
            for event in events
            if event.kind == DONE and isinstance(event.data.get('step'), int)
        }
        self.note(
            RESUMED if begun else BEGUN, 'the plan is gone on with' if begun else 'the plan is begun', plan=digest
        )

    def note(self, kind: str, text: str, **data: JSON) -> None:
        """Append an event.

        :param kind: one of the above.
        :param text: the same in one sentence.
        :param data: what belongs to it.

        :raises:
            :exc:`OSError`: if the disk is full, or fails.
        """
        self._file.add([Event(kind, text, data, time=datetime.now(timezone.utc), host=socket.gethostname())])

    def close(self) -> None:
        """Let somebody else go on."""
        self._file.close()
