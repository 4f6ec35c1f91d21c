"""Arbitrary answers from a real socket: what a client lets out, and what it sends again.

The seed of a run is in its output; ``FUZZ_SEED=number`` runs the same examples again.
"""
import json
import os
import random
import socket
import threading

from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import etcd
import pytest

from hypothesis import example, given, HealthCheck, seed, settings, strategies as st
from patroni.dcs import etcd as patroni_etcd
from patroni.dcs.etcd3 import KVCache
from patroni.exceptions import PatroniException
from patroni.utils import iter_response_objects
from urllib3.exceptions import HTTPError

from lab import say
from patroni_etcd3_compat.client import CompatClient

SEED = int(os.environ.get('FUZZ_SEED') or random.SystemRandom().randrange(2 ** 32))

#: All that may come out: each is what Patroni's own code around these calls is written for.
EXPECTED = (HTTPError, OSError, etcd.EtcdException, PatroniException,
            *(getattr(patroni_etcd, name) for name in ('StaleEtcdNode',) if hasattr(patroni_etcd, name)))  # since 3.3

NOT_SERVED = b'404 page not found'

REFUSED = b'{"error":"etcdserver: invalid auth token","code":16}'


class Answer(NamedTuple):
    """What a server sends."""

    content: bytes
    #: where to cut it into pieces
    cuts: List[int] = []
    #: what is in it
    body: bytes = b''

    @property
    def sends_elsewhere(self) -> bool:
        """Whether it may say that nothing was executed, so that the request may go out under the other prefixes."""
        return NOT_SERVED in self.content or NOT_SERVED in self.body

    def __repr__(self) -> str:
        return 'Answer({0!r}{1}, {2})'.format(self.content[:300], '...'[:len(self.content[300:])], self.cuts)


class Server:
    """An etcd member that does what it should until it is told to answer :attr:`answer` to everything else."""

    def __init__(self) -> None:
        self._socket = socket.create_server(('127.0.0.1', 0))
        self.url = 'http://127.0.0.1:{0}'.format(self._socket.getsockname()[1])
        #: ``None``: what etcd would send
        self.answer: Optional[Answer] = None
        #: whether :attr:`answer` goes for the question for the version, too
        self.also_version = False
        #: whether every token is refused, and :attr:`answer` is for who asks for a new one
        self.refusing = False
        self.requests: List[Tuple[str, bytes]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Close the socket, the thread ends by that."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._socket.accept()[0]
            except OSError:
                return
            try:
                with connection:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._serve(connection)
            except OSError:  # the client has seen enough
                pass

    def _serve(self, connection: socket.socket) -> None:
        with connection.makefile('rb') as stream:
            start = stream.readline()
            if not start:  # connected, and then it thought better of it
                return
            path, length = start.split()[1].decode(), 0
            for line in iter(stream.readline, b'\r\n'):
                name, _, value = line.partition(b':')
                length = int(value) if name.lower() == b'content-length' else length
            self.requests.append((path, stream.read(length)))
        answer = self.answer
        if answer is None or path == '/version' and not self.also_version:
            answer = Answer(http(200, [('Connection', 'close')], self._proper(path)))
        elif self.refusing and not path.endswith('/auth/authenticate'):
            answer = Answer(http(401, [('Connection', 'close')], REFUSED))
        content, cuts, _ = answer
        for begin, end in zip([0] + cuts, cuts + [len(content)]):
            connection.sendall(content[begin:end])
        connection.shutdown(socket.SHUT_WR)

    def _proper(self, path: str) -> bytes:
        if path == '/version':
            return b'{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}'
        return json.dumps({'header': {'cluster_id': '7', 'raft_term': '2'}, 'token': 'x',
                           'members': [{'clientURLs': [self.url]}]}).encode()


def http(status: int, headers: List[Tuple[str, str]], body: bytes, chunks: Optional[List[int]] = None) -> bytes:
    """Make an HTTP answer.

    :param headers: its own ``Content-Length`` goes in front of these.
    :param chunks: where to cut *body* into chunks; ``None``: not chunked.
    """
    framing = [('Content-Length', str(len(body)))]
    if chunks is not None:
        framing = [('Transfer-Encoding', 'chunked')]
        pieces = [body[start:end] for start, end in zip([0] + chunks, chunks + [len(body)])]
        body = b''.join(b'%x\r\n%s\r\n' % (len(piece), piece) for piece in pieces if piece) + b'0\r\n\r\n'
    lines = ['HTTP/1.1 {0} Some'.format(status)] + ['{0}: {1}'.format(*header) for header in framing + headers]
    return '\r\n'.join(lines + ['', '']).encode('latin-1', 'replace') + body


def places(limit: int, draw: Any) -> List[int]:
    """Draw places to cut something of that length at."""
    return sorted(draw(st.lists(st.integers(0, limit), max_size=6)))


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
                    max_leaves=6)
TEXTS = st.sampled_from([
    'etcdserver: requested lease not found', 'etcdserver: invalid auth token', 'etcdserver: user name is empty',
    'not a primary lessor', 'etcdserver: request timed out', 'grpc: the client connection is closing']) | JSON
