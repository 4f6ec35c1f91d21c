"""What can be wrong with one etcd member, and with a request."""
from http.client import HTTPException
from typing import Optional

from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError, SSLError


class MemberError(HTTPError):
    """This member can't serve the request, another one may: Patroni's client goes on to the next after an HTTPError."""

    def __init__(self, text: str) -> None:
        super().__init__(text)

    def __repr__(self) -> str:
        return '{0}({1})'.format(type(self).__name__, self)


class GatewayOff(MemberError):
    """The member answers 404 under every prefix although it is alive."""

    def __init__(self, member: str) -> None:
        super().__init__('{0} answers 404 under every prefix, its gRPC gateway is off'.format(member))


class MemberTooOld(MemberError):
    """The member is older than any release that Patroni can use."""


class MemberStopping(MemberError):
    """The member gave the request up because it is shutting down."""


class UnexpectedAnswer(MemberError):
    """The answer is nothing that etcd's gateway sends."""


class TakesNoToken(MemberError):
    """Authentication is required, and the member's gateway has no way for a token."""


class NestedTransaction(Exception):
    """A transaction inside a transaction was about to be sent, see :meth:`GatewayPool.urlopen`."""


def no_http(error: BaseException, url: str) -> Optional[str]:
    """Tell a URL behind which nobody speaks HTTP, or not with this scheme, from a member that is not there.

    A port for gRPC alone (etcd's ``listen-client-http-urls`` splits it off) sends HTTP/2 frames or hangs up.

    :param error: what came out of a request.
    :param url: where it went.

    :returns: what is wrong with the URL, or ``None`` if that can't be told.
    """
    error = getattr(error, 'reason', None) or error  # of a MaxRetryError
    if isinstance(error, SSLError):
        return 'no TLS there: {0}'.format(error)
    if isinstance(error, UnexpectedAnswer):
        return str(error)
    cause = error.args[1] if isinstance(error, ProtocolError) and len(error.args) > 1 else error
    if isinstance(cause, (HTTPException, ConnectionResetError)):
        guess = 'a port without TLS' if url.startswith('https:') else 'a port for gRPC alone'
        return 'no HTTP/1.1 there ({0}?): {1!r}'.format(guess, cause)
    return None


def unexecuted(error: BaseException) -> bool:
    """Tell whether a request that failed so can't have been executed by anybody.

    :param error: what came out of it.
    """
    error = getattr(error, 'reason', None) or error  # of a MaxRetryError
    return isinstance(error, (NewConnectionError, GatewayOff, MemberTooOld, TakesNoToken))
