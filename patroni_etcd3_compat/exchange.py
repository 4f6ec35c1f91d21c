"""A request and its answer on a connection that urllib3 has open already, with what is in Python's ``http.client``.

A call to etcd on loopback takes half a millisecond, and urllib3's way around it another quarter: URL and pool key
parsed, retries counted, a response object with all that it can do. None of that is needed to send a POST over an open
connection and read a short answer. What is not that simple (connecting, TLS, broken connections) stays with urllib3.
"""
import socket

from http.client import HTTPConnection, HTTPException
from typing import Any, Dict, List, NamedTuple, Optional

import urllib3

from urllib3.exceptions import ClosedPoolError, ProtocolError, ReadTimeoutError
from urllib3.util import Timeout


class Response(NamedTuple):
    """What came back."""

    #: HTTP status
    status: int
    #: the whole body
    data: bytes


def exchange(pool: urllib3.HTTPConnectionPool, method: str, path: str, body: Any = None,
             headers: Optional[Dict[str, str]] = None, timeout: Any = None, **kwargs: Any) -> Optional[Response]:
    """Send a request over an idle connection.

    :param pool: the pool whose connection to use; it gets it back.
    :param method: HTTP method.
    :param path: path of the request.
    :param body: text or bytes.
    :param headers: headers.
    :param timeout: :class:`urllib3.util.Timeout`; nothing else is dealt with here.
    :param kwargs: further arguments of :meth:`urllib3.PoolManager.urlopen`, which play no part here.

    :returns: the answer, or ``None`` if this is not the way and nothing was sent.

    :raises:
        :exc:`urllib3.exceptions.ReadTimeoutError`, :exc:`urllib3.exceptions.ProtocolError`: as urllib3 for a POST,
            which it never repeats either once it was sent.
    """
    if not isinstance(timeout, Timeout) or pool.proxy:
        return None
    try:
        connection: Any = pool._get_conn()  # looks whether the other side has closed it
    except ClosedPoolError:  # another thread has just cleared the pool manager
        return None
    if getattr(connection, 'sock', None) is None:
        pool._put_conn(connection)
        return None

    done = False
    clock = timeout.clone()
    clock.start_connect()
    limit = clock.read_timeout
    try:
        connection.sock.settimeout(limit)
        data = body.encode() if isinstance(body, str) else body
        parts: List[bytes] = []
        connection.send = parts.append  # http.client sends head and body each by itself; together they are one packet
        try:
            HTTPConnection.request(connection, method, path, data, headers or {})
        finally:
            del connection.send
        connection.sock.sendall(b''.join(parts))
        with HTTPConnection.getresponse(connection) as response:
            ret = Response(response.status, response.read())
        done = True
    except socket.timeout as e:
        raise ReadTimeoutError(pool, path, 'Read timed out. (read timeout={0})'.format(limit)) from e
    except (OSError, HTTPException) as e:
        raise ProtocolError('Connection aborted.', e) from e
    finally:
        if not done:
            connection.close()
        pool._put_conn(connection)
    return ret
