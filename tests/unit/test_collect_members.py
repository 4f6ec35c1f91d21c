"""Concurrent questions, odd answers of an etcd member, and the cluster that is assembled from them."""

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
    """Each answer is handled as it arrives. A question that hangs is given up, and an error inside one stays inside."""
    questions, hold = Questions(0.1), threading.Event()
    questions.send(('etcd', '', 'hangs'), hold.wait)
    questions.send(('etcd', '', 'fails'), int, 'pAssw0rd')
    questions.send(('etcd', '', 'works'), str, 7)
    outcomes = {outcome.key[2]: outcome for outcome in questions.outcomes()}
    hold.set()
    assert outcomes['works'][1:] == ('7', None)
    assert outcomes['fails'][1:] == (None, 'unexpected ValueError')
    assert outcomes['hangs'][1:] == (None, 'no answer within 0.1 s')
    time.sleep(0.05)
    questions.send(('etcd', '', 'works'), str, 8)
    assert [outcome.value for outcome in questions.outcomes()] == ['8']  # the late answer is ignored


class Script(Web):
    """A stand-in for a member, which answers from a script and records the requests.

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
    """Ask a member that answers this way."""
    return Interview(EtcdEndpoint('http://a:1', True), Settings(['http://a:1'], **settings), script).run()


def healthy(**replies: Any) -> Script:
    """Return a member that answers well except for *replies*."""
    values = {
        'version': VERSION,
        'v3__maintenance__status': STATUS,
        'v3__cluster__member__list': LIST,
        'v3__kv__range': {'header': {'revision': '5'}},
    }
    return Script(**dict(values, **replies))


def test_healthy_member() -> None:
    """Numbers may come as text; IDs are written as etcdctl writes them."""
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
        '/metrics',
    ]


def test_status_of_3_6() -> None:
    """Quota, cluster, revision, storage version and downgrade come from the status; absent ones stay unknown."""
    header = {'cluster_id': '171', 'member_id': '255', 'revision': '12', 'raft_term': '2'}
    status = dict(STATUS, header=header, dbSizeInUse='60', dbSizeQuota='200', storageVersion='3.6.0', downgradeInfo={})
    member = interview(healthy(v3__maintenance__status=status)).member
    assert (member.cluster_id, member.revision, member.quota, member.db_size_in_use) == ('ab', 5, 200, 60)
    assert (member.storage_version, member.downgrade) == ('3.6.0', '')
    status['downgradeInfo'] = {'enabled': True, 'targetVersion': '3.5.0'}
    assert interview(healthy(v3__maintenance__status=status)).member.downgrade == '3.5.0'
    member = interview(healthy()).member
    assert (member.quota, member.storage_version, member.downgrade, member.cluster_id) == (None, None, None, None)


def as_member(id: str, **more: Any) -> dict[str, Any]:
    """What a member answers."""
    return {'header': {'member_id': id, 'cluster_id': '171', 'raft_term': '2', 'revision': '5'}, **more}


def test_several_members_behind_one_url() -> None:
    """A URL that several members answer at is said to be that; nothing that belongs to one of them is kept."""
    told = interview(
        healthy(
            v3__maintenance__status=as_member('1', leader='1', dbSize='9', dbSizeQuota='10'),
            v3__cluster__member__list=as_member('2', **LIST),
            v3__kv__range=as_member('3'),
        )
    )
    url = told.member
    assert (url.shared_by, url.id, url.leader, url.db_size, url.quota) == (['1', '2', '3'], None, None, None, None)
    assert (url.has_leader, url.cluster_id, url.prefixes, url.error) == (True, 'ab', ['/v3'], None)
    settings = Settings(['http://a:1'])
    endpoints = Endpoints(settings)
    endpoints.configured()
    told.alarms.append(('3', 'NOSPACE'))
    endpoints.add(told)
    (url,) = endpoints.facts().endpoints  # advertised by one of them, and not taken for that one
    assert (url.id, url.name, url.alarms) == (None, None, ['NOSPACE'])
    assert interview(healthy()).member.shared_by == []


@pytest.mark.parametrize('late', [0, 5, 11])
def test_a_balancer_chose_the_same_member_so_far(late: int) -> None:
    """A URL that its member does not advertise is asked until another one answers, 12 times at most."""
    listed = as_member('255', **LIST)
    answers = [listed] * (1 + late) + [as_member('2', **LIST)]
    script = healthy(v3__cluster__member__list=list(answers))
    endpoint = EtcdEndpoint('http://balancer:1', True)
    told = Interview(endpoint, Settings(['http://balancer:1']), script).run()
    assert (told.member.shared_by, told.member.id, told.member.error) == (['2', 'ff'], None, None)
    assert script.replies['/v3/cluster/member/list'] == []
    script = healthy(v3__cluster__member__list=[listed, NOT_SERVED, NOT_SERVED])
    endpoint = EtcdEndpoint('http://alias:1', True)
    told = Interview(endpoint, Settings(['http://alias:1']), script).run()
    assert (told.member.shared_by, told.member.id, told.member.error) == ([], 'ff', None)


def test_members_without_a_common_prefix() -> None:
    """A call that meets a member without the prefix is made under another one, and that it was needed is noted."""
    member = interview(
        healthy(v3__kv__range=NOT_SERVED, v3beta__kv__range=NOT_SERVED, v3alpha__kv__range=as_member('2'))
    ).member
    assert (member.prefixes_vary, member.error, len(member.shared_by)) == (True, None, 2)
    assert not interview(healthy()).member.prefixes_vary
    nowhere = interview(healthy(v3__kv__range=NOT_SERVED)).member
    assert 'not from etcd' in str(nowhere.error)


def test_prefixes_behind_a_balancer() -> None:
    """A prefix may meet a member that does not serve it: it is asked again before the gateway is called off."""
    script = healthy(v3__maintenance__status=[NOT_SERVED, STATUS])
    assert interview(script).member.prefixes == ['/v3']
    member = interview(healthy(v3__maintenance__status=NOT_SERVED)).member
    assert (member.gateway, member.prefixes) == (False, [])


def test_metrics_beside_the_status() -> None:
    """Metrics tell what older releases leave out of their status; without metrics that stays unknown."""
    metrics = (
        b'# HELP etcd_server_quota_backend_bytes x\n'
        b'etcd_server_quota_backend_bytes 2.147483648e+09\netcd_debugging_mvcc_compact_revision -1\n'
        b'etcd_debugging_mvcc_current_revision 7\netcd_mvcc_db_total_size_in_use_in_bytes 16384\n'
        b'etcd_debugging_store_reads_total{action="getRecursive"} 5\n'
        b'etcd_debugging_snap_save_total_duration_seconds_count 2\n'
    )
    member = interview(healthy(metrics=metrics)).member
    assert (member.quota, member.compacted, member.revision, member.db_size_in_use) == (2147483648, 0, 5, 16384)
    assert (member.v2_reads, member.raft_snapshots, member.error) == (0, 2, None)
    metrics += b'etcd_debugging_store_reads_total{action="get"} 4\netcd_debugging_mvcc_compact_revision 3\n'
    member = interview(healthy(metrics=metrics)).member
    assert (member.v2_reads, member.compacted) == (4, 3)
    for nothing in ((404, b''), b'<html>', Unanswered('refused')):
        member = interview(healthy(metrics=nothing)).member
        assert (member.quota, member.compacted, member.v2_reads, member.raft_snapshots) == (None, None, None, None)
        assert member.error is None


def test_keys_are_read_with_their_path_taken_off() -> None:
    """Keys are read without their path, whatever bytes they contain."""

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
    """One token is requested, and sent with everything after that, only to this member."""
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
    """A failed login is reported once, the member's other facts are kept, and the password does not appear."""
    told = interview(healthy(**dict({'v3__kv__range': REFUSED}, **replies)), username='u', password='pAssw0rd')
    assert told.member.error and text in told.member.error and told.member.error.count(text) == 1
    assert told.member.auth is True and told.member.id == 'ff' and told.listed
    assert 'pAssw0rd' not in repr(told) and 'etcdserver: user name is empty' not in told.member.error


