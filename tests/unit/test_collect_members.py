"""Questions side by side, what one etcd member answers in odd shapes, and the cluster that is put together from it."""

from __future__ import annotations

import base64
import json
import threading
import time
from typing import Any, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patroni_etcd3_compat.check.collect import Settings, collect
from patroni_etcd3_compat.check.collect.collection import _Collection
from patroni_etcd3_compat.check.collect.endpoints import Endpoints
from patroni_etcd3_compat.check.collect.interview import Interview, Keys, Told
from patroni_etcd3_compat.check.collect.questions import Questions
from patroni_etcd3_compat.check.collect.web import Clock, Unanswered, Web
from patroni_etcd3_compat.check.facts import EtcdEndpoint, ListedMember

Reply = Tuple[int, bytes]
NOT_SERVED = (404, b'404 page not found\n')


def test_questions() -> None:
    """Each is heard once as it comes in; one that hangs is given up, what goes wrong inside stays inside."""
    questions, hold = Questions(0.1), threading.Event()
    questions.send(('etcd', 'hangs'), hold.wait)
    questions.send(('etcd', 'fails'), int, 'pAssw0rd')
    questions.send(('etcd', 'works'), str, 7)
    outcomes = {outcome.key[1]: outcome for outcome in questions.outcomes()}
    hold.set()
    assert outcomes['works'][1:] == ('7', None)
    assert outcomes['fails'][1:] == (None, 'unexpected ValueError')
    assert outcomes['hangs'][1:] == (None, 'no answer within 0.1 s')
    time.sleep(0.05)
    questions.send(('etcd', 'works'), str, 8)
    assert [outcome.value for outcome in questions.outcomes()] == ['8']  # the late one is not heard any more


class Script(Web):
    """Answers in the place of a member, and remembers what it was asked.

    :param replies: by path; a list is answered one after the other, an exception is raised.
    """

    def __init__(self, **replies: Any) -> None:
        self.replies = {'/' + path.replace('__', '/'): reply for path, reply in replies.items()}
        self.asked: list[tuple[str, str | None]] = []

    def ask(self, method: str, url: str, clock: Clock, body: bytes | None = None, token: str | None = None) -> Reply:
        clock.left()
        path = '/' + url.split('/', 3)[3]
        self.asked.append((path, token))
        reply = self.replies.get(path, NOT_SERVED)
        reply = reply.pop(0) if isinstance(reply, list) else reply
        if isinstance(reply, Exception):
            raise reply
        status, answer = reply if isinstance(reply, tuple) else (200, reply)
        return status, answer if isinstance(answer, bytes) else json.dumps(answer).encode()


VERSION = {'etcdserver': '3.5.30', 'etcdcluster': '3.5.0'}
STATUS = {'header': {'member_id': '255', 'raft_term': '2'}, 'leader': '255', 'raftIndex': '9', 'dbSize': '100'}
LIST = {'members': [{'ID': '255', 'name': 'a', 'clientURLs': ['http://a:1'], 'peerURLs': []}]}
REFUSED = (400, {'code': 3, 'message': 'etcdserver: user name is empty'})


def interview(script: Script, **settings: Any) -> Told:
    """Ask a member that answers so."""
    return Interview(EtcdEndpoint('http://a:1', True), Settings(['http://a:1'], **settings), script).run()


def healthy(**replies: Any) -> Script:
    """A member that answers well but for *replies*."""
    values = {
        'version': VERSION,
        'v3__maintenance__status': STATUS,
        'v3__cluster__member__list': LIST,
        'v3__kv__range': {'header': {'revision': '5'}},
    }
    return Script(**dict(values, **replies))


