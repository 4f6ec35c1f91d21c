"""The packages for Debian and RPM, in whole systems."""

from __future__ import annotations
