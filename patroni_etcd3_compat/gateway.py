"""A transport: calls over etcd's JSON gateway, under the prefix that the member serves. Nothing of Patroni here.

A request goes out under the prefix that worked last, a first one under the newest. Only an answer, a 404 that says
"prefix not served", leads to another request of the same call.
"""

from __future__ import annotations

import logging
import random
import time
from threading import Lock
from typing import Any, Iterator

import urllib3
from urllib3.exceptions import ClosedPoolError, ConnectTimeoutError, NewConnectionError

from . import deadline, wire
from .answers import Answer, UnreadableBody, check_stream, plain_text, prefix_not_served, read_answer
from .errors import GatewayOff, MemberStopping, UnexpectedAnswer, refusal
from .member import Member
from .members import Members
from .senders import Call, Reply
from .versions import PREFIXES, TOKEN_SINCE, gateway_of

logger = logging.getLogger(__name__)

_WATCH = '/watch'

#: How often all prefixes are tried, in random order, before a gateway counts as off, since the members behind a load
#: balancer take turns; and how often where several members are known to answer.
_ROUNDS, _ROUNDS_SEVERAL = 4, 10


class Gateway:
    """The transport over etcd's JSON gateway; safe to use from several threads.

    :param pool: the pool manager whose connections are used.
    :param members: the members.
    :param ends_canceled_watches: end a watch when etcd says that it canceled it, for releases of Patroni that do not.
    """

    def __init__(self, pool: urllib3.PoolManager, members: Members, ends_canceled_watches: bool = False) -> None:
        self._ends_canceled_watches = ends_canceled_watches
        self._pool = pool
        pool.pool_classes_by_scheme = wire.POOL_CLASSES
        self._members = members
        self._pools: dict[str, urllib3.HTTPConnectionPool] = {}
        self._lock = Lock()

    def serves(self, member: Member) -> bool:
        """Return whether this is the transport of a member: of all, since all releases have it."""
        return True

    def send(self, member: Member, call: Call) -> Reply:
        """Send a call under the prefix of its member, see :class:`~.senders.Transport`.

        A request that finds its prefix unserved goes to the same member again under another one; nothing else is ever
        repeated here.
        """
        for prefix in self._prefixes(member, call):
            answer, fresh = self._send(member, prefix, call)
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
        raise GatewayOff(str(member))

    def _prefixes(self, member: Member, call: Call) -> Iterator[str]:
        """Yield the prefixes to try, what worked or is likely first."""
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

        :returns: the answer, ``None`` if the prefix is not served, and whether the connection is a new one.
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
            status, body, sent, fresh = self._wire(member, call, prefix + call.rpc)
        if prefix_not_served(status, body):
            return None, fresh
        try:
            answer = read_answer(call.rpc, status, body)._replace(sent=sent)
        except UnreadableBody as e:
            secret = call.rpc.startswith('/auth/')  # there may be a token in it
            where = f'{member} answered {prefix + call.rpc} with status {status}'
            shown = '' if secret else repr(body[:80])
            raise refusal(where, plain_text(status, body), secret) or UnexpectedAnswer(
                f'{where} and a body that is not from etcd ({e}): {shown}'
            ) from None
        if answer.cut_off:
            # Patroni would take that for a verdict on the request, and a leader for the loss of its lock, or (before
            # 4.1.1) try the same member again until its time is over.
            raise MemberStopping(f'{member} gave up {prefix + call.rpc}: {answer.error}')
        if without_token and answer.status in (400, 401, 403):
            self._members.find_out(member, call.timeout, True)  # perhaps it is newer by now and does take one
        return answer, fresh

    def _wire(self, member: Member, call: Call, path: str) -> wire.Response:
        """Send the request; where no connection can be made it is tried as often as the call has it."""
        retries = call.kwargs.get('retries')
        left = retries if isinstance(retries, int) else 0
        while True:
            try:
                return self._wire_once(member, call, path)
            except (NewConnectionError, ConnectTimeoutError):
                left -= 1
                if left < 0 or not deadline.current().left():
                    raise

    def _wire_once(self, member: Member, call: Call, path: str) -> wire.Response:
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
            )  # somebody has replaced PoolManager.urlopen
        return response

    def _pool_of(self, url: str) -> urllib3.HTTPConnectionPool:
        pool = self._pools.get(url)
        if not pool:
            with self._lock:
                pool = self._pools[url] = self._pool.connection_from_url(url)
        return pool

    def clear(self) -> None:
        """Let go of the connections, which are the pool manager's."""
        with self._lock:
            self._pools.clear()

    def _open_stream(self, member: Member, prefix: str, call: Call) -> urllib3.BaseHTTPResponse:
        """Start a watch; its headers have to come in the time that a connection may take, what follows may take any."""
        connect, _ = wire.limits(call.timeout)
        with deadline.within(connect):  # for the lookup of the name
            response = self._pool.urlopen(
                call.method,
                member.url + prefix + call.rpc,
                **call.but(redirect=False, timeout=urllib3.Timeout(connect=connect, read=connect)).kwargs,
            )
        sock = getattr(getattr(response, 'connection', None), 'sock', None)
        if sock is not None:
            sock.settimeout(getattr(call.timeout, 'read_timeout', None))
        return response

    def _checked(self, member: Member, prefix: str, response: Any) -> Reply:
        """Have the stream end where it stops being one that Patroni can read.

        It has to stay the response that it is: Patroni goes through it to the socket.
        """
        read_chunked = response.read_chunked

        def checked(*args: object, **kwargs: object) -> Iterator[bytes]:
            heard = False
            try:
                for chunk in check_stream(read_chunked(*args, **kwargs), self._ends_canceled_watches):
                    if not heard:  # not before: a status alone is no sign of etcd
                        heard = True
                        member.answers(None, prefix)
                    yield chunk
            except UnreadableBody as e:
                raise UnexpectedAnswer(f'{member} sent something other than a watch: {e}') from None

        response.read_chunked = checked
        ret: Reply = response
        return ret
