"""Answers over gRPC without end, or larger than they may be: known errors, in time, and in little memory."""

from __future__ import annotations

import time
import tracemalloc
from typing import Callable

import pytest
from hyperframe.frame import DataFrame, Frame, PingFrame, SettingsFrame, WindowUpdateFrame
from urllib3.exceptions import ProtocolError

from patroni_etcd3_compat.errors import UnexpectedAnswer
from patroni_etcd3_compat.grpc.codec import CodecError, decode
from patroni_etcd3_compat.grpc.stream import LARGEST, framed
from tests.unit.grpc_client import KNOWN, SHORT, SLACK, Client
from tests.unit.grpc_server import BEGUN, DOCUMENT, MESSAGE, OK, Peer, bare, data, serving

#: What comes without end: its name, and the bytes of one piece.
FLOODS: dict[str, Callable[[], bytes]] = {
    'ping': lambda: bare([PingFrame(0, b'12345678')]),
    'ping ack': lambda: bare([PingFrame(0, b'12345678', flags=['ACK'])]),
    'settings': lambda: bare([SettingsFrame(0)]),
    'settings of all numbers': lambda: bare([SettingsFrame(0, {n: n for n in range(1000, 3700)})]),
    'empty data': lambda: bare([DataFrame(1, b'')]),
    'padding': lambda: bare([DataFrame(1, b'', pad_length=200, flags=['PADDED'])]),
    'empty messages': lambda: bare([DataFrame(1, b'\0\0\0\0\0' * 100)]),
    'messages': lambda: bare(data(1, MESSAGE * 100)),
    'a window': lambda: bare([WindowUpdateFrame(0, 1)]),
    'the window of the stream': lambda: bare([WindowUpdateFrame(1, 1)]),
    'priority': lambda: _frame(2, 1, b'\0\0\0\0\x10'),
    'priority of others': lambda: b''.join(_frame(2, n, b'\0\0\0\0\x10') for n in range(3, 8001, 2)),
    'reset of others': lambda: _frame(3, 3, b'\0\0\0\0'),
    'unknown': lambda: _frame(127, 1, b'abcd'),
    'another service': lambda: _frame(10, 0, b'\0\1ah2\0'),
    'information': lambda: _frame(1, 1, b'\x08\x03102', 4),
}


def _frame(kind: int, stream: int, payload: bytes, flags: int = 0) -> bytes:
    return len(payload).to_bytes(3, 'big') + bytes((kind, flags)) + stream.to_bytes(4, 'big') + payload


