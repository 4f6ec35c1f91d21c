"""Free TCP ports on loopback. Each is given to only one process, even if several test runs pick theirs at once."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
import threading
from pathlib import Path
from typing import BinaryIO

from .processes import LabError

#: Below the range that the kernel uses for outgoing connections, so that the port of a restarted server is still free.
_RANGE = (15000, 32000)


class _Claims:
    """The ports of this process, each a lock on one byte of a file, which the kernel drops when the process ends.

    The file is shared by all checkouts and test workers of one user. It is opened once and stays open: closing it
    anywhere in the process would drop all locks.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._file: BinaryIO | None = None
        self._mine: set[int] = set()

    def add(self, port: int) -> bool:
        """Claim a port. Return whether it was unclaimed, even by this process."""
        with self._guard:
            if port in self._mine:  # the kernel would grant it again, since record locks belong to the process
                return False
            if self._file is None:
                self._file = open(str(Path(tempfile.gettempdir()) / f'lab-ports-{os.getuid()}'), 'ab')
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            except OSError:
                return False
            self._mine.add(port)
            return True


_claims = _Claims()


def free_port() -> int:
    """Return a TCP port that is free on loopback and that no process of the lab has.

    :raises LabError: when there is none.
    """
    for _ in range(1000):
        port = random.SystemRandom().randint(*_RANGE)  # not random's own generator, which tests seed
        with socket.socket() as sock:
            try:
                sock.bind(('127.0.0.1', port))
            except OSError:
                continue
        if _claims.add(port):
            return port
    raise LabError('no free port on loopback')
