"""Tests without servers."""

from __future__ import annotations
