"""Bytes and positions as people read them, the same in findings and in all formats."""

from __future__ import annotations


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


def lsn(position: int | None, unknown: str = '-') -> str:
    """Return a position in the WAL as PostgreSQL does.

    :param position: bytes; ``None`` if not known or there is none.
    :param unknown: what to write for that, or for what cannot be a position.

    :returns: such as ``0/3000060``.
    """
    return unknown if position is None or position < 0 else f'{position >> 32:X}/{position & 0xFFFFFFFF:X}'
