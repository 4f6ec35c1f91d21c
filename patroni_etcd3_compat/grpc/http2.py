"""One HTTP/2 connection to an etcd member, framed by h2, one call at a time.

The connection itself is urllib3's: its TLS, and Patroni's socket options and name cache. Each call takes a connection
for itself, as over HTTP/1.1, so nothing is shared between threads and each wait belongs to the call that waits.
"""

from __future__ import annotations

import logging
import socket
import ssl
from http.client import RemoteDisconnected
from typing import TYPE_CHECKING, Any, Iterable

import urllib3
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, Event, StreamReset
from h2.settings import SettingCodes, Settings
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError
from urllib3.util import ssl_

from .. import wire
from ..errors import NoHttp2

if TYPE_CHECKING:
    from urllib3.connection import HTTPConnection

    from .stream import Stream

# Its debug lines hold whole blocks of headers, and with them the token.
logging.getLogger('hpack').setLevel(logging.WARNING)

#: Bytes that the member may send before we have read them.
_WINDOW = 1 << 20

#: Streams after which a connection is replaced; their numbers would last for 2**30.
_LAST_STREAM = 1 << 29

#: How many bytes tell HTTP/2 from something else.
_ENOUGH = 5

_REFUSED = 7  # REFUSED_STREAM, RFC 9113, 7

#: How many pieces an idle connection may have received. It is replaced if there are more.
_IDLE_PIECES = 16


class Unprocessed(Exception):
    """The member says that it has not looked at the call, which may go out again on a new connection."""


class _Framing(H2Connection):
    #: The library remembers 65536 streams that are over, and one call follows the other here.
    MAX_CLOSED_STREAMS = 16

    def _receive_goaway_frame(self, frame: Any) -> Any:
        # The library takes it for the end of everything, and every further frame for an error. But a member that stops
        # gracefully still answers the calls that it has begun with.
        state = self.state_machine.state
        ret = super()._receive_goaway_frame(frame)
        self.state_machine.state = state
        return ret


class Connection:
    """An open connection.

    :param pool: the pool of urllib3 that makes the connection. It never gets it back.
    :param seconds: for connecting, TLS included.

    :raises:
        :exc:`urllib3.exceptions.HTTPError`: nothing was sent, see :func:`.wire.open_connection`.
        :exc:`NoHttp2`: the server does not agree to HTTP/2 during the TLS handshake.
    """

    def __init__(self, pool: urllib3.HTTPConnectionPool, seconds: float) -> None:
        self.pool = pool
        connection: HTTPConnection = pool._new_conn()  # type: ignore[assignment]
        #: the connection of urllib3
        self.http = connection
        if pool.scheme == 'https':
            connection.ssl_context = _tls(connection)  # type: ignore[attr-defined]
        try:
            wire.open_connection(pool, connection, seconds)
            if pool.scheme == 'https' and _agreed(connection.sock) != 'h2':
                raise NoHttp2(f'https://{pool.host}:{pool.port} does not speak HTTP/2, so no gRPC')
        except BaseException:
            connection.close()
            raise
        self._h2 = _Framing(
            H2Configuration(
                header_encoding='utf-8',
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=False,
            )
        )
        self._h2.local_settings = Settings(
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW,
                SettingCodes.MAX_HEADER_LIST_SIZE: 1 << 16,
            }
        )
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_WINDOW)
        self._closing = False
        #: what has arrived first, until it is clear that it is HTTP/2
        self._beginning: bytes | None = b''

    def close(self) -> None:
        """Close it; a call that is under way is given up."""
        self._closing = True
        self.http.close()

    def is_usable(self) -> bool:
        """Return whether another call may go out on it, after reading what the member has sent meanwhile."""
        try:
            self.http.sock.settimeout(0)
            for _ in range(_IDLE_PIECES):
                self._receive(None)
                if self._closing:
                    return False
        except (BlockingIOError, ssl.SSLWantReadError, socket.timeout):
            return not self._closing and self._has_room()
        except Exception:  # closed, also by another thread; pyOpenSSL has errors of its own
            pass
        return False

    def _has_room(self) -> bool:
        """Return whether the member permits another call."""
        permitted = self._h2.remote_settings.max_concurrent_streams
        return permitted > self._h2.open_outbound_streams and self._h2.highest_outbound_stream_id < _LAST_STREAM

    def open(self, stream: Stream, headers: Iterable[tuple[str, str]], message: bytes, end: bool) -> None:
        """Send the beginning of a call.

        :param stream: what arrives is given to it.
        :param headers: the headers, in lower case.
        :param message: the framed message.
        :param end: no other message follows.

        :raises:
            :exc:`Unprocessed`: the member wants no further call on this connection.
            :exc:`urllib3.exceptions.ReadTimeoutError`, :exc:`urllib3.exceptions.ProtocolError`: the call may have been
                executed.
        """
        with _Errors(self, stream):
            stream.number = self._h2.get_next_available_stream_id()
            self._h2.send_headers(stream.number, headers)
            rest = memoryview(message)
            while True:
                window = self._h2.local_flow_control_window(stream.number)  # below 0 if the member has made it smaller
                room = min(window, self._h2.max_outbound_frame_size, len(rest))
                if room > 0:
                    self._h2.send_data(stream.number, rest[:room].tobytes(), end_stream=end and room == len(rest))
                    rest = rest[room:]
                if not rest:
                    break
                if room <= 0:  # until the member has made room
                    self._flush(stream)
                    if not stream.over:
                        self._receive(stream)
                    if stream.over:  # answered unread; the stream stays open on this side
                        self._closing = True
                        return
            self._flush(stream)

    def read(self, stream: Stream) -> None:
        """Wait for more of a call, and give it to the stream.

        :raises:
            as :meth:`open`.
        """
        with _Errors(self, stream):
            self._receive(stream)
            if not stream.over:  # what is left goes out with the next call: it cannot make this one fail any more
                self._flush(stream)

    def _flush(self, stream: Stream) -> None:
        data = self._h2.data_to_send()
        if data:
            self.http.sock.settimeout(stream.patience())
            try:
                self.http.sock.sendall(data)
            except OSError as e:
                if isinstance(e, socket.timeout):
                    raise
                self._receive(stream)  # a member that hangs up may have said why: an answer, GOAWAY, an alert of TLS
                if not stream.over:
                    raise
                self._closing = True

    def _receive(self, stream: Stream | None) -> None:
        sock = self.http.sock
        if stream:
            sock.settimeout(stream.patience())
        data = sock.recv(1 << 16)
        if not data:
            raise RemoteDisconnected('Remote end closed connection without response')
        if self._beginning is not None:
            data = self._beginning + data
            self._beginning = data if len(data) < _ENOUGH else None
            if self._beginning:
                return
            _check_beginning(data, f'{self.pool.scheme}://{self.pool.host}:{self.pool.port}')
        for event in self._h2.receive_data(data):
            self._handle(event, stream)

    def _handle(self, event: Event, stream: Stream | None) -> None:
        if isinstance(event, ConnectionTerminated):
            self._closing = True
            last = event.last_stream_id
            if stream and last is not None and stream.number > last:
                _give_up(stream, f'GOAWAY, the last stream is {last}', True)
        elif stream and getattr(event, 'stream_id', None) == stream.number:
            if isinstance(event, StreamReset):
                code = event.error_code
                _give_up(stream, f'the member reset the stream (HTTP/2 error {code})', code == _REFUSED)
                return
            taken = stream.take(event)
            if taken:
                self._h2.acknowledge_received_data(taken, stream.number)

    @property
    def ended(self) -> bool:
        """Whether the member has announced that it closes the connection."""
        return self._closing


