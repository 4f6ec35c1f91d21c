"""What the layers that a request passes ask of each other: authentication -> router -> transport -> wire. Types only.

A transport carries a call to a member. The gateway is one; another is chosen per member where the router is made, and
nothing else has to know of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, NamedTuple, Protocol

if TYPE_CHECKING:
    from .member import Member

#: Further arguments of :meth:`urllib3.PoolManager.urlopen`, which takes any.
Kwargs = Dict[str, Any]


class Reply(Protocol):
    """What Patroni's client takes of a response."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def data(self) -> bytes:
        """The whole body."""


class Sender(Protocol):
    """Takes requests as the pool manager of Patroni's client does."""

    def urlopen(self, method: str, url: str, **kwargs: Any) -> Reply:
        """Send a request, see :meth:`urllib3.PoolManager.urlopen`."""


class PoolSender(Sender, Protocol):
    """All that Patroni and python-etcd use of the pool manager in whose place a sender stands."""

    @property
    def connection_pool_kw(self) -> Kwargs:
        """Arguments for new connections; Patroni changes them."""

    def clear(self) -> None:
        """Close all idle connections."""


class Call(NamedTuple):
    """A call of etcd's API, without the member and the transport."""

    #: HTTP method
    method: str
    #: path below the prefix, for example ``/kv/put``
    rpc: str
    #: as the request had them
    kwargs: Kwargs

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the request."""
        return self.kwargs.get('headers') or {}

    @property
    def timeout(self) -> object:
        """The time-out of urllib3, for each request of the call."""
        return self.kwargs.get('timeout')

    def but(self, **kwargs: object) -> Call:
        """Return the same call with other arguments."""
        return self._replace(kwargs=dict(self.kwargs, **kwargs))


class Transport(Protocol):
    """Carries calls to a member."""

    def send(self, member: Member, call: Call) -> Reply:
        """Send a call, and tell the member what its answer shows.

        :returns: the answer, its errors in one shape (see :mod:`.answers`); a response to be read if it is a stream.

        :raises:
            :exc:`MemberError`: if this member cannot serve the request.
            :exc:`urllib3.exceptions.HTTPError`, :exc:`OSError`: if there is no answer.
        """

    def serves(self, member: Member) -> bool:
        """Return whether calls to a member go this way."""

    def clear(self) -> None:
        """Let go of idle connections."""
