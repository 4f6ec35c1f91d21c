"""docs/install.md: every line of it is run as it stands there."""

from __future__ import annotations
