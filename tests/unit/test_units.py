"""Bytes and positions in readable form."""

from __future__ import annotations

import pytest

from patroni_etcd3_compat.check.units import bytes_of, lsn, size


@pytest.mark.parametrize(
    'count, text',
    [
        (None, '-'),
        (0, '0 bytes'),
        (1023, '1023 bytes'),
        (1024, '1.0 kB'),
        (1536, '1.5 kB'),
        (20480, '20 kB'),
        (16 << 20, '16 MB'),
        (1300 << 20, '1.3 GB'),
        (5 << 50, '5120 TB'),
        (-2048, '-2.0 kB'),
        (-5, '-5 bytes'),
    ],
)
def test_size(count: int | None, text: str) -> None:
    """Sizes are in steps of 1024, with at least two digits."""
    assert size(count) == text


def test_lsn() -> None:
    """Positions are written as PostgreSQL writes them."""
    assert [lsn(None), lsn(-1, 'unknown'), lsn(0), lsn(0x16B3742F00)] == ['-', 'unknown', '0/0', '16/B3742F00']


@pytest.mark.parametrize(
    'text, count',
    [('0', 0), ('16MB', 16 << 20), ('16 MiB', 16 << 20), ('1.5k', 1536), ('2g', 2 << 30), ('1TB', 1 << 40), ('7b', 7)],
)
def test_bytes_of(text: str, count: int) -> None:
    """Sizes are read as they are written, in steps of 1024."""
    assert bytes_of(text) == count


@pytest.mark.parametrize('text', ['', 'MB', '-1', '1 2', '1PB', '1e3', '\u0661', 'nan', '1MBB'])
def test_no_size(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match='is not a size'):
        bytes_of(text)
