"""How a connection or a call ends over gRPC: what is sent again, and what is an error."""

from __future__ import annotations

import socket
import struct
import threading
import time
from typing import Any

import pytest
from hyperframe.frame import DataFrame, Frame, PingFrame, SettingsFrame, WindowUpdateFrame
from urllib3.exceptions import ProtocolError

from patroni_etcd3_compat.errors import NoGrpc, UnexpectedAnswer
from tests.unit.grpc_client import Client
from tests.unit.grpc_server import BEGUN, DOCUMENT, MESSAGE, OK, Peer, data, goaway, reset, serving

MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE = 3, 4


def settings(**values: int) -> Frame:
    """Make a frame with settings."""
    return SettingsFrame(0, {globals()[name]: value for name, value in values.items()})


def test_calls_share_a_connection() -> None:
    """One call follows the other on one connection, and what is sent is what Patroni asked for."""
    with serving() as server:
        client = Client(server.url)
        for _ in range(20):
            assert client.range(headers={'Authorization': 'se3ret', 'User-Agent': 'me'}) == DOCUMENT
    assert server.connections == 1
    assert {request.message for request in server.requests} == {b'\0\0\0\0\x03\x0a\x01a'}
    headers = server.requests[0].headers
    assert headers.pop('grpc-timeout') == '22S'
    assert headers == {
        ':method': 'POST',
        ':scheme': 'http',
        ':authority': server.url.partition('//')[2],
        ':path': '/etcdserverpb.KV/Range',
        'te': 'trailers',
        'content-type': 'application/grpc',
        'user-agent': 'me',
        'token': 'se3ret',
    }


def test_the_token_is_never_indexed() -> None:
    """The token is marked as not to be kept by anybody on the way, in each call."""
    with serving() as server:
        client = Client(server.url)
        for _ in range(3):
            client.range(headers={'authorization': 'se3ret'})
    assert [request.secret for request in server.requests] == [{'token'}] * 3


def test_goaway_before_the_call_was_looked_at() -> None:
    """A call that the member says it has not looked at goes out once more on a new connection."""

    def script(peer: Peer) -> None:
        request = peer.request()
        peer.send(settings(), goaway(request.stream - 1))
        peer.wait_for_end()

    with serving(script) as server:
        assert Client(server.url).range() == DOCUMENT
    assert [server.connections, len(server.requests)] == [2, 2]


def test_sent_again_on_a_new_connection() -> None:
    """A call that goes out again takes no other idle connection, which is likely to end as well."""
    both = threading.Barrier(2)

    def script(peer: Peer) -> None:
        request = peer.request()
        both.wait(5)
        peer.send(settings(), *peer.answer(request.stream))
        peer.send(settings(), goaway(peer.request().stream - 2))
        peer.wait_for_end()

    with serving(script, script) as server:
        client = Client(server.url)
        thread = threading.Thread(target=client.range)
        thread.start()
        client.range()
        thread.join(5)
        assert client.idle == 2
        assert client.range() == DOCUMENT
    assert [server.connections, len(server.requests)] == [3, 4]


def test_goaway_again_and_again() -> None:
    """The call is not sent for ever."""

    def script(peer: Peer) -> None:
        peer.send(settings(), goaway(peer.request().stream - 1))
        peer.wait_for_end()

    with serving(*[script] * 10) as server:
        client = Client(server.url)
        with pytest.raises(ProtocolError, match='GOAWAY'):
            client.range()
    assert len(server.requests) == 3 and not client.idle


@pytest.mark.parametrize('last', [1, 0x7FFFFFFF])
def test_goaway_and_then_the_answer(last: int) -> None:
    """A member that stops gracefully answers what it has begun with; the next call uses another connection."""

    def script(peer: Peer) -> None:
        request = peer.request()
        peer.send(settings(), goaway(last), PingFrame(0, b'graceful'))
        frame: Any = None
        while not (isinstance(frame, PingFrame) and 'ACK' in frame.flags):
            frame = peer.frame()
        peer.send(goaway(request.stream))
        peer.send(*peer.answer(request.stream))
        peer.wait_for_end()

    with serving(script) as server:
        client = Client(server.url)
        assert client.range() == DOCUMENT
        assert client.idle < 1
        assert client.range() == DOCUMENT
        assert client.idle == 1
    assert [server.connections, len(server.requests)] == [2, 2]


def test_goaway_in_one_piece_with_the_answer() -> None:
    """It makes no difference whether the announcement comes before, within or after the answer."""
    for at in range(4):

        def script(peer: Peer, at: int = at) -> None:
            request = peer.request()
            frames = peer.answer(request.stream)
            peer.send(settings(), *frames[:at], goaway(request.stream), *frames[at:])
            peer.wait_for_end()

        with serving(script) as server:
            client = Client(server.url)
            assert client.range() == DOCUMENT
        assert client.idle < 1
        assert len(server.requests) == 1


