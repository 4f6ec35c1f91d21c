"""The gateway pool against an HTTP server that answers as recorded from etcd members.

The same is tested on real members in tests/etcd. Here are the cases that need a count of requests or a server that
misbehaves.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from typing import Any, Iterator

import pytest
import urllib3
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from patroni_etcd3_compat import deadline
from patroni_etcd3_compat.errors import (
    CommonNameRefused,
    GatewayOff,
    HostRefused,
    MemberStopping,
    MemberTooOld,
    NestedTransaction,
    OutOfTime,
    Refusal,
    UnexpectedAnswer,
    unexecuted,
)
from patroni_etcd3_compat.gateway import Gateway
from patroni_etcd3_compat.members import Members
from patroni_etcd3_compat.router import Router
from patroni_etcd3_compat.versions import PREFIXES

SERVED = {
    '3.0': ['/v3alpha'],
    '3.2': ['/v3alpha'],
    '3.3': ['/v3alpha', '/v3beta'],
    '3.4': ['/v3beta', '/v3'],
    '3.5': ['/v3beta', '/v3'],
    '3.6': ['/v3beta', '/v3'],
    'off': [],
}
GOOD: tuple[int, Any] = (200, {'header': {'revision': '1'}, 'result': {'TTL': '30'}})
LEASE_GONE = {'code': 5, 'message': 'etcdserver: requested lease not found'}


class FakeMember:
    """An etcd member of any version, on a real socket."""

    def __init__(self, server: HTTPServer, version: str) -> None:
        self.url = server.url_for('')[:-1]
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.answer = GOOD
        self.version_takes = 0.0
        self._turns: list[str] = []
        self._at_random = False
        self.become(version)
        server.expect_request('/version').respond_with_handler(self._version)
        for prefix in PREFIXES:
            for rpc in ('/kv/put', '/kv/txn', '/lease/keepalive', '/watch', '/auth/authenticate'):
                server.expect_request(prefix + rpc).respond_with_handler(self._rpc)

    def become(self, version: str, served: list[str] | None = None, **document: Any) -> None:
        """Answer as another version from now on."""
        self.version = document or {'etcdserver': version, 'etcdcluster': 'not_decided'}
        self.served = SERVED['.'.join(version.split('.')[:2])] if served is None else served

    def behind(self, *versions: str, at_random: bool) -> None:
        """Act as several members that take turns."""
        self._turns, self._at_random = list(versions), at_random

    def _next(self) -> None:
        if self._turns:
            version = random.choice(self._turns) if self._at_random else self._turns[0]
            self._turns = self._turns[1:] + self._turns[:1]
            self.become(version)
            self.answer = (200, {'header': {'revision': '1', 'member_id': version}})

    def _version(self, request: Request) -> Response:
        self._next()
        time.sleep(self.version_takes)
        self.requests.append(('/version', dict(request.headers)))
        return Response(json.dumps(self.version))

    def _rpc(self, request: Request) -> Response:
        self._next()
        self.requests.append((request.path, dict(request.headers)))
        if '/' + request.path.split('/')[1] not in self.served:
            return Response('404 page not found\n', 404, content_type='text/plain; charset=utf-8')
        status, body = self.answer
        return Response(body if isinstance(body, bytes) else json.dumps(body), status)

    def paths(self) -> list[str]:
        """Return the paths requested since the last call."""
        ret, self.requests[:] = [path for path, _ in self.requests], []
        return ret


def settle() -> None:
    """Wait until no member is being asked for its version."""
    for thread in threading.enumerate():
        if thread.name == 'etcd-version':
            thread.join()


@pytest.fixture
def member(httpserver: HTTPServer) -> FakeMember:
    """A member of version 3.4.23."""
    return FakeMember(httpserver, '3.4.23')


@pytest.fixture
def pool() -> Iterator[Router]:
    """A pool like that of Patroni's client."""
    manager = urllib3.PoolManager()
    members = Members(manager)
    yield Router(manager, members, (Gateway(manager, members),))
    settle()
    manager.clear()


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and text of what this package logged."""
    return [(r.levelname, r.getMessage()) for r in caplog.records if r.name.startswith('patroni_etcd3_compat')]


def forget(pool: Router, member: FakeMember) -> None:
    """Close all connections, as Patroni does after a failure; the next one is a sign of a change."""
    settle()
    pool.clear()
    pool.members.get(member.url)._settled = 0


def put(pool: Router, member: FakeMember, rpc: str = '/kv/put', token: str | None = None, **kwargs: Any) -> Any:
    """Send what Patroni's client would send."""
    headers = {'user-agent': 'Patroni', 'Content-Type': 'application/json'}
    if token:
        headers['authorization'] = token
    kwargs.setdefault('timeout', urllib3.Timeout(connect=2, total=3))
    return pool.urlopen(
        'POST',
        member.url + '/v3' + rpc,
        body='{}',
        headers=headers,
        retries=0,
        redirect=True,
        preload_content=False,
        **kwargs,
    )


