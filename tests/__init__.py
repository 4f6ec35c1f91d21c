"""The tests of this project. What more than one of them uses stands beside them, in modules without ``test_``."""

from __future__ import annotations
