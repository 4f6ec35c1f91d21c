"""A process that measures on behalf of this one; they exchange lines of JSON over pipes.

The two variants cannot share a process, since the package changes what Patroni imports and Patroni replaces functions
of urllib3. So each runs in its own Python and is told when it is its turn.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from lab.environments import Environment, clean_environ
from lab.processes import LabError

from . import FOLDER


class Side:
    """One measuring process, for the time of a ``with``.

    :param environment: the environment whose Python runs it.
    :param script: the program in this folder.
    :param log: file for its stderr, which includes Patroni's log.
    :param config: the first message to the program.
    """

    def __init__(self, environment: Environment, script: str, log: Path, **config: Any) -> None:
        self.log = log
        with open(str(log), 'ab') as output:
            self._popen = subprocess.Popen(
                [str(environment.python), str(FOLDER / script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=clean_environ(),
                universal_newlines=True,
            )
        self._write(config)

    def __enter__(self) -> Side:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._popen.kill()
        self._popen.communicate()

    def _write(self, message: dict[str, Any]) -> None:
        if self._popen.stdin is not None:
            try:
                self._popen.stdin.write(json.dumps(message) + '\n')
                self._popen.stdin.flush()
            except BrokenPipeError:
                raise self._ended() from None

    def _ended(self) -> LabError:
        lines: list[str] = self.log.read_text(errors='replace').splitlines()
        return LabError('a measuring process has ended:\n' + '\n'.join(lines[-15:]))

    def ask(self, command: str, **arguments: Any) -> None:
        """Send a command; `answer` waits for its answer."""
        self._write(dict(arguments, command=command))

    def answer(self) -> Any:
        """Wait for the answer to the oldest unanswered command and return it.

        :raises LabError: when the process has ended, with the end of its log.
        """
        line = self._popen.stdout.readline() if self._popen.stdout is not None else ''
        if not line:
            raise self._ended()
        return json.loads(line)

    def do(self, command: str, **arguments: Any) -> Any:
        """Send a command, wait for its answer and return it."""
        self.ask(command, **arguments)
        return self.answer()
