"""A request over a connection of urllib3, against a real socket server, under either line of urllib3."""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import Any, Iterator

import pytest
import urllib3
from urllib3.exceptions import ClosedPoolError, NewConnectionError, ProtocolError, ReadTimeoutError

from patroni_etcd3_compat import deadline, wire
from patroni_etcd3_compat.errors import unexecuted

GOOD = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'
CHUNKED = b'HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n'
TIMEOUT = urllib3.Timeout(connect=1, total=1)


class Server:
    """A server that answers the requests of each connection as told, and records packets and connections."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.dripped = 0
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            while True:
                try:
                    packet = connection.recv(65536)
                except ConnectionResetError:  # the client did not read everything
                    return
                if not packet:
                    return
                self.requests.append(packet)
                answer = self.answers.pop(0) if self.answers else GOOD
                if not answer:
                    return
                if answer.endswith(b'drip'):
                    self._drip(connection, answer[:-4])
                elif answer != b'hang':
                    connection.sendall(answer)

    def _drip(self, connection: socket.socket, start: bytes) -> None:
        try:
            connection.sendall(start)
            for byte in (start and b'x' * 100) or GOOD + b'x' * 100:
                connection.sendall(bytes([byte]))
                self.dripped += 1
                time.sleep(0.05)
        except OSError:  # it has hung up
            pass


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that ends with the test."""
    server = Server()
    yield server
    server.listener.close()


@pytest.fixture
def pool(server: Server) -> Iterator[urllib3.HTTPConnectionPool]:
    """A pool with one idle connection to it."""
    pool = urllib3.HTTPConnectionPool('127.0.0.1', server.port, retries=False)
    pool.urlopen('GET', '/')
    server.requests.clear()
    yield pool
    pool.close()


def call(pool: Any, **kwargs: Any) -> Any:
    """Send one call as the gateway sends it."""
    response = wire.request(
        pool, 'POST', '/v3/kv/put', '{"key": "YQ=="}', {'user-agent': 'x'}, **dict({'timeout': TIMEOUT}, **kwargs)
    )
    return response and (response.status, response.data)


def test_one_packet_on_the_open_connection(server: Server, pool: Any) -> None:
    """Head and body leave in one packet; the connection is returned and works for urllib3 as well."""
    server.answers = [GOOD, CHUNKED, GOOD, GOOD]
    assert call(pool) == (200, b'{}') and call(pool) == (404, b'{"a":1}')
    assert pool.urlopen('POST', '/x', body='{}').data == b'{}'
    assert call(pool) == (200, b'{}')
    first = server.requests[0]
    assert first.startswith(b'POST /v3/kv/put HTTP/1.1\r\n') and first.endswith(b'\r\n\r\n{"key": "YQ=="}')
    assert b'\r\nContent-Length: 15\r\n' in first and b'\r\nuser-agent: x\r\n' in first
    assert server.connections == 1


def test_nothing_is_sent_without_an_open_connection(server: Server) -> None:
    """Nothing is sent without an open connection if none may be made."""
    pool = urllib3.HTTPConnectionPool('127.0.0.1', server.port)
    assert call(pool, connect=False) is None and not server.requests
    assert call(pool) == (200, b'{}') and call(pool, connect=False) == (200, b'{}')
    pool.close()
    with pytest.raises(ClosedPoolError):
        call(pool)


def test_says_when_it_was_sent_and_over_what(server: Server, pool: Any) -> None:
    """The answer says when the request was sent, from which the lease counts, and whether the connection is new."""
    before = time.monotonic()
    response = wire.request(pool, 'GET', '/', timeout=TIMEOUT)
    assert response and before <= response.sent <= time.monotonic() and not response.fresh
    server.answers = [b'']
    with pytest.raises(ProtocolError):
        call(pool)
    again = wire.request(pool, 'GET', '/', timeout=TIMEOUT)
    assert again and again.fresh