@pytest.mark.parametrize('begun', [False, True])
def test_goaway_and_no_answer(begun: bool) -> None:
    """A call that may have been executed is not sent again.

    That is so if the member counts it among the last ones, or has begun to answer.
    """

    def script(peer: Peer) -> None:
        request = peer.request()
        if begun:
            peer.send(settings(), peer.headers(request.stream, BEGUN), goaway(request.stream - 1))
        else:
            peer.send(settings(), goaway(request.stream))

    with serving(script) as server, pytest.raises(ProtocolError):
        Client(server.url).range()
    assert len(server.requests) == 1


def test_goaway_while_idle() -> None:
    """A connection whose end was announced while it was idle is not used, and costs no failed call."""

    def script(peer: Peer) -> None:
        request = peer.request()
        peer.send(settings(), *peer.answer(request.stream))
        peer.send(goaway(request.stream))
        peer.wait_for_end()

    with serving(*[script] * 5) as server:
        client = Client(server.url)
        for number in range(1, 6):
            assert client.range() == DOCUMENT
            time.sleep(0.02)
            assert server.connections == len(server.requests) == number


@pytest.mark.parametrize('resets', [False, True])
def test_closed_while_idle(resets: bool) -> None:
    """A connection that the member closed while it was idle costs no failed call."""

    def script(peer: Peer) -> None:
        request = peer.request()
        peer.send(settings(), *peer.answer(request.stream))
        time.sleep(0.05)
        if resets:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))

    with serving(*[script] * 5) as server:
        client = Client(server.url)
        for number in range(1, 6):
            assert client.range() == DOCUMENT
            time.sleep(0.1)
            assert server.connections == len(server.requests) == number


def test_nothing_is_sent_after_the_answer() -> None:
    """A ping that comes with the answer is answered with the next call: sending could only spoil a call that is over.

    A member that stops closes the connection right behind its answers.
    """

    def script(peer: Peer) -> None:
        request = peer.request(room=False)
        peer.send(settings(), PingFrame(0, b'anybody?'), *peer.answer(request.stream))
        peer.sock.settimeout(0.2)
        with pytest.raises(socket.timeout):
            peer.frame()
        peer.sock.settimeout(20)
        seen = [peer.frame(), peer.frame()]
        assert all('ACK' in frame.flags for frame in seen) and isinstance(seen[1], PingFrame)
        peer.serve()

    with serving(script) as server:
        client = Client(server.url)
        assert client.range() == DOCUMENT
        time.sleep(0.3)
        assert client.range() == DOCUMENT
    assert server.connections == 1


def test_ping_while_idle() -> None:
    """A ping that came while the connection was idle is answered with the next call on it."""

    def script(peer: Peer) -> None:
        request = peer.request()
        peer.send(settings(), *peer.answer(request.stream))
        peer.send(PingFrame(0, b'anybody?'), WindowUpdateFrame(0, 100))
        seen: list[Frame] = []
        while not any(isinstance(frame, PingFrame) and frame.opaque_data == b'anybody?' for frame in seen):
            seen.append(peer.frame())
        peer.serve()

    with serving(script) as server:
        client = Client(server.url)
        for _ in range(3):
            assert client.range() == DOCUMENT
            time.sleep(0.02)
    assert server.connections == 1


def test_refused_stream() -> None:
    """A refused call goes out once more on a new connection."""

    def script(peer: Peer) -> None:
        peer.send(settings(), reset(peer.request().stream, 7))
        peer.wait_for_end()

    with serving(script) as server:
        assert Client(server.url).range() == DOCUMENT
    assert [server.connections, len(server.requests)] == [2, 2]


@pytest.mark.parametrize('error, begun', [(n, False) for n in (*range(7), *range(8, 14), 99)] + [(7, True)])
def test_reset_stream(error: int, begun: bool) -> None:
    """A call that was reset for another reason, or after the answer had begun, is not sent again."""

    def script(peer: Peer) -> None:
        request = peer.request()
        if begun:
            peer.send(peer.headers(request.stream, BEGUN))
        peer.send(settings(), reset(request.stream, error))
        peer.wait_for_end()

    with serving(script) as server:
        client = Client(server.url)
        with pytest.raises(ProtocolError, match='reset the stream'):
            client.range()
    assert len(server.requests) == 1 and not client.idle


def test_no_streams_at_all() -> None:
    """A member that permits no stream is not used for a call that it has not refused or answered."""

    def script(peer: Peer) -> None:
        request = peer.request()
        peer.send(settings(MAX_CONCURRENT_STREAMS=0), *peer.answer(request.stream))
        peer.wait_for_end()

    with serving(script, script) as server:
        client = Client(server.url)
        for _ in range(3):
            assert client.range() == DOCUMENT
    assert (server.connections, len(server.requests)) == (3, 3)


