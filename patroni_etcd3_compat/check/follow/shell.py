"""Runs the gates of a plan, with its variables, in ``sh``. Gates only look: they change nothing on the cluster."""

from __future__ import annotations

import os
import re
import subprocess
import time
from typing import Any, Callable, Mapping, Sequence

from ..plan.formats import quoted

#: Stands in a variable for what the plan cannot know.
_PLACEHOLDER = re.compile(r'\b(PASSWORD|FILE|USER)\b')

#: Seconds that a single command may take.
_LONGEST = 120


def to_fill_in(plan: Mapping[str, Any]) -> list[str]:
    """Return the names of the variables with a placeholder in them that the environment does not replace."""
    return [
        entry['name']
        for entry in plan['variables']
        if _PLACEHOLDER.search(entry['value']) and not os.environ.get(entry['name'])
    ]


class Shell:
    """A shell with the variables of a plan; the environment replaces those with a placeholder in them.

    :param plan: the plan, as JSON has it.
    """

    def __init__(self, plan: Mapping[str, Any]) -> None:
        self._lines: list[str] = []
        for entry in plan['variables']:
            name, value = entry['name'], entry['value']
            if not (_PLACEHOLDER.search(value) and os.environ.get(name)):
                self._lines.append(f'{name}={quoted(value)}')
            if entry['export']:
                self._lines.append(f'export {name}')

    def run(self, command: str) -> tuple[bool, str]:
        """Run a command, and return whether it ended with status 0, and what it printed."""
        try:
            done = subprocess.run(
                ['sh', '-c', '\n'.join([*self._lines, command])],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_LONGEST,
            )
        except subprocess.TimeoutExpired:
            return False, f'no end within {_LONGEST} s'
        return not done.returncode, done.stdout.decode('utf-8', 'replace')

    def passes(self, gate: Mapping[str, Any], seconds: float | None, pause: float) -> tuple[bool, str]:
        """Run a gate until it opens.

        :param gate: the gate, as JSON has it.
        :param seconds: for how long; ``None``: until it does.
        :param pause: seconds between two tries.

        :returns: whether it is open, and what its command printed last.
        """
        end = None if seconds is None else time.monotonic() + seconds
        while True:
            passed, text = self.run(gate['command'])
            if passed or end is not None and time.monotonic() >= end:
                return passed, text
            time.sleep(pause)

    def first_closed(
        self, gates: Sequence[Mapping[str, Any]], pause: float, opened: Callable[[Mapping[str, Any]], None]
    ) -> tuple[Mapping[str, Any], str] | None:
        """Run gates one after the other, each for as long as the plan allows.

        :param gates: as JSON has them.
        :param pause: seconds between two tries.
        :param opened: is told of each gate that is open.

        :returns: the first one that stays closed, and what its command printed; ``None`` if all are open.
        """
        for gate in gates:
            passed, text = self.passes(gate, gate['seconds'], pause)
            if not passed:
                return gate, text
            opened(gate)
        return None
