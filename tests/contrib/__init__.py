"""What monitoring systems need from contrib/, used by these systems themselves."""

from __future__ import annotations
