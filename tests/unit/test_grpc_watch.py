"""A watch over gRPC: the lines that Patroni reads, and how it ends."""

from __future__ import annotations

import gc
import json
import socket
import threading
import time
from typing import Any

import pytest
from hyperframe.frame import DataFrame, Frame, PingFrame, SettingsFrame, WindowUpdateFrame
from patroni.utils import iter_response_objects
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from patroni_etcd3_compat.errors import NoGrpc, UnexpectedAnswer
from patroni_etcd3_compat.grpc.codec import encode
from patroni_etcd3_compat.grpc.stream import framed
from tests.unit.grpc_client import KNOWN, SHORT, SLACK, Client
from tests.unit.grpc_server import BEGUN, OK, Peer, Script, bare, data, goaway, reset, serving, silent, stalls, until

EVENT = {'kv': {'key': 'YQ==', 'mod_revision': '8', 'value': 'Yg=='}}
DELETE = {'type': 'DELETE', 'kv': {'key': 'YQ==', 'mod_revision': '9'}}
CREATED: dict[str, Any] = {'header': {'revision': '7'}, 'created': True}
EVENTS: dict[str, Any] = {'header': {'revision': '9'}, 'events': [EVENT, DELETE]}


def lines(*results: Any) -> bytes:
    """Return the framed messages of a watch."""
    return b''.join(framed(encode('WatchResponse', result)) for result in results)


def begins(peer: Peer, *frames: Frame) -> int:
    """Answer a watch with its first message; return the number of the stream."""
    stream = peer.request().stream
    peer.send(SettingsFrame(0), peer.headers(stream, BEGUN), *data(stream, lines(CREATED)), *frames)
    return stream


def read(response: Any) -> list[Any]:
    """Read a watch to its end, as Patroni does."""
    return list(iter_response_objects(response))


def test_lines() -> None:
    """Each message is a line of JSON, however it is split, and pings in between are answered."""
    pings: list[Frame] = []

    def script(peer: Peer) -> None:
        stream = begins(peer)
        for byte in lines(EVENTS, CREATED, EVENTS):
            peer.send(DataFrame(stream, bytes((byte,))))
        peer.send(PingFrame(0, b'anybody?'))
        while not pings:
            frame = peer.frame()
            pings.extend([frame] if isinstance(frame, PingFrame) else [])
        peer.send(*data(stream, lines(CREATED)), peer.headers(stream, OK, end=True))
        peer.wait_for_end()

    with serving(script) as server:
        response = Client(server.url).watch()
        assert response.status == 200
        assert read(response) == [{'result': r} for r in (CREATED, EVENTS, CREATED, EVENTS, CREATED)]
        response.close()
    assert b''.join(request.message for request in server.requests) == framed(b'\x0a\x03\x0a\x01a')
    assert 'grpc-timeout' not in server.requests[0].headers


def test_an_error_of_etcd() -> None:
    """A watch that etcd ends with an error ends with the line of the gateway."""

    def script(peer: Peer) -> None:
        stream = begins(peer)
        peer.send(peer.headers(stream, [('grpc-status', '14'), ('grpc-message', 'etcdserver: no leader')], end=True))
        peer.wait_for_end()

    with serving(script) as server:
        got = read(Client(server.url).watch())
    error = {'grpc_code': 14, 'http_code': 503, 'message': 'etcdserver: no leader'}
    assert got == [{'result': CREATED}, {'error': error}]


def test_refused() -> None:
    """A watch that is refused is an answer with its error."""

    def script(peer: Peer) -> None:
        status = [*BEGUN, ('grpc-status', '16'), ('grpc-message', 'etcdserver: invalid auth token')]
        peer.send(SettingsFrame(0), peer.headers(peer.request().stream, status, end=True))
        peer.wait_for_end()

    with serving(script) as server:
        reply = Client(server.url).watch()
    assert (reply.status, reply.code, reply.error) == (401, 16, 'etcdserver: invalid auth token')


ENDS: dict[str, Any] = {
    'closed': (lambda peer, stream: None, ProtocolError),
    'reset': (lambda peer, stream: peer.send(reset(stream, 8)), ProtocolError),
    'refused': (lambda peer, stream: peer.send(reset(stream, 7)), ProtocolError),
    'goaway and closed': (lambda peer, stream: peer.send(goaway(stream)), ProtocolError),
    'goaway without it': (lambda peer, stream: peer.send(goaway(0)), ProtocolError),
    'garbage': (lambda peer, stream: peer.sock.sendall(b'garbage' * 9), ProtocolError),
    'no message': (lambda peer, stream: peer.send(DataFrame(stream, b'\0\0\0\0\x02\xff\xff')), UnexpectedAnswer),
    'no event': (lambda peer, stream: peer.send(*data(stream, lines({'events': [{}]}))), UnexpectedAnswer),
    'compressed': (lambda peer, stream: peer.send(DataFrame(stream, b'\1\0\0\0\0')), UnexpectedAnswer),
    'cut': (
        lambda peer, stream: peer.send(DataFrame(stream, b'\0\0\0'), peer.headers(stream, OK, end=True)),
        UnexpectedAnswer,
    ),
}


@pytest.mark.parametrize('name', ENDS)
def test_ends(name: str) -> None:
    """A watch that does not end as etcd ends it is a known error, after the lines that came before."""
    end, error = ENDS[name]
    with serving(lambda peer: end(peer, begins(peer))) as server:
        client = Client(server.url)
        got = []
        with pytest.raises(error) as e:
            response = client.watch()  # raises it itself if all comes in one piece
            for message in iter_response_objects(response):
                got.append(message)
        assert got in ([], [{'result': CREATED}]) and isinstance(e.value, KNOWN)
        assert not client.idle
    assert len(server.requests) == 1


