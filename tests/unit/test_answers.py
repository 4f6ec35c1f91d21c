"""Error bodies of all etcd releases are converted to one shape."""

from __future__ import annotations

import json
from typing import Any

import pytest

from patroni_etcd3_compat.answers import (
    Answer,
    UnreadableBody,
    check_stream,
    prefix_not_served,
    read_answer,
    read_version,
)

LEASE = 'etcdserver: requested lease not found'


@pytest.mark.parametrize(
    'status, body, served',
    [
        (404, b'404 page not found\n', False),
        (404, b'404 page not found', False),
        (404, b'Not Found', True),
        (404, b'Not Found\n', True),
        (404, b'{"code":5, "message":"Not Found"}', True),
        (404, b'{"error":"etcdserver: requested lease not found","code":5}', True),
        (404, b'<html><h1>404 page not found</h1></html>', True),
        (404, b'', True),
        (200, b'404 page not found\n', True),
        (503, b'404 page not found\n', True),
    ],
)
def test_only_one_kind_of_404_means_wrong_prefix(status: int, body: bytes, served: bool) -> None:
    """Any other 404 is an answer and must not be sent again."""
    assert prefix_not_served(status, body) is not served


@pytest.mark.parametrize(
    'status, document, expected',
    [
        (404, {'error': LEASE, 'code': 5}, (404, LEASE, 5)),  # 3.2
        (404, {'error': LEASE, 'message': LEASE, 'code': 5}, (404, LEASE, 5)),  # 3.3, 3.4
        (404, {'code': 5, 'message': LEASE, 'details': []}, (404, LEASE, 5)),  # 3.5 of Debian, 3.6
        (404, {'code': 5, 'message': 'Not Found'}, (404, 'Not Found', 5)),
        (200, {'error': {'grpc_code': 14, 'http_code': 503, 'message': 'gone', 'http_status': 'x'}}, (503, 'gone', 14)),
        (
            200,
            {'error': {'code': 16, 'message': 'etcdserver: invalid auth token'}},
            (500, 'etcdserver: invalid auth token', 16),
        ),
        (500, {'error': 'not a primary lessor', 'code': 2}, (500, 'not a primary lessor', 14)),
        (500, {'weird': 1}, (500, "{'weird': 1}", 2)),
        (400, {'Error': 'as written by etcd 3.0', 'Code': 3}, (400, 'as written by etcd 3.0', 3)),
    ],
)
def test_errors_have_error_and_code(status: int, document: dict[str, Any], expected: tuple[int, str, int]) -> None:
    """An error has ``error``, which Patroni before 4.1.1 reads, whatever etcd sent."""
    answer = read_answer('', status, json.dumps(document).encode())
    ret = json.loads(answer.data)
    assert (answer.status, ret['error'], ret['code']) == expected
    assert ret['message'] == ret['error']


def test_unknown_method_of_old_releases_is_an_answer() -> None:
    """The text "Not Found" of etcd 3.2 to 3.4 is converted to the JSON of 3.5."""
    answer = read_answer('', 404, b'Not Found\n')
    assert (answer.status, json.loads(answer.data)) == (404, {'error': 'Not Found', 'message': 'Not Found', 'code': 5})


@pytest.mark.parametrize(
    'body', [b'{"header":{"revision":"7"}}', b'{}', b' {"result":{"TTL":"30"}}\n', b'{"result":{}}\n{"x":1}']
)
def test_successes_are_left_alone(body: bytes) -> None:
    """A good answer does not change by a single byte."""
    assert read_answer('', 200, body)[:4] == (200, body, 0, '')


@pytest.mark.parametrize('status', [200, 404, 502])
@pytest.mark.parametrize(
    'body',
    [
        b'',
        b'404',
        b'"text"',
        b'[1]',
        b'null',
        b'{"header":{"revis',
        b'<html>Bad Gateway</html>',
        b'\xff\xfe\x00',
        b'PRI * HTTP/2',
    ],
)
def test_what_is_not_from_etcd_is_refused(status: int, body: bytes) -> None:
    """A truncated body, or one that is not a JSON object, gives one clear error, never one from Python's parser."""
    with pytest.raises(UnreadableBody):
        read_answer('', status, body)


@pytest.mark.parametrize(
    'status, body, expected',
    [
        (200, b'{"etcdserver":"3.2.26","etcdcluster":"3.2.0"}', ('3.2.26', '3.2.0')),
        (200, b'{"etcdserver":"3.5.16","etcdcluster":"not_decided"}', ('3.5.16', 'not_decided')),
        (200, b'{"etcdserver":"3.4.23"}', ('3.4.23', None)),
        (200, b'{"etcdserver":3}', (None, None)),
        (200, b'<html>', (None, None)),
        (404, b'404 page not found', (None, None)),
        (503, b'{"etcdserver":"3.4.23"}', (None, None)),
    ],
)
def test_version_is_read_or_absent(status: int, body: bytes, expected: object) -> None:
    """A strange answer to ``/version`` is not an error; the prefixes are then tried."""
    assert read_version(status, body) == expected


