"""The patches in ``patches/``."""

from __future__ import annotations
