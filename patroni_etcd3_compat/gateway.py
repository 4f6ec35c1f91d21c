"""A transport: calls over etcd's JSON gateway, under the prefix that the member serves. Independent of Patroni.

A request goes out under the prefix that worked last, the first one under the newest. A call sends another request only
after a 404 that says "prefix not served".
"""

from __future__ import annotations

import logging
import random
import time
from functools import partial
from threading import Lock
from typing import Iterator

import urllib3
from urllib3.exceptions import ClosedPoolError, ProtocolError

from . import deadline, wire
from .answers import Answer, UnreadableBody, check_stream, plain_text, prefix_not_served, read_answer
from .errors import CommonNameRefused, GatewayOff, MemberStopping, NoGateway, UnexpectedAnswer, refusal, speaks_http2
from .member import Member
from .members import Members
from .senders import Call, Reply
from .versions import PREFIXES, TOKEN_SINCE, gateway_of

logger = logging.getLogger(__name__)

_WATCH = '/watch'

#: How often all prefixes are tried, in random order, before a gateway counts as off, since the members behind a load
#: balancer take turns. The second number applies where several members are known to answer.
_ROUNDS, _ROUNDS_SEVERAL = 4, 10


class Gateway:
    """The transport over etcd's JSON gateway; safe to use from several threads.

    :param pool: the pool manager whose connections are used.
    :param members: the members.
    :param ends_canceled_watches: end a watch when etcd says that it cancelled it, for releases of Patroni that do not.
    """

    def __init__(self, pool: urllib3.PoolManager, members: Members, ends_canceled_watches: bool = False) -> None:
        self._ends_canceled_watches = ends_canceled_watches
        self._pool = pool
        pool.pool_classes_by_scheme = wire.POOL_CLASSES
        self._members = members
        self._pools: dict[str, urllib3.HTTPConnectionPool] = {}
        self._lock = Lock()

    def serves(self, member: Member) -> bool:
        """Return whether this transport serves a member: always true, since all releases have the gateway."""
        return True

    def send(self, member: Member, call: Call) -> Reply:
        """Send a call under the prefix of its member, see :class:`~.senders.Transport`.

        If the prefix is not served, the request goes to the same member again under another one. Nothing else is
        repeated here.
        """
        for prefix in self._prefixes(member, call):
            try:
                answer, fresh = self._send(member, prefix, call)
            except CommonNameRefused:
                member.leaves_gateway("its gateway refuses the certificate's CommonName")
                raise
            except ProtocolError as e:
                if not speaks_http2(e):
                    raise
                member.leaves_gateway('it speaks gRPC alone', lasting=True)
                raise NoGateway(f'{member} speaks gRPC alone') from e
            if answer is None:
                continue
            if not isinstance(answer, Answer):  # a stream, see `_checked`
                return answer
            changed = prefix != member.prefix
            member.answers(answer.member_id, prefix)
            if fresh or changed:
                self._members.find_out(member, call.timeout, changed)
            return answer
        if not member.version_text:
            self._members.try_to_learn(member, call.timeout)  # for the text of the error
        member.is_off()
        member.leaves_gateway('its gateway is off')
        raise GatewayOff(str(member))

    def _prefixes(self, member: Member, call: Call) -> Iterator[str]:
        """Yield the prefixes to try; first the one that worked or is likely to."""
        first = member.prefix
        if first:
            yield first
        gateway = gateway_of(member.version) if member.version else None
        served = list(gateway.served) if gateway else []
        likely = [*(prefix for prefix in served if prefix == member.explicit), *served, *PREFIXES]
        yield from (prefix for prefix in dict.fromkeys(likely) if prefix != first)
        with deadline.within(wire.limits(call.timeout)[1]) as limit:
            for _ in range(_ROUNDS_SEVERAL if member.several else 0 if member.gateway_off else _ROUNDS):
                for prefix in random.sample(PREFIXES, len(PREFIXES)):
                    if limit.left():
                        yield prefix

    def _send(self, member: Member, prefix: str, call: Call) -> tuple[Reply | None, bool]:
        """Send the request under *prefix*.

        :returns: the answer, or ``None`` if the prefix is not served; and whether the connection is a new one.
        """
        without_token = 'authorization' in call.headers and not member.can(TOKEN_SINCE)
        if without_token:
            call = call.but(headers={k: v for k, v in call.headers.items() if k != 'authorization'})

        sent, fresh = 0.0, True
        if call.rpc == _WATCH:
            response = self._open_stream(member, prefix, call)
            if response.status < 300:
                return self._checked(member, prefix, response), fresh
            status, body = response.status, response.data
        else:
            send = partial(self._wire, member, call, prefix + call.rpc)
            status, body, sent, fresh = wire.persistently(call.kwargs.get('retries'), send)
        if prefix_not_served(status, body):
            return None, fresh
        try:
            answer = read_answer(call.rpc, status, body)._replace(sent=sent)
        except UnreadableBody as e:
            secret = call.rpc.startswith('/auth/')  # it may contain a token
            where = f'{member} answered {prefix + call.rpc} with status {status}'
            shown = '' if secret else repr(body[:80])
            raise refusal(where, plain_text(status, body), secret) or UnexpectedAnswer(
                f'{where} and a body that is not from etcd ({e}): {shown}'
            ) from None
        if answer.cut_off:
            # Patroni would take that for an answer to the request, and a leader would take it for the loss of its lock.
            # Before 4.1.1, Patroni may also retry on the same member until its time is over.
            raise MemberStopping(f'{member} gave up {prefix + call.rpc}: {answer.error}')
        if without_token and answer.status in (400, 401, 403):
            self._members.find_out(member, call.timeout, True)  # it may have been upgraded and accept one now
        return answer, fresh

    def _wire(self, member: Member, call: Call, path: str) -> wire.Response:
        body, headers, started = call.kwargs.get('body'), call.headers, time.monotonic()
        try:
            response = wire.request(self._pool_of(member.url), call.method, path, body, headers, call.timeout, False)
        except ClosedPoolError:  # another thread has just closed all connections
            response = None
        if response is None:
            answer = self._pool.urlopen(
                call.method,
                member.url + path,
                body=body,
                headers=headers,
                redirect=False,
                timeout=call.timeout,
                timed=True,
            )
            response = (
                answer
                if isinstance(answer, wire.Response)
                else wire.Response(answer.status, answer.data, started, True)
            )  # other code has replaced PoolManager.urlopen
        return response

    def _pool_of(self, url: str) -> urllib3.HTTPConnectionPool:
        pool = self._pools.get(url)
        if not pool:
            with self._lock:
                pool = self._pools[url] = self._pool.connection_from_url(url)
        return pool

    def clear(self) -> None:
        """Close all idle connections, which belong to the pool manager."""
        with self._lock:
            self._pools.clear()

    def _open_stream(self, member: Member, prefix: str, call: Call) -> urllib3.BaseHTTPResponse:
        """Start a watch; its headers have to arrive within the connect time-out, the rest has no limit."""
        connect, _ = wire.limits(call.timeout)
        with deadline.within(connect):  # for the lookup of the host name
            response = self._pool.urlopen(
                call.method,
                member.url + prefix + call.rpc,
                **call.but(redirect=False, timeout=urllib3.Timeout(connect=connect, read=connect)).kwargs,
            )
        sock = getattr(getattr(response, 'connection', None), 'sock', None)
        if sock is not None:
            sock.settimeout(getattr(call.timeout, 'read_timeout', None))
        return response

    def _checked(self, member: Member, prefix: str, response: urllib3.BaseHTTPResponse) -> Reply:
        """End the stream where Patroni can no longer read it.

        It has to be the same response object: Patroni reaches through it to the socket.
        """
        read_chunked = response.read_chunked

        def checked(amt: int | None = None, decode_content: bool | None = None) -> Iterator[bytes]:
            heard = False
            try:
                for chunk in check_stream(read_chunked(amt, decode_content), self._ends_canceled_watches):
                    if not heard:  # not earlier: a status alone does not prove that this is etcd
                        heard = True
                        member.answers(None, prefix)
                    yield chunk
            except UnreadableBody as e:
                raise UnexpectedAnswer(f'{member} sent something other than a watch: {e}') from None

        response.read_chunked = checked  # type: ignore[method-assign]
        return response