class _Errors:
    """Turns what may go wrong on a connection into the errors that urllib3 has for it, and closes the connection."""

    def __init__(self, connection: Connection, stream: Stream) -> None:
        self._connection = connection
        self._stream = stream

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        self._connection.close()
        if isinstance(error, (socket.timeout, ssl.SSLWantReadError)):
            raise ReadTimeoutError(self._connection.pool, self._stream.path, 'Read timed out.') from error
        # Any other error, too: a socket that another thread has closed is None, and pyOpenSSL has errors of its own.
        if isinstance(error, Exception) and not isinstance(error, (HTTPError, Unprocessed)):
            raise ProtocolError('Connection aborted.', error) from error


def _give_up(stream: Stream, reason: str, unprocessed: bool) -> None:
    """Raise an error for a call that the member ends, unless its answer is complete.

    :param unprocessed: the member says that it has not looked at it, which is not so if it has begun to answer.
    """
    if not stream.over:
        raise Unprocessed(reason) if unprocessed and not stream.begun else RemoteDisconnected(reason)


def _check_beginning(data: bytes, url: str) -> None:
    if data.startswith(b'HTTP/'):
        raise NoHttp2(f'{url} speaks HTTP/1.1, not gRPC')
    if data[0] in (0x15, 0x16) and data[1:2] == b'\x03':
        raise NoHttp2(f'{url} speaks TLS, use https')


def _agreed(sock: Any) -> str | None:
    """Return the protocol to which the server has agreed during the TLS handshake."""
    if hasattr(sock, 'selected_alpn_protocol'):
        agreed: str | None = sock.selected_alpn_protocol()
        return agreed
    return str(sock.connection.get_alpn_proto_negotiated(), 'ascii')  # pyOpenSSL, as urllib3 1.26 wraps it


def _tls(connection: Any) -> ssl.SSLContext:
    """Make the context that urllib3 would make, except that it asks for HTTP/2."""
    context = ssl_.create_urllib3_context(
        ssl_version=ssl_.resolve_ssl_version(getattr(connection, 'ssl_version', None)),
        cert_reqs=ssl_.resolve_cert_reqs(connection.cert_reqs),
    )
    named = (getattr(connection, name, None) for name in ('ca_certs', 'ca_cert_dir', 'ca_cert_data'))
    if not any(named) and hasattr(context, 'load_default_certs'):
        context.load_default_certs()
    context.set_alpn_protocols(['h2'])
    context.set_alpn_protocols = lambda _: None  # type: ignore[assignment, method-assign]  # urllib3 sets HTTP/1.1 afterwards
    return context