def test_healthy_member() -> None:
    """Numbers come as text; ids are written as etcdctl does."""
    script = healthy()
    told = interview(script)
    member = told.member
    assert (member.id, member.leader, member.has_leader, member.learner) == ('ff', True, True, False)
    assert (member.raft_term, member.raft_index, member.db_size, member.auth, member.error) == (2, 9, 100, False, None)
    assert told.listed == [ListedMember('ff', 'a', ['http://a:1'], [])] and told.keys is None
    assert [path for path, _ in script.asked] == [
        '/version',
        '/v3/maintenance/status',
        '/v3beta/maintenance/status',
        '/v3alpha/maintenance/status',
        '/v3/cluster/member/list',
        '/v3/kv/range',
    ]


def test_keys_are_read_with_their_path_taken_off() -> None:
    """Whatever bytes there are."""

    def encode(data: bytes) -> str:
        return base64.b64encode(data).decode()

    told = interview(
        healthy(
            v3__kv__range={
                'header': {'revision': '7'},
                'kvs': [
                    {'key': encode(b'/service/lab/leader'), 'value': encode(b'n\xff')},
                    {'key': encode(b'/service/lab/config')},
                    {'key': encode(b'/service/lab/odd'), 'value': '!'},
                ],
            }
        ),
        scope='lab',
    )
    assert told.keys == Keys({'leader': 'n\ufffd', 'config': '', 'odd': ''}, 7, True)


def test_token_is_asked_for_once() -> None:
    """And sent with everything after it, to this member only."""
    token = {'token': 't0ken'}
    script = healthy(v3__maintenance__status=[REFUSED, STATUS], v3__auth__authenticate=token)
    told = interview(script, username='u', password='pAssw0rd')
    assert told.member.auth is True and told.member.error is None and told.member.id == 'ff'
    assert [path for path, sent in script.asked if sent] == [
        '/v3/maintenance/status',
        '/v3/cluster/member/list',
        '/v3/kv/range',
    ]
    assert {sent for _, sent in script.asked if sent} == {'t0ken'}


@pytest.mark.parametrize(
    'replies, text',
    [
        (
            {'v3__auth__authenticate': (400, {'code': 3, 'message': 'etcdserver: no'})},
            'cannot log in as u: etcdserver: no',
        ),
        ({'v3__auth__authenticate': b'<html>'}, '/v3/auth/authenticate is answered with status 200 and a body'),
        ({'v3__auth__authenticate': {'token': 'a\nb'}}, '/v3/auth/authenticate is answered with status 200 and a body'),
        ({'v3__auth__authenticate': Unanswered('no answer')}, '/v3/auth/authenticate: no answer'),
        ({'v3__maintenance__status': [dict(STATUS, leader='0')]}, 'nobody can log in while the cluster has no leader'),
    ],
)
def test_login_that_fails(replies: dict[str, Any], text: str) -> None:
    """The member says so once, its other facts are there, and nothing of the password is."""
    told = interview(healthy(**dict({'v3__kv__range': REFUSED}, **replies)), username='u', password='pAssw0rd')
    assert told.member.error and text in told.member.error and told.member.error.count(text) == 1
    assert told.member.auth is True and told.member.id == 'ff' and told.listed
    assert 'pAssw0rd' not in repr(told) and 'etcdserver: user name is empty' not in told.member.error


def test_keys_that_are_not_agreed() -> None:
    """When the members can't agree the one that is asked gives what it has, and says why."""
    for trouble in ((503, {'code': 14, 'message': 'etcdserver: leader changed'}), Unanswered('no answer within 2 s')):
        told = interview(healthy(v3__kv__range=[trouble, {'header': {'revision': '3'}}]), scope='lab')
        assert told.keys == Keys({}, 3, False) and told.member.auth is False
        assert told.member.error and told.member.error.startswith('/')
    for status in (dict(STATUS, leader='0'), dict(STATUS, isLearner=True)):
        script = healthy(v3__maintenance__status=status)
        told = interview(script, scope='lab')
        assert told.keys and not told.keys.agreed and told.member.error is None
        assert ('/v3/cluster/member/list', None) in script.asked or status.get('isLearner')


