"""The pace at which watches follow each other."""

from __future__ import annotations

import time


class Pace:
    """Keeps watches that end at once, as behind some load balancers, from being restarted in a tight loop."""

    #: seconds: a watch that lived longer needs no pause; the longest pause
    _LONG, _PAUSE = 10.0, 1.0

    def __init__(self) -> None:
        self._began = 0.0
        self._short = 0

    def began(self) -> None:
        """Note that a watch begins."""
        self._short = self._short + 1 if time.monotonic() - self._began < self._LONG else 0
        self._began = time.monotonic()

    def pause(self) -> None:
        """Wait before the next watch if the last ones did not live long; the HA loop waits no longer than that."""
        if self._short > 1:
            time.sleep(min(0.1 * 2**self._short, self._PAUSE))
