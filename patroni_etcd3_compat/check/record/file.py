"""The file of a record. Lines are only ever added to it, and each is on the disk before the next thing is done.

A recorder may be killed at any byte. What it leaves is whole lines, and perhaps the beginning of one at the end;
whoever opens the file next ends that line, so that it stays as one which readers count and skip.
"""

from __future__ import annotations

import fcntl
import os
import stat
from dataclasses import dataclass, field
from typing import BinaryIO, Sequence

from .event import HEAD, Event, NewerSchema, line, parse

#: How many lines are looked at to find out whether a file is a record: so often may its first line have been cut off.
_TRIES = 100


class RecordError(Exception):
    """A file cannot be used as a record; the text says why."""


@dataclass
class Record:
    """What a file holds."""

    #: its events, in the order in which they were written
    events: list[Event] = field(default_factory=list)
    #: lines that are none: what a recorder wrote when it was killed
    broken: int = 0


def read(path: str) -> Record:
    """Return the events in a file. One that is being written to may be read at any time.

    :param path: name of the file.

    :raises:
        :exc:`RecordError`: if it cannot be read, is empty, is no record, or is from a later release.
    """
    record = Record()
    try:
        with open(path, 'rb') as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise RecordError(f'{path} is no file')
            if not os.fstat(stream.fileno()).st_size:
                raise RecordError(f'{path} is empty: nothing has been recorded')
            if not _is_record(stream):
                raise RecordError(f'{path} is no record of check --record')
            stream.seek(0)
            known: set[int] = set()
            for content in stream:
                # The same line once more: the disk had failed, and nobody knew whether it was there.
                if not content.strip() or hash(content) in known:
                    continue
                known.add(hash(content))
                event = parse(content)
                if event:
                    record.events.append(event)
                else:
                    record.broken += 1
    except OSError as e:
        raise RecordError(f'cannot read {path}: {e.strerror or e.errno}') from e
    except NewerSchema as e:
        raise RecordError(f'{path} is from a later release of patroni-etcd3-compat (schema {e})') from e
    return record


def _is_record(stream: BinaryIO) -> bool:
    """Return whether a file begins as records do, before which may stand what is left of such a beginning."""
    for _ in range(_TRIES):
        head = stream.readline(len(HEAD))
        if not head or head == HEAD:
            return True
        if not (head.strip() and HEAD.startswith(head.rstrip(b'\n'))):
            return False
    return False


class RecordFile:
    """A file that events are added to. Only one process at a time can have it open.

    :param path: its name. What is in it stays as it is.

    :raises:
        :exc:`RecordError`: if it cannot be opened, holds something else, or another process records into it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        #: how many of the last events were added, see :meth:`add`
        self.added = 0
        #: what it held when it was opened; None: nothing
        self.found: Record | None = None
        new = not os.path.exists(path)
        try:
            # O_NONBLOCK: a pipe without a reader is an error, and nothing to wait for.
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            self._handle = os.open(path, flags, 0o644)
        except OSError as e:
            raise RecordError(f'cannot write {path}: {e.strerror or e.errno}') from e
        try:
            self._take(path, new)
        except BaseException:
            os.close(self._handle)
            raise

    def _take(self, path: str, new: bool) -> None:
        found = os.fstat(self._handle)
        if not stat.S_ISREG(found.st_mode):
            raise RecordError(f'cannot record into {path}: it is no file')
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecordError(f'another process records into {path}') from None
        except OSError:  # a file system without locks
            pass
        size = os.fstat(self._handle).st_size
        self.found = read(path) if size else None
        #: the file ends within a line
        self._torn = size > 0 and os.pread(self._handle, 1, size - 1) != b'\n'
        if new:
            os.fchmod(self._handle, 0o644)  # as with -o, whatever the umask: Patroni's modules change it
            _sync_folder(path)

    def add(self, events: Sequence[Event]) -> None:
        """Add events, and return when they are on the disk.

        :param events: with time and host.

        :raises:
            :exc:`OSError`: if that failed. :attr:`added` of them need not be added again.
        """
        self.added = 0
        for event in events:
            self._write(line(event))
            self.added += 1
        try:
            os.fsync(self._handle)
        except OSError:
            self.added = 0  # what became of them is unknown; readers skip a line that is there twice
            raise

    def _write(self, content: bytes) -> None:
        if self._torn:
            content = b'\n' + content
        while content:
            written = os.write(self._handle, content)
            if written:
                self._torn = content[written - 1 : written] != b'\n'
            content = content[written:]

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._handle)


def _sync_folder(path: str) -> None:
    """Have the name of a new file on the disk, too."""
    try:
        handle = os.open(os.path.dirname(os.path.realpath(path)), os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # it may be written to, but not read
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
