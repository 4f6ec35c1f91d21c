"""One call on a connection: the messages and the status that arrive for it. No I/O."""

from __future__ import annotations

from typing import Any, Callable, Iterable, NamedTuple
from urllib.parse import unquote

from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, TrailersReceived

from ..answers import UNKNOWN
from ..errors import NoGrpc, UnexpectedAnswer

#: Bytes of a message; etcd refuses requests of more than 1.5 MiB, and a Patroni cluster has a few such keys at most.
LARGEST = 16 << 20

_PREFIX = 5


class Status(NamedTuple):
    """How a call ended."""

    #: gRPC code
    code: int
    #: text of the error
    text: str

    @property
    def http(self) -> int:
        """HTTP status with which the gateway passes it on."""
        return _HTTP.get(self.code, 500)


#: HTTP status by gRPC code where it is not 500 (grpc-gateway, ``runtime/errors.go``).
_HTTP = {0: 200, 1: 408, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501}
_HTTP.update({14: 503, 16: 401})


def framed(message: bytes) -> bytes:
    """Return a message as it goes over the wire."""
    return b'\0' + len(message).to_bytes(4, 'big') + message


class Stream:
    """What has arrived for a call.

    :param path: path of the method.
    :param where: the member, for errors.
    :param patience: returns the seconds that may be waited for the next piece, ``None``: without limit.
    :param many: the answer may have more than one message.
    """

    def __init__(self, path: str, where: str, patience: Callable[[], float | None], many: bool = False) -> None:
        self.path = path
        self._many = many
        self.patience = patience
        #: number on the connection
        self.number = 0
        #: whether the member has begun to answer
        self.begun = False
        #: whether nothing more comes
        self.over = False
        #: how the call ended, once it has
        self.status: Status | None = None
        #: the messages that are complete, to be taken out by the reader
        self.messages: list[bytes] = []
        self._where = where
        self._buffer = bytearray()

    def take(self, event: Event) -> int:
        """Take what has arrived.

        :returns: the bytes of the flow-control window that can be given back.

        :raises:
            :exc:`NoGrpc`: if the answer is none of gRPC.
            :exc:`UnexpectedAnswer`: if it cannot be read.
        """
        if isinstance(event, DataReceived):
            self._buffer += event.data or b''
            self._split()
            return event.flow_controlled_length or 0
        if isinstance(event, ResponseReceived):
            self._check(dict(_pairs(event.headers)))
        elif isinstance(event, TrailersReceived):
            self._note(dict(_pairs(event.headers)))
        elif isinstance(event, StreamEnded):
            self.over = True
            if not self.status:
                raise UnexpectedAnswer(f'{self._where} ended {self.path} without a status')
            if self._buffer and not self.status.code:
                raise UnexpectedAnswer(f'{self._where} ended {self.path} within a message')
        return 0

    def _check(self, headers: dict[str, str]) -> None:
        status, kind = headers.get(':status'), headers.get('content-type', '')
        if status != '200' or not kind.startswith('application/grpc'):
            raise NoGrpc(f'{self._where} answered {self.path} with HTTP status {status} and {kind or "no content"}')
        self.begun = True
        self._note(headers)

    def _note(self, headers: dict[str, str]) -> None:
        code = headers.get('grpc-status')
        if code is not None:
            text = unquote(headers.get('grpc-message', ''))[:4096]
            self.status = Status(int(code) if code.isdecimal() and len(code) < 4 else UNKNOWN, text)

    def _split(self) -> None:
        buffer = self._buffer
        while len(buffer) >= _PREFIX:
            size = int.from_bytes(buffer[1:_PREFIX], 'big')
            if buffer[0]:
                raise UnexpectedAnswer(f'{self._where} answered {self.path} with a compressed message')
            if size > LARGEST:
                raise UnexpectedAnswer(f'{self._where} answered {self.path} with a message of {size} bytes')
            if len(buffer) < _PREFIX + size:
                return
            if self.messages and not self._many:
                raise UnexpectedAnswer(f'{self._where} answered {self.path} with more than one message')
            self.messages.append(bytes(buffer[_PREFIX : _PREFIX + size]))
            del buffer[: _PREFIX + size]


def _pairs(headers: Iterable[Any] | None) -> Iterable[tuple[str, str]]:
    for name, value in headers or ():
        yield str(name), str(value)