def test_a_line_for_who_debugs(server: Server, pool: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A debug line is logged in urllib3's format."""
    caplog.set_level(logging.DEBUG)
    call(pool)
    assert [r.getMessage() for r in caplog.records if r.name == 'patroni_etcd3_compat.wire'] == [
        f'http://127.0.0.1:{server.port} "POST /v3/kv/put HTTP/1.1" 200 2'
    ]


@pytest.mark.parametrize(
    'timeout, expected',
    [
        (None, (10, 10)),
        (3, (3, 3)),
        (3.5, (3.5, 3.5)),
        (urllib3.Timeout(connect=1, total=2), (1, 2)),
        (urllib3.Timeout(connect=5, total=2), (2, 2)),
        (urllib3.Timeout(connect=5, read=None), (5, 5)),
        (urllib3.Timeout(connect=5, read=7), (5, 7)),
    ],
)
def test_time_outs_of_urllib3(timeout: Any, expected: Any) -> None:
    """urllib3's time-outs give the limit for connecting and the one for the whole exchange."""
    assert wire.limits(timeout) == expected


def test_connection_that_was_closed_meanwhile(server: Server, pool: Any) -> None:
    """A connection that the server has closed is noticed before anything is sent."""
    server.answers = [b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}']
    assert call(pool) == (200, b'{}')
    assert call(pool, connect=False) is None
    assert pool.urlopen('POST', '/x', body='{}').status == 200


@pytest.mark.parametrize('answer', [b'', b'PRI * HTTP/2.0\r\n\r\n', b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{'])
def test_broken_answer(server: Server, pool: Any, answer: bytes) -> None:
    """A broken answer raises urllib3's error; nothing is sent twice, and the connection is not used again."""
    server.answers = [answer]
    if answer.endswith(b'{'):
        with pytest.raises(ReadTimeoutError):  # the rest never arrives
            call(pool)
    else:
        with pytest.raises(ProtocolError, match='Connection aborted'):
            call(pool)
    assert len(server.requests) == 1
    assert pool.urlopen('POST', '/x', body='{}').status == 200 and server.connections == 2


def test_time_out(server: Server, pool: Any) -> None:
    """A time-out is reported as urllib3 reports it."""
    server.answers = [b'hang']
    with pytest.raises(ReadTimeoutError, match='Read timed out'):
        call(pool, timeout=urllib3.Timeout(connect=1, total=0.2))
    assert len(server.requests) == 1


@pytest.mark.parametrize('start', [b'', b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n'])
def test_a_byte_now_and_then_does_not_prolong_it(server: Server, pool: Any, start: bytes) -> None:
    """Single bytes in the head or body do not prolong the time-out, as they would in urllib3."""
    server.answers = [start + b'drip']
    with pytest.raises(ReadTimeoutError):
        call(pool, timeout=urllib3.Timeout(connect=1, total=0.5))
    assert server.dripped < 40  # out of a hundred, one every 50 ms


def test_ends_with_the_deadline_of_its_call(server: Server, pool: Any) -> None:
    """A request ends at the deadline of its call, whatever its own time-out."""
    server.answers = [b'hang']
    with deadline.within(0.2), pytest.raises(ReadTimeoutError):
        call(pool, timeout=urllib3.Timeout(connect=60, total=60))


def test_nobody_listens() -> None:
    """A refused connection is distinguished from a request that may have been executed."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NewConnectionError) as e:
        call(urllib3.HTTPConnectionPool('127.0.0.1', port))
    assert unexecuted(e.value)


def test_hangs_in_the_handshake() -> None:
    """A silent server in the TLS handshake does not hold the request past its time-out."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        pool = urllib3.HTTPSConnectionPool('127.0.0.1', listener.getsockname()[1])
        with pytest.raises(ReadTimeoutError, match='handshake'):
            call(pool, timeout=urllib3.Timeout(connect=0.2, total=60))
