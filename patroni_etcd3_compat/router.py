"""The seam to Patroni's client: each request goes to its member, over the transport of that member.

Patroni's client keeps one urllib3 pool manager as ``self.http``, and all of its requests pass there: member list,
authentication, key-value, lease and watch, after the member was picked. :class:`Router` stands in its place, with
authentication in front. Here is what holds whatever the transport.
"""

from __future__ import annotations

from typing import Any, Sequence

import urllib3
from urllib3.exceptions import HTTPError

from . import deadline
from .answers import is_nested
from .errors import NestedTransaction, OutOfTime
from .member import Member
from .members import Members
from .senders import Call, Kwargs, Reply, Transport
from .urls import split_url
from .versions import PREFIXES

#: The prefix to make requests to :class:`Router` with, whatever the member serves. The others do as well.
CANONICAL = PREFIXES[0]


class Router:
    """A :class:`~.senders.Sender` that gives each call to the transport of its member.

    :param pool: the pool manager, for what is not a call of etcd's API.
    :param members: the members.
    :param transports: the first that serves a member carries the calls to it; the last is for all others.
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

    def urlopen(self, method: str, url: str, **kwargs: Any) -> Reply:
        """Send a request over the transport of the member that it goes to; nothing is repeated here.

        :param method: HTTP method.
        :param url: URL of the request; a path below one of the prefixes is a gateway call, all else passed through.
        :param kwargs: further arguments of :meth:`urllib3.PoolManager.urlopen`.

        :returns: the answer, its errors in one shape (see :mod:`.answers`); the unread response if it is a stream or
                  no gateway call.

        :raises:
            :exc:`MemberError`: if this member cannot serve the request.
            :exc:`NestedTransaction`: for a transaction inside a transaction. A new member of an etcd cluster puts it
                into the log, and members before 3.3 die of it, each time they start: the cluster is lost. Members
                change while a request is under way, so none is sent to any, whatever its version.
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
            return self._transport(member).send(member, call)
        except OutOfTime:  # tells nothing about the member
            raise
        except (HTTPError, OSError) as e:
            member.fails(e)
            raise
