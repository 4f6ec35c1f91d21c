"""Errors of one etcd member, and of a request."""

from __future__ import annotations

from http.client import HTTPException

from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError, SSLError


class MemberError(HTTPError):
    """This member cannot serve the request. Another one may: Patroni's client tries the next after an HTTPError."""

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
    """The member gave the request up because it is shutting down."""


class UnexpectedAnswer(MemberError):
    """The answer is not from etcd's gateway."""


class TakesNoToken(MemberError):
    """Authentication is on, and the member's gateway cannot pass a token on."""


class OutOfTime(MemberError):
    """The call has no time left, so the request was not sent."""


class LoginPending(MemberError):
    """The token was refused, and another thread did not get a new one in time."""


class Refusal(MemberError):
    """The member refuses requests like this one, with a text for people."""

    #: what is to be done about it
    remedy: str | None = None


class CommonNameRefused(Refusal):
    """etcd's gateway takes no client certificate with a CommonName when authentication is on (Patroni #3071)."""

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


#: What begins or stands in such a text, and the error that it is.
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


class NestedTransaction(Exception):
    """A transaction inside a transaction was about to be sent, see :meth:`Router.urlopen`."""


def no_http(error: BaseException, url: str) -> str | None:
    """Tell a URL behind which nobody speaks HTTP, or not with this scheme, from a member that is not there.

    A port for gRPC alone (etcd's ``listen-client-http-urls`` splits it off) sends HTTP/2 frames or hangs up.

    :param error: what came out of a request.
    :param url: where it went.

    :returns: what is wrong with the URL, or ``None`` if that is unknown.
    """
    error = getattr(error, 'reason', None) or error  # of a MaxRetryError
    if isinstance(error, SSLError):
        return f'no TLS there: {error}'
    if isinstance(error, UnexpectedAnswer):
        return str(error)
    cause = error.args[1] if isinstance(error, ProtocolError) and len(error.args) > 1 else error
    if isinstance(cause, (HTTPException, ConnectionResetError)):
        guess = 'a port without TLS' if url.startswith('https:') else 'a port for gRPC alone'
        return f'no HTTP/1.1 there ({guess}?): {cause!r}'
    return None


def unexecuted(error: BaseException) -> bool:
    """Tell whether a request that failed with this error cannot have been executed by any member.

    :param error: what came out of it.
    """
    error = getattr(error, 'reason', None) or error  # of a MaxRetryError
    return isinstance(
        error, (NewConnectionError, GatewayOff, MemberTooOld, TakesNoToken, LoginPending, OutOfTime, Refusal)
    )
