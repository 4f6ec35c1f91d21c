"""The same call over the gateway and over gRPC, on each real release: one answer, in JSON and in its errors."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from typing import Any, Callable, Iterator

import pytest
import urllib3

from lab import packages
from lab.etcd import b64
from patroni_etcd3_compat.answers import Answer
from patroni_etcd3_compat.extras import GATEWAY, GRPC
from patroni_etcd3_compat.gateway import Gateway
from patroni_etcd3_compat.grpc.transport import Grpc
from patroni_etcd3_compat.members import Members
from patroni_etcd3_compat.senders import Call

RELEASES = sorted(packages.etcd_binaries(), key=packages.version_key)

#: Numbers that grow from one call to the next.
GROW = ('revision', 'raft_term', 'create_revision', 'mod_revision', 'compact_revision', 'version')
GROW_OF_STATUS = ('raftTerm', 'raftIndex', 'raftAppliedIndex', 'dbSize', 'dbSizeInUse')


def steady(document: Any, rpc: str) -> Any:
    """Return a document in which each number that grows is replaced by its type."""
    if isinstance(document, list):
        return [steady(item, rpc) for item in document]
    if not isinstance(document, dict):
        return document
    grow = GROW_OF_STATUS + ('revision', 'raft_term') if rpc == '/maintenance/status' else GROW
    return {
        name: (type(value).__name__, int(value) > 0) if name in grow else steady(value, rpc)
        for name, value in document.items()
    }


class Both:
    """A member over both transports."""

    def __init__(self, url: str) -> None:
        self.pool = urllib3.PoolManager()
        self._transports: list[tuple[Any, Any]] = []
        for make, name in ((Gateway, GATEWAY), (Grpc, GRPC)):
            members = Members(self.pool, None, name)
            transport = make(self.pool, members)
            self._transports.append((transport, members.get(url)))
        self.token = ''

    def close(self) -> None:
        """Close all connections."""
        for transport, _ in self._transports:
            transport.clear()
        self.pool.clear()

    def replies(self, rpc: str, document: Any, token: str = '', **kwargs: Any) -> Iterator[Any]:
        """Make a call over one transport after the other."""
        for transport, member in self._transports:
            headers = {'authorization': token} if token else {}
            kwargs.setdefault('timeout', urllib3.Timeout(connect=5, total=5))
            yield transport.send(
                member, Call('POST', rpc, dict(kwargs, headers=dict(headers), body=json.dumps(document)))
            )

    def same(self, rpc: str, document: Any, prepare: Callable[[], object] = int, token: str = '') -> Any:
        """Make a call over both, and return the answer, which has to be the same."""
        seen: list[tuple[Any, ...]] = []
        replies = self.replies(rpc, document, token)
        for _ in range(2):
            prepare()
            reply = next(replies)
            assert isinstance(reply, Answer)
            # The gateway says 412 for code 9 on 3.3 and 3.4, and for the error of a stream 500 from 3.5 on.
            status = 400 if reply.status == 412 or rpc == '/lease/keepalive' and reply.code else reply.status
            answer = steady(json.loads(reply.data), rpc)
            seen.append((status, reply.code, reply.error, reply.lease, reply.member_id, answer))
        assert seen[0] == seen[1], (rpc, document)
        return json.loads(reply.data) if not reply.code else (reply.code, reply.error)


@pytest.fixture(params=RELEASES)
def cluster(request: pytest.FixtureRequest, start: Callable[..., Any]) -> Any:
    """A member of each release."""
    return start([request.param])


@pytest.fixture
def both(cluster: Any) -> Iterator[Both]:
    """It over both transports."""
    ret = Both(cluster.urls[0])
    yield ret
    ret.close()


def test_calls(cluster: Any, both: Both) -> None:
    """What succeeds has the same answer over both."""

    def fresh() -> None:
        cluster.call(0, 'kv/deleterange', {'key': b64('a'), 'range_end': b64('b')})
        for name in ('a', 'a1', 'a2'):
            cluster.call(0, 'kv/put', {'key': b64(name), 'value': b64(name * 3), 'lease': '77'})

    cluster.call(0, 'lease/grant', {'TTL': 600, 'ID': 77})
    fresh()
    a, value = {'key': b64('a')}, b64('a' * 3)
    more: dict[str, Any]
    assert len(both.same('/kv/range', {**a, 'range_end': b64('b'), 'serializable': True})['kvs']) == 3
    for more in (
        {},
        {'range_end': 'AA=='},
        {'range_end': b64('b'), 'limit': 2},
        {'range_end': b64('b'), 'count_only': True},
        {'range_end': b64('b'), 'keys_only': True},
        {'range_end': b64('b'), 'sort_order': 'DESCEND', 'sort_target': 'KEY'},
        {'key': b64('none')},
        {'key': b64('none'), 'range_end': b64('nonf')},
    ):
        both.same('/kv/range', {**a, **more})
    for more in ({'value': 'AP8='}, {'value': value, 'prev_kv': True}, {'lease': '77'}, {'ignore_value': True}, {}):
        both.same('/kv/put', {**a, **more}, fresh)
    for more in ({}, {'prev_kv': True, 'range_end': b64('b')}, {'key': b64('none'), 'prev_kv': True}):
        both.same('/kv/deleterange', {**a, **more}, fresh)
    assert both.same('/cluster/member/list', {})['members'][0]['clientURLs'] == [cluster.urls[0]]
    assert both.same('/maintenance/status', {})['version'] == cluster.members[0].version


def test_transactions(cluster: Any, both: Both) -> None:
    """Every kind of comparison, with both outcomes and each kind of operation, has the same answer over both."""

    def fresh() -> None:
        cluster.call(0, 'kv/deleterange', {'key': b64('a')})
        cluster.call(0, 'kv/put', {'key': b64('a'), 'value': b64('x'), 'lease': '77'})

    cluster.call(0, 'lease/grant', {'TTL': 600, 'ID': 77})
    operations = [
        {'request_range': {'key': b64('a')}},
        {'request_put': {'key': b64('a'), 'value': b64('y'), 'prev_kv': True}},
    ]
    others = [{'request_delete_range': {'key': b64('a'), 'prev_kv': True}}, {'request_range': {'key': b64('z')}}]
    outcomes = set()
    kinds = {
        'VERSION': ('version', ('0', '1', '2')),
        'CREATE': ('create_revision', ('0', '9999999')),
        'MOD': ('mod_revision', ('0', '9999999')),
        'VALUE': ('value', (b64('x'), b64('z'), '')),
        'LEASE': ('lease', ('77', '78', '0')),
    }
    if packages.version_key(cluster.members[0].version) < (3, 3):
        del kinds['LEASE']
    for target, (field, values) in kinds.items():
        for result, value in itertools.product(('EQUAL', 'GREATER', 'LESS', 'NOT_EQUAL'), values):
            compare = [{'key': b64('a'), 'target': target, 'result': result, field: value}]
            document = {'compare': compare, 'success': operations, 'failure': others}
            answer = both.same('/kv/txn', document, fresh)
            outcomes.add((target, answer.get('succeeded', False)))
            assert len(answer['responses']) == 2
    assert outcomes == set(itertools.product(kinds, (True, False)))
    both.same('/kv/txn', {'compare': [{'key': b64('a'), 'target': 'CREATE', 'create_revision': '0'}]})
    both.same('/kv/txn', {'success': [{'request_range': {'key': b64('a'), 'range_end': b64('b')}}]})


def test_leases(cluster: Any, both: Both) -> None:
    """Leases are granted, kept alive and revoked with the same answers over both, those that are gone included."""

    def gone() -> None:
        cluster.call(0, 'kv/lease/revoke', {'ID': '88'})

    def there() -> None:
        cluster.call(0, 'lease/grant', {'TTL': 600, 'ID': '88'})

    assert both.same('/lease/grant', {'TTL': 600, 'ID': '88'}, gone)['ID'] == '88'
    assert both.same('/lease/grant', {'TTL': 600, 'ID': '88'}, there)[1] == 'etcdserver: lease already exists'
    assert both.same('/lease/keepalive', {'ID': '88'}, there)['result']['TTL'] == '600'
    assert both.same('/kv/lease/revoke', {'ID': '88'}, there)['header']
    assert 'TTL' not in both.same('/lease/keepalive', {'ID': '88'})['result']
    assert both.same('/kv/lease/revoke', {'ID': '88'}) == (5, 'etcdserver: requested lease not found')
    assert both.same('/kv/put', {'key': b64('a'), 'lease': '88'}) == (5, 'etcdserver: requested lease not found')
    assert both.same('/lease/grant', {'TTL': '99999999999', 'ID': '88'}) == (11, 'etcdserver: too large lease TTL')
    answers = [json.loads(reply.data) for reply in both.replies('/lease/grant', {'TTL': 0})]
    assert [sorted(answer) for answer in answers] == [['ID', 'TTL', 'header']] * 2


def test_errors(cluster: Any, both: Both) -> None:
    """What etcd refuses has the same status, code and text over both."""
    for number in range(5):
        cluster.call(0, 'kv/put', {'key': b64('a'), 'value': b64(str(number))})
    assert cluster.call(0, 'kv/compaction', {'revision': '4'})[0] == 200
    old = {'key': b64('a'), 'revision': '2'}
    assert both.same('/kv/range', old) == (11, 'etcdserver: mvcc: required revision has been compacted')
    assert both.same('/kv/range', {**old, 'revision': '999'})[0] == 11
    assert both.same('/kv/range', {})[0] == both.same('/kv/put', {})[0] == 3
    twice = [{'request_put': {'key': b64('a')}}] * 2
    assert both.same('/kv/txn', {'success': twice}) == (3, 'etcdserver: duplicate key given in txn request')
    many = [{'request_range': {'key': b64('a')}}] * 129
    assert both.same('/kv/txn', {'success': many}) == (3, 'etcdserver: too many operations in txn request')
    large = {'key': b64('a'), 'value': b64('x' * 2_000_000)}
    assert both.same('/kv/put', large) == (3, 'etcdserver: request is too large')
    assert both.same('/auth/authenticate', {'name': 'x', 'password': 'y'})[0] == 9


def test_authentication(cluster: Any, both: Both) -> None:
    """Passwords, tokens and permissions that are missing or wrong have the same errors over both."""
    for name in ('root', 'poor'):
        cluster.call(0, 'auth/user/add', {'name': name, 'password': 'se3ret'})
    cluster.call(0, 'auth/role/add', {'name': 'root'})
    cluster.call(0, 'auth/user/grant', {'user': 'root', 'role': 'root'})
    cluster.enable_auth('root', 'se3ret')

    tokens = {}
    for name in ('root', 'poor'):
        for reply in both.replies('/auth/authenticate', {'name': name, 'password': 'se3ret'}):
            assert reply.status == 200
            tokens[name] = json.loads(reply.data)['token']
    login = {'name': 'root', 'password': 'wrong'}
    denied = (3, 'etcdserver: authentication failed, invalid user ID or password')
    assert both.same('/auth/authenticate', login) == both.same('/auth/authenticate', {**login, 'name': 'x'}) == denied
    key = {'key': b64('a')}

    def fresh() -> None:
        cluster.call(0, 'kv/put', key, tokens['root'])
        cluster.call(0, 'kv/lease/revoke', {'ID': '99'}, tokens['root'])

    for rpc, document in (
        ('/kv/range', key),
        ('/kv/put', key),
        ('/kv/txn', {'success': [{'request_put': key}]}),
        ('/kv/deleterange', key),
        ('/lease/grant', {'TTL': 600, 'ID': '99'}),
        ('/lease/keepalive', {'ID': '77'}),
        ('/cluster/member/list', {}),
        ('/maintenance/status', {}),
    ):
        for token in ('', 'AAAAAAAAAAAAAAAA.7', tokens['poor'], tokens['root']):
            both.same(rpc, document, fresh, token)
    assert both.same('/kv/range', key) == (3, 'etcdserver: user name is empty')
    assert both.same('/kv/range', key, token='AAAAAAAAAAAAAAAA.7') == (16, 'etcdserver: invalid auth token')
    assert both.same('/kv/range', key, token=tokens['poor']) == (7, 'etcdserver: permission denied')


def test_watches(cluster: Any, both: Both) -> None:
    """A watch has the same lines over both: its beginning, puts, deletions, and the end of what was compacted."""
    first = int(cluster.call(0, 'kv/put', {'key': b64('a0')})[1]['header']['revision'])
    cluster.call(0, 'lease/grant', {'TTL': 600, 'ID': 77})
    requests: list[tuple[dict[str, Any], int]] = [
        ({'start_revision': str(first)}, 5),
        ({'start_revision': str(first), 'filters': ['NODELETE'], 'prev_kv': True}, 3),
        ({'start_revision': first + 1, 'filters': ['NOPUT']}, 2),
    ]
    for more, count in requests:
        seen: list[list[Any]] = []
        for reply in both.replies(
            '/watch', watched(more), timeout=urllib3.Timeout(connect=5, read=None), preload_content=False
        ):
            seen.append([])
            reader = threading.Thread(target=collect, args=(reply, seen[-1]), daemon=True)
            reader.start()
            if len(seen) == 1 and count == 5:
                cluster.call(0, 'kv/put', {'key': b64('a1'), 'value': b64('x'), 'lease': '77'})
                cluster.call(0, 'kv/put', {'key': b64('a1'), 'value': 'AP8='})
                cluster.call(0, 'kv/deleterange', {'key': b64('a'), 'range_end': b64('b')})
            reader.join(0.5)
            reply.connection.sock.shutdown(socket.SHUT_RDWR)  # as Patroni does
            reader.join(5)
            assert not reader.is_alive()
            reply.close()
        gateway, grpc = (events(lines) for lines in seen)
        assert gateway == grpc and gateway['created']
        assert len(gateway['events']) == count
    cluster.call(0, 'kv/compaction', {'revision': str(first + 2)})
    ends: list[list[Any]] = []
    for reply in both.replies(
        '/watch', watched(requests[0][0]), timeout=urllib3.Timeout(connect=5, read=5), preload_content=False
    ):
        ends.append([])
        collect(reply, ends[-1], 2)
        reply.close()
    assert [steady(line, '') for line in ends[0]] == [steady(line, '') for line in ends[1]]
    assert ends[0][-1]['result']['canceled'] and ends[0][-1]['result']['compact_revision']


def watched(more: Any) -> Any:
    """Return the request for a watch of all keys of the test."""
    return {'create_request': {'key': b64('a'), 'range_end': b64('b'), **more}}


def collect(reply: Any, lines: list[Any], count: int = 999) -> None:
    """Read the lines of a watch until it ends, or there are enough."""
    rest = b''
    try:
        for chunk in reply.read_chunked(decode_content=False):
            rest += chunk
            while b'\n' in rest:
                line, _, rest = rest.partition(b'\n')
                lines.append(json.loads(line))
            if len(lines) >= count:
                return
    except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError):
        pass  # it was closed


def events(lines: list[Any]) -> dict[str, Any]:
    """Return what a watch has told: how many lines it takes depends on when they were sent."""
    results = [line['result'] for line in lines]
    return {
        'created': [sorted(result) for result in results if result.get('created')],
        'events': [event for result in results for event in result.get('events', [])],
        'headers': {tuple(sorted(result['header'])) for result in results},
        'ids': {result.get('watch_id') for result in results},
    }
