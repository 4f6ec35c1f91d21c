"""Bytes, positions, numbers and lists as people read them, the same in findings and in all formats."""

from __future__ import annotations

import re
from typing import Sequence


def size(count: int | None, unknown: str = '-') -> str:
    """Return a number of bytes the way PostgreSQL's ``pg_size_pretty`` does, in steps of 1024.

    :param count: bytes; ``None`` if not known.
    :param unknown: what to write for that.

    :returns: such as ``16 MB``.
    """
    if count is None:
        return unknown
    value, unit = float(count), 'bytes'
    for larger in ('kB', 'MB', 'GB', 'TB'):
        if abs(value) < 1024:
            break
        value, unit = value / 1024, larger
    digits = 0 if unit == 'bytes' or abs(value) >= 10 else 1
    return f'{value:.{digits}f} {unit}'


def bytes_of(text: str) -> int:
    """Return the number of bytes that a text such as ``16MB`` or ``1.5 GB`` names, in steps of 1024.

    :raises ValueError: if it is not such a text.
    """
    match = re.fullmatch(r'([0-9]{1,15}(?:\.[0-9]{1,9})?) *([kMGT]?)(?:i?b)?', text.strip(), re.IGNORECASE)
    if not match:
        raise ValueError(f'{text!r} is not a size')
    return int(float(match.group(1)) * 1024 ** ' KMGT'.index(match.group(2).upper() or ' '))


def lsn(position: int | None, unknown: str = '-') -> str:
    """Return a position in the WAL as PostgreSQL does.

    :param position: bytes; ``None`` if not known or there is none.
    :param unknown: what to write for that, or for what cannot be a position.

    :returns: such as ``0/3000060``.
    """
    return unknown if position is None or position < 0 else f'{position >> 32:X}/{position & 0xFFFFFFFF:X}'


def number(count: int, one: str, many: str = '') -> str:
    """Return a number with its noun, ``1 member``, ``2 members``."""
    return f'{count} {one if count == 1 else many or one + "s"}'


def comma(items: Sequence[str], last: str = 'and') -> str:
    """Join a list as it is read out: ``a, b and c``."""
    return f' {last} '.join(filter(None, (', '.join(items[:-1]), items[-1]))) if items else ''
