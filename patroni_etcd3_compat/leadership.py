"""How long a leader can be sure of its leader key, and thus how long its calls may wait.

The key hangs on a lease. etcd does not let a lease expire before its ttl has passed since the last keepalive that it
answered was *sent*; from then on another member of Patroni can take the key. A leader that waits for etcd beyond that
moment may be the second one. ``loop_wait + 2 * retry_timeout <= ttl`` is meant to rule that out, but a call of Patroni
can take more than ``retry_timeout``. So no call of a leader waits past that moment, less a margin for the demotion of
PostgreSQL. Replicas and patronictl keep Patroni's own patience.
"""

from __future__ import annotations

import time
from threading import get_ident

#: Part of the ttl that is kept for the demotion.
_MARGIN = 0.1

#: Part of the ttl that a call may still take when that margin has begun: an etcd that is well answers in that time,
#: after the process was stopped for a while, for example. A loop makes two such calls at most, which leaves half of it.
_LAST_CALL = 0.025


class Leadership:
    """What this process knows about the leader key and the leases it was granted. Times in seconds, monotonic clock."""

    def __init__(self) -> None:
        #: when each lease was renewed last (the keepalive was sent), and its ttl
        self._renewed: dict[str, tuple[float, float]] = {}
        #: the lease that the leader key of this node hangs on, ``None`` if it does not lead
        self._lease: str | None = None
        self._thread = 0

    def renewed(self, lease: str, sent: float, ttl: float) -> None:
        """Note a lease that was granted or kept alive.

        :param lease: its ID.
        :param sent: when the request was sent.
        :param ttl: time to live as etcd said.
        """
        known = {name: times for name, times in self._renewed.items() if name == self._lease}
        known[lease] = (max(sent, known.get(lease, (sent, ttl))[0]), ttl)
        self._renewed = known  # replaced as a whole: other threads may be reading

    def took(self, lease: str | None) -> None:
        """Note that the leader key is held by this node.

        :param lease: ID of the lease that it hangs on.
        """
        self._thread, self._lease = get_ident(), lease

    def lost(self) -> None:
        """Note that this node does not lead, or that its HA loop was told so: from now on it is for Patroni to decide.

        Only what the thread hears that holds the key counts. The REST API has threads of its own, and what fails there
        tells the HA loop nothing.
        """
        if get_ident() == self._thread:
            self._lease = None

    def patience(self) -> float:
        """Return the seconds that a call may wait; without end if this node does not lead."""
        times = self._renewed.get(self._lease) if self._lease else None
        if not times:
            return float('inf')
        sent, ttl = times
        return max(sent + ttl * (1 - _MARGIN) - time.monotonic(), ttl * _LAST_CALL)
