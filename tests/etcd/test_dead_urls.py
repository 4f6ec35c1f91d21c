"""Members that advertise URLs nobody can use: the configured hosts are used instead (Patroni #1582, #1283)."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import Any, Callable, Iterator

import pytest

from lab.ports import free_port
from lab.processes import wait_until

#: Advertised URLs: the address of a container, an address of no machine, a name that is known only elsewhere, a closed
#: port.
KINDS = ('black hole', '0.0.0.0', '::', 'name', 'refused')


@pytest.fixture
def dead() -> Iterator[Callable[[str], str]]:
    """Return URLs that lead nowhere."""
    with ExitStack() as ends:

        def make(kind: str) -> str:
            if kind != 'black hole':
                host = {'name': 'etcd.invalid', '::': '[::]', 'refused': '127.0.0.1'}.get(kind, kind)
                return f'http://{host}:{free_port()}'
            # connections are neither accepted nor refused
            listener = ends.enter_context(socket.create_server(('127.0.0.1', 0), backlog=0))
            for _ in range(8):
                client = ends.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(listener.getsockname())
            return f'http://127.0.0.1:{listener.getsockname()[1]}'

        yield make


def advertise(cluster: Any, number: int, url: str) -> None:
    """Restart a member so that it tells its clients to use *url*."""
    member = cluster.members[number]
    member.flags = ['--advertise-client-urls', url]
    member.restart()
    cluster.wait_healthy(30)


@pytest.mark.parametrize('kind', KINDS)
def test_at_the_start(
    start: Callable[..., Any], connect: Callable[..., Any], dead: Callable[[str], str], kind: str
) -> None:
    """A client starts on a single member that advertises only a dead URL."""
    cluster = start(['3.5'])
    advertise(cluster, 0, dead(kind))
    dcs = connect(cluster.hosts)
    assert dcs.acquire()
    for _ in range(3):
        dcs.client._machines_cache_updated = 0  # the member list is due
        assert dcs.loop()
    assert dcs.client.machines_cache[0] == cluster.urls[0]


def test_under_a_running_leader(
    start: Callable[..., Any], connect: Callable[..., Any], dead: Callable[[str], str]
) -> None:
    """No loop of the leader fails while the members start to advertise one kind of dead URL after another."""
    cluster = start(['3.5'] * 3)
    dcs = connect(cluster.hosts)
    assert dcs.acquire() and dcs.loop()
    for number, kind in enumerate(KINDS):
        advertise(cluster, number % 3, dead(kind) if number != 1 else dead(kind).replace('http:', 'https:'))
        for _ in range(3):
            dcs.client._machines_cache_updated = 0
            assert dcs.update_leader() and dcs.leader() == 'a'
            dcs.touch(number=number)  # without a retry, so a write may use the connection that was cut
        assert dcs.loop()


def test_url_that_comes_to_work(start: Callable[..., Any], connect: Callable[..., Any]) -> None:
    """An advertised URL replaces the configured host once it answers, and is used when that host goes away."""
    cluster = start(['3.5'])
    member, later = cluster.members[0], f'http://127.0.0.1:{free_port()}'
    advertise(cluster, 0, later)
    dcs = connect(cluster.hosts)
    assert dcs.acquire() and dcs.loop()
    member.flags = ['--listen-client-urls', f'{member.real_url},{later}', '--advertise-client-urls', later]
    member.restart()
    cluster.wait_healthy(30)

    def taken() -> bool:
        return bool(dcs.loop()) and dcs.client.machines_cache == [later] == [dcs.client._base_uri]

    wait_until(taken, 15, 'the advertised URL to be used', interval=0.5)
    member.flags = ['--listen-client-urls', later, '--advertise-client-urls', later]
    member.stop()
    member.spawn()
    wait_until(dcs.loop, 15, 'the leader to go on', interval=0.2)
