"""Lookups of host names that wait no longer than the call may.

Patroni caches lookups for ten minutes, but ``getaddrinfo`` has no time limit. With a silent DNS server, each new
connection hangs for as long as the system's resolver tries.
"""

from __future__ import annotations

import logging
import socket
from ipaddress import ip_address
from typing import Iterable, Iterator, Protocol, Sequence

from .deadline import Errand, TookTooLong, current

logger = logging.getLogger(__name__)

#: What :func:`socket.getaddrinfo` returns; what an address is made of does not matter here.
Addresses = Sequence[object]


def is_address(host: str) -> bool:
    """Return whether a host is an IP address, not a name.

    :param host: either.
    """
    try:
        ip_address(host)
        return True
    except ValueError:
        return False


class Resolver(Protocol):
    """What is needed of Patroni's ``DnsCachingResolver``."""

    def resolve(self, host: str, port: int) -> Addresses:
        """Return the addresses of a host, an empty list if it has none."""


class Names:
    """A wrapper of Patroni's ``DnsCachingResolver``, whose ``resolve`` is called for each new connection.

    :param resolver: Patroni's resolver.
    """

    def __init__(self, resolver: Resolver) -> None:
        self._stock = resolver.resolve
        self._known: dict[tuple[str, int], Addresses] = {}
        self._asked: dict[tuple[str, int], Errand[Addresses]] = {}
        #: index of the address to try first
        self._start: dict[tuple[str, int], int] = {}
        resolver.resolve = self.resolve  # type: ignore[assignment, method-assign]

    def resolve(self, host: str, port: int) -> Iterable[object]:
        """Return the addresses of a host while there is time to try them.

        A lookup that takes too long gives the previous ones.

        :param host: its name.
        :param port: the port to connect to.

        :raises:
            :exc:`socket.timeout`: if there are no previous ones.
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

    def _in_time(self, key: tuple[str, int]) -> Addresses | None:
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

    def _in_turn(self, key: tuple[str, int], found: Addresses) -> Iterator[object]:
        """Yield addresses until the time is over. Patroni gives each of them the whole connect time-out."""
        start = self._start.get(key, 0)
        for number in range(len(found)):
            if number:
                self._start[key] = (start + number) % len(found)  # the one before failed: start here next time
                if not current().left():
                    return
            yield found[(start + number) % len(found)]