def test_keys_that_are_not_agreed() -> None:
    """If the members cannot reach agreement, the one that is asked returns what it has, and why."""
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
    """An unreachable member is asked nothing more."""
    script = healthy(version=reply)
    told = interview(script)
    assert told.member.error == error and (told.member.version, told.member.gateway) == (None, None)
    assert len(script.asked) == 1


def test_alarms_of_both_kinds() -> None:
    """Alarms come with the status from 3.4 on, and from a separate call before."""
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


def histogram(*counts: int) -> bytes:
    """The syncs of the log of a member: so many within 1 ms, 2 ms, 4 ms and so on."""
    name = b'etcd_disk_wal_fsync_duration_seconds'
    lines = [b'%s_bucket{le="%g"} %d' % (name, 0.001 * 2**place, sum(counts[: place + 1])) for place in range(14)]
    return b'\n'.join(
        [*lines, b'%s_bucket{le="+Inf"} %d' % (name, sum(counts)), b'%s_count %d\n' % (name, sum(counts))]
    )


@pytest.mark.parametrize(
    'counts, seconds',
    [
        ((1000,), 0.00099),
        ((980, 20), 0.0015),
        ((990, 10), 0.001),
        ((0,) * 10 + (1000,), 1.01888),
        ((900,) + (0,) * 13 + (100,), 8.192),
        ((999,), None),
    ],
)
def test_slow_disks(counts: tuple[int, ...], seconds: float | None) -> None:
    """The time of one sync in a hundred is where Prometheus puts it; a few syncs say nothing."""
    member = interview(healthy(metrics=histogram(*counts))).member
    assert (member.fsync_p99, member.error) == (seconds, None)