@pytest.mark.parametrize(
    'version, prefix',
    [
        ('3.0.4', '/v3alpha'),
        ('3.2.26', '/v3alpha'),
        ('3.3.25', '/v3beta'),
        ('3.4.23', '/v3'),
        ('3.5.30+git', '/v3'),
        ('3.6.0-rc.1', '/v3'),
    ],
)
@pytest.mark.parametrize('cluster', [{}, {'etcdcluster': 'not_decided'}, {'etcdcluster': '3.0.0'}])
def test_prefix_follows_the_member_alone(
    pool: Router, member: FakeMember, version: str, prefix: str, cluster: dict[str, str]
) -> None:
    """A newer prefix that is not served is skipped, and each later call is one request.

    The version is asked once, beside the call.
    """
    member.become(version)
    member.version = dict(cluster, etcdserver=version)
    assert put(pool, member).status == 200
    settle()
    tried = PREFIXES[: PREFIXES.index(prefix) + 1]
    assert member.paths() == [other + '/kv/put' for other in tried] + ['/version']
    put(pool, member)
    put(pool, member, '/lease/keepalive')
    assert member.paths() == [prefix + '/kv/put', prefix + '/lease/keepalive']


@pytest.mark.parametrize(
    'before, after, prefixes',
    [
        ('3.2.26', '3.4.23', ('/v3alpha', '/v3')),
        ('3.2.26', '3.5.30', ('/v3alpha', '/v3')),
        ('3.4.23', '3.3.25', ('/v3', '/v3beta')),
        ('3.5.30', '3.2.26', ('/v3', '/v3alpha')),
        ('3.3.25', '3.2.26', ('/v3beta', '/v3alpha')),
    ],
)
def test_change_costs_one_extra_request_and_one_log_line(
    pool: Router,
    member: FakeMember,
    caplog: pytest.LogCaptureFixture,
    before: str,
    after: str,
    prefixes: tuple[str, str],
) -> None:
    """A member that returns as another version is served by the same call and logged once."""
    caplog.set_level(logging.INFO)
    old, new = prefixes
    member.become(before)
    put(pool, member)
    settle()
    member.become(after)
    member.paths()
    caplog.clear()

    assert put(pool, member).status == 200
    settle()
    paths = member.paths()
    assert paths[0] == old + '/kv/put' and paths[-2:] == [new + '/kv/put', '/version'] and len(paths) <= 4
    assert len(set(paths)) == len(paths)
    put(pool, member)
    assert member.paths() == [new + '/kv/put']
    assert logged(caplog) == [
        ('INFO', f'etcd member {member.url} (version {after}): gateway prefix changed from {old} to {new}')
    ]


def test_an_old_prefix_that_still_works_is_left_at_the_next_look(pool: Router, member: FakeMember) -> None:
    """/v3beta, which still works on 3.4, is replaced when the version is asked next."""
    member.become('3.3.25')
    put(pool, member)
    settle()
    member.become('3.4.23')
    put(pool, member)
    forget(pool, member)
    member.paths()
    put(pool, member)
    settle()
    assert member.paths() == ['/v3beta/kv/put', '/version']
    put(pool, member)
    assert member.paths() == ['/v3/kv/put']


@pytest.mark.parametrize(
    'version, answer, text',
    [
        ('3.2.26', (404, {'error': LEASE_GONE['message'], 'code': 5}), LEASE_GONE['message']),
        ('3.5.30', (404, LEASE_GONE), LEASE_GONE['message']),
        ('3.4.23', (404, b'Not Found'), 'Not Found'),
        ('3.5.30', (404, {'code': 5, 'message': 'Not Found'}), 'Not Found'),
    ],
)
def test_a_404_that_is_an_answer_is_handed_on(
    pool: Router, member: FakeMember, version: str, answer: tuple[int, Any], text: str
) -> None:
    """A 404 that is an answer is passed on and never sent again."""
    member.become(version)
    put(pool, member)
    settle()
    member.paths()
    member.answer = answer
    ret = put(pool, member)
    assert (ret.status, json.loads(ret.data)['error']) == (404, text)
    assert len(member.paths()) == 1


