"""Bytes and positions as people read them."""

from __future__ import annotations

import pytest

from patroni_etcd3_compat.check.units import lsn, size


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
    """In steps of 1024, two figures at least."""
    assert size(count) == text


def test_lsn() -> None:
    """As PostgreSQL writes them."""
    assert [lsn(None), lsn(-1, 'unknown'), lsn(0), lsn(0x16B3742F00)] == ['-', 'unknown', '0/0', '16/B3742F00']
