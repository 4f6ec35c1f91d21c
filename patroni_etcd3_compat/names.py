"""Host names, looked up without waiting longer than the call has.

Patroni keeps what it looked up for ten minutes, but ``getaddrinfo`` knows no time limit: with a silent DNS server each
new connection hangs for as long as the resolver of the system tries.
"""
import logging
import socket

from ipaddress import ip_address
from typing import Any, Dict, Tuple

from .deadline import current, Errand, TookTooLong

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
        self._known: Dict[Tuple[str, int], Any] = {}
        self._asked: Dict[Tuple[str, int], Errand] = {}
        resolver.resolve = self.resolve

    def resolve(self, host: str, port: int) -> Any:
        """Return the addresses of a host; when they do not come in time, those that it had before.

        :param host: its name.
        :param port: the port to connect to.

        :raises:
            :exc:`socket.timeout`: if it never had any.
        """
        if current().left() == float('inf') or is_address(host):  # not for etcd, or there is nothing to look up
            return self._stock(host, port)
        key = host, port
        errand = self._asked.get(key)
        if not errand or errand.is_over():
            errand = self._asked[key] = Errand(self._stock, host, port)
        try:
            found = errand.result()
        except TookTooLong:
            if key not in self._known:
                raise socket.timeout('{0} could not be looked up in time'.format(host)) from None
            logger.warning('%s could not be looked up in time, using the addresses it had before', host)
            return self._known[key]
        if found:
            self._known[key] = found
        return found