def test_one_stream() -> None:
    """A member that permits one stream at a time gets one call after the other."""

    def script(peer: Peer) -> None:
        peer.send(settings(MAX_CONCURRENT_STREAMS=1))
        peer.serve()

    with serving(script) as server:
        client = Client(server.url)
        for _ in range(5):
            assert client.range() == DOCUMENT
    assert server.connections == 1


ERROR = [('grpc-status', '5'), ('grpc-message', 'etcdserver: requested lease not found')]


@pytest.mark.parametrize('trailers_only', [True, False])
def test_errors(trailers_only: bool) -> None:
    """An error of etcd has the shape of the gateway's, and the connection stays good."""

    def script(peer: Peer) -> None:
        request = peer.request()
        frames = [] if trailers_only else [peer.headers(request.stream, BEGUN)]
        frames += [peer.headers(request.stream, (BEGUN if trailers_only else []) + ERROR, end=True)]
        peer.send(settings(), *frames)
        peer.serve()

    with serving(script) as server:
        client = Client(server.url)
        reply: Any = client.send('/lease/keepalive', {'ID': '7'})
        assert (reply.status, reply.code, reply.error) == (404, 5, ERROR[1][1])
        assert client.range() == DOCUMENT
    assert server.connections == 1


@pytest.mark.parametrize(
    'code, message, wanted',
    [
        ('2', 'f%C3%BCnf%20%25', (2, 'fünf %', 500)),
        ('2', '%', (2, '%', 500)),
        ('2', '%zz%C3', (2, '%zz\ufffd', 500)),
        ('2', '', (2, '', 500)),
        ('3', 'x' * 16000, (3, 'x' * 4096, 400)),
        ('14', 'raft proposal dropped', (14, 'raft proposal dropped', 503)),
        ('2', 'raft proposal dropped', (14, 'raft proposal dropped', 500)),
        ('17', 'new', (17, 'new', 500)),
        ('16', 'who', (16, 'who', 401)),
        ('7', 'etcdserver: permission denied', (7, 'etcdserver: permission denied', 403)),
        ('', 'x', (2, 'x', 500)),
        ('-1', 'x', (2, 'x', 500)),
        ('1e3', 'x', (2, 'x', 500)),
        ('9' * 4000, 'x', (2, 'x', 500)),
        ('²', 'x', (2, 'x', 500)),
    ],
)
def test_texts_of_errors(code: str, message: str, wanted: tuple[int, str, int]) -> None:
    """Code and text arrive, whatever the member makes of them."""

    def script(peer: Peer) -> None:
        request = peer.request()
        status = [*BEGUN, ('grpc-status', code), ('grpc-message', message)]
        peer.send(settings(), peer.headers(request.stream, status, end=True))
        peer.wait_for_end()

    with serving(script) as server:
        reply: Any = Client(server.url).send('/kv/put', {})
    assert (reply.code, reply.error, reply.status) == wanted


@pytest.mark.parametrize(
    'headers, message, status, error',
    [
        ([(':status', '502'), ('content-type', 'text/html')], b'<html>', [], NoGrpc),
        ([(':status', '200'), ('content-type', 'text/html')], b'<html>', OK, NoGrpc),
        ([(':status', '200')], MESSAGE, OK, NoGrpc),
        ([(':status', '415'), ('content-type', 'application/grpc')], b'', [], NoGrpc),
        (BEGUN, MESSAGE, [('x', 'y')], UnexpectedAnswer),
        (BEGUN, MESSAGE, [], UnexpectedAnswer),
        (BEGUN, b'', OK, UnexpectedAnswer),
        (BEGUN, b'\0\0\0\0\x09short', OK, UnexpectedAnswer),
        (BEGUN, MESSAGE + b'\0\0', OK, UnexpectedAnswer),
        (BEGUN, b'\x01' + MESSAGE[1:], OK, UnexpectedAnswer),
        (BEGUN, b'\xff' + MESSAGE[1:], OK, UnexpectedAnswer),
        (BEGUN, b'\0\xff\xff\xff\xff', OK, UnexpectedAnswer),
        (BEGUN, b'\0\0\0\0\x05\x0a\xff\xff\xff\xff', OK, UnexpectedAnswer),
        (BEGUN, b'\0\0\0\0\0', OK, UnexpectedAnswer),
        (BEGUN, MESSAGE + MESSAGE, OK, UnexpectedAnswer),
    ],
)
def test_answers_that_are_none(
    headers: list[tuple[str, str]], message: bytes, status: list[tuple[str, str]], error: type[Exception]
) -> None:
    """What is not an answer of etcd is an error that names member and call, and the connection is not used again."""

    def script(peer: Peer) -> None:
        request = peer.request()
        frames: list[Frame] = [peer.headers(request.stream, headers), *data(request.stream, message)]
        if status:
            frames.append(peer.headers(request.stream, status, end=True))
        else:
            last = DataFrame(request.stream, b'')
            last.flags.add('END_STREAM')
            frames.append(last)
        peer.send(settings(), *frames)
        peer.wait_for_end()

    with serving(script) as server:
        client = Client(server.url)
        with pytest.raises(error) as e:
            client.range()
    assert server.url in str(e.value) and ('Range' in str(e.value) or '/kv/range' in str(e.value))
    assert len(server.requests) == 1