@pytest.mark.parametrize(
    'reply, error',
    [
        ((200, b'<html>'), 'GET /version is answered with status 200 and no version: not an etcd member'),
        ((404, b'404 page not found'), 'GET /version is answered with status 404 and no version: not an etcd member'),
        ((400, b'Client sent an HTTP request to an HTTPS server.\n'), 'wrong scheme: this port speaks https'),
        (Unanswered('cannot connect: Connection refused'), 'cannot connect: Connection refused'),
    ],
)
def test_no_member_there(reply: Any, error: str) -> None:
    """Nothing more is asked."""
    script = healthy(version=reply)
    told = interview(script)
    assert told.member.error == error and (told.member.version, told.member.gateway) == (None, None)
    assert len(script.asked) == 1


def test_alarms_of_both_kinds() -> None:
    """In the status from 3.4 on, by a call of its own before."""
    texts = ['etcdserver: no leader', 'memberID:255 alarm:NOSPACE ', 'memberID:16 alarm:CORRUPT ']
    told = interview(healthy(v3__maintenance__status=dict(STATUS, errors=texts)))
    assert told.alarms == [('ff', 'NOSPACE'), ('10', 'CORRUPT')]
    old = Script(
        version={'etcdserver': '3.3.25'},
        v3beta__maintenance__status=STATUS,
        v3beta__cluster__member__list=LIST,
        v3beta__kv__range={'header': {'revision': '5'}},
        v3beta__maintenance__alarm={'alarms': [{'memberID': '255', 'alarm': 'NOSPACE'}, 1]},
    )
    assert interview(old).alarms == [('ff', 'NOSPACE')]


DENIED = (403, {'code': 7, 'message': 'etcdserver: permission denied'})
METRICS = b"""# HELP etcd_server_has_leader Whether or not a leader exists. 1 is existence, 0 is not.
etcd_server_has_leader 1
etcd_server_is_leader 0
etcd_server_is_learner 0
etcd_server_proposals_committed_total 1.5e+02
etcd_mvcc_db_total_size_in_bytes 24576
"""


def test_status_for_admins_alone() -> None:
    """The metrics stand in; where they do not, the refusal is an error. No right to read some key is none."""
    header = {'header': {'member_id': '255', 'raft_term': '4', 'revision': '1'}}
    replies: dict[str, Any] = {
        'v3__maintenance__status': DENIED,
        'v3__kv__range': header,
        'v3__maintenance__alarm': {'alarms': [{'memberID': '255', 'alarm': 'NOSPACE'}]},
    }
    told = interview(healthy(metrics=METRICS, **replies), scope='lab')
    member = told.member
    assert (member.error, member.id, member.raft_term, told.alarms) == (None, 'ff', 4, [('ff', 'NOSPACE')])
    assert (member.has_leader, member.leader, member.learner) == (True, False, False)
    assert (member.db_size, member.raft_index) == (24576, 150) and told.keys and told.keys.agreed
    for metrics in (b'', (404, METRICS), METRICS.replace(b'leader 1', b'leader x')):
        told = interview(healthy(metrics=metrics, **replies), scope='lab')
        assert told.member.error == '/maintenance/status: etcdserver: permission denied'
        assert told.member.has_leader is None and told.keys and told.keys.agreed
    told = interview(healthy(v3__kv__range=DENIED))
    assert told.member.error is None and told.member.id == 'ff'
    assert (
        interview(healthy(v3__kv__range=DENIED), scope='lab').member.error == '/kv/range: etcdserver: permission denied'
    )


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    'header',
                    'member_id',
                    'leader',
                    'members',
                    'ID',
                    'clientURLs',
                    'kvs',
                    'key',
                    'value',
                    'revision',
                    'errors',
                    'error',
                    'code',
                    'message',
                    'isLearner',
                    'token',
                    'etcdserver',
                    'alarms',
                    'raftTerm',
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)
_REPLY = st.tuples(st.sampled_from([200, 302, 400, 404, 500]), _JSON | st.binary(max_size=9))


