"""The options of the socket to etcd."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3

from patroni_etcd3_compat import dcs


@pytest.fixture
def sock() -> Any:
    """A TCP socket without a connection."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        yield sock


@pytest.mark.parametrize('connection', [urllib3.connection.HTTPConnection, urllib3.connection.HTTPSConnection])
def test_options_of_urllib3_and_of_patroni(sock: socket.socket, connection: Any) -> None:
    """TCP_NODELAY, which the stock class drops, is set in addition to Patroni's keepalive options."""
    store: Any = object.__new__(dcs.Etcd3)
    store._ttl, store._loop_wait, store._retry = 30, 10, SimpleNamespace(deadline=10)
    options: list[tuple[int, int, int]] = connection.default_socket_options
    assert (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) in options
    store.set_socket_options(sock, options)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_no_options_at_all(sock: socket.socket) -> None:
    """No options are an acceptable argument, as urllib3 may pass none."""
    store: Any = object.__new__(dcs.Etcd3)
    store._ttl, store._loop_wait, store._retry = 30, 10, SimpleNamespace(deadline=10)
    store.set_socket_options(sock, None)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
