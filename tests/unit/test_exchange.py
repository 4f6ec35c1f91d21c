"""A call over a connection that urllib3 has open, against a real socket server, under either line of urllib3."""
import socket
import threading

from typing import Any, Iterator, List

import pytest
import urllib3

from urllib3.exceptions import ProtocolError, ReadTimeoutError

from patroni_etcd3_compat.exchange import exchange

GOOD = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'
CHUNKED = b'HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n'
TIMEOUT = urllib3.Timeout(connect=1, total=1)


class Server:
    """Answers one request after the other on each connection as it was told to; notes packets and connections."""

    def __init__(self) -> None:
        self.answers: List[bytes] = []
        self.requests: List[bytes] = []
        self.connections = 0
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
                except ConnectionResetError:  # the client did not read all that it was sent
                    return
                if not packet:
                    return
                self.requests.append(packet)
                answer = self.answers.pop(0) if self.answers else GOOD
                if not answer:
                    return
                if answer != b'hang':
                    connection.sendall(answer)


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
    """One call as the gateway makes it."""
    return exchange(pool, 'POST', '/v3/kv/put', body='{"key": "YQ=="}', headers={'user-agent': 'x'},
                    **dict({'timeout': TIMEOUT, 'retries': 1, 'preload_content': False}, **kwargs))


def test_one_packet_on_the_open_connection(server: Server, pool: Any) -> None:
    """Head and body together; the connection goes back and serves urllib3 as well."""
    server.answers = [GOOD, CHUNKED, GOOD, GOOD]
    assert call(pool) == (200, b'{}') and call(pool) == (404, b'{"a":1}')
    assert pool.urlopen('POST', '/x', body='{}').data == b'{}'
    assert call(pool) == (200, b'{}')
    first = server.requests[0]
    assert first.startswith(b'POST /v3/kv/put HTTP/1.1\r\n') and first.endswith(b'\r\n\r\n{"key": "YQ=="}')
    assert b'\r\nContent-Length: 15\r\n' in first and b'\r\nuser-agent: x\r\n' in first
    assert server.connections == 1


def test_nothing_is_sent_without_an_open_connection(server: Server) -> None:
    """Connecting is for urllib3."""
    pool = urllib3.HTTPConnectionPool('127.0.0.1', server.port)
    assert call(pool) is None
    pool.close()
    assert call(pool) is None and not server.requests


@pytest.mark.parametrize('timeout', [None, 3, 3.5])
def test_other_time_outs_are_for_urllib3(server: Server, pool: Any, timeout: Any) -> None:
    """Patroni passes a Timeout where it matters."""
    assert call(pool, timeout=timeout) is None and not server.requests


def test_connection_that_was_closed_meanwhile(server: Server, pool: Any) -> None:
    """Is noticed before anything is sent."""
    server.answers = [b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}']
    assert call(pool) == (200, b'{}')
    assert call(pool) is None
    assert pool.urlopen('POST', '/x', body='{}').status == 200


@pytest.mark.parametrize('answer', [b'', b'PRI * HTTP/2.0\r\n\r\n', b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{'])
def test_broken_answer(server: Server, pool: Any, answer: bytes) -> None:
    """The same error as urllib3's, nothing is sent twice, and the connection is not used again."""
    server.answers = [answer]
    if answer.endswith(b'{'):
        with pytest.raises(ReadTimeoutError):  # the rest never comes
            call(pool)
    else:
        with pytest.raises(ProtocolError, match='Connection aborted'):
            call(pool)
    assert len(server.requests) == 1
    assert pool.urlopen('POST', '/x', body='{}').status == 200 and server.connections == 2


def test_time_out(server: Server, pool: Any) -> None:
    """As urllib3 reports it."""
    server.answers = [b'hang']
    with pytest.raises(ReadTimeoutError, match='Read timed out'):
        call(pool, timeout=urllib3.Timeout(connect=1, total=0.2))
    assert len(server.requests) == 1
