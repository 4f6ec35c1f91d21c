"""The lab's servers between clients and real members: a relay that stalls, and a load balancer."""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import socket
import time
from typing import Any, Callable, Iterator

import pytest

from lab.balancer import Balancer, Choice
from lab.etcd import b64, request
from lab.processes import wait_until
from lab.relay import PASS, RESET, STALL, Relay, slow, stall_within_answer


@contextlib.contextmanager
def connected(url: str, timeout: float = 0.5) -> Iterator[http.client.HTTPConnection]:
    """Hold one connection open."""
    connection = http.client.HTTPConnection(url.partition('//')[2], timeout=timeout)
    try:
        connection.connect()
        yield connection
    finally:
        connection.close()


def version(connection: http.client.HTTPConnection) -> str:
    """Return the member's version."""
    connection.request('GET', '/version')
    return str(json.loads(connection.getresponse().read())['etcdserver'])


def watch(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """Watch all keys."""
    connection.request('POST', '/v3/watch', json.dumps({'create_request': {'key': 'AA==', 'range_end': 'AA=='}}))
    answer = connection.getresponse()
    assert b'"created":true' in answer.readline()
    return answer


def test_relay(start: Callable[..., Any]) -> None:
    """Each mode applies at once to new and existing connections, and has no effect afterwards."""
    member = start(['3.4']).members[0]
    with Relay(member.url) as relay, connected(relay.url) as old:
        assert version(old) == member.version

        relay.mode = STALL
        with connected(relay.url) as new:
            for connection in (old, new):
                with pytest.raises(socket.timeout):
                    version(connection)
        relay.mode = PASS
        assert request(relay.url, 'GET', '/version')[0] == 200

        relay.mode = stall_within_answer(20)
        with connected(relay.url) as new:
            with pytest.raises(socket.timeout):
                version(new)
        with socket.create_connection(('127.0.0.1', relay.port), timeout=0.5) as raw:
            raw.sendall(b'GET /version HTTP/1.1\r\nHost: x\r\n\r\n')
            assert raw.recv(100) == b'HTTP/1.1 200 OK\r\nAcc'
            with pytest.raises(socket.timeout):
                raw.recv(100)
            relay.mode = PASS
            assert member.version.encode() in raw.recv(1000)  # the data that was held back arrives

        relay.mode = slow(0.3)
        started = time.monotonic()
        with connected(relay.url, 5) as new:
            assert version(new) == version(new) == member.version
        assert 0.6 <= time.monotonic() - started

        relay.mode = PASS
        with connected(relay.url) as new:
            version(new)
            relay.mode = RESET
            with pytest.raises(ConnectionResetError):
                version(new)
        with pytest.raises(ConnectionResetError):
            request(relay.url, 'GET', '/version')
        relay.mode = PASS
        with connected(relay.url) as new:
            version(new)
            relay.cut()
            with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
                version(new)
        assert request(relay.url, 'GET', '/version')[0] == 200
        wait_until(lambda: relay.connections == 0, 5, 'the connections to end')
    relay.stop()
    with pytest.raises(ConnectionRefusedError):
        request(relay.url, 'GET', '/version')
    with relay:
        assert request(relay.url, 'GET', '/version')[0] == 200
        member.kill()
        with pytest.raises(ConnectionError):
            request(relay.url, 'GET', '/version')


def test_balancer(start: Callable[..., Any]) -> None:
    """The member changes with the request or with the connection; one that is down is skipped."""
    cluster = start(['3.3', '3.4', '3.5'])
    versions = [member.version for member in cluster.members]
    with Balancer(cluster.urls) as balancer, connected(balancer.url, 5) as client:
        assert [version(client) for _ in range(6)] == versions * 2
        balancer.choice = Choice.CONNECTION
        assert len({version(client) for _ in range(3)}) == 1
        balancer.choice = Choice.RANDOM
        assert {version(client) for _ in range(60)} == set(versions)

        balancer.choice = Choice.ROUND_ROBIN
        cluster.members[1].kill()
        assert {version(client) for _ in range(6)} == {versions[0], versions[2]}
        assert balancer.answered[-1] != cluster.urls[1]
        for member in cluster.members:
            member.kill()
        assert request(balancer.url, 'GET', '/version')[0] == 502
    balancer.stop()
    with pytest.raises(ConnectionRefusedError):
        request(balancer.url, 'GET', '/version')


def test_streams_through_the_balancer(start: Callable[..., Any]) -> None:
    """An event arrives when it happens.

    A watch ends at the member when the client leaves, and at the client when it is cut.
    """
    cluster = start(['3.4', '3.4'], facade=True)
    put = json.dumps({'key': b64('x'), 'value': b64('y')}).encode()
    with Balancer(cluster.urls) as balancer:
        for _ in cluster.members:
            with connected(balancer.url, 5) as client:
                answer = watch(client)
                assert request(balancer.url, 'POST', '/v3/kv/put', put)[0] == 200
                assert b64('x').encode() in answer.readline()
        assert sorted(set(balancer.answered)) == sorted(cluster.urls)
        for member in cluster.members:
            wait_until(functools.partial(unwatched, member.real_url), 5, 'the watch to end at the member')
        with connected(balancer.url, 5) as client:
            answer = watch(client)
            balancer.cut()
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                answer.read()


def unwatched(url: str) -> bool:
    """Return whether a member has no watches."""
    return watchers(url) == 0


def watchers(url: str) -> int:
    """Return how many watches a member has."""
    metrics = str(request(url, 'GET', '/metrics')[1])
    return next(
        int(float(line.split()[1]))
        for line in metrics.splitlines()
        if line.startswith('etcd_debugging_mvcc_watcher_total ')
    )
