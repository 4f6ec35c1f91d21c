"""The deadline of a call: nothing done for the call waits past it.

It is set where a call enters (``dispatch``) and read by whatever waits below: the request, the login, the lookup of a
host name. Patroni's own code is in between and cannot pass it on, so it is a context variable. Threads do not share
it. Times are seconds of the monotonic clock.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from threading import Thread
from typing import Callable, Generic, TypeVar

T = TypeVar('T')

_NEVER = float('inf')


class Deadline:
    """The moment at which a call has to be over.

    :param seconds: from now on.
    """

    __slots__ = ('_moment',)

    def __init__(self, seconds: float = _NEVER) -> None:
        self._moment = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds that are left, never less than 0."""
        return max(0.0, self._moment - time.monotonic())

    def shorten(self, seconds: float) -> None:
        """Move the end forward; a later end changes nothing.

        :param seconds: from now on.
        """
        self._moment = min(self._moment, time.monotonic() + seconds)


#: ``None`` outside :class:`within`; never a shared object, which one thread could shorten for all others.
_current: ContextVar[Deadline | None] = ContextVar('deadline', default=None)


def current() -> Deadline:
    """Return the deadline of the call that this thread is making, or one that never comes if it has none."""
    return _current.get() or Deadline()


class within:
    """Set a deadline for the body of the ``with``, never later than the surrounding one.

    :param seconds: from now on.
    """

    __slots__ = ('_deadline', '_token')

    def __init__(self, seconds: float) -> None:
        self._deadline = Deadline(min(seconds, current().left()))

    def __enter__(self) -> Deadline:
        self._token = _current.set(self._deadline)
        return self._deadline

    def __exit__(self, *error: object) -> None:
        _current.reset(self._token)


class TookTooLong(Exception):
    """Something that cannot be interrupted was not finished in time; it continues in the background."""


class Errand(Generic[T]):
    """Something without a time limit, run in a thread so that the caller can stop waiting.

    :param function: what to do.
    :param args: its arguments.
    """

    def __init__(self, function: Callable[..., T], *args: object) -> None:
        self._outcome: list[T] = []
        self._error: list[BaseException] = []
        self._thread = Thread(target=self._run, args=(function, args), daemon=True)
        #: ``False``: no thread could be started, so it will not be done
        self.started = True
        try:
            self._thread.start()
        except RuntimeError:
            self.started = False
            self._error.append(TookTooLong())

    def _run(self, function: Callable[..., T], args: tuple[object, ...]) -> None:
        try:
            self._outcome.append(function(*args))
        except BaseException as e:
            self._error.append(e)

    def is_over(self) -> bool:
        """Return whether it has finished, successfully or not."""
        return not self._thread.is_alive()

    def result(self) -> T:
        """Wait for the result until the deadline of this call.

        :raises:
            :exc:`TookTooLong`: if there is none by then.
            :exc:`Exception`: what *function* raised.
        """
        left = current().left()
        if not self.is_over():
            self._thread.join(None if left == _NEVER else left)
        if self._error:
            raise self._error[0]
        if not self._outcome:
            raise TookTooLong
        return self._outcome[0]
