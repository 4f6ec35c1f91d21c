"""What can be wrong with one etcd member, and with a request."""
from urllib3.exceptions import HTTPError


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


class NestedTransaction(Exception):
    """A transaction inside a transaction was about to be sent, see :meth:`GatewayPool.urlopen`."""
