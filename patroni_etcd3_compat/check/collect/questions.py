"""Questions asked side by side, each in a thread of its own, so that one that hangs delays no other.

The threads are daemons, and one that is late is abandoned: a DNS look-up, for example, has no time-out. So all
questions together take no longer than the time-out.
"""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import Any, Callable, Iterator, NamedTuple, Tuple

#: Kind of a question, what it belongs to, and its name.
Key = Tuple[str, str, str]

#: Seconds that a question may take longer than its own time-out before it is given up.
_GRACE = 0.5


class Outcome(NamedTuple):
    """The answer to a question, or why there is none."""

    #: what it was sent with
    key: Key
    #: what the function returned, ``None`` if it did not
    value: Any
    #: why it did not; the text holds nothing of what was asked or answered
    error: str | None


class Questions:
    """Asks questions and collects the answers.

    :param timeout: seconds that each question has from the time it is sent.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self._outcomes: SimpleQueue[Outcome] = SimpleQueue()
        self._due: dict[Key, float] = {}

    def send(self, key: Key, function: Callable[..., object], *args: object) -> None:
        """Call *function* in a thread of its own.

        :param key: names the question, and is in its outcome.
        :param function: to be called.
        :param args: its arguments.
        """
        self._due[key] = time.monotonic() + self.timeout + _GRACE
        threading.Thread(target=self._work, args=(key, function, args), daemon=True).start()

    def _work(self, key: Key, function: Callable[..., object], args: tuple[object, ...]) -> None:
        try:
            self._outcomes.put(Outcome(key, function(*args), None))
        except Exception as e:  # a text could have been made of anything, a password among it
            self._outcomes.put(Outcome(key, None, f'unexpected {type(e).__name__}'))

    def outcomes(self) -> Iterator[Outcome]:
        """Yield the outcomes as they come in, until none is due; more questions may be sent meanwhile."""
        while self._due:
            key = min(self._due, key=lambda each: self._due[each])
            try:
                outcome = self._outcomes.get(timeout=max(self._due[key] - time.monotonic(), 0.001))
            except Empty:
                outcome = Outcome(key, None, f'no answer within {self.timeout:g} s')
            if self._due.pop(outcome.key, None) is not None:  # else it was given up before
                yield outcome
