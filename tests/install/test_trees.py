"""Lines for whole machines, each run in a Debian of its own."""

from __future__ import annotations

PLATFORMS = ('debian', 'debian-pip', 'container', 'spilo', 'ansible', 'user')