@pytest.mark.parametrize('served', [['/v3beta'], ['/v3alpha']])
def test_member_that_does_not_serve_what_its_version_does(pool: Router, member: FakeMember, served: list[str]) -> None:
    """If a member does not serve its version's prefix, one that works is found by trial and kept."""
    member.become('3.4.23', served=served)
    put(pool, member)
    settle()
    put(pool, member)
    settle()
    member.paths()
    put(pool, member)
    assert member.paths() == [served[0] + '/kv/put']


@pytest.mark.parametrize('document', [{'etcdserver': None}, {'etcdserver': 'unknown'}, {'health': 'true'}])
def test_member_that_does_not_tell_its_version(pool: Router, member: FakeMember, document: dict[str, Any]) -> None:
    """The prefix of a member that does not report its version is found by trial."""
    member.become('3.2.26', **document)
    put(pool, member)
    settle()
    assert member.paths()[-2:] == ['/v3alpha/kv/put', '/version']
    put(pool, member)
    assert member.paths() == ['/v3alpha/kv/put']


def test_gateway_off_and_on_again(pool: Router, member: FakeMember, caplog: pytest.LogCaptureFixture) -> None:
    """A member without a gateway counts as unreachable, and the remedy names it.

    It is used again once the gateway is on.
    """
    caplog.set_level(logging.INFO)
    member.become('3.4.23', served=[])
    for requests in (3 + 4 * 3 + 1, 3):  # at first repeatedly, as several members may take turns, and one question
        with pytest.raises(GatewayOff) as e:
            put(pool, member)
        assert len(member.paths()) == requests
        assert (
            str(e.value)
            == f'etcd member {member.url} (version 3.4.23) answers 404 under every prefix; its gRPC gateway is '
            'off'
        )
    remedy = pool.members.remedy() or ''
    assert all(text in remedy for text in (member.url, 'enable-grpc-gateway: true', '--enable-grpc-gateway'))
    member.become('3.4.23')
    assert put(pool, member).status == 200
    assert pool.members.remedy() is None
    assert logged(caplog)[0][1] == f'etcd member {member.url} (version 3.4.23) serves its gRPC gateway again'


@pytest.mark.parametrize('version', ['3.0.3', '2.3.8'])
def test_too_old_member_is_refused_by_name(pool: Router, member: FakeMember, version: str) -> None:
    """Nothing more is sent to a member once its version is known to be too old."""
    member.become('off', etcdserver=version)
    with pytest.raises(GatewayOff):
        put(pool, member)
    member.paths()
    with pytest.raises(MemberTooOld) as e:
        put(pool, member)
    assert str(e.value) == f'etcd member {member.url} has version {version}; Patroni needs 3.0.4 or later'
    assert member.paths() == []


def test_explicit_prefix_goes_before_the_version(pool: Router, member: FakeMember) -> None:
    """A configured prefix is used on every member that serves it."""
    pool.members.configure('/v3beta')
    for _ in range(2):
        put(pool, member)
        forget(pool, member)
    assert member.paths() == ['/v3beta/kv/put', '/version'] * 2


def test_explicit_prefix_that_is_not_served(pool: Router, member: FakeMember, caplog: pytest.LogCaptureFixture) -> None:
    """A member that does not serve the configured prefix is used under another one, with one warning.

    Once it serves the configured one, that is used again.
    """
    caplog.set_level(logging.INFO)
    pool.members.configure('/v3alpha')
    put(pool, member)
    settle()
    put(pool, member)
    assert member.paths() == ['/v3alpha/kv/put', '/v3/kv/put', '/version', '/v3/kv/put']
    assert logged(caplog) == [
        (
            'WARNING',
            f'etcd member {member.url} (version 3.4.23) does not serve the configured version_prefix /v3alpha; '
            'using /v3',
        )
    ]
    member.become('3.3.25')
    put(pool, member)
    assert member.paths()[-1] != '/v3/kv/put'


def test_changed_override_applies_to_known_members(pool: Router, member: FakeMember) -> None:
    """A changed ``version_prefix`` takes effect at the next request after a reload."""
    put(pool, member)
    settle()
    member.paths()
    pool.members.configure('/v3beta')
    put(pool, member)
    assert member.paths() == ['/v3beta/kv/put']
    pool.members.configure(None)
    put(pool, member)
    settle()
    assert member.paths() == ['/v3/kv/put', '/version']


