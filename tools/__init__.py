"""Programs for maintainers: patches, Patroni's own tests, the matrix of releases. Not installed."""

from __future__ import annotations