@given(st.lists(_REPLY, min_size=40, max_size=40), st.booleans())
def test_any_answers(replies: list[Any], version: bool) -> None:
    """They come to an end with a member that says what is the matter, or to facts; never to an exception."""

    class Random(Script):
        def ask(self, method: str, url: str, *args: Any, **kwargs: Any) -> Reply:
            if method == 'GET' and version:
                return 200, json.dumps(VERSION).encode()
            status, answer = replies.pop()
            return status, answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    settings = Settings(['http://a:1'], username='u', password='pAssw0rd', scope='lab')
    members = Endpoints(settings)
    (member,) = members.configured()
    members.add(Interview(member, settings, Random()).run())
    facts = members.facts()
    assert 'pAssw0rd' not in repr(facts)


def told(url: str, id: str, listed: list[ListedMember] | None = None, leader: bool = False, **more: Any) -> Told:
    """What a member told."""
    return Told(EtcdEndpoint(url, True, id=id, leader=leader), listed, **more)


def test_cluster_is_put_together() -> None:
    """Advertised URLs are asked as soon as one lists them, each once; names also for those that do not answer."""
    members = Endpoints(Settings(['http://A:1', 'http://b:2'], username='u', password='p'))
    assert [member.url for member in members.configured()] == ['http://A:1', 'http://b:2']
    entries = [
        ListedMember('1', 'one', ['http://a:1/'], []),
        ListedMember('2', 'two', ['http://c:3', 'http://b:2'], []),
        ListedMember('3', '', ['http://localhost:1', 'unix://x', 'http://['], []),
    ]
    more = members.add(told('http://A:1', '1', entries, alarms=[('2', 'NOSPACE')]))
    assert [(member.url, member.configured) for member in more] == [('http://c:3', False)]
    assert members.add(told('http://c:3', '2', list(reversed(entries)), leader=True)) == []
    members.failed('http://b:2', 'no answer within 5 s')
    facts = members.facts()
    assert facts.credentials and facts.configured == ['http://A:1', 'http://b:2']
    assert facts.listed and {entry.id for entry in facts.listed} == {'1', '2', '3'}
    assert [(m.url, m.name, m.id, m.advertised, m.alarms, m.error) for m in facts.endpoints] == [
        ('http://A:1', 'one', '1', True, [], None),
        ('http://b:2', 'two', '2', True, ['NOSPACE'], 'no answer within 5 s'),
        ('http://c:3', 'two', '2', True, ['NOSPACE'], None),
        ('http://localhost:1', None, '3', True, [], 'a loopback address, advertised by a member on another machine'),
        ('unix://x', None, '3', True, [], 'neither http nor https'),
        ('http://[', None, '3', True, [], 'not a URL'),
    ]


def test_keys_of_the_member_that_is_furthest() -> None:
    """Agreed ones come first."""
    members = Endpoints(Settings(['http://a:1', 'http://b:2', 'http://c:3']))
    members.configured()
    assert members.keys() is None
    for url, keys in (('http://a:1', Keys({}, 5, False)), ('http://b:2', Keys({'x': ''}, 6, False))):
        members.add(told(url, '1', keys=keys))
    assert members.keys() == Keys({'x': ''}, 6, False)
    members.add(told('http://c:3', '1', keys=Keys({}, 4, True)))
    assert members.keys() == Keys({}, 4, True)


def test_bug_in_one_question_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was asked by it is in the facts with an error."""

    def broken(self: Any, member: Any) -> None:
        raise KeyError('pAssw0rd')

    monkeypatch.setattr(_Collection, '_interview', broken)
    facts = collect(Settings(['http://a:1'], scope='lab'))
    assert [member.error for member in facts.etcd.endpoints] == ['unexpected KeyError']
    assert facts.patroni and facts.patroni.error and 'pAssw0rd' not in repr(facts)
