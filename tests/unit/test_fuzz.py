"""Arbitrary answers from a real socket: which errors a client raises, and which requests it repeats.

The seed of a run is in its output. ``FUZZ_SEED=number`` runs those examples, ``FUZZ_SEED=random`` new ones.
"""

from __future__ import annotations

import json
import os
import random
import threading
from typing import Any, Callable, Iterator

import etcd
import pytest
from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st
from patroni.dcs import etcd as patroni_etcd
from patroni.dcs.etcd3 import KVCache
from patroni.exceptions import PatroniException
from patroni.utils import iter_response_objects
from urllib3.exceptions import HTTPError

from lab import say
from patroni_etcd3_compat.client import CompatClient
from tests.examples import examples
from tests.unit.fuzzing import BODIES, NOT_SERVED, STATUSES, Answer, Server, answers, http, places

_WANTED = os.environ.get('FUZZ_SEED', '20261122')
SEED = random.SystemRandom().randrange(2**32) if _WANTED == 'random' else int(_WANTED)

#: All exceptions that may be raised: Patroni's own code around these calls handles each of them.
EXPECTED = (
    HTTPError,
    OSError,
    etcd.EtcdException,
    PatroniException,
    *(getattr(patroni_etcd, name) for name in ('StaleEtcdNode',) if hasattr(patroni_etcd, name)),
)  # since 3.3


def ok(document: Any) -> Answer:
    """Return a sound HTTP answer with this body."""
    return Answer(http(200, [], json.dumps(document).encode()))


#: How many requests may be answered with "prefix not served" before the gateway counts as off.
UNSERVED = 15

#: The calls: name, function, and the end of the path of the request that must not be sent twice.
CALLS: dict[str, tuple[Callable[[CompatClient], Any], str]] = {
    'put': (lambda client: client.put('x', 'y', '7'), '/kv/put'),
    'create': (lambda client: client.put('x', 'y', create_revision='0'), '/kv/txn'),
    'range': (lambda client: client.prefix('x'), '/kv/range'),
    'delete': (lambda client: client.deleterange('x', mod_revision='1'), '/kv/txn'),
    'grant': (lambda client: client.lease_grant(5), '/lease/grant'),
    'keepalive': (lambda client: client.lease_keepalive('7'), '/lease/keepalive'),
    'members': (
        lambda client: client._get_members(client._base_uri, **client._prepare_get_members(1)),
        '/cluster/member/list',
    ),
    'authenticate': (lambda client: client.authenticate() and client.put('x', 'y'), '/auth/authenticate'),
}


@pytest.fixture(scope='module')
def resolver() -> Iterator[patroni_etcd.DnsCachingResolver]:
    """Patroni's own resolver, whose thread never ends."""
    say(f'fuzz seed {SEED}')
    yield patroni_etcd.DnsCachingResolver()


@pytest.fixture(scope='module')
def server() -> Iterator[Server]:
    """One server for all examples."""
    ret = Server()
    yield ret
    ret.stop()


def connect(server: Server, resolver: patroni_etcd.DnsCachingResolver, **options: Any) -> CompatClient:
    """Return a client that has found the server healthy."""
    server.answer, server.refusing = None, False
    config = dict({'hosts': [server.url], 'host': '127.0.0.1', 'port': 1, 'retry_timeout': 3}, **options)
    for tries_left in (2, 1, 0):  # on a busy machine the server, a thread of this process, may be late
        try:
            client = CompatClient(config, resolver)
            break
        except etcd.EtcdConnectionFailed:
            if not tries_left:
                raise
    server.requests.clear()
    return client


def fuzzed(number: int) -> Callable[[Any], Any]:
    """Return the settings of a test: how many examples it takes."""
    configure = settings(
        max_examples=examples(number),
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )

    def decorate(test: Any) -> Any:
        return seed(SEED)(configure(test))

    return decorate


@fuzzed(700)
@given(st.sampled_from(sorted(CALLS)), answers(), st.booleans(), st.booleans())
@example('put', ok({'header': 5}), False, False)
@example('grant', ok({}), False, False)
@example('keepalive', ok({'result': 5}), False, False)
@example('keepalive', ok({'result': {'TTL': []}}), False, False)
@example('members', ok({}), False, False)
@example('authenticate', ok({'token': 'a\nb'}), False, False)
@example('put', Answer(http(400, [], b'{"code":1e999}')), False, False)
@example('put', Answer(http(400, [], b'[' * 100000)), True, True)
@example('put', Answer(http(307, [('Location', '/v3/kv/put')], b'{}')), False, False)
@example('put', Answer(http(404, [], NOT_SERVED)), False, True)
def test_only_errors_that_patroni_knows_and_nothing_sent_twice(
    server: Server,
    resolver: patroni_etcd.DnsCachingResolver,
    name: str,
    answer: Answer,
    also_version: bool,
    look_again: bool,
) -> None:
    """Any answer leads to a proper result or an expected exception.

    Only a prefix that is not served leads to a second request.
    """
    call, rpc = CALLS[name]
    login = {'username': 'u', 'password': 'p'} if name == 'authenticate' else {}
    client = connect(server, resolver, **login)
    client._token = None
    if look_again:
        client.http.members.get(server.url)._settled = 0
    server.answer, server.also_version = answer, also_version
    try:
        call(client)
    except EXPECTED:
        pass
    finally:
        client.http.clear()
    sent = [path for path, _ in server.requests if path.endswith(rpc)]
    if answer.sends_elsewhere:  # it says that nothing was executed; repeated, since several members may take turns
        assert len(sent) <= UNSERVED, server.requests
        return
    assert len(set(sent)) <= 1, server.requests
    # After an answer that refuses the token a login follows, even if that was the answer to a login.
    assert len(sent) - len(set(sent)) <= (name == 'authenticate' and b'etcdserver: ' in answer.body), server.requests


