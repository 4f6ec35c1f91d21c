"""Values from JSON that anybody may have written."""

from __future__ import annotations

from typing import Any

import pytest

from patroni_etcd3_compat.check.collect.values import as_int


@pytest.mark.parametrize(
    'value, number',
    [
        (7, 7),
        ('7', 7),
        (-1, -1),
        ('18446744073709551615', 2**64 - 1),
        (2**64, None),
        ('9' * 400, None),
        (-(10**30), None),
        (float('inf'), None),
        (float('nan'), None),
        (True, None),
        ('x', None),
        (None, None),
        ([], None),
    ],
)
def test_numbers(value: Any, number: int | None) -> None:
    """Only numbers of up to 64 bits are accepted; others would break calculations, or be written as floats."""
    assert as_int(value) == number
