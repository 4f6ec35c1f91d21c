"""How long a leader can be sure of its leader key, and therefore how long its calls may wait.

The key is bound to a lease. etcd does not let a lease expire until its ttl has passed since the last answered keepalive
was *sent*. From then on, another Patroni member can take the key. If a leader waits for etcd beyond that moment, there
may be two. ``loop_wait + 2 * retry_timeout <= ttl`` is meant to rule that out, but a call of Patroni can take longer
than ``retry_timeout``. So no call of a leader waits past that moment, minus a margin for the demotion of PostgreSQL.
Replicas and patronictl wait as long as with stock Patroni.
"""

from __future__ import annotations

import time
from threading import get_ident

#: Part of the ttl that is reserved for the demotion.
_MARGIN = 0.1

#: Part of the ttl that a call may still take once that margin has begun, for example after the process was stopped for
#: a while. A healthy etcd answers in that time. A loop makes at most two such calls, which leaves half of the margin.
_LAST_CALL = 0.025


class Leadership:
    """What this process knows about the leader key and the leases it was granted.

    Times are seconds of the monotonic clock.
    """

    def __init__(self) -> None:
        #: when the last keepalive of each lease was sent, and the ttl of the lease
        self._renewed: dict[str, tuple[float, float]] = {}
        #: the lease of this node's leader key, ``None`` if this node is not the leader
        self._lease: str | None = None
        self._thread = 0

    def renewed(self, lease: str, sent: float, ttl: float) -> None:
        """Note that a lease was granted or kept alive.

        :param lease: its ID.
        :param sent: when the request was sent.
        :param ttl: time to live according to etcd, in seconds.
        """
        known = {name: times for name, times in self._renewed.items() if name == self._lease}
        known[lease] = (max(sent, known.get(lease, (sent, ttl))[0]), ttl)
        self._renewed = known  # replaced as a whole: other threads may be reading

    def took(self, lease: str | None) -> None:
        """Note that this node holds the leader key.

        :param lease: ID of the lease of the key.
        """
        self._thread, self._lease = get_ident(), lease

    def lost(self) -> None:
        """Note that this node is not the leader, or that its HA loop was told so; from then on Patroni decides.

        This counts only in the thread that took the key. The REST API has its own threads, and the HA loop does not
        learn what fails there.
        """
        if get_ident() == self._thread:
            self._lease = None

    def patience(self) -> float:
        """Return the seconds that a call may wait; infinity if this node is not the leader."""
        times = self._renewed.get(self._lease) if self._lease else None
        if not times:
            return float('inf')
        sent, ttl = times
        return max(sent + ttl * (1 - _MARGIN) - time.monotonic(), ttl * _LAST_CALL)
