"""What a release is made of."""

from __future__ import annotations