@fuzzed(200)
@given(answers(st.just(200) | STATUSES))
@example(Answer(http(200, [], b'{"token":"x"} and more')))
@example(Answer(http(200, [], json.dumps({'token': '\u20ac'}).encode())))
def test_login_after_a_refusal(server: Server, resolver: patroni_etcd.DnsCachingResolver, answer: Answer) -> None:
    """If the token is refused and the login gets any answer, pool and client each repeat the call at most once."""
    client = connect(server, resolver, username='u', password='p')
    server.answer, server.also_version, server.refusing = answer, False, True
    try:
        client.put('x', 'y')
    except EXPECTED:
        pass
    finally:
        client.http.clear()
    # Refused in the pool's own attempt, then in Patroni's, which renews the token once itself.
    assert len([path for path, _ in server.requests if path.endswith('/kv/put')]) <= 4, server.requests


@fuzzed(300)
@given(answers(), st.integers(0, 2))
def test_pool_alone(server: Server, resolver: patroni_etcd.DnsCachingResolver, answer: Answer, retries: int) -> None:
    """A pool without a client raises only expected errors, even with urllib3's own repetitions."""
    client = connect(server, resolver)
    pool = client.http
    server.answer, server.also_version = answer, False
    kwargs = dict(client._prepare_common_parameters(1), retries=retries)
    try:
        ret = pool.urlopen('POST', server.url + '/v3/kv/put', body='{}', **kwargs)
        assert isinstance(json.JSONDecoder().raw_decode(ret.data.decode().strip())[0], dict)  # more may follow
    except (HTTPError, OSError):
        pass
    finally:
        pool.clear()
    sent = [path for path, _ in server.requests if path.endswith('/kv/put')]
    assert len(sent) <= (UNSERVED if answer.sends_elsewhere else 1), server.requests


class Unstarted(KVCache):  # type: ignore[misc]
    """Patroni's reader of the stream without its thread."""

    def start(self) -> None:
        """Do nothing: the test is the thread."""


class NoDcs:
    """The part of a DCS that the reader uses."""

    config_path, leader_path, leader_optime_path, status_path, _name = 'config', 'leader', 'optime', 'status', 'a'
    event = threading.Event()


@st.composite
def streams(draw: Any) -> Answer:
    """Draw chunked messages: proper ones, then anything, split anywhere."""
    event = {
        'result': {
            'header': {'cluster_id': '7', 'raft_term': '2'},
            'events': [{'kv': {'key': 'eA==', 'mod_revision': '5', 'value': 'eQ=='}}],
        }
    }
    body = json.dumps(event).encode() + b'\n' + draw(BODIES)
    content = http(200, [], body, places(len(body), draw))
    if draw(st.booleans()):
        content = content[: draw(st.integers(0, len(content)))]
    return Answer(content, places(len(content), draw), body)


@fuzzed(300)
@given(streams() | answers())
@example(Answer(http(200, [], b'404', [])))
@example(Answer(http(200, [], b'{"result":{"header":5}}', [])))
@example(Answer(http(200, [], b'{"result":{"events":[{}]}}', [])))
@example(Answer(http(200, [], '{"result":{"x":"é"}}'.encode(), [18])))
@example(Answer(http(200, [], b'not chunked')))
def test_watch_stream(server: Server, resolver: patroni_etcd.DnsCachingResolver, answer: Answer) -> None:
    """The reader of the stream gets messages or an expected exception, wherever the stream is split."""
    client = connect(server, resolver)
    cache = Unstarted(NoDcs(), client)
    server.answer, server.also_version = answer, False
    try:
        response = client.watchprefix('x', '1')
        try:
            for message in iter_response_objects(response):
                cache._process_message(message)
        finally:
            response.close()
    except EXPECTED:
        pass
    finally:
        client.http.clear()
    assert len([path for path, _ in server.requests if path.endswith('/watch')]) <= (3 if answer.sends_elsewhere else 1)


def test_a_version_that_is_not_to_be_had_now_costs_no_wait(
    server: Server, resolver: patroni_etcd.DnsCachingResolver
) -> None:
    """The HA loop does not wait if a proxy answers the question for the version with "come back in an hour"."""
    client = connect(server, resolver)
    client.http.members.get(server.url)._settled = 0
    server.answer, server.also_version = Answer(http(503, [('Retry-After', '3600')], b'')), True

    def put() -> None:
        with pytest.raises(EXPECTED):
            client.put('x', 'y')

    thread = threading.Thread(target=put, daemon=True)
    thread.start()
    thread.join(10)  # seconds; retry_timeout is 3
    assert not thread.is_alive()
