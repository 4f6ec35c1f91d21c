"""Host names, looked up without waiting longer than the call has.

Patroni keeps what it looked up for ten minutes, but ``getaddrinfo`` knows no time limit: with a silent DNS server each
new connection hangs for as long as the resolver of the system tries.
"""

from __future__ import annotations

import logging
import socket
from ipaddress import ip_address
from typing import Any, Iterator

from .deadline import Errand, TookTooLong, current

logger = logging.getLogger(__name__)


def is_address(host: str) -> bool:
    """Tell an IP address from a name.

    :param host: either.
    """
    try:
        ip_address(host)
        return True
    except ValueError:
        return False


class Names:
    """Stands in front of Patroni's ``DnsCachingResolver``, whose ``resolve`` is asked for each new connection.

    :param resolver: the resolver.
    """

    def __init__(self, resolver: Any) -> None:
        self._stock = resolver.resolve
        self._known: dict[tuple[str, int], Any] = {}
        self._asked: dict[tuple[str, int], Errand[Any]] = {}
        #: which of the addresses comes first
        self._start: dict[tuple[str, int], int] = {}
        resolver.resolve = self.resolve

    def resolve(self, host: str, port: int) -> object:
        """Return the addresses of a host while there is time to try them; its previous ones if the lookup takes too long.

        :param host: its name.
        :param port: the port to connect to.

        :raises:
            :exc:`socket.timeout`: if it never had any.
        """
        if is_address(host):
            return self._stock(host, port)
        key = host, port
        found = self._in_time(key)
        if found is None:
            if key not in self._known:
                raise socket.timeout(f'{host} could not be looked up in time')
            logger.warning('%s could not be looked up in time; using its previous addresses', host)
            found = self._known[key]
        if found:
            self._known[key] = found
        return self._in_turn(key, found)

    def _in_time(self, key: tuple[str, int]) -> object:
        """Return what Patroni's resolver finds, ``None`` if that takes too long."""
        if current().left() == float('inf'):
            return self._stock(*key)
        errand = self._asked.get(key)
        if not errand or errand.is_over():
            errand = self._asked[key] = Errand(self._stock, *key)
        try:
            return errand.result()
        except TookTooLong:
            return None if errand.started or key in self._known else self._stock(*key)

    def _in_turn(self, key: tuple[str, int], found: Any) -> Iterator[Any]:
        """Yield addresses until the time is over. Patroni gives each all the time of the connection."""
        start = self._start.get(key, 0)
        for number in range(len(found)):
            if number:
                self._start[key] = (start + number) % len(found)  # the one before was of no use: the next time as well
                if not current().left():
                    return
            yield found[(start + number) % len(found)]
