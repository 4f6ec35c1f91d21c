"""A transport: calls over gRPC, beside the gateway. Independent of Patroni.

Takes the call that Patroni makes at the gateway, and answers as the gateway would have.
"""

from __future__ import annotations

import json
import time
from functools import lru_cache
from threading import Lock

import urllib3
from hpack import NeverIndexedHeaderTuple
from urllib3.exceptions import ProtocolError, ReadTimeoutError
from urllib3.util import Timeout, parse_url

from .. import deadline, wire
from ..answers import Answer, UnreadableBody, granted, refused
from ..errors import MemberStopping, UnexpectedAnswer
from ..member import Member
from ..members import Members
from ..senders import Call, Reply
from .api import METHODS, Method
from .codec import CodecError, decode, encode
from .http2 import Connection, Unprocessed
from .stream import Status, Stream, framed
from .watching import WatchResponse

#: Idle connections that are kept for each member, as many as python-etcd has urllib3 keep.
_IDLE = 10

#: How often a call is sent that the member has refused unseen.
_TRIES = 3

_DEADLINE_EXCEEDED, _UNIMPLEMENTED, _INVALID = 4, 12, 3


class Grpc:
    """The transport over gRPC; safe to use from several threads.

    :param pool: the pool manager whose connections are used.
    :param members: the members.
    :param ends_canceled_watches: see :class:`.Gateway`.
    """

    def __init__(self, pool: urllib3.PoolManager, members: Members, ends_canceled_watches: bool = False) -> None:
        self._pool = pool
        self._members = members
        self._ends_canceled_watches = ends_canceled_watches
        self._idle: dict[str, list[Connection]] = {}
        #: grows with each :meth:`clear`, so that busy connections are not kept afterwards
        self._cleared = 0
        self._lock = Lock()
        members.by_grpc = self.version

    def serves(self, member: Member) -> bool:
        """Return whether calls to a member go over gRPC."""
        return member.over_grpc

    def clear(self) -> None:
        """Close all idle connections."""
        with self._lock:
            self._cleared += 1
            idle, self._idle = self._idle, {}
        for connection in (connection for connections in idle.values() for connection in connections):
            connection.close()

    def send(self, member: Member, call: Call) -> Reply:
        """Send a call, see :class:`~.senders.Transport`.

        What a member says that it has not looked at goes out once more on a new connection. Nothing else is repeated
        here.
        """
        if call.rpc == '/watch':
            return self._watch(member, call)
        answer, fresh = self.exchange(member, call)
        if answer.cut_off:
            raise MemberStopping(f'{member} gave up {call.rpc}: {answer.error}')
        member.answers(answer.member_id)
        member.serves_grpc()
        if fresh:
            self._members.find_out(member, call.timeout, False)
        return answer

    def exchange(self, member: Member, call: Call) -> tuple[Answer, bool]:
        """Make a call that has one answer, and note nothing about the member.

        :returns: the answer, and whether it came over a new connection.

        :raises: as :meth:`send`.
        """
        method = METHODS.get(call.rpc)
        if not method:
            return refused(501, _UNIMPLEMENTED, f'{call.rpc} is not known here'), False
        try:
            message = framed(encode(method.request, _request(call)))
        except (CodecError, ValueError, RecursionError) as e:
            return refused(400, _INVALID, f'{call.rpc} cannot be sent: {e}'), False
        headers = _headers(member, method, call)
        status, answered, sent, fresh = self._exchange(member, method, call, headers, message)
        return _answer(member, method, call, status, answered)._replace(sent=sent), fresh

    def version(self, member: Member, timeout: object) -> str | None:
        """Ask a member for its version, for :attr:`.Members.by_grpc`.

        :returns: ``None`` if it does not tell, as with authentication.
        """
        rpc = '/maintenance/status'
        call = Call('POST', rpc, {'timeout': timeout})
        method = METHODS[rpc]
        status, answered, _, _ = self._exchange(member, method, call, _headers(member, method, call), framed(b''))
        try:
            return decode(method.response, answered).get('version') if answered and not status.code else None
        except CodecError as e:
            raise UnexpectedAnswer(f'{member} answered {rpc} with something else: {e}') from None

    def _exchange(
        self, member: Member, method: Method, call: Call, headers: list[tuple[str, str]], message: bytes
    ) -> tuple[Status, bytes | None, float, bool]:
        """Make a call with one message each way.

        :returns: its status, the message, when it was sent (monotonic clock), and whether over a new connection.
        """
        connect, piece = wire.limits(call.timeout)
        with deadline.within(2 * piece) as limit:
            pace = wire.Pace(limit, piece)
            for left in reversed(range(_TRIES)):
                cleared = self._cleared
                again = left < _TRIES - 1
                connection, fresh = self._take(member, call, connect, again)
                stream, done = Stream(method.path, str(member), pace.left), False
                sent = time.monotonic()
                try:
                    connection.open(stream, headers, message, end=True)
                    while not stream.over:
                        connection.read(stream)
                    done = True
                except Unprocessed as e:
                    if not left:
                        raise ProtocolError('Connection aborted.', e) from None
                    continue
                finally:
                    self._give_back(member, connection, cleared, done)
                if not stream.status:  # never: a stream that is over has one
                    break
                if stream.status.code == _DEADLINE_EXCEEDED and not limit.left():
                    raise ReadTimeoutError(connection.pool, method.path, 'Read timed out.')
                return stream.status, stream.messages[0] if stream.messages else None, sent, fresh
        raise UnexpectedAnswer(f'{member} did not answer {call.rpc}')

    def _watch(self, member: Member, call: Call) -> Reply:
        """Start a watch; its headers have to arrive within the connect time-out, the rest has no limit."""
        method = METHODS[call.rpc]
        try:
            message = framed(encode(method.request, _request(call)))
        except (CodecError, ValueError, RecursionError) as e:
            return refused(400, _INVALID, f'{call.rpc} cannot be sent: {e}')
        headers = _headers(member, method, call)
        connect, _ = wire.limits(call.timeout)
        with deadline.within(connect) as limit:
            connection = self._open(member, call, connect)
            pace = wire.Pace(limit, connect)
            stream = Stream(method.path, str(member), pace.left, many=True)
            try:
                connection.open(stream, headers, message, end=False)
                while not stream.begun:
                    connection.read(stream)
            except BaseException as e:
                connection.close()
                if isinstance(e, Unprocessed):
                    raise ProtocolError('Connection aborted.', e) from None
                raise
        if stream.over and stream.status and stream.status.code and not stream.messages:
            connection.close()
            return refused(stream.status.http, stream.status.code, stream.status.text)

        def heard() -> None:
            member.answers(None)
            member.serves_grpc()

        piece = call.timeout.read_timeout if isinstance(call.timeout, Timeout) else None
        stream.patience = lambda: piece if isinstance(piece, (int, float)) else None
        return WatchResponse(connection, stream, str(member), self._ends_canceled_watches, heard)

    def _take(self, member: Member, call: Call, seconds: float, new: bool) -> tuple[Connection, bool]:
        while True:
            with self._lock:
                idle = None if new else self._idle.get(member.url)
                connection = idle.pop() if idle else None
            if not connection:
                return self._open(member, call, seconds), True
            if connection.is_usable():
                return connection, False
            connection.close()

    def _open(self, member: Member, call: Call, seconds: float) -> Connection:
        pool = self._pool.connection_from_url(member.url)
        return wire.persistently(call.kwargs.get('retries'), lambda: Connection(pool, seconds))

    def _give_back(self, member: Member, connection: Connection, cleared: int, done: bool) -> None:
        with self._lock:
            idle = self._idle.setdefault(member.url, [])
            if done and not connection.ended and cleared == self._cleared and len(idle) < _IDLE:
                idle.append(connection)
                return
        connection.close()


