"""The patches in ``patches/upstream/``."""

from __future__ import annotations
