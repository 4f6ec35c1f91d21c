"""How many examples a property test takes: all in CI, a tenth by hand. tests/conftest.py has the profiles."""

from __future__ import annotations

from hypothesis import settings


def examples(number: int) -> int:
    """Return how many examples to take under the profile of this run.

    :param number: how many it takes to be thorough.
    """
    return number * settings().max_examples // 100
