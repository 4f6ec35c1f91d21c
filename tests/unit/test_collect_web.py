"""Servers that answer endlessly, too slowly or too much cost their own time-out and no more."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Callable, Iterator

import pytest
from urllib3.response import HTTPResponse

from patroni_etcd3_compat.check.collect import Settings, web
from patroni_etcd3_compat.check.collect.endpoints import MOST, Endpoints
from patroni_etcd3_compat.check.collect.interview import Told
from patroni_etcd3_compat.check.collect.rest_api import RestApi
from patroni_etcd3_compat.check.collect.web import Clock, Unanswered, Web
from patroni_etcd3_compat.check.facts import EtcdEndpoint, ListedMember

Send = Callable[[socket.socket, threading.Event], None]


@contextlib.contextmanager
def server(send: Send) -> Iterator[str]:
    """Run a server that answers each connection with *send* until the client hangs up."""
    ended = threading.Event()
    with socket.create_server(('127.0.0.1', 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    connection.recv(65536)
                    send(connection, ended)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f'http://127.0.0.1:{listener.getsockname()[1]}'
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    assert not thread.is_alive()  # this includes a client that has hung up


def endless(connection: socket.socket, ended: threading.Event) -> None:
    """Send zeros as fast as they are read."""
    connection.sendall(b'HTTP/1.1 200 OK\r\n\r\n')
    while True:
        connection.sendall(bytes(65536))


def dripping(connection: socket.socket, ended: threading.Event) -> None:
    """Send one byte at a time, each within the time-out."""
    connection.sendall(b'HTTP/1.1 200 OK\r\n\r\n')
    while not ended.wait(0.05):
        connection.sendall(b' ')


def test_an_answer_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more is read than the longest valid answer has."""
    monkeypatch.setattr(web, '_LONGEST', 1024 * 1024)
    with server(endless) as url:
        with pytest.raises(Unanswered, match='^the answer is longer than 1 MB$'):
            Web({}).ask('GET', url, Clock(30))
        assert RestApi(Settings([], timeout=30)).status(url, 'lab') == {'error': 'the answer is longer than 1 MB'}


@pytest.mark.skipif(not hasattr(HTTPResponse, 'read1'), reason='urllib3 1.26 reads whole pieces')
def test_an_answer_that_drips() -> None:
    """The time-out applies to the whole answer, not to each byte."""
    started = time.monotonic()
    with server(dripping) as url:
        with pytest.raises(Unanswered, match='^no answer within 0.3 s$'):
            Web({}).ask('GET', url, Clock(0.3))
        assert RestApi(Settings([], timeout=0.3)).status(url, 'lab') == {'error': 'no answer within 0.3 s'}
    assert time.monotonic() - started < 3


def test_a_proper_answer() -> None:
    """A proper answer is read to its end, however its length is given."""
    body = b'x' * 200000

    def send(connection: socket.socket, ended: threading.Event) -> None:
        connection.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
        for part in (body, b''):
            connection.sendall(f'{len(part):x}\r\n'.encode() + part + b'\r\n')

    with server(send) as url:
        assert Web({}).ask('GET', url, Clock(5)) == (200, body)


def test_more_urls_than_a_cluster_can_have() -> None:
    """Excess URLs are noted but not asked, since each question takes a thread."""
    endpoints = Endpoints(Settings(['http://a:1']))
    endpoints.configured()
    urls = [f'http://b:{port}' for port in range(1, 1001)]
    asked = endpoints.add(Told(EtcdEndpoint('http://a:1', True), [ListedMember('1', 'a', urls, [])]))
    facts = endpoints.facts()
    assert len(asked) == MOST - 1 and len(facts.endpoints) == 1001
    assert facts.endpoints[-1].error == f'not asked: more than {MOST} URLs are advertised'


@pytest.mark.parametrize(
    'date, seconds',
    [
        ('Thu, 01 Jan 1970 00:01:40 GMT', 0),  # 100, when the request took from 99.5 to 100.5
        ('Thu, 01 Jan 1970 00:01:39 GMT', 0),
        ('Thu, 01 Jan 1970 00:01:50 GMT', 9.5),
        ('Thu, 01 Jan 1970 00:01:30 GMT', -8.5),
        (None, None),
        ('yesterday', None),
    ],
)
def test_clock_of_a_server(date: str | None, seconds: float | None) -> None:
    """Neither the time that the request took nor the rest of the second counts."""
    assert web.ahead(date, 99.5, 100.5) == seconds
