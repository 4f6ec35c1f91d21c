"""What Patroni's own tests need to run with the classes of this project; see ``tools.upstream``."""

from __future__ import annotations