@pytest.mark.parametrize(
    'rpc, document',
    [
        ('/kv/range', {}),
        ('/kv/range', {'header': {}}),
        ('/kv/range', {'header': {'revision': '1'}, 'kvs': [5]}),
        ('/kv/range', {'header': {'revision': '1'}, 'kvs': {'key': 'a'}}),
        ('/kv/put', {'header': 5}),
        ('/lease/grant', {}),
        ('/kv/txn', {}),
        ('/lease/grant', {'ID': None}),
        ('/lease/keepalive', {'result': 5}),
        ('/cluster/member/list', {}),
        ('/cluster/member/list', {'members': [{'clientURLs': None}]}),
        ('/cluster/member/list', {'members': ['a']}),
        ('/auth/authenticate', {}),
    ],
)
def test_answer_without_what_patroni_takes_for_granted(rpc: str, document: dict[str, Any]) -> None:
    """An answer without an expected key is refused; Patroni would raise a KeyError."""
    with pytest.raises(UnreadableBody):
        read_answer(rpc, 200, json.dumps(document).encode())


@pytest.mark.parametrize(
    'rpc, document',
    [
        ('/kv/range', {'header': {'revision': '1'}}),
        ('/kv/range', {'header': {'revision': '1'}, 'kvs': [{'key': 'YQ=='}]}),
        ('/cluster/member/list', {'members': [{'ID': '1'}, {'clientURLs': ['http://a:1']}]}),
        ('/lease/revoke', {}),
        ('/kv/deleterange', {}),
        ('/kv/put', {'header': {'revision': 7}}),
        ('/lease/grant', {'ID': 7}),
    ],
)
def test_answer_that_has_it(rpc: str, document: dict[str, Any]) -> None:
    """A complete answer is accepted, as is a member that has not started yet and has no client URLs."""
    assert read_answer(rpc, 200, json.dumps(document).encode()).status == 200


@pytest.mark.parametrize(
    'code, text, expected',
    [
        (1, 'grpc: the client connection is closing', True),  # 3.3.25
        (1, 'context canceled', True),
        (14, 'transport is closing', True),  # 3.3, 3.4
        (14, 'connection error: desc = "transport: Error while dialing: dial tcp: connection refused"', True),  # 3.5.30
        (14, 'etcdserver: request timed out', False),
        (14, 'etcdserver: no leader', False),
        (2, 'not a primary lessor', False),
        (2, 'raft proposal dropped', False),
        (5, LEASE, False),
        (2, 'transport is closing', False),
        (14, '', False),
    ],
)
def test_gateway_that_lost_its_member(code: int, text: str, expected: bool) -> None:
    """Errors recorded from members that shut down are recognised; those of etcd itself are answers."""
    body = json.dumps({'error': text, 'code': code} if text else {'code': code, 'error': ''}).encode()
    answer = read_answer('/kv/put', 503, body)
    assert (answer.cut_off if text else Answer(503, b'', code).cut_off) is expected


EVENT = b'{"result":{"header":{"revision":"3"},"events":[{"kv":{"key":"YQ==","mod_revision":"3"}}]}}\n'
CANCELED = b'{"result":{"canceled":true}}\n'


@pytest.mark.parametrize('cut', [1, 7, 40, len(EVENT), 1000])
def test_watch_is_handed_on_byte_for_byte(cut: int) -> None:
    """A watch is passed on byte for byte, however it is split."""
    stream = EVENT * 3 + b'\n' + CANCELED + b'{"error":{"grpc_code":14,"message":"x"}}'
    chunks = [stream[i : i + cut] for i in range(0, len(stream), cut)]
    assert list(check_stream(chunks, False)) == chunks


@pytest.mark.parametrize(
    'line',
    [
        b'garbage\n',
        b'5\n',
        b'{"result":5}\n',
        b'{"result":{"events":{}}}\n',
        b'{"result":{"events":[{"kv":{}}]}}\n',
        b'{"result":{"events":[{"kv":{"key":"a","mod_revision":"x"}}]}}\n',
        b'{"error":"x"}\n',
    ],
)
def test_watch_ends_at_what_is_no_message(line: bytes) -> None:
    """A watch ends at what is not a message; everything before it is passed on."""
    stream = check_stream([EVENT, line, EVENT], False)
    assert next(stream) == EVENT
    with pytest.raises(UnreadableBody):
        next(stream)


def test_canceled_watch_ends_where_patroni_does_not_notice() -> None:
    """A cancelled watch ends with an error for Patroni before 3.3, which does not notice."""
    with pytest.raises(UnreadableBody):
        list(check_stream([EVENT, CANCELED], True))
