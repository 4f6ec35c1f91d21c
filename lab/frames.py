"""HTTP/2 frames and protobuf fields, as far as a facade reads what it passes through (RFC 9113, RFC 7541)."""

from __future__ import annotations

from typing import Iterable, Iterator, NamedTuple

from hpack import Decoder

DATA, HEADERS, CONTINUATION = 0, 1, 9
END_STREAM, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x4, 0x8, 0x20
_HEAD = 9


class Frame(NamedTuple):
    """One frame."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def raw(self) -> bytes:
        """Its bytes on the wire."""
        head = len(self.payload).to_bytes(3, 'big') + bytes((self.kind, self.flags)) + self.stream.to_bytes(4, 'big')
        return head + self.payload

    @property
    def content(self) -> bytes:
        """What it carries, without padding and priority."""
        payload = self.payload
        if self.flags & _PADDED:
            payload = payload[1 : len(payload) - payload[0]]
        return payload[5:] if self.kind == HEADERS and self.flags & _PRIORITY else payload


class Frames:
    """The frames of one direction of a connection.

    Each block of headers has to be given to `headers`, since later ones refer to it.
    """

    def __init__(self) -> None:
        self._buffer = b''
        self._hpack = Decoder()
        self._block = b''

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes, and yield the frames that are complete."""
        self._buffer += data
        while len(self._buffer) >= _HEAD:
            end = _HEAD + int.from_bytes(self._buffer[:3], 'big')
            if len(self._buffer) < end:
                return
            head, payload, self._buffer = self._buffer[:_HEAD], self._buffer[_HEAD:end], self._buffer[end:]
            yield Frame(head[3], head[4], int.from_bytes(head[5:], 'big') & 0x7FFFFFFF, payload)

    def headers(self, frame: Frame) -> dict[str, str]:
        """Return the headers that a frame completes; empty if more of them will follow."""
        self._block += frame.content
        if not frame.flags & _END_HEADERS:
            return {}
        block, self._block = self._block, b''
        return {str(name): str(value) for name, value in self._hpack.decode(block)}


def answer(stream: int, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    """Return a whole answer of a server. Its headers change nothing in what later blocks of headers refer to."""
    block = b''
    for name, value in headers:
        block += b'\0' + b''.join(bytes((len(text),)) + text.encode() for text in (name, value))  # shorter than 127
    return Frame(HEADERS, _END_HEADERS, stream, block).raw + Frame(DATA, END_STREAM, stream, body).raw


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a protobuf message: their numbers and their values.

    :raises IndexError: when it is cut off.
    """
    at = 0

    def varint() -> int:
        nonlocal at
        number = shift = 0
        while True:
            byte = message[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while at < len(message):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        else:
            size = {1: 8, 5: 4}.get(tag & 7) or varint()
            yield tag >> 3, message[at : at + size]
            at += size


def with_text(message: bytes, number: int, text: str) -> bytes:
    """Return a protobuf message, all fields of which are texts, messages or numbers, with another text in one field."""
    out = b''
    for name, value in fields(message):
        value = text.encode() if name == number else value
        out += _varint(name << 3 | (0 if isinstance(value, int) else 2))
        out += _varint(value) if isinstance(value, int) else _varint(len(value)) + value
    return out


def _varint(number: int) -> bytes:
    out = b''
    while number >= 0x80:
        out += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return out + bytes((number,))
