"""The base of everything in the lab that is started and stopped: a ``with`` does both."""

from __future__ import annotations

from types import TracebackType
from typing import TypeVar

T = TypeVar('T', bound='Service')


class Service:
    """Something that runs inside a ``with`` and is stopped afterwards, whatever happened in it."""

    def start(self) -> None:
        """Start it."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop it. Has no effect when it is stopped."""
        raise NotImplementedError

    def __enter__(self: T) -> T:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
