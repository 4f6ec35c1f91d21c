"""The limits that the command was given, beyond which something is a finding."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Days before the end of a certificate from which on it is a warning, and critical (``--certificate-days``).
CERTIFICATE_DAYS = (30.0, 3.0)


@dataclass
class Limit:
    """How large something may be, in bytes."""

    #: beyond it there is a warning
    warning: int | None = None
    #: beyond it the state is critical
    critical: int | None = None

    def severity(self, value: int | None) -> str | None:
        """Return the severity that a value has; ``None`` if it is within the limit, or unknown."""
        if value is None:
            return None
        if self.critical is not None and value > self.critical:
            return 'critical'
        return 'warning' if self.warning is not None and value > self.warning else None


@dataclass
class Limits:
    """The limits that the command was given."""

    #: ``--lag``: bytes that a replica may be behind the leader
    lag: Limit = field(default_factory=Limit)
    #: ``--wal``: bytes that pg_wal may have
    wal: Limit = field(default_factory=Limit)
