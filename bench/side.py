"""A process that measures on behalf of this one: asked and answering in lines of JSON over pipes.

The two variants can't share a process, as the package changes what Patroni imports and Patroni replaces functions of
urllib3. So each runs in a Python of its own, and is told when it is its turn.
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

    :param environment: whose Python runs it.
    :param script: which program of this folder.
    :param log: file for its stderr, Patroni's log among it.
    :param config: what the program is told first.
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
        """Send a command; `answer` waits for what comes back."""
        self._write(dict(arguments, command=command))

    def answer(self) -> Any:
        """Wait for the answer to the oldest command that was not answered yet.

        :raises LabError: when the process has ended, with the end of its log.
        """
        line = self._popen.stdout.readline() if self._popen.stdout is not None else ''
        if not line:
            raise self._ended()
        return json.loads(line)

    def do(self, command: str, **arguments: Any) -> Any:
        """Send a command and wait for its answer."""
        self.ask(command, **arguments)
        return self.answer()
