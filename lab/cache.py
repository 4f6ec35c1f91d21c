"""Locks on what is downloaded or built into CACHE: if two processes want the same thing, the second one waits."""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
from pathlib import Path
from typing import Any, Iterator, Mapping

from . import CACHE, say


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold one of the locks, across processes and threads.

    Locks are taken in the order ``roots``, ``environments``, ``sdist``, ``go``, ``packages``, so that no two wait for
    each other.

    :param name: what the lock is on; its file is ``NAME.lock``.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(str(CACHE / f'{name}.lock'), 'w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f'waiting for another process that works on {name}')
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Create an empty folder beside `path`, whatever an interrupted run left there; remove it after the ``with``."""
    folder = path.with_name(path.name + '.part')
    shutil.rmtree(str(folder), ignore_errors=True)
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(str(folder), ignore_errors=True)


def replace(path: Path, text: str) -> None:
    """Write a file atomically: a reader sees either the old text or the new one."""
    part = path.with_name(path.name + '.part')
    part.write_text(text)
    part.rename(path)


def keep_results(path: Path, results: Mapping[str, Any]) -> None:
    """Add results to a JSON file that several runs write to."""
    with locked('results'):
        known = json.loads(path.read_text()) if path.exists() else {}
        replace(path, json.dumps({**known, **results}, indent=1))