ERRORS = st.fixed_dictionaries({}, optional={
    'error': TEXTS | st.fixed_dictionaries({}, optional={'grpc_code': JSON, 'http_code': JSON, 'message': TEXTS}),
    'code': JSON | st.integers(0, 17), 'message': TEXTS})
#: everything that Patroni reads from an answer, right or not
FIELDS = st.fixed_dictionaries({}, optional={
    'header': JSON | st.fixed_dictionaries({}, optional={'cluster_id': JSON, 'raft_term': JSON, 'revision': JSON}),
    'result': JSON | st.fixed_dictionaries({}, optional={
        'TTL': JSON, 'header': JSON, 'canceled': JSON, 'events': JSON | st.lists(JSON | st.fixed_dictionaries(
            {}, optional={'type': st.just('DELETE') | JSON, 'kv': JSON | st.fixed_dictionaries(
                {}, optional={'key': JSON, 'mod_revision': JSON, 'value': JSON})}), max_size=2)}),
    'members': JSON | st.lists(JSON | st.fixed_dictionaries({'clientURLs': JSON}), max_size=2),
    'ID': JSON, 'token': JSON, 'succeeded': JSON, 'responses': JSON, 'kvs': JSON, 'etcdserver': JSON})
DOCUMENTS = st.one_of(FIELDS, ERRORS, JSON).map(lambda document: json.dumps(document).encode())
BODIES = st.one_of(
    DOCUMENTS, DOCUMENTS.flatmap(lambda body: st.integers(0, len(body)).map(lambda end: body[:end])),
    st.lists(DOCUMENTS, max_size=3).map(b'\n'.join), st.binary(max_size=60),
    st.sampled_from([NOT_SERVED, NOT_SERVED + b'\n', b'Not Found', b'404', b'<html>Bad Gateway</html>',
                     b'[' * 100000, b'{"a":' * 100000, b'9' * 5000, b'\xef\xbb\xbf{}']))
HEADERS = st.lists(st.tuples(
    st.sampled_from(['Content-Type', 'Content-Encoding', 'Content-Length', 'Transfer-Encoding', 'Location',
                     'Retry-After', 'Connection', 'Set-Cookie', 'Grpc-Metadata-Content-Type']),
    st.sampled_from(['', '0', '-1', '5', '99999', 'gzip', 'deflate', 'chunked', 'identity', 'close', 'keep-alive', '/',
                     '/v3/kv/put', 'http://127.0.0.1:1/', 'http://[', 'text/html', 'application/json'])
    | st.text(st.characters(codec='latin-1'), max_size=10)).filter(lambda h: h != ('Retry-After', '99999')), max_size=3)
STATUSES = st.sampled_from([200, 204, 301, 302, 303, 304, 307, 308, 400, 401, 404, 408, 429, 500, 503, 504]) \
    | st.integers(100, 999)


@st.composite
def answers(draw: Any, statuses: st.SearchStrategy[int] = STATUSES) -> Answer:
    """What a server may send: HTTP with anything in it, cut off or not, or no HTTP at all."""
    if draw(st.integers(0, 15)) == 0:
        body, content = b'', draw(st.binary(max_size=200))
    else:
        body = draw(BODIES)
        chunks = places(len(body), draw) if draw(st.booleans()) else None
        content = http(draw(statuses), draw(HEADERS), body, chunks)
        if draw(st.integers(0, 7)) == 0:
            content = content[:draw(st.integers(0, len(content)))]
    return Answer(content, places(len(content), draw), body)


def ok(document: Any) -> Answer:
    """A sound HTTP answer with this in it."""
    return Answer(http(200, [], json.dumps(document).encode()))


#: What is called: name, how it is called, and the end of the path of the request that must not go out twice.
CALLS: Dict[str, Tuple[Callable[[CompatClient], Any], str]] = {
    'put': (lambda client: client.put('x', 'y', '7'), '/kv/put'),
    'create': (lambda client: client.put('x', 'y', create_revision='0'), '/kv/txn'),
    'range': (lambda client: client.prefix('x'), '/kv/range'),
    'delete': (lambda client: client.deleterange('x', mod_revision='1'), '/kv/txn'),
    'grant': (lambda client: client.lease_grant(5), '/lease/grant'),
    'keepalive': (lambda client: client.lease_keepalive('7'), '/lease/keepalive'),
    'members': (lambda client: client._get_members(client._base_uri, **client._prepare_get_members(1)),
                '/cluster/member/list'),
    'authenticate': (lambda client: client.authenticate() and client.put('x', 'y'), '/auth/authenticate')}


@pytest.fixture(scope='module')
def resolver() -> Iterator[patroni_etcd.DnsCachingResolver]:
    """Patroni's own, whose thread never ends."""
    say('fuzz seed {0}'.format(SEED))
    yield patroni_etcd.DnsCachingResolver()


@pytest.fixture(scope='module')
def server() -> Iterator[Server]:
    """One server for all examples."""
    ret = Server()
    yield ret
    ret.stop()


