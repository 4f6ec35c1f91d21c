"""Calls over gRPC itself, to a member whose gateway cannot be used; where the package ``h2`` is installed."""

from __future__ import annotations

import json
from typing import Any, Mapping

import urllib3
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

from ...answers import Answer
from ...extras import GRPC, has_grpc
from ...members import Members
from ...senders import Call
from .web import Clock, Unanswered, reason


class OverGrpc:
    """Makes calls to one member.

    :param url: its URL.
    :param tls: certificates, as arguments of :class:`urllib3.PoolManager`.
    """

    def __init__(self, url: str, tls: Mapping[str, Any]) -> None:
        from ...grpc.transport import Grpc

        pool = urllib3.PoolManager(**tls)
        members = Members(pool, None, GRPC)
        self._transport = Grpc(pool, members)
        self._member = members.get(url)

    def ask(self, rpc: str, request: Mapping[str, object], clock: Clock, token: str | None) -> Answer:
        """Make a call.

        :param rpc: path at the gateway, below the prefix.
        :param request: what the gateway would be sent.
        :param clock: the time that is left.
        :param token: from a login.

        :raises:
            :exc:`Unanswered`: if there is no answer.
        """
        left = clock.left()
        options = {
            'body': json.dumps(request),
            'headers': {'authorization': token} if token else {},
            'timeout': Timeout(connect=left / 2, read=left / 2),
            'retries': False,
        }
        try:
            return self._transport.exchange(self._member, Call('POST', rpc, options))[0]
        except (HTTPError, OSError) as e:
            raise Unanswered(reason(e, clock.timeout), e) from None

    def close(self) -> None:
        """Close the connections."""
        self._transport.clear()


def over_grpc(url: str, tls: Mapping[str, Any]) -> OverGrpc | None:
    """Return what makes calls over gRPC to a member; ``None`` without the package that it takes."""
    return OverGrpc(url, tls) if has_grpc() else None
