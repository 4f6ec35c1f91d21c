"""Processes that the lab did not start itself, by ID: those that Patroni and PostgreSQL start."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Sequence


def descendants(pid: int) -> list[int]:
    """Return the processes that a process started, directly or through others."""
    children: dict[int, list[int]] = {}
    for entry in Path('/proc').glob('[0-9]*'):
        try:
            parent = int((entry / 'stat').read_text().rpartition(')')[2].split()[1])
        except OSError:  # has ended meanwhile
            continue
        children.setdefault(parent, []).append(int(entry.name))
    found = list(children.get(pid, ()))
    for child in found:  # which grows in this loop
        found += children.get(child, ())
    return found


def send(number: int, pids: Sequence[int]) -> None:
    """Send a signal to processes; those that are gone are skipped."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def exists(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False