@pytest.mark.parametrize('version, passed', [('3.2.26', False), ('3.3.25', True), ('3.5.30', True)])
def test_token_goes_to_members_that_take_one(pool: Router, member: FakeMember, version: str, passed: bool) -> None:
    """A token goes to members that accept one, but never to ``/version``."""
    member.become(version)
    put(pool, member, token='secret')
    settle()
    put(pool, member, token='secret')
    assert all('Authorization' not in headers for path, headers in member.requests if path == '/version')
    assert ('Authorization' in member.requests[-1][1]) is passed


def test_member_that_now_takes_a_token_is_noticed(pool: Router, member: FakeMember) -> None:
    """A member upgraded to 3.3, which still serves the prefix of 3.2, is noticed by its refusal of a missing token."""
    member.become('3.2.26')
    put(pool, member, token='secret')
    settle()
    member.become('3.3.25')
    member.answer = (400, {'error': 'etcdserver: user name is empty', 'code': 3})
    put(pool, member, token='secret')
    settle()
    put(pool, member, token='secret')
    assert 'Authorization' in member.requests[-1][1]


@pytest.mark.parametrize('name', ['request_txn', 'requestTxn'])
def test_nested_transaction_is_not_sent(pool: Router, member: FakeMember, name: str) -> None:
    """A nested transaction is sent neither to an old member nor to a new one."""
    body = json.dumps({'compare': [{}], 'failure': [{name: {'compare': [{}]}}]})
    for version in ('3.2.26', '3.5.30'):
        member.become(version)
        for prefix in PREFIXES:
            with pytest.raises(NestedTransaction):
                pool.urlopen('POST', member.url + prefix + '/kv/txn', body=body)
    assert member.paths() == []


def test_key_that_reads_like_a_nested_transaction_is_sent(pool: Router, member: FakeMember) -> None:
    """A key whose base64 contains the word is sent."""
    body = json.dumps({'compare': [], 'success': [{'request_put': {'key': 'requestTxn', 'value': 'request_txn'}}]})
    assert pool.urlopen('POST', member.url + '/v3/kv/txn', body=body).status == 200


@pytest.mark.parametrize('asked', PREFIXES)
def test_any_prefix_is_replaced(pool: Router, member: FakeMember, asked: str) -> None:
    """A path under any prefix reaches the member under the one that it serves."""
    member.become('3.3.25')
    assert pool.urlopen('POST', member.url + asked + '/kv/put', body='{}').status == 200
    assert [path for path in member.paths() if path != '/version'] == ['/v3/kv/put', '/v3beta/kv/put']


@pytest.mark.parametrize('body', [b'<html>Bad Gateway</html>', b'404', b'{"header":', b''])
def test_unreadable_answer_names_the_member(pool: Router, member: FakeMember, body: bytes) -> None:
    """The error names the member and has the first bytes of the answer; the request is not sent again."""
    put(pool, member)
    settle()
    member.paths()
    member.answer = (200, body)
    with pytest.raises(UnexpectedAnswer) as e:
        put(pool, member)
    assert member.url in str(e.value) and repr(body[:80]) in str(e.value)
    assert member.paths() == ['/v3/kv/put']


def test_member_that_shuts_down_counts_as_unreachable(pool: Router, member: FakeMember) -> None:
    """The answer of a 3.3.25 that shuts down counts as unreachable, else a leader would demote."""
    member.answer = (408, {'error': 'grpc: the client connection is closing', 'code': 1})
    with pytest.raises(MemberStopping, match='gave up /v3/kv/put: .*grpc: the client connection is closing'):
        put(pool, member)


def test_member_is_looked_at_again_after_it_failed(pool: Router, member: FakeMember) -> None:
    """A member is asked for its version again after a failure, while the call that finds it does not wait."""
    member.become('3.3.25')
    put(pool, member)
    settle()
    member.answer = (200, b'')
    with pytest.raises(UnexpectedAnswer):
        put(pool, member)
    member.answer = GOOD
    member.become('3.4.23')
    pool.clear()
    member.paths()
    put(pool, member)
    settle()
    assert member.paths() == ['/v3beta/kv/put', '/version']
    put(pool, member)
    assert member.paths() == ['/v3/kv/put']