@pytest.mark.parametrize('size', [100, 65000, 200_000, 1_500_000])
@pytest.mark.parametrize('window', [0, 1, 5000, 65535])
def test_messages_larger_than_the_window(size: int, window: int) -> None:
    """A message arrives whole through any window, also one that shrinks below what is under way."""

    def script(peer: Peer) -> None:
        peer.send(settings(INITIAL_WINDOW_SIZE=100_000))
        request = peer.request()
        peer.send(*peer.answer(request.stream))
        peer.send(settings(INITIAL_WINDOW_SIZE=window))
        stream, got, end = 0, 0, False
        while not end:
            frame = peer.frame()
            if frame.stream_id:
                stream = frame.stream_id
                got += len(frame.data) if isinstance(frame, DataFrame) else 0
                end = 'END_STREAM' in frame.flags
                peer.send(WindowUpdateFrame(0, 70_000), WindowUpdateFrame(stream, 70_000))
        server.sizes.append(got)  # type: ignore[attr-defined]
        peer.send(*peer.answer(stream))
        peer.wait_for_end()

    with serving(script) as server:
        server.sizes = []  # type: ignore[attr-defined]
        client = Client(server.url)
        assert client.range() == DOCUMENT
        time.sleep(0.02)
        assert client.put(size)['header'] == DOCUMENT['header']
    assert server.sizes[0] >= size // 3 * 3  # type: ignore[attr-defined]


def test_window_that_shrinks_within_a_message() -> None:
    """A window below zero, since it shrank after the message had begun, delays the rest and loses nothing."""
    arrived: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.frame()  # the settings of the client; its message has taken the window by now
        time.sleep(0.05)
        peer.send(settings(INITIAL_WINDOW_SIZE=1000), WindowUpdateFrame(0, 1 << 20))
        stream, end = 0, False
        time.sleep(0.05)
        peer.send(WindowUpdateFrame(1, 1 << 20))
        while not end:
            frame = peer.frame()
            if isinstance(frame, DataFrame):
                arrived.append(bytes(frame.data))
            stream, end = frame.stream_id or stream, 'END_STREAM' in frame.flags
        peer.send(*peer.answer(stream))
        peer.wait_for_end()

    with serving(script) as server:
        assert Client(server.url).put(300_000)['header'] == DOCUMENT['header']
    assert b''.join(arrived)[-300_000:] == b'abc' * 100_000


@pytest.mark.parametrize('resets', [False, True])
def test_answer_before_the_message_has_arrived(resets: bool) -> None:
    """A refusal that comes while the message is still being sent is the answer; the connection is given up."""
    full = [*BEGUN, ('grpc-status', '8'), ('grpc-message', 'too%20large')]

    def script(peer: Peer) -> None:
        frame = peer.frame()
        while not frame.stream_id:
            frame = peer.frame()
        peer.send(settings(), peer.headers(frame.stream_id, full, end=True), *[reset(frame.stream_id, 0)] * resets)
        peer.wait_for_end()

    with serving(script) as server:
        client = Client(server.url)
        reply: Any = client.send('/kv/put', {'key': 'YQ==', 'value': 'YWJj' * 400_000})
        assert (reply.code, reply.error) == (8, 'too large') and not client.idle
        assert client.range() == DOCUMENT
    assert server.connections == 2


def test_reset_behind_the_answer() -> None:
    """A reset that comes behind the whole answer changes nothing."""

    def script(peer: Peer) -> None:
        request = peer.request()
        peer.send(settings(), *peer.answer(request.stream), reset(request.stream, 0))
        peer.serve()

    with serving(script) as server:
        client = Client(server.url)
        assert client.range() == DOCUMENT == client.range()
    assert server.connections == 1


def test_clear() -> None:
    """After ``clear`` no connection of before is used or kept."""
    with serving() as server:
        client = Client(server.url)
        client.range()
        assert client.idle == 1
        client.grpc.clear()
        assert client.idle < 1
        client.range()
    assert server.connections == 2
