"""One request and its answer over a connection of urllib3, within one time limit for the whole exchange.

The connections are those of urllib3, with its pools and TLS, and Patroni's socket options and name cache. What goes
over them is written and read here, for two reasons. urllib3 restarts the time-out for each piece that arrives, so it
never gives up on a member that sends a byte now and then. Here the limit is for the whole exchange. And a call to etcd
on loopback takes half a millisecond, to which urllib3's own code would add another quarter.
"""

from __future__ import annotations

import io
import logging
import socket
import ssl
import time
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any, Callable, Mapping, NamedTuple, TypeVar

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util import Timeout

from . import deadline

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from urllib3.connection import HTTPConnection as Connection

logger = logging.getLogger(__name__)

T = TypeVar('T')

#: Seconds for a request without a time-out.
_DEFAULT = 10.0


class Response(NamedTuple):
    """The answer to a request."""

    #: HTTP status
    status: int
    #: the whole body
    data: bytes
    #: when the request was sent, in seconds of the monotonic clock
    sent: float
    #: whether it went over a new connection
    fresh: bool


class Pace(NamedTuple):
    """How long a socket may wait."""

    #: the deadline of the whole exchange
    limit: deadline.Deadline
    #: seconds for each piece
    piece: float

    def left(self) -> float:
        """Return the seconds for the next piece.

        :raises:
            :exc:`socket.timeout`: if there are none left.
        """
        left = min(self.limit.left(), self.piece)
        if left <= 0:
            raise socket.timeout('timed out')
        return left


def limits(timeout: object) -> tuple[float, float]:
    """Parse a time-out of urllib3.

    :param timeout: seconds, or :class:`urllib3.util.Timeout`.

    :returns: the seconds for connecting, and those for connecting and the answer together.
    """

    def number(value: object) -> float | None:
        return float(value) if isinstance(value, (int, float)) else None  # urllib3 has markers for "no time-out", too

    if not isinstance(timeout, Timeout):
        whole = number(timeout) or _DEFAULT
        return whole, whole
    connect = number(timeout.connect_timeout)
    whole = number(timeout.total) or number(timeout.read_timeout) or connect or _DEFAULT
    return min(connect or whole, whole), whole


def request(
    pool: urllib3.HTTPConnectionPool,
    method: str,
    path: str,
    body: str | bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: object = None,
    connect: bool = True,
) -> Response | None:
    """Send a request, and read its answer.

    :param pool: the pool to take a connection from; the connection is returned to it.
    :param method: HTTP method.
    :param path: path of the request.
    :param body: text or bytes.
    :param headers: headers.
    :param timeout: seconds, or :class:`urllib3.util.Timeout`. The deadline of the call (see :mod:`.deadline`) applies
                    as well.
    :param connect: open a connection if none is open.

    :returns: the answer, or ``None`` if no connection is open and *connect* is false.

    :raises:
        :exc:`urllib3.exceptions.ClosedPoolError`: another thread has just cleared the pool manager.
        :exc:`urllib3.exceptions.NewConnectionError`, :exc:`urllib3.exceptions.ConnectTimeoutError`,
        :exc:`urllib3.exceptions.SSLError`: nothing was sent.
        :exc:`urllib3.exceptions.ReadTimeoutError`, :exc:`urllib3.exceptions.ProtocolError`: the request may have been
        executed.
    """
    seconds, piece = limits(timeout)
    with deadline.within(2 * piece) as limit:
        # It checks whether the other side has closed it.
        connection: Connection = pool._get_conn()  # type: ignore[assignment]
        fresh = getattr(connection, 'sock', None) is None
        done = fresh and not connect
        try:
            if done:
                return None
            if fresh:
                open_connection(pool, connection, seconds)
            sent = time.monotonic()
            status, data = _exchange(pool, connection, method, path, body, headers or {}, Pace(limit, piece))
            done = True
        finally:
            if not done:
                connection.close()
            pool._put_conn(connection)
    logger.debug(
        '%s://%s:%s "%s %s HTTP/1.1" %s %s', pool.scheme, pool.host, pool.port, method, path, status, len(data)
    )
    return Response(status, data, sent, fresh)