def test_goes_on_after_goaway() -> None:
    """Messages that come after the announcement of the end are read."""

    def script(peer: Peer) -> None:
        stream = begins(peer)
        peer.send(goaway(0x7FFFFFFF), goaway(stream), *data(stream, lines(EVENTS)))
        peer.send(peer.headers(stream, OK, end=True))
        peer.wait_for_end()

    with serving(script) as server:
        assert read(Client(server.url).watch()) == [{'result': CREATED}, {'result': EVENTS}]


@pytest.mark.parametrize('script', [silent, stalls(0), stalls(1)])
def test_no_beginning(script: Script) -> None:
    """A watch that does not begin costs the time-out for connecting."""
    with serving(script) as server:
        started = time.monotonic()
        with pytest.raises(ReadTimeoutError):
            Client(server.url).watch(SHORT)
        assert time.monotonic() - started < SHORT + SLACK


def test_no_gateway_of_etcd() -> None:
    """A watch that a proxy answers is a known error."""

    def script(peer: Peer) -> None:
        headers = peer.headers(peer.request().stream, [(':status', '503')], end=True)
        peer.send(SettingsFrame(0), headers)
        peer.wait_for_end()

    with serving(script) as server, pytest.raises(NoGrpc):
        Client(server.url).watch()


def test_silence_is_no_end() -> None:
    """A watch has no time-out once it has begun."""

    def script(peer: Peer) -> None:
        stream = begins(peer)
        time.sleep(4 * SHORT)
        peer.send(*data(stream, lines(EVENTS)), peer.headers(stream, OK, end=True))
        peer.wait_for_end()

    with serving(script) as server:
        assert read(Client(server.url).watch(SHORT)) == [{'result': CREATED}, {'result': EVENTS}]


@pytest.mark.parametrize('shuts_down', [True, False])
def test_patroni_ends_it(shuts_down: bool) -> None:
    """Patroni ends a watch from another thread through the socket of its connection."""

    def script(peer: Peer) -> None:
        begins(peer)
        peer.wait_for_end()

    errors = []
    with serving(script) as server:
        response = Client(server.url).watch()

        def reader() -> None:
            try:
                read(response)
            except KNOWN as e:
                errors.append(e)

        thread = threading.Thread(target=reader)
        thread.start()
        time.sleep(0.1)
        sock = response.connection.sock
        sock.shutdown(socket.SHUT_RDWR)
        if shuts_down:
            sock.close()
        thread.join(5)
        assert not thread.is_alive() and len(errors) == 1
        response.close()
        response.release_conn()


def test_more_than_the_window() -> None:
    """The room of what was read is given back, so that a watch never runs dry."""
    large = {'header': {'revision': '7'}, 'events': [{'kv': {**EVENT['kv'], 'value': 'YWJj' * 100_000}}]}

    def script(peer: Peer) -> None:
        stream = begins(peer)
        rooms = {stream: (1 << 20) - 100, 0: (1 << 20) + 65535 - 100}
        for frame in data(stream, lines(*[large] * 12)):
            while min(rooms.values()) < 16384:
                back = peer.frame()
                if isinstance(back, WindowUpdateFrame):
                    rooms[back.stream_id] = rooms.get(back.stream_id, 0) + back.window_increment
            peer.send(frame)
            for number in rooms:
                rooms[number] -= 16384
        peer.send(peer.headers(stream, OK, end=True))
        peer.wait_for_end()

    with serving(script) as server:
        assert read(Client(server.url).watch())[1:] == [{'result': large}] * 12


def test_closed_with_its_response() -> None:
    """The connection ends with the response, also if that is only forgotten."""
    ended: list[int] = []

    def script(peer: Peer) -> None:
        begins(peer)
        peer.wait_for_end()
        ended.append(1)

    with serving(script, script) as server:
        client = Client(server.url)
        response = client.watch()
        response.close()
        until(lambda: len(ended) == 1)
        response = client.watch()
        del response
        gc.collect()
        until(lambda: len(ended) == 2)


def test_canceled() -> None:
    """A watch that etcd has canceled ends with an error only for releases of Patroni that do not notice."""
    canceled = {'header': {'revision': '7'}, 'canceled': True, 'compact_revision': '5'}

    def script(peer: Peer) -> None:
        stream = begins(peer)
        peer.send(*data(stream, lines(canceled)))
        peer.wait_for_end()

    with serving(script, script) as server:
        client = Client(server.url)
        response = client.watch()
        messages = iter_response_objects(response)
        assert [next(messages), next(messages)] == [{'result': CREATED}, {'result': canceled}]
        response.close()
        client.grpc._ends_canceled_watches = True
        with pytest.raises(UnexpectedAnswer, match='canceled'):
            read(client.watch())


def test_json() -> None:
    """Each line is one JSON object with a line feed, as the gateway sends it."""

    def script(peer: Peer) -> None:
        stream = begins(peer)
        peer.sock.sendall(bare([*data(stream, lines(EVENTS)), peer.headers(stream, OK, end=True)]))
        peer.wait_for_end()

    with serving(script) as server:
        chunks = list(Client(server.url).watch().read_chunked())
    assert [json.loads(chunk) for chunk in chunks] == [{'result': CREATED}, {'result': EVENTS}]
    assert all(chunk.endswith(b'}\n') and chunk.count(b'\n') == 1 for chunk in chunks)
