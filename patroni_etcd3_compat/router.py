"""The seam to Patroni's client: each request goes to its member, over the transport of that member.

Patroni's client keeps one urllib3 pool manager as ``self.http``. After it has picked the member, all of its requests go
through there: member list, authentication, key-value, lease and watch. :class:`Router` replaces it, with authentication
in front. This module does what does not depend on the transport.
"""

from __future__ import annotations

from typing import Any, Sequence

import urllib3
from urllib3.exceptions import HTTPError

from . import deadline
from .answers import is_nested
from .errors import NestedTransaction, NoGrpc, OutOfTime, hung_up, unexecuted
from .member import Member
from .members import Members
from .senders import Call, Kwargs, Reply, Transport
from .urls import split_url
from .versions import PREFIXES

#: The prefix for requests to :class:`Router`, whatever the member serves. The other prefixes work as well.
CANONICAL = PREFIXES[0]

#: Calls that change nothing.
_READS = ('/kv/range', '/cluster/member/list', '/auth/authenticate')


class Router:
    """A :class:`~.senders.Sender` that gives each call to the transport of its member.

    :param pool: the pool manager, for what is not a call of etcd's API.
    :param members: the members.
    :param transports: the first that serves a member carries its calls; the last serves all others.
    """

    def __init__(self, pool: urllib3.PoolManager, members: Members, transports: Sequence[Transport]) -> None:
        self._pool = pool
        self.members = members
        self._transports = transports

    @property
    def connection_pool_kw(self) -> Kwargs:
        """Arguments for new connections."""
        return self._pool.connection_pool_kw

    def clear(self) -> None:
        """Close all idle connections."""
        for transport in self._transports:
            transport.clear()
        self._pool.clear()

    def _transport(self, member: Member) -> Transport:
        return next((it for it in self._transports if it.serves(member)), self._transports[-1])

    def _send(self, member: Member, call: Call) -> Reply:
        transport = self._transport(member)
        try:
            return transport.send(member, call)
        except (HTTPError, OSError) as e:
            if isinstance(e, NoGrpc):
                member.has_no_grpc()
            if not (unexecuted(e) or self._may_repeat(member, call, e)):
                raise
            other = self._transport(member)
            if other is transport or not deadline.current().left():
                raise
            try:
                return other.send(member, call)
            except (HTTPError, OSError) as e2:
                # Silence, too, may be all that a proxy has for HTTP/2: it must not cost every call its time.
                if isinstance(e2, NoGrpc) or not member.has_served_grpc:
                    member.has_no_grpc()
                if isinstance(e2, NoGrpc):
                    raise e from None
                raise

    def _may_repeat(self, member: Member, call: Call, error: BaseException) -> bool:
        """Return whether a call may go out again after a new member has hung up, since it turns out to speak gRPC.

        A port for gRPC alone hangs up on HTTP/1.1; so does a member that crashes, which may have executed the call.
        """
        return (
            not member.answered
            and hung_up(error)
            and self.members.speaks_grpc(member, call.timeout)
            and call.rpc in _READS
        )

    def urlopen(self, method: str, url: str, **kwargs: Any) -> Reply:
        """Send a request over the transport of its member; nothing is repeated here.

        :param method: HTTP method.
        :param url: URL of the request; a path below one of the prefixes is a gateway call, everything else is passed
                    through.
        :param kwargs: further arguments of :meth:`urllib3.PoolManager.urlopen`.

        :returns: the answer, its errors in one shape (see :mod:`.answers`); the unread response if it is a stream or
                  no gateway call.

        :raises:
            :exc:`MemberError`: if this member cannot serve the request.
            :exc:`NestedTransaction`: for a transaction inside a transaction. A newer member puts it into the log of the
                cluster, and members before 3.3 crash on it at every start: the cluster is lost. Members may change
                while a request is under way, so it is never sent, whatever the member's version.
            :exc:`urllib3.exceptions.HTTPError`, :exc:`OSError`: as the pool manager.
        """
        base, path = split_url(url)
        asked = next((prefix for prefix in PREFIXES if path.startswith(prefix + '/')), None)
        if not asked:
            return self._pool.urlopen(method, url, **kwargs)

        call = Call(method, path[len(asked) :], kwargs)
        if is_nested(call.rpc, kwargs.get('body')):
            raise NestedTransaction('the transaction was not sent: it is nested, which kills etcd members before 3.3')

        member = self.members.get(base)
        try:
            if not deadline.current().left():
                raise OutOfTime(f'No time left for {call.rpc} at {member}')
            member.check_age()
            return self._send(member, call)
        except OutOfTime:  # says nothing about the member
            raise
        except (HTTPError, OSError) as e:
            member.fails(e)
            raise
