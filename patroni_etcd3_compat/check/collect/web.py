"""HTTP requests that are sent once: no retry, no redirect, no waiting at a server's wish; and what errors mean."""

from __future__ import annotations

import re
import time
from email.utils import parsedate_to_datetime
from typing import Any, Mapping, Protocol

import urllib3
from urllib3.exceptions import (
    HTTPError,
    InsecureRequestWarning,
    NewConnectionError,
    ProtocolError,
    SSLError,
    TimeoutError,
)
from urllib3.util import Timeout

#: Bytes of the longest answer that is read; that of a large etcd has less than a tenth of it.
_LONGEST = 16 * 1024 * 1024
_PIECE = 64 * 1024

_USER_AGENT = 'patroni-etcd3-compat check'


class Unanswered(Exception):
    """There was no answer to a request.

    :param text: why.
    :param error: what came out of urllib3, ``None`` if the time was over before anything was sent.
    """

    def __init__(self, text: str, error: BaseException | None = None) -> None:
        super().__init__(text)
        self.error = error

    @property
    def in_time_out(self) -> bool:
        """Whether nobody answered in time, or nobody was there."""
        error = getattr(self.error, 'reason', None) or self.error  # of a MaxRetryError
        return isinstance(error, (NewConnectionError, TimeoutError)) or str(self).startswith('no answer within')


class Web:
    """Sends requests.

    :param options: arguments of :class:`urllib3.PoolManager`, such as certificates.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        # With urllib3 1.26 Patroni does not verify certificates unless cacert is set, and would warn each time.
        urllib3.disable_warnings(InsecureRequestWarning)
        self._pool = urllib3.PoolManager(num_pools=100, **options)

    def ask(
        self, method: str, url: str, clock: Clock, body: bytes | None = None, token: str | None = None
    ) -> tuple[int, bytes]:
        """Send one request.

        :param method: HTTP method.
        :param url: where to.
        :param clock: the time that is left.
        :param body: what to send.
        :param token: value of the authorization header.

        :returns: status and body.

        :raises:
            :exc:`Unanswered`: if there is no answer.
        """
        headers = {'User-Agent': _USER_AGENT}
        if token:
            headers['authorization'] = token
        sent = time.time()
        try:
            response = self._pool.urlopen(
                method,
                url,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                timeout=Timeout(total=clock.left()),
                preload_content=False,
            )
            clock.ahead = ahead(response.headers.get('date'), sent, time.time())
            return response.status, read_body(response, clock)
        except (HTTPError, OSError, ValueError) as e:  # ValueError: a malformed URL
            raise Unanswered(reason(e, clock.timeout), e) from None

    def close(self) -> None:
        """Close all connections."""
        self._pool.clear()


class Body(Protocol):
    """An answer that is being read."""

    def read(self, amt: int) -> bytes:
        """Return so many bytes, less at the end."""

    def close(self) -> None:
        """Close the connection."""


def read_body(response: Body, clock: Clock) -> bytes:
    """Return the whole body of an answer, however slowly it comes, as long as there is time.

    :param response: the answer.
    :param clock: the time that is left.

    :raises:
        :exc:`Unanswered`: if it takes too long, or does not end.
    """
    # With urllib3 1.26 the time is up only after a whole piece.
    read = getattr(response, 'read1', response.read)
    body = bytearray()
    try:
        while True:
            clock.left()
            piece = read(_PIECE)
            body += piece
            if len(body) > _LONGEST:
                raise Unanswered(f'the answer is longer than {_LONGEST // 1024**2} MB')
            if not piece:
                return bytes(body)
    except BaseException:
        response.close()
        raise


class Clock:
    """The time that a member has for all its answers.

    :param timeout: seconds from now on.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        #: seconds that the server's clock is ahead of that of this host, by its last answer; ``None``: unknown
        self.ahead: float | None = None
        self._end = time.monotonic() + timeout

    def left(self) -> float:
        """Return the seconds that are left.

        :raises:
            :exc:`Unanswered`: if none are.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise Unanswered(f'no answer within {self.timeout:g} s')
        return left


def ahead(date: str | None, sent: float, received: float) -> float | None:
    """Return the seconds that a server's clock is at least ahead of that of this host, negative if it is behind.

    :param date: its ``Date`` header, which has whole seconds.
    :param sent: when the request was sent, in seconds since 1970.
    :param received: when the answer came.
    """
    try:
        server = parsedate_to_datetime(date or '').timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return round(max(server - received, 0) or min(server + 1 - sent, 0), 1)


def reason(error: BaseException, timeout: float) -> str:
    """Return in words why there was no answer. The text names no URL, and nothing of what was sent.

    :param error: what urllib3 raised.
    :param timeout: seconds that there were.
    """
    error = getattr(error, 'reason', None) or error  # of a MaxRetryError
    if isinstance(error, NewConnectionError):
        cause = error.__cause__ or error.__context__
        return f'cannot connect: {getattr(cause, "strerror", None) or type(cause or error).__name__}'
    if isinstance(error, TimeoutError) or 'timed out' in str(error):
        return f'no answer within {timeout:g} s'
    if isinstance(error, SSLError):
        return f'TLS: {_plain(error.args[0] if error.args else error)}'
    if isinstance(error, ProtocolError):
        cause = error.args[1] if len(error.args) > 1 else error
        return f'the connection was closed without an answer ({type(cause).__name__})'
    return f'no answer ({type(error).__name__})'


def _plain(error: object) -> str:
    """Return what OpenSSL says, without the places in its source and Python's."""
    return re.sub(r'^\[[^]]*\] | \(_ssl\.c:\d+\)$', '', str(getattr(error, 'strerror', None) or error))