def connect(server: Server, resolver: patroni_etcd.DnsCachingResolver, **options: Any) -> CompatClient:
    """Make a client that has found the server in order."""
    server.answer, server.refusing = None, False
    client = CompatClient(dict({'hosts': [server.url], 'host': '127.0.0.1', 'port': 1, 'retry_timeout': 3}, **options),
                          resolver)
    server.requests.clear()
    return client


def fuzzed(examples: int) -> Callable[[Any], Any]:
    """Settings of a test: how many examples it takes."""
    configure = settings(max_examples=examples, deadline=None, database=None, print_blob=True,
                         suppress_health_check=list(HealthCheck))

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
        server: Server, resolver: patroni_etcd.DnsCachingResolver, name: str, answer: Answer, also_version: bool,
        look_again: bool) -> None:
    """Whatever comes back: a proper result or an expected exception; no second try, but after an unserved prefix."""
    call, rpc = CALLS[name]
    login = {'username': 'u', 'password': 'p'} if name == 'authenticate' else {}
    client = connect(server, resolver, **login)
    client._token = None
    if look_again:
        client.http.member(server.url).stale = True
    server.answer, server.also_version = answer, also_version
    try:
        call(client)
    except EXPECTED:
        pass
    finally:
        client.http.clear()
    sent = [path for path, _ in server.requests if path.endswith(rpc)]
    assert len(sent) == len(set(sent)) <= (3 if answer.sends_elsewhere else 1), server.requests


@fuzzed(200)
@given(answers(st.just(200) | STATUSES))
@example(Answer(http(200, [], b'{"token":"x"} and more')))
@example(Answer(http(200, [], json.dumps({'token': '\u20ac'}).encode())))
def test_login_after_a_refusal(server: Server, resolver: patroni_etcd.DnsCachingResolver, answer: Answer) -> None:
    """The token is refused and the request for a new one is answered by anything: one try with each, no more."""
    client = connect(server, resolver, username='u', password='p')
    server.answer, server.also_version, server.refusing = answer, False, True
    try:
        client.put('x', 'y')
    except EXPECTED:
        pass
    finally:
        client.http.clear()
    # Refused by the pool's own try, then by Patroni's, which renews the token once itself.
    assert len([path for path, _ in server.requests if path.endswith('/kv/put')]) <= 4, server.requests


@fuzzed(300)
@given(answers(), st.integers(0, 2))
def test_pool_alone(server: Server, resolver: patroni_etcd.DnsCachingResolver, answer: Answer, retries: int) -> None:
    """The pool has no client around it that could make good for it; urllib3's own repetitions count as well."""
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
    assert len(sent) == len(set(sent)) <= (3 if answer.sends_elsewhere else 1), server.requests


class Unstarted(KVCache):  # type: ignore[misc]
    """Patroni's reader of the stream without its thread."""

    def start(self) -> None:
        """The test is the thread."""


class NoDcs:
    """What the reader wants to know of the DCS."""

    config_path, leader_path, leader_optime_path, status_path, _name = 'config', 'leader', 'optime', 'status', 'a'
    event = threading.Event()


@st.composite
def streams(draw: Any) -> Answer:
    """Chunked messages: proper ones, then anything, cut anywhere."""
    event = {'result': {'header': {'cluster_id': '7', 'raft_term': '2'}, 'events': [
        {'kv': {'key': 'eA==', 'mod_revision': '5', 'value': 'eQ=='}}]}}
    body = json.dumps(event).encode() + b'\n' + draw(BODIES)
    content = http(200, [], body, places(len(body), draw))
    if draw(st.booleans()):
        content = content[:draw(st.integers(0, len(content)))]
    return Answer(content, places(len(content), draw), body)


@fuzzed(300)
@given(streams() | answers())
@example(Answer(http(200, [], b'404', [])))
@example(Answer(http(200, [], b'{"result":{"header":5}}', [])))
@example(Answer(http(200, [], b'{"result":{"events":[{}]}}', [])))
@example(Answer(http(200, [], '{"result":{"x":"é"}}'.encode(), [18])))
@example(Answer(http(200, [], b'not chunked')))
def test_watch_stream(server: Server, resolver: patroni_etcd.DnsCachingResolver, answer: Answer) -> None:
    """The reader of the stream gets messages or an expected exception, wherever the stream is cut."""
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
    assert len([path for path, _ in server.requests if path.endswith('/watch')]) \
        <= (3 if answer.sends_elsewhere else 1)


def test_a_version_that_is_not_to_be_had_now_costs_no_wait(server: Server,
                                                           resolver: patroni_etcd.DnsCachingResolver) -> None:
    """A proxy says "come back in an hour" to the question for the version: the HA loop does not wait for that."""
    client = connect(server, resolver)
    client.http.member(server.url).stale = True
    server.answer, server.also_version = Answer(http(503, [('Retry-After', '3600')], b'')), True

    def put() -> None:
        with pytest.raises(EXPECTED):
            client.put('x', 'y')

    thread = threading.Thread(target=put, daemon=True)
    thread.start()
    thread.join(10)  # seconds; retry_timeout is 3
    assert not thread.is_alive()
