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
import urllib3
from urllib3.exceptions import HTTPError

from lab.balancer import Balancer, Choice
from lab.etcd import b64, request
from lab.facade import Fault
from lab.grpc_front import is_nested
from lab.processes import wait_until
from lab.relay import PASS, RESET, STALL, Relay, slow, stall_within_answer
from patroni_etcd3_compat.extras import GRPC
from patroni_etcd3_compat.grpc.transport import Grpc
from patroni_etcd3_compat.members import Members
from patroni_etcd3_compat.senders import Call


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


class GrpcClient:
    """Single calls over gRPC.

    :param url: of the server.
    """

    def __init__(self, url: str) -> None:
        pool = urllib3.PoolManager()
        members = Members(pool, None, GRPC)
        self._transport = Grpc(pool, members)
        self._member = members.get(url)

    def send(self, rpc: str, timeout: float = 5, **body: Any) -> Any:
        """Make a call, and return its answer."""
        call = Call('POST', rpc, {'body': json.dumps(body), 'timeout': timeout})
        return self._transport.send(self._member, call)

    def put(self, value: str, timeout: float = 5) -> int:
        """Write a value, and return the status of the answer."""
        return int(self.send('/kv/put', timeout, key=b64('x'), value=b64(value)).status)

    def value(self, cluster: Any) -> str:
        """Return the value, as the real member has it."""
        found = cluster.call(0, 'kv/range', {'key': b64('x')})[1].get('kvs', [{}])
        return str(found[0].get('value', ''))

    def version(self) -> str | None:
        """Return the version that the server says it has."""
        return self._transport.version(self._member, 5)


@pytest.fixture
def grpc(start: Callable[..., Any]) -> tuple[Any, GrpcClient]:
    """A member behind a facade, and a client."""
    cluster = start(['3.4'], facade=True)
    return cluster, GrpcClient(cluster.urls[0])


def test_grpc_through_a_facade(grpc: tuple[Any, GrpcClient]) -> None:
    """Calls over gRPC reach the real member, and are recorded as the gateway would have been sent them."""
    cluster, client = grpc
    assert client.put('a') == 200 and client.value(cluster) == b64('a')
    assert client.send('/kv/put', key=b64('x'), value=b64('b'), lease='4711').status == 404
    events = client.send('/watch', create_request={'key': b64('x')}).read_chunked()
    assert json.loads(next(events))['result']['created']
    large = 'l' * 200000  # more than a member takes at once
    assert client.put(large) == 200
    assert json.loads(next(events))['result']['events'][0]['kv']['value'] == b64(large) == client.value(cluster)
    events.close()
    found = [(r.member, r.path, r.rpc, r.status) for r in cluster.requests() if r.rpc != 'maintenance/status']
    member = cluster.members[0].name
    assert found == [
        (member, '/grpc/kv/put', 'kv/put', 200),
        (member, '/grpc/kv/put', 'kv/put', 404),
        (member, '/grpc/watch', 'watch', 200),
        (member, '/grpc/kv/put', 'kv/put', 200),
    ]
    put = next(r for r in cluster.requests() if r.status == 404)
    assert json.loads(put.body) == {'key': b64('x'), 'value': b64('b'), 'lease': '4711'}


def test_faults_hit_grpc(grpc: tuple[Any, GrpcClient]) -> None:
    """Each fault has the effect over gRPC that it has over HTTP/1.1, and on the calls that it names alone."""
    cluster, client = grpc
    facade = cluster.members[0].facade
    assert client.put('0') == 200
    for number, (fault, executed) in enumerate(
        (
            (Fault(path='/kv/put', reset='before'), False),
            (Fault(path='/kv/put', reset='after'), True),
            (Fault(path='/kv/put', cut_after=5), True),
            (Fault(path='/kv/put', status=502, headers={'Content-Type': 'text/html'}, body=b'<html>'), False),
            (Fault(path='/kv/put', delay=60), False),
        )
    ):
        before, value = client.value(cluster), f'n{number}'
        facade.faults = [fault]
        assert client.send('/kv/range', key=b64('x')).status == 200
        with pytest.raises(HTTPError):
            client.put(value, 0.5)
        assert not fault.times
        assert client.value(cluster) == (b64(value) if executed else before), fault
        assert client.put('0') == 200
    facade.faults = [Fault(path='/kv/put', delay=0.3)]
    started = time.monotonic()
    assert client.put('late') == 200 and time.monotonic() - started >= 0.3

    puts = [r for r in cluster.requests() if r.rpc == 'kv/put' and json.loads(r.body)['value'] != b64('0')]
    assert [r.status for r in puts] == [0, 0, 200, 502, 0, 200]
    facade.cut()
    assert client.put('on a new connection') == 200
    facade.stop()
    with pytest.raises(HTTPError):
        client.put('nobody there', 0.5)


def test_grpc_tells_the_version_of_the_shape(start: Callable[..., Any]) -> None:
    """A member that stands in for another release says so over gRPC, too."""
    cluster = start(['3.2'])
    client = GrpcClient(cluster.urls[0])
    assert client.version() == cluster.members[0].version != cluster.members[0].real_version
    assert client.send('/maintenance/status').status == 200


def test_nested_transactions_are_recorded() -> None:
    """A transaction inside a transaction is seen in the messages of gRPC, whatever our own client can send."""
    inner = b'\x12\x02\x22\x00'  # success { request_txn {} }
    assert is_nested(inner) and is_nested(b'\x1a\x02\x22\x00')
    assert not is_nested(b'\x12\x02\x12\x00')  # success { request_put {} }


def test_grpc_through_the_balancer(start: Callable[..., Any]) -> None:
    """The member is chosen for each connection; one that is down is skipped."""
    cluster = start(['3.4', '3.4', '3.4'], facade=True)
    with Balancer(cluster.urls) as balancer:
        for _ in cluster.members:
            assert GrpcClient(balancer.url).put('a') == 200
        assert {r.member for r in cluster.requests()} == {member.name for member in cluster.members}
        cluster.members[0].stop()
        for _ in range(3):
            client = GrpcClient(balancer.url)
            wait_until(functools.partial(client.put, 'b'), 10, 'a write')