def _flooded(name: str, begun: bool) -> None:
    """Make a call to a member that sends one of `FLOODS`; it ends with a known error, and so does the connection."""

    def script(peer: Peer) -> None:
        peer.request(room=False)
        peer.send(SettingsFrame(0), *([peer.headers(1, BEGUN)] if begun else []))
        piece = FLOODS[name]()
        piece *= max(1, 60000 // len(piece))
        while True:
            peer.sock.sendall(piece)

    with serving(script) as server:
        client = Client(server.url)
        with pytest.raises(KNOWN):
            client.range(SHORT)
        assert not client.idle
    assert len(server.requests) == 1


every_flood = pytest.mark.parametrize('name', sorted(FLOODS))
before_and_within = pytest.mark.parametrize('begun', [False, True], ids=['before', 'within'])


@before_and_within
@every_flood
def test_floods(name: str, begun: bool) -> None:
    """A member that sends something without end gets no more time than one that is silent."""
    started = time.monotonic()
    _flooded(name, begun)
    assert time.monotonic() - started < 2 * SHORT + SLACK


@before_and_within
@every_flood
def test_floods_take_little_memory(name: str, begun: bool) -> None:
    """Nor much memory; apart from the time, since what measures it makes all of it seven times slower."""
    tracemalloc.start()
    try:
        _flooded(name, begun)
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()


def test_flood_while_idle() -> None:
    """A connection on which much arrives while it is idle is replaced."""

    def script(peer: Peer) -> None:
        peer.send(SettingsFrame(0), *peer.answer(peer.request().stream))
        while True:
            peer.sock.sendall(bare([PingFrame(0, b'12345678')]) * 4000)

    with serving(script) as server:
        client = Client(server.url)
        client.range()
        time.sleep(0.05)
        assert client.range() == DOCUMENT
    assert server.connections == 2


def test_flood_of_continuations() -> None:
    """Headers without end are refused."""

    def script(peer: Peer) -> None:
        peer.request(room=False)
        peer.sock.sendall(bare([SettingsFrame(0)]) + _frame(1, 1, b'\x88'))
        while True:
            peer.sock.sendall(_frame(9, 1, b'\x00\x01a\x01b' * 3276))

    with serving(script) as server:
        with pytest.raises(ProtocolError):
            Client(server.url).range()


def test_headers_that_grow() -> None:
    """Few bytes that stand for many headers are refused."""

    def script(peer: Peer) -> None:
        peer.request(room=False)
        # a large header that is kept, and 12000 references to it: 48 MB
        block = b'\x40\x01a\x7f\xc1\x1e' + b'x' * 4032 + b'\xbe' * 12000
        peer.sock.sendall(bare([SettingsFrame(0)]) + _frame(1, 1, block, 4))
        peer.wait_for_end()

    with serving(script) as server:
        tracemalloc.start()
        try:
            with pytest.raises(ProtocolError):
                Client(server.url).range()
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize('size', [LARGEST + 1, (1 << 32) - 1])
def test_message_that_is_announced_too_large(size: int) -> None:
    """A message that is announced too large is refused at once."""

    def script(peer: Peer) -> None:
        peer.request()
        announced = DataFrame(1, b'\0' + size.to_bytes(4, 'big') + b'x' * 100)
        peer.send(SettingsFrame(0), peer.headers(1, BEGUN), announced)
        peer.wait_for_end()

    with serving(script) as server:
        with pytest.raises(UnexpectedAnswer, match=f'message of {size} bytes'):
            Client(server.url).range()


def _varint(number: int) -> bytes:
    return bytes((number,)) if number < 128 else bytes((number & 127 | 128,)) + _varint(number >> 7)


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(len(content)) + content


@pytest.mark.parametrize('piece', [b'\x12\x00', b'\x18\x00', b'\x7a\x00'], ids=['keys', 'number', 'unknown'])
def test_many_small_fields(piece: bytes) -> None:
    """Bytes that stand for many empty fields, known or not, are refused with little memory; a long list is read."""
    tracemalloc.start()
    try:
        with pytest.raises(CodecError, match='more than'):
            decode('RangeResponse', piece * (LARGEST // len(piece)))
        assert tracemalloc.get_traced_memory()[1] < 3 * LARGEST
    finally:
        tracemalloc.stop()
    kv = b''.join(_field(number, b'x') for number in (1, 5)) + b'\x10\x01\x18\x02\x20\x03\x30\x04'
    assert len(decode('RangeResponse', _field(2, kv) * 20_000)['kvs']) == 20_000


def test_large_message() -> None:
    """A message of many times the window arrives, again and again on the same connection."""
    kv = _field(1, b'a') + _field(5, b'v' * (6 << 20))
    message = framed(_field(1, b'\x18\x07') + _field(2, kv))

    def script(peer: Peer) -> None:
        for _ in range(3):
            stream = peer.request().stream
            peer.send(SettingsFrame(0), peer.headers(stream, BEGUN))
            room = 1 << 20
            for frame in data(stream, message):
                while room < 16384:
                    back: Frame = peer.frame()
                    room += back.window_increment if isinstance(back, WindowUpdateFrame) and back.stream_id else 0
                peer.send(frame)
                room -= 16384
            peer.send(peer.headers(stream, OK, end=True))
        peer.wait_for_end()

    with serving(script) as server:
        client = Client(server.url)
        for _ in range(3):
            assert len(client.range()['kvs'][0]['value']) == 8 << 20
    assert server.connections == 1