def test_elections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaders seen, and for how long it has been counted; the clock of a member may be ahead."""
    monkeypatch.setattr('time.time', lambda: 1.795e9)
    metrics = b'etcd_server_leader_changes_seen_total 7\nprocess_start_time_seconds %s\n'
    member = interview(healthy(metrics=metrics % b'1.794999e+09')).member
    assert (member.leader_changes, member.uptime) == (7, 1000)
    assert interview(healthy(metrics=metrics % b'1.7951e+09')).member.uptime == 0
    assert interview(healthy(metrics=metrics % b'?')).member.uptime is None


def test_status_for_admins_alone() -> None:
    """Metrics replace a status that only admins may read; without them the refusal is an error.

    A missing right to read some key is not an error.
    """
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


@given(st.lists(_REPLY, min_size=99, max_size=99), st.booleans())
def test_any_answers(replies: list[Any], version: bool) -> None:
    """Any answers end in facts, or in a member that says what is wrong, never in an exception."""

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
    """Return what a member reported."""
    return Told(EtcdEndpoint(url, True, id=id, leader=leader), listed, **more)


def test_cluster_is_put_together() -> None:
    """Advertised URLs are asked as soon as one member lists them, each once.

    Members that do not answer have names, too.
    """
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
    """Keys that the members agree on come first, else those of the member that is furthest."""
    members = Endpoints(Settings(['http://a:1', 'http://b:2', 'http://c:3']))
    members.configured()
    assert members.keys() is None
    for url, keys in (('http://a:1', Keys({}, 5, False)), ('http://b:2', Keys({'x': ''}, 6, False))):
        members.add(told(url, '1', keys=keys))
    assert members.keys() == Keys({'x': ''}, 6, False)
    members.add(told('http://c:3', '1', keys=Keys({}, 4, True)))
    assert members.keys() == Keys({}, 4, True)


def test_bug_in_one_question_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in one question becomes an error of that member in the facts."""

    def broken(self: Any, member: Any) -> None:
        raise KeyError('pAssw0rd')

    monkeypatch.setattr(_Collection, '_interview', broken)
    facts = collect(Settings(['http://a:1'], scope='lab'))
    assert [member.error for member in facts.etcd.endpoints] == ['unexpected KeyError']
    assert facts.patroni and facts.patroni.error and 'pAssw0rd' not in repr(facts)


def test_refusals_in_plain_text() -> None:
    """Those that the class knows are facts of their own; any other text is not shown."""
    name = b'CommonName of client sending a request against gateway will be ignored and not used as expected\n'
    member = interview(healthy(v3__maintenance__status=(400, name), v3__kv__range=(400, name))).member
    assert (member.refuses, member.version, member.auth) == ('common-name', '3.5.30', True)
    assert member.error and 'not from etcd' not in member.error
    host = b'etcd: Host header was unrecognized or unauthorized; see CVE-2018-5702'
    member = interview(Script(version=(421, host))).member
    assert (member.refuses, member.version, member.error) == ('host', None, 'refused: ' + host.decode())
    member = interview(Script(version=(421, b'some words'))).member
    assert member.refuses is None and member.error and 'some words' not in member.error


def test_roles_of_a_user_who_may_not_read() -> None:
    """They are asked for only then."""
    denied = (403, {'code': 7, 'message': 'etcdserver: permission denied'})
    script = healthy(v3__kv__range=denied, v3__auth__user__get={'roles': ['dba']})
    assert interview(script, scope='lab').member.denied_roles == ['dba']
    assert interview(healthy(v3__kv__range=denied), scope='lab').member.denied_roles == []
    script = healthy(v3__kv__range=denied)
    assert interview(script).member.denied_roles is None and '/v3/auth/user/get' not in dict(script.asked)


def test_scopes() -> None:
    """The clusters below the namespace are looked for only if this one has no keys."""

    def keys(*names: str) -> dict[str, Any]:
        kvs = [{'key': base64.b64encode(name.encode()).decode()} for name in names]
        return {'header': {'revision': '7'}, **({'kvs': kvs} if kvs else {})}

    others = keys('/service/a/config', '/service/a/leader', '/service/b/0/leader', '/service/c')
    told = interview(healthy(v3__kv__range=[keys(), others]), scope='lab')
    assert told.keys and told.keys.values == {} and told.keys.scopes == ['a', 'b', 'c']
    denied = (403, {'code': 7, 'message': 'etcdserver: permission denied'})
    told = interview(healthy(v3__kv__range=[keys(), denied]), scope='lab')
    assert told.keys and told.keys.scopes is None and told.member.error is None
    told = interview(healthy(v3__kv__range=[keys('/service/lab/leader')]), scope='lab')
    assert told.keys and told.keys.scopes is None
