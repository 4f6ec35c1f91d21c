"""What this project does, shown on real servers."""

from __future__ import annotations