@pytest.mark.parametrize(
    'text, kind, remedy',
    [
        (
            'CommonName of client sending a request against gateway will be ignored and not used as expected',
            CommonNameRefused,
            'certificate without a CommonName',
        ),
        (
            '\netcd received your request, but the Host header was unrecognized.\n\nTo fix this, choose one of the '
            'following options:\n- Enable TLS, then any HTTPS request will be allowed.\n- Add the hostname you want to '
            'use to the whitelist in settings.\n  - e.g. etcd --host-whitelist "there"\n',
            HostRefused,
            '--host-whitelist',
        ),
        ('go away', Refusal, None),
    ],
)
def test_refusal_in_plain_text_reaches_the_reader(
    pool: Router, member: FakeMember, text: str, kind: Any, remedy: str | None
) -> None:
    """A refusal in plain text becomes an error with its full text.

    Its remedy is kept until the member answers again.
    """
    member.answer = (400, text.encode())
    with pytest.raises(kind) as e:
        put(pool, member)
    assert ' '.join(text.split()) in str(e.value) and member.url in str(e.value) and unexecuted(e.value)
    assert (remedy or 'none') in (pool.members.remedy() or 'none')
    member.answer = GOOD
    put(pool, member)
    assert pool.members.remedy() is None


def test_refused_login_says_nothing_of_the_body(pool: Router, member: FakeMember) -> None:
    """The error for a refused login does not contain the body, which may have a token in it."""
    member.answer = (400, b'token secret')
    with pytest.raises(UnexpectedAnswer) as e:
        put(pool, member, '/auth/authenticate')
    assert 'secret' not in str(e.value)


@pytest.mark.parametrize('first, second', [('3.2.26', '3.4.23'), ('3.3.25', '3.4.23'), ('3.4.23', '3.6.0')])
@pytest.mark.parametrize('turn', ['one each', 'random'])
def test_several_members_behind_one_url(
    pool: Router, member: FakeMember, caplog: pytest.LogCaptureFixture, first: str, second: str, turn: str
) -> None:
    """With several members behind one URL, no call fails and the gateway does not count as off.

    One line explains it.
    """
    caplog.set_level(logging.INFO)
    member.behind(first, second, at_random=turn == 'random')
    for _ in range(50):
        assert put(pool, member).status == 200
    settle()
    texts = [text for _, text in logged(caplog)]
    assert texts[-1] == f'Several members answer at {member.url}; the prefix is chosen for each request'
    assert not any('off' in text or 'again' in text for text in texts)


def test_replaced_member_is_no_second_one(pool: Router, member: FakeMember, caplog: pytest.LogCaptureFixture) -> None:
    """A replaced member, which has a new ID, does not count as a second member."""
    caplog.set_level(logging.INFO)
    for number in '123':
        member.answer = (200, {'header': {'revision': '1', 'member_id': number}})
        put(pool, member)
        put(pool, member)
    assert not any('Several' in text for _, text in logged(caplog))


def test_no_time_is_no_fault_of_the_member(pool: Router, member: FakeMember) -> None:
    """Nothing is sent past the deadline of the call, and the member does not count as failed."""
    put(pool, member)
    settle()
    member.paths()
    with deadline.within(0), pytest.raises(OutOfTime) as e:
        put(pool, member)
    assert unexecuted(e.value) and not member.paths() and not pool.members.get(member.url).failed


def test_question_for_the_version_costs_the_call_nothing(pool: Router, member: FakeMember) -> None:
    """The version is asked in the background, so a slow answer does not delay the call."""
    member.version_takes = 1.0
    before = time.monotonic()
    put(pool, member)
    assert time.monotonic() - before < member.version_takes
    settle()
    assert '/version' in member.paths()


def test_only_what_is_needed_is_ever_asked(pool: Router, member: FakeMember) -> None:
    """``GET /health`` is never sent: on a 3.4 member it leaves what kills a 3.6 one later (etcd #20809)."""
    for prefix in (None, '/v3beta'):
        pool.members.configure(prefix)
        pool.members.look_at(member.url, 1)
        put(pool, member)
        settle()
    assert {path for path in member.paths() if not path.startswith('/v3')} == {'/version'}


def test_watch_is_handed_on_unread(pool: Router, member: FakeMember) -> None:
    """The stream of a watch is passed on unread."""
    member.answer = (200, b'{"result":{}}')
    response = put(pool, member, '/watch', timeout=urllib3.Timeout(connect=2, read=None))
    assert response.read() == b'{"result":{}}'


def test_what_is_no_gateway_call_passes_through(pool: Router, member: FakeMember) -> None:
    """A request that is not a gateway call, such as the stock code's for ``/version``, passes through."""
    assert json.loads(pool.urlopen('GET', member.url + '/version').data)['etcdserver'] == '3.4.23'
    assert member.paths() == ['/version']
