"""A demonstration of this project on real servers."""

from __future__ import annotations
