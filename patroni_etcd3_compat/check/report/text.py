"""Small pieces of text of a report. What comes from a record is escaped: names come from etcd."""

from __future__ import annotations

from datetime import datetime, timezone
from html import escape
from typing import Sequence

from ..record.state import ETCD, NOBODY, Key
from ..render.text import one_line

#: What Markdown would take for a mark.
_MARKS = '\\`*_[]|~'


def md(text: object) -> str:
    """Return a text for Markdown, in one line, of which nothing is a mark, a tag or a control character."""
    escaped = escape(one_line(text), quote=False)
    return ''.join(f'\\{char}' if char in _MARKS else char for char in escaped)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown."""
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)


def moment(time: datetime) -> str:
    """Return a time as it is written: ``2026-11-25 17:12:57``."""
    return f'{time.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S}'


def lasted(seconds: float) -> str:
    """Return how long something took: ``4 s``, ``2 min 5 s``, ``1 h 3 min``."""
    if seconds < 10:
        return f'{seconds:.1f} s'
    whole = round(seconds)
    if whole < 60:
        return f'{whole} s'
    if whole < 3600:
        return f'{whole // 60} min {whole % 60} s'
    return f'{whole // 3600} h {whole % 3600 // 60} min'


def who(key: Key) -> str:
    """Return what a key is about: ``etcd infra1``, ``batman: node1``."""
    if key.about == ETCD:
        return f'etcd {key.name}' if key.name else 'etcd'
    return f'{key.cluster}: {key.name}' if key.name and key.cluster else key.name or f'Patroni {key.cluster}'


def leader(value: str | None) -> str:
    """Return the name of a leader."""
    return 'unknown' if value is None else 'nobody' if value == NOBODY else value
