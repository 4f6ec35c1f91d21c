"""The interfaces between the layers of a request: authentication -> router -> transport -> wire. Types only.

A transport carries a call to a member. The gateway is one. Others are added where the router is created, which chooses
one per member; no other code depends on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, NamedTuple, Protocol

if TYPE_CHECKING:
    from .member import Member

#: Further arguments of :meth:`urllib3.PoolManager.urlopen`, which accepts any.
Kwargs = Dict[str, Any]


class Reply(Protocol):
    """The part of a response that Patroni's client uses."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def data(self) -> bytes:
        """The whole body."""


class Sender(Protocol):
    """Accepts requests like the pool manager of Patroni's client."""

    def urlopen(self, method: str, url: str, **kwargs: Any) -> Reply:
        """Send a request, see :meth:`urllib3.PoolManager.urlopen`."""


class PoolSender(Sender, Protocol):
    """All that Patroni and python-etcd use of the pool manager that a sender replaces."""

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
    #: further arguments of the request
    kwargs: Kwargs

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of the request."""
        return self.kwargs.get('headers') or {}

    @property
    def timeout(self) -> object:
        """urllib3's time-out, for each request of the call."""
        return self.kwargs.get('timeout')

    def but(self, **kwargs: object) -> Call:
        """Return the same call with different arguments."""
        return self._replace(kwargs=dict(self.kwargs, **kwargs))


class Transport(Protocol):
    """Carries calls to a member."""

    def send(self, member: Member, call: Call) -> Reply:
        """Send a call, and report to the member what its answer shows.

        :returns: the answer, its errors in one shape (see :mod:`.answers`); an unread response if it is a stream.

        :raises:
            :exc:`MemberError`: if this member cannot serve the request.
            :exc:`urllib3.exceptions.HTTPError`, :exc:`OSError`: if there is no answer.
        """

    def serves(self, member: Member) -> bool:
        """Return whether this transport carries the calls to a member."""

    def clear(self) -> None:
        """Close all idle connections."""