class _Timed:
    """Adds the argument ``timed`` to a connection pool, so that pool managers can send such requests."""

    def urlopen(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Any = None,
        *args: Any,
        timed: bool = False,
        **kwargs: Any,
    ) -> Any:
        """See :meth:`urllib3.HTTPConnectionPool.urlopen`, or with *timed* :func:`request`."""
        if timed:
            return request(self, method, url, body, headers, kwargs.get('timeout'))  # type: ignore[arg-type]
        return super().urlopen(method, url, body, headers, *args, **kwargs)  # type: ignore[misc]


class _HTTPPool(_Timed, urllib3.HTTPConnectionPool):
    pass


class _HTTPSPool(_Timed, urllib3.HTTPSConnectionPool):
    pass


#: For :attr:`urllib3.PoolManager.pool_classes_by_scheme`.
POOL_CLASSES = {'http': _HTTPPool, 'https': _HTTPSPool}


def persistently(retries: object, send: Callable[[], T]) -> T:
    """Do something that connects, once more if no connection could be made: nothing was sent then.

    :param retries: how often, as the argument of urllib3; anything but a number means never.
    :param send: what to do. It is not done again when the deadline is over.
    """
    left = retries if isinstance(retries, int) else 0
    while True:
        try:
            return send()
        except (NewConnectionError, ConnectTimeoutError):
            left -= 1
            if left < 0 or not deadline.current().left():
                raise


def open_connection(pool: urllib3.HTTPConnectionPool, connection: Connection, seconds: float) -> None:
    """Connect, TLS included.

    :param pool: the pool that made the connection.
    :param connection: a connection that is not open.
    :param seconds: how long that may take; the deadline of the call applies as well.

    :raises:
        :exc:`urllib3.exceptions.HTTPError`: as :func:`request`; nothing was sent.
    """
    with deadline.within(seconds) as limit:
        connection.timeout = max(limit.left(), 0.001)  # 0 would mean: do not block
        try:
            pool._validate_conn(connection)  # connects for TLS, and warns if the other side is not verified
            if connection.sock is None:
                connection.connect()
        except HTTPError:
            raise
        except socket.timeout as e:  # in the handshake; not retried, like in urllib3
            raise ReadTimeoutError(pool, '', 'TLS handshake timed out.') from e
        except (ssl.SSLError, ValueError) as e:  # urllib3 1.26 has its own CertificateError, a ValueError
            raise SSLError(e) from e
        except OSError as e:
            raise ProtocolError('Connection aborted.', e) from e


def _exchange(
    pool: urllib3.HTTPConnectionPool,
    connection: Connection,
    method: str,
    path: str,
    body: str | bytes | None,
    headers: Mapping[str, str],
    pace: Pace,
) -> tuple[int, bytes]:
    data = body.encode() if isinstance(body, str) else body
    parts: list[bytes] = []

    def reader(sock: socket.socket, *args: Any, **kwargs: Any) -> HTTPResponse:
        return HTTPResponse(_Incoming(sock, pace), *args, **kwargs)  # type: ignore[arg-type]

    # http.client sends head and body separately; together they are one packet.
    connection.send = parts.append  # type: ignore[assignment, method-assign]
    connection.response_class = reader  # type: ignore[assignment]
    try:
        HTTPConnection.request(connection, method, path, data, headers)
        connection.sock.settimeout(pace.left())
        connection.sock.sendall(b''.join(parts))
        with HTTPConnection.getresponse(connection) as response:
            return response.status, response.read()
    except socket.timeout as e:
        raise ReadTimeoutError(pool, path, 'Read timed out.') from e
    except (OSError, HTTPException) as e:
        raise ProtocolError('Connection aborted.', e) from e
    finally:
        del connection.send, connection.response_class


class _Incoming(io.RawIOBase):
    """The bytes that arrive over a socket while there is time. :class:`HTTPResponse` uses it as its socket."""

    def __init__(self, sock: socket.socket, pace: Pace) -> None:
        self._sock = sock
        self._pace = pace
        self._file = sock.makefile('rb', buffering=0)  # keeps the socket open when http.client closes it

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return the file that :class:`HTTPResponse` reads."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """See :class:`io.RawIOBase`."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        """See :class:`io.RawIOBase`.

        :raises:
            :exc:`socket.timeout`: if there is no time left.
        """
        self._sock.settimeout(self._pace.left())
        return self._file.readinto(buffer)

    def close(self) -> None:
        """See :class:`io.RawIOBase`."""
        self._file.close()
        super().close()
