"""Answers over gRPC that are cut, garbled or made of anything: known errors only, and nothing is sent twice."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest
from hyperframe.frame import PingFrame, SettingsFrame
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError

from patroni_etcd3_compat.errors import UnexpectedAnswer
from tests.examples import examples
from tests.unit.grpc_client import KNOWN, Client
from tests.unit.grpc_server import DOCUMENT, Peer, Script, Server, bare, serving


def sound(peer: Peer) -> bytes:
    """Return all bytes of a sound answer to the first call."""
    return bare([SettingsFrame(0), PingFrame(0, b'12345678'), *peer.answer(1)])


WHOLE = len(sound(Peer(None, Server.__new__(Server))))


def sends(*pieces: bytes) -> Script:
    """Make a script that answers the first call with these pieces of bytes, and closes the connection."""

    def script(peer: Peer) -> None:
        peer.request(room=False)
        for piece in pieces:
            peer.sock.sendall(piece)
        peer.sock.shutdown(socket.SHUT_WR)
        peer.wait_for_end()

    return script


def cut(end: int) -> Script:
    """Make a script that answers the first call with the beginning of a sound answer."""
    return lambda peer: sends(sound(peer)[:end])(peer)


def test_cut_anywhere() -> None:
    """An answer that is cut off anywhere is an error, and the call is not sent again."""
    ended = []
    with serving(*map(cut, range(WHOLE))) as server:
        client = Client(server.url)
        for end in range(WHOLE):
            with pytest.raises(KNOWN) as e:
                client.range()
            ended.append(type(e.value))
            assert server.connections == end + 1 and not client.idle
    assert set(ended) <= {ProtocolError, UnexpectedAnswer} and len(server.requests) == WHOLE


def test_split_anywhere() -> None:
    """An answer that arrives byte by byte is an answer."""

    def script(peer: Peer) -> None:
        for _ in range(2):
            stream = peer.request().stream
            for byte in bare([SettingsFrame(0), *peer.answer(stream)]):
                peer.sock.sendall(bytes((byte,)))
                time.sleep(0.0005)
        peer.wait_for_end()

    with serving(script) as server:
        client = Client(server.url)
        assert client.range() == DOCUMENT == client.range()
    assert server.connections == 1


class Shared:
    """A server for many examples."""

    def __init__(self) -> None:
        self.server = Server()
        self.client = Client(self.server.url)

    def call(self, script: Script) -> int:
        """Make one call on a new connection that a script serves; return how often it was sent."""
        self.client.grpc.clear()
        self.server.scripts[:] = [script]
        before = len(self.server.requests)
        try:
            assert isinstance(self.client.range(2), dict)
        except KNOWN:
            pass
        return len(self.server.requests) - before


@pytest.fixture(scope='module')
def shared() -> Any:
    """A server that serves the examples one after the other."""
    ret = Shared()
    yield ret
    ret.server.stop()
    assert not ret.server.errors


def thorough(number: int) -> settings:
    """Return the settings of a test: how many examples it takes."""
    return settings(max_examples=examples(number), deadline=None, suppress_health_check=list(HealthCheck))


CHANGES = st.lists(
    st.tuples(
        st.integers(0, WHOLE - 1), st.sampled_from(['flip', 'drop', 'add', 'cut']), st.binary(min_size=1, max_size=9)
    ),
    min_size=1,
    max_size=4,
)


@thorough(800)
@given(CHANGES)
def test_garbled_answers(shared: Shared, changes: list[tuple[int, str, bytes]]) -> None:
    """A garbled answer is an answer or a known error.

    The call goes out again only if the bytes say by chance that it was not looked at.
    """

    def script(peer: Peer) -> None:
        content = bytearray(sound(peer))
        for at, how, new in changes:
            if how == 'flip':
                content[at : at + 1] = bytes([(content[at : at + 1] or b'\0')[0] ^ new[0]])
            elif how == 'add':
                content[at:at] = new
            else:
                del content[at : at + len(new) if how == 'drop' else None]
        sends(bytes(content))(peer)

    assert shared.call(script) <= 2


@thorough(500)
@given(st.binary(max_size=100), st.booleans())
@example(b'HTTP/1.1 400 Bad Request\r\n\r\n', False)
@example(b'\0' * 100, False)
@example(b'\xff' * 100, True)
def test_any_bytes(shared: Shared, content: bytes, behind: bool) -> None:
    """Any bytes, instead of an answer or behind the settings, are a known error."""
    assert shared.call(sends((SettingsFrame(0).serialize() if behind else b'') + content)) == 1


PAYLOADS = st.one_of(
    st.binary(max_size=40),
    st.integers(0, 2**32 - 1).map(lambda number: number.to_bytes(4, 'big')),
    st.binary(min_size=8, max_size=8),
    st.tuples(st.integers(0, 9), st.integers(0, 2**32 - 1)).map(
        lambda pair: pair[0].to_bytes(2, 'big') + pair[1].to_bytes(4, 'big')
    ),
    st.sampled_from([b'\x88', b'\x88\x5f\x10application/grpc', b'\x00\x0bgrpc-status\x010', b'\0\0\0\0\0']),
)
#: frames of any type, flags and stream, mostly with a payload that fits the type
FRAMES = st.tuples(
    PAYLOADS,
    st.integers(0, 12),
    st.sampled_from([0, 1, 4, 5, 8, 32]) | st.integers(0, 255),
    st.sampled_from([0, 1, 1, 1, 2, 3]) | st.integers(0, 2**31 - 1),
).map(lambda it: len(it[0]).to_bytes(3, 'big') + bytes((it[1], it[2])) + it[3].to_bytes(4, 'big') + it[0])


@thorough(800)
@given(st.lists(FRAMES, min_size=1, max_size=8), st.integers(0, 4))
def test_any_frames(shared: Shared, drawn: list[bytes], before: int) -> None:
    """Any frames, at any point of an answer, are an answer or a known error."""

    def script(peer: Peer) -> None:
        answer = [SettingsFrame(0), *peer.answer(1)]
        sends(bare(answer[:before]) + b''.join(drawn) + bare(answer[before:]))(peer)

    assert shared.call(script) <= 2


@thorough(200)
@given(st.lists(FRAMES, min_size=1, max_size=8))
def test_any_frames_while_idle(shared: Shared, drawn: list[bytes]) -> None:
    """Any frames on an idle connection spoil that connection at most: the next call is made, or a known error."""
    told = threading.Event()

    def script(peer: Peer) -> None:
        stream = peer.request().stream
        peer.send(SettingsFrame(0), *peer.answer(stream))
        peer.sock.sendall(b''.join(drawn))
        told.set()
        peer.serve()

    assert shared.call(script) == 1
    assert told.wait(5)
    try:
        assert shared.client.range(2) == DOCUMENT
    except KNOWN:
        pass
