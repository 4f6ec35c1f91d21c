"""Servers that fall silent at some point of a call over gRPC, or do not speak it."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest
from hyperframe.frame import PingFrame, SettingsFrame, WindowUpdateFrame
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, ReadTimeoutError

from patroni_etcd3_compat.errors import NoHttp2
from tests.unit.grpc_client import KNOWN, SHORT, SLACK, Client
from tests.unit.grpc_server import Peer, Script, bare, serving, silent, stalls

#: Where silence begins: after how many frames of an answer, and how many bytes of the next.
WHERE: dict[str, Script] = {f'{n}+{more}': stalls(n, more) for n in range(4) for more in (0, 5, 12)}
WHERE['at once'] = silent


@pytest.mark.parametrize('where', WHERE)
def test_stalls(where: str) -> None:
    """A member that falls silent at any point costs the time-out of the call, and the call is not sent again."""
    with serving(WHERE[where]) as server:
        client = Client(server.url)
        started = time.monotonic()
        with pytest.raises(ReadTimeoutError):
            client.range(SHORT)
        assert SHORT <= time.monotonic() - started + 0.01 < SHORT + SLACK
    assert len(server.requests) <= 1 and not client.idle


def test_stall_while_sending() -> None:
    """A member that does not read a long message costs the time-out, twice at most."""

    def script(peer: Peer) -> None:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.send(SettingsFrame(0, {4: (1 << 31) - 1}), WindowUpdateFrame(0, 1 << 30))
        over.wait(30)

    over = threading.Event()
    with serving(script) as server:
        started = time.monotonic()
        with pytest.raises(ReadTimeoutError):
            Client(server.url).put(30 << 20, SHORT)
        assert time.monotonic() - started < 2 * SHORT + SLACK
        over.set()


@pytest.mark.parametrize('window', [0, 10])
def test_no_room(window: int) -> None:
    """A member that makes no room for the message costs the time-out."""

    def script(peer: Peer) -> None:
        peer.send(SettingsFrame(0, {4: window}))
        peer.wait_for_end()

    with serving(script) as server:
        started = time.monotonic()
        with pytest.raises(ReadTimeoutError):
            Client(server.url).put(300_000, SHORT)
        assert time.monotonic() - started < 2 * SHORT + SLACK


def test_drip() -> None:
    """A member that sends a byte now and then gets twice the time-out, as over the gateway."""

    def script(peer: Peer) -> None:
        peer.send(SettingsFrame(0))
        peer.request()
        for byte in bare([PingFrame(0, b'12345678')] * 100):
            peer.sock.sendall(bytes((byte,)))
            time.sleep(SHORT / 10)

    with serving(script) as server:
        started = time.monotonic()
        with pytest.raises(ReadTimeoutError):
            Client(server.url).range(SHORT)
        assert 2 * SHORT <= time.monotonic() - started + 0.01 < 2 * SHORT + SLACK


def test_stall_while_connecting() -> None:
    """A member whose queue of connections is full costs the time-out for connecting."""
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen(0)
        others = [socket.socket() for _ in range(4)]
        for other in others:
            other.setblocking(False)
            other.connect_ex(listener.getsockname())
        try:
            client = Client(f'http://127.0.0.1:{listener.getsockname()[1]}')
            started = time.monotonic()
            with pytest.raises(ConnectTimeoutError):
                client.range(SHORT, retries=0)
            assert time.monotonic() - started < SHORT + SLACK
        finally:
            for other in others:
                other.close()


def test_refused_connection() -> None:
    """A port where nobody listens is an error that says that nothing was sent."""
    with serving() as server:
        url = server.url
    with pytest.raises(NewConnectionError):
        Client(url).range()


@pytest.mark.parametrize('pieces', [[b'HTTP/1.1 400 Bad Request\r\n\r\nno'], [b'H', b'TTP/1.1 505 No\r\n\r\n']])
def test_http_1(pieces: list[bytes]) -> None:
    """A server that answers with HTTP/1.1 is named as one without gRPC, wherever its answer is split."""

    def script(peer: Peer) -> None:
        peer.frame()
        for piece in pieces:
            peer.sock.sendall(piece)
            time.sleep(0.05)
        peer.wait_for_end()

    with serving(script) as server:
        with pytest.raises(NoHttp2, match='speaks HTTP/1.1') as e:
            Client(server.url).range()
    assert server.url in str(e.value)


@pytest.mark.parametrize('closes', ['shutdown', 'close', 'both'])
def test_closed_by_another_thread(closes: str) -> None:
    """A call whose connection this process itself closes, in another thread, ends with a known error."""

    def script(peer: Peer) -> None:
        peer.request()
        arrived.set()
        peer.wait_for_end()

    def close() -> None:
        arrived.wait(5)
        http = taken[0][0].http
        if closes != 'close':
            http.sock.shutdown(socket.SHUT_RDWR)
        if closes != 'shutdown':
            http.close()

    arrived = threading.Event()
    taken: list[Any] = []
    with serving(script) as server:
        client = Client(server.url)
        grpc: Any = client.grpc
        take = grpc._take

        def spy(*args: Any) -> Any:
            taken.append(take(*args))
            return taken[-1]

        grpc._take = spy
        thread = threading.Thread(target=close)
        thread.start()
        with pytest.raises(KNOWN):
            client.range(1)
        thread.join()