def _request(call: Call) -> object:
    body = call.kwargs.get('body')
    return json.loads(body) if body else {}


@lru_cache(maxsize=64)
def _fixed_headers(url: str, path: str, agent: str) -> tuple[tuple[str, str], ...]:
    parsed = parse_url(url)
    return (
        (':method', 'POST'),
        (':scheme', parsed.scheme or 'http'),
        (':authority', parsed.netloc or ''),
        (':path', path),
        ('te', 'trailers'),
        ('content-type', 'application/grpc'),
        ('user-agent', agent),
    )


def _headers(member: Member, method: Method, call: Call) -> list[tuple[str, str]]:
    given = {name.lower(): value for name, value in call.headers.items()}
    # A second more than the call may take, so that it is always the caller that gives up first. In whole seconds, since
    # both sides keep headers that repeat.
    seconds = int(min(2 * wire.limits(call.timeout)[1], deadline.current().left())) + 2
    headers = list(_fixed_headers(member.url, method.path, given.get('user-agent', 'patroni-etcd3-compat')))
    if call.rpc != '/watch':
        headers.append(('grpc-timeout', f'{seconds}S'))
    if 'authorization' in given:
        headers.append(NeverIndexedHeaderTuple('token', given['authorization']))  # type: ignore[arg-type]
    return headers


def _answer(member: Member, method: Method, call: Call, status: Status, answered: bytes | None) -> Answer:
    if status.code:
        return refused(status.http, status.code, status.text)
    try:
        if answered is None:
            raise UnreadableBody('no message')
        document = decode(method.response, answered)
        if method.stream:
            document = {'result': document}
        return granted(call.rpc, 200, document, json.dumps(document).encode())
    except (CodecError, UnreadableBody) as e:
        raise UnexpectedAnswer(f'{member} answered {call.rpc} with something that is not from etcd: {e}') from None
