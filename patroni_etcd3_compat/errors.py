"""Errors of an etcd member, and of a request."""

from __future__ import annotations

from http.client import BadStatusLine, HTTPException

from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError, SSLError


class MemberError(HTTPError):
    """This member cannot serve the request. Another may: Patroni's client tries the next one after an HTTPError."""

    def __init__(self, text: str) -> None:
        super().__init__(text)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self})'


class GatewayOff(MemberError):
    """The member answers 404 under every prefix although it is alive."""

    def __init__(self, member: str) -> None:
        super().__init__(f'{member} answers 404 under every prefix; its gRPC gateway is off')


class MemberTooOld(MemberError):
    """The member is older than any release that Patroni can use."""


class MemberStopping(MemberError):
    """The member cancelled the request because it is shutting down."""


class NoGrpc(MemberError):
    """The server does not speak gRPC."""


class NoHttp2(NoGrpc):
    """The server does not even speak HTTP/2, so the request cannot have been read."""


class NoGateway(MemberError):
    """The server speaks HTTP/2 alone, so the request cannot have been read."""


class UnexpectedAnswer(MemberError):
    """The answer does not come from etcd's gateway."""


class TakesNoToken(MemberError):
    """Authentication is on, and the member's gateway cannot pass a token on."""


class OutOfTime(MemberError):
    """The call has no time left, so the request was not sent."""


class LoginPending(MemberError):
    """The token was refused, and another thread did not get a new one in time."""


class Refusal(MemberError):
    """The member refuses requests like this one, with a human-readable text."""

    #: the remedy
    remedy: str | None = None


class CommonNameRefused(Refusal):
    """etcd's gateway accepts no client certificate with a CommonName when authentication is on (Patroni #3071)."""

    remedy = (
        "etcd's gateway refuses client certificates that have a CommonName while authentication is on. Use a "
        'certificate without a CommonName (its names as subject alternative names) for "cert" and "key", with '
        '"username" and "password" if etcd wants them'
    )


class HostRefused(Refusal):
    """The host name in the URL is not on etcd's list of permitted ones (CVE-2018-5702, etcd #16667)."""

    remedy = (
        'etcd does not permit the host name of this URL. Add it to --host-whitelist ("host-whitelist" in the '
        'configuration file) of that member, or use one that is listed there'
    )


#: The beginning or a part of such a text, and the error that it stands for.
_REFUSALS: tuple[tuple[str, type[Refusal]], ...] = (
    ('CommonName of client', CommonNameRefused),
    ('Host header was unrecognized', HostRefused),
)


def refusal(where: str, text: str | None, secret: bool) -> Refusal | None:
    """Return the error that a plain text stands for, ``None`` if it stands for none.

    :param where: what was asked of whom.
    :param text: the text, if there is one.
    :param secret: the answer may hold a token, so an unknown text must not be shown.
    """
    kind = next((kind for sign, kind in _REFUSALS if sign in (text or '')), None if secret else Refusal)
    return kind(f'{where}: {text}') if text and kind else None


#: Errors of a request that nobody has read, or that was not sent.
_UNREAD = (GatewayOff, NoGateway, NoHttp2, MemberTooOld, TakesNoToken, LoginPending, OutOfTime)


class NestedTransaction(Exception):
    """A transaction inside a transaction was about to be sent, see :meth:`Router.urlopen`."""


def _cause(error: BaseException) -> BaseException:
    """Return the error that urllib3 reports as an aborted connection, the error itself if it is another."""
    cause: BaseException = error.args[1] if isinstance(error, ProtocolError) and len(error.args) > 1 else error
    return cause


def no_http(error: BaseException, url: str) -> str | None:
    """Tell a URL that does not speak HTTP, or not with this scheme, from an unreachable member.

    A port for gRPC alone (etcd's ``listen-client-http-urls`` splits it off) sends HTTP/2 frames or hangs up.

    :param error: the error of a request.
    :param url: where it went.

    :returns: what is wrong with the URL, or ``None`` if that is unknown.
    """
    error = getattr(error, 'reason', None) or error  # of a MaxRetryError
    if isinstance(error, SSLError):
        return f'no TLS there: {error}'
    if isinstance(error, UnexpectedAnswer):
        return str(error)
    cause = _cause(error)
    if isinstance(cause, (HTTPException, ConnectionResetError)):
        guess = 'a port without TLS' if url.startswith('https:') else 'a port for gRPC alone'
        return f'no HTTP/1.1 there ({guess}?): {cause!r}'
    return None


def speaks_http2(error: BaseException) -> bool:
    """Return whether a request over HTTP/1.1 was answered with HTTP/2, as on a port for gRPC alone.

    :param error: the error of the request.
    """
    cause = _cause(error)
    # the beginning of a frame with settings: three bytes for its length, and its type
    return isinstance(cause, BadStatusLine) and str(cause).startswith('\0\0') and str(cause)[3:4] == '\4'


def hung_up(error: BaseException) -> bool:
    """Return whether the other side closed the connection before it had answered.

    :param error: the error of the request.
    """
    cause = _cause(error)
    return isinstance(cause, ConnectionError)


def unexecuted(error: BaseException) -> bool:
    """Return whether a request that failed with this error cannot have been executed by any member.

    :param error: the error.
    """
    error = getattr(error, 'reason', None) or error  # of a MaxRetryError
    return isinstance(error, (NewConnectionError, *_UNREAD, Refusal))
