"""Random faults against clients that compete for one leader key, and the judge of what they did."""

from __future__ import annotations
