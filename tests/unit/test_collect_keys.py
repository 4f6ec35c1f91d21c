"""The Patroni cluster as seen through its keys and its REST APIs."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from pytest_httpserver import HTTPServer

from patroni_etcd3_compat import __version__
from patroni_etcd3_compat.check.collect import Settings
from patroni_etcd3_compat.check.collect.interview import Keys
from patroni_etcd3_compat.check.collect.patroni_keys import Cluster
from patroni_etcd3_compat.check.collect.rest_api import RestApi, add_lags, add_status, position
from patroni_etcd3_compat.check.facts import Patroni, PatroniMember, Switchover, Synchronous
from patroni_etcd3_compat.mark import FIELD, mark


def cluster(settings: Settings | None = None, **keys: Any) -> Patroni:
    """Return the cluster of these keys; ``__`` in a name stands for a slash."""
    values = {
        name.replace('__', '/'): value if isinstance(value, str) else json.dumps(value) for name, value in keys.items()
    }
    return Cluster(settings or Settings([], scope='lab'), Keys(values, 1, True)).facts


def roles(facts: Patroni) -> dict[str, str | None]:
    """Return the roles by name."""
    return {member.name: member.role for member in facts.members}


def test_roles() -> None:
    """Roles are those that ``patronictl list`` shows.

    Without a leader key, a member that claims to be leader counts as one.
    """
    members: dict[str, Any] = {'members__a': {'role': 'master'}, 'members__b': {'role': 'replica'}, 'members__c': {}}
    assert roles(cluster(leader='a', **members)) == {'a': 'leader', 'b': 'replica', 'c': 'replica'}
    assert roles(cluster(leader='b', **members)) == {'a': 'replica', 'b': 'leader', 'c': 'replica'}
    assert roles(cluster(**members)) == {'a': 'leader', 'b': 'replica', 'c': 'replica'}
    assert roles(cluster(**dict(members, members__a={'role': 'primary'}))) == {
        'a': 'leader',
        'b': 'replica',
        'c': 'replica',
    }
    sync = {'leader': 'a', 'sync_standby': 'b, c'}
    for mode, role in (
        (True, 'sync_standby'),
        ('on', 'sync_standby'),
        ('quorum', 'quorum_standby'),
        (False, 'replica'),
        (None, 'replica'),
    ):
        assert roles(cluster(leader='a', sync=sync, config={'synchronous_mode': mode}, **members)) == {
            'a': 'leader',
            'b': role,
            'c': role,
        }
    for standby in ({'host': 'h'}, {'restore_command': 'x'}):
        assert roles(cluster(leader='a', config={'standby_cluster': standby}, **members))['a'] == 'standby_leader'
    assert roles(cluster(leader='a', config={'standby_cluster': {'host': ''}}, **members))['a'] == 'leader'


def test_dynamic_configuration_without_secrets() -> None:
    """Only relevant options are kept, and no commands, which may contain credentials."""
    facts = cluster(
        config={
            'ttl': 30,
            'loop_wait': 10,
            'slots': {'s': {'type': 'physical'}},
            'pause': 'on',
            'unknown': 1,
            'standby_cluster': {'host': 'h', 'port': 1, 'restore_command': 'get --password=pAssw0rd %f'},
            'postgresql': {'use_slots': False, 'parameters': {'primary_conninfo': 'password=pAssw0rd'}},
        }
    )
    assert facts.config == {
        'ttl': 30,
        'loop_wait': 10,
        'slots': {'s': {'type': 'physical'}},
        'postgresql': {'use_slots': False},
        'standby_cluster': {'host': 'h', 'port': 1},
    }
    assert facts.paused is True and cluster(config={'ttl': 1}).paused is False and cluster(leader='x').paused is None


def test_synchronous_and_switchover() -> None:
    """Keys that are not there are known not to be; keys that nobody gave are unknown."""
    facts = cluster(leader='a', initialize='74', config={'synchronous_mode_strict': True, 'synchronous_node_count': 2})
    assert (facts.synchronous, facts.switchover, facts.initialized) == (Synchronous(), None, True)
    assert facts.config == {'synchronous_mode_strict': True, 'synchronous_node_count': 2}
    unread = Cluster(Settings([], scope='lab'), None).facts
    assert (unread.synchronous, unread.initialized, unread.position) == (None, None, None)
    assert cluster(leader='a', initialize='').initialized is cluster(leader='a').initialized is False
    facts = cluster(sync={'leader': 'a', 'sync_standby': 'b, c', 'quorum': 1})
    assert facts.synchronous == Synchronous('a', ['b', 'c'], 1)
    for nobody in (None, '', 7):
        assert cluster(sync={'leader': 'a', 'sync_standby': nobody}).synchronous == Synchronous('a')
    scheduled = {'leader': 'a', 'member': 'b', 'scheduled_at': '2030-01-01T00:00:00+00:00'}
    assert cluster(failover=scheduled).switchover == Switchover('2030-01-01T00:00:00+00:00', 'a', 'b')
    assert cluster(failover={'member': 'b'}).switchover is cluster(failover='a:b').switchover is None
    facts = cluster(status={'optime': 5, 'retain_slots': ['node1', 7, 'node2']})
    assert (facts.position, facts.retained_slots) == (5, ['node1', 'node2'])


def test_expected_members() -> None:
    """What the command line expects stands in the facts."""
    facts = cluster(Settings([], scope='lab', members=('a', 'b')))
    assert (facts.expected, facts.expected_number) == (['a', 'b'], None)
    assert cluster(Settings([], scope='lab', members_number=3)).expected_number == 3


def test_where_a_state_comes_from() -> None:
    """From the key until the REST API says it. A role that Patroni only remembers does not count."""
    member = cluster(leader='a', members__a={'state': 'running', 'role': 'master', 'pending_restart': True}).members[0]
    assert (member.state_from, member.api_role, member.pending_restart) == ('key', None, True)
    add_status(member, {'error': 'no answer within 5 s'})
    assert (member.state_from, member.api_role, member.pending_restart) == ('key', None, True)
    add_status(member, {'state': 'unknown', 'role': 'primary', 'patroni': {}})
    assert (member.state, member.state_from, member.api_role) == ('unknown', 'api', None)
    add_status(member, {'state': 'running', 'role': 'replica', 'patroni': {}})
    assert (member.api_role, member.pending_restart) == ('replica', False)
    assert cluster(leader='a', members__a='postgres://h/').members[0].pending_restart is None


def test_positions() -> None:
    """Lag is measured against the position that the leader has published, in both forms of the key."""
    members: dict[str, Any] = {
        'members__a': {'xlog_location': 90},
        'members__b': {'xlog_location': 70},
        'members__c': {'timeline': 3},
    }
    for status in ({'status': {'optime': 100, 'slots': {'b': 60, 'x': 'y'}}}, {'optime__leader': '100'}):
        facts = cluster(leader='a', **dict(members, **status))
        assert [(member.position, member.lag) for member in facts.members] == [(90, None), (70, 30), (None, None)]
        assert facts.published_slots == ({'b': 60} if 'status' in status else {})
    at: dict[str, dict[str, Any]] = {
        'a': {'location': 200},
        'b': {'received_location': 195, 'replayed_location': 190},
        'c': {'location': 210},
    }
    add_lags(facts, {name: {'xlog': xlog} for name, xlog in at.items()})  # read at one time
    assert [member.lag for member in facts.members] == [None, 5, 0]
    add_lags(facts, {'b': {'xlog': {'location': 100}}, 'c': {'error': 'no answer within 5 s'}})
    assert [member.lag for member in facts.members] == [None, 5, 0]
    assert [(member.receive_lag, member.replay_lag) for member in facts.members] == [(None, None)] * 3


def test_lags_of_receiving_and_replaying() -> None:
    """They are known of members whose keys have these positions: from Patroni 4.1.0 on. The REST API is newer."""
    members: dict[str, Any] = {
        'members__a': {'xlog_location': 100},
        'members__b': {'xlog_location': 90, 'receive_lsn': 90, 'replay_lsn': 40},
        'members__c': {'xlog_location': 60, 'replay_lsn': 60},
    }
    facts = cluster(leader='a', status={'optime': 80}, **members)
    lags = [(member.receive_lag, member.replay_lag) for member in facts.members]
    assert lags == [(None, None), (0, 40), (None, 20)]
    leader: dict[str, Any] = {'xlog': {'location': 200}}
    replica: dict[str, Any] = {'xlog': {'received_location': 195, 'replayed_location': 150}}
    add_lags(facts, {'a': leader, 'b': replica, 'c': replica})
    lags = [(member.receive_lag, member.replay_lag) for member in facts.members]
    assert lags == [(None, None), (5, 50), (None, 50)] and facts.members[1].lag == 5


def test_status_completes_a_member() -> None:
    """What the API says is newer than the key. Up to 3.x a primary is called master.

    Versions of PostgreSQL before and after 10 are read.
    """
    member = cluster(leader='a', members__a={'state': 'starting', 'version': '3.0.2'}).members[0]
    add_status(
        member,
        {
            'state': 'running',
            'role': 'master',
            'server_version': 150006,
            'timeline': 4,
            'patroni': {'version': '4.1.5'},
            'xlog': {'location': 77},
            'tags': {'nofailover': True},
        },
    )
    assert member == PatroniMember(
        'a',
        True,
        'leader',
        'running',
        '4.1.5',
        '15.6',
        4,
        77,
        tags={'nofailover': True},
        serves='stock',
        state_from='api',
        api_role='primary',
        pending_restart=False,
        grpc=False,
    )
    replica = cluster(leader='a', members__b={'replication_state': 'streaming', 'state': 'running'}).members[0]
    add_status(
        replica,
        {
            'state': 'running',
            'role': 'replica',
            'server_version': 90624,
            'patroni': {},
            'xlog': {'received_location': 5, 'replayed_location': 9},
        },
    )
    assert (replica.state, replica.postgres_version, replica.position) == ('running', '9.6.24', 9)
    absent = PatroniMember('c', in_dcs=False)
    add_status(absent, {'role': 'master', 'patroni': {}})
    assert absent.role == 'leader'
    add_status(absent, {'error': 'gone'})
    assert (absent.error, absent.role) == ('gone', 'leader')
    assert position({'xlog': None}) is None and position({}) is None


@pytest.mark.parametrize(
    'key, served',
    [
        ({'version': '4.1.5', 'etcd3_compat': '0.1.0'}, ('package', '0.1.0')),
        ({'etcd3_compat': '12.0.3rc1'}, ('package', '12.0.3rc1')),
        ({'etcd3_compat': '0.1.0.post1+patch'}, ('patch', '0.1.0.post1')),
        ({'version': '4.1.5'}, ('stock', None)),
        ({}, ('stock', None)),
        # no member key of any Patroni that knows etcd3
        ('postgres://u:pAssw0rd@h/db?application_name=http://h:8008/patroni', (None, None)),
        ('null', (None, None)),
        ('[{"etcd3_compat": "0.1.0"}]', (None, None)),
        ('{"etcd3_compat": "0.1.0"', (None, None)),
        ('[' * 100000, (None, None)),
        # marks that prove nothing
        ({'etcd3_compat': None}, (None, None)),
        ({'etcd3_compat': 0.1}, (None, None)),
        ({'etcd3_compat': {'version': '0.1.0'}}, (None, None)),
        ({'etcd3_compat': ''}, (None, None)),
        ({'etcd3_compat': '0.1.0\n'}, (None, None)),
        ({'etcd3_compat': '0.1.0\x1b[2J'}, (None, None)),
        ({'etcd3_compat': '\u0661.\u0662'}, (None, None)),
        ({'etcd3_compat': '0.1.0+patch+patch'}, (None, None)),
        ({'etcd3_compat': '1.' * 100000 + '1'}, (None, None)),
        ({'etcd3_compat': '1' * 100000 + '.1'}, (None, None)),
        ({'etcd3_compat': 'pAssw0rd-of-the-superuser'}, (None, None)),
        ({'etcd3_compat': '0.1.0 password=pAssw0rd'}, (None, None)),
    ],
)
def test_what_serves_a_member(key: Any, served: tuple[str | None, str | None]) -> None:
    """The mark in its key; no mark: stock; what is no member key or no mark of ours: unknown."""
    facts = cluster(leader='a', members__a=key)
    member = facts.members[0]
    assert (member.serves, member.compat) == served
    assert 'pAssw0rd' not in repr(facts)


def test_what_serves_a_member_that_has_no_key() -> None:
    """Unknown, whatever its REST API says later."""
    facts = cluster(Settings([], scope='lab', name='b', api_url='http://h:8008/patroni'), members__a={})
    absent = facts.members[-1]
    add_status(absent, {'role': 'master', 'patroni': {'version': '4.1.5'}})
    assert (absent.name, absent.version, absent.serves, absent.compat) == ('b', '4.1.5', None, None)


def test_mark_that_the_class_writes() -> None:
    """Both ends agree."""
    for module, served in (('patroni_etcd3_compat.dcs', 'package'), ('patroni.etcd3_compat.dcs', 'patch')):
        for grpc in (False, True):
            member = cluster(members__a={FIELD: mark(module, grpc)}).members[0]
            assert (member.serves, member.compat, member.grpc) == (served, __version__, grpc)


def test_citus_without_a_group() -> None:
    """Without a group, the existing groups are named; with its own keys, or a group, it is a cluster like any other."""
    keys: dict[str, Any] = {'10__members__c': {}, '0__leader': 'a', '0__members__a': {}, '1__members__b': {}}
    named = 'name one with --group, or as citus.group in the configuration'
    assert cluster(**keys).error == f'a Citus cluster with groups 0, 1, 10: {named}'
    assert cluster(None, **{'0__config': {}}).error == f'a Citus cluster with group 0: {named}'
    assert cluster(members__d={}, **keys).error is None
    assert cluster(Settings([], scope='lab', group=1), **keys).error is None
    assert [cluster(Settings([], scope='lab', group=group)).group for group in (None, 0, 1)] == [None, 0, 1]
    assert cluster(None, x__y='', **{'\u0661__y': ''}).error is None


@pytest.mark.parametrize(
    'url, shown',
    [
        ('https://u:pAssw0rd@a:8008/patroni', 'https://a:8008/patroni'),
        ('http://u:p/w@rd@a', 'http://a'),
        ('u:pAssw0rd@a:8008', 'a:8008'),
        ('http://u://pAssw0rd@a', 'http://a'),
        ('http://a:8008/', 'http://a:8008/'),
        ('u@', None),
        ('', None),
        (7, None),
    ],
)
def test_api_url_without_password(url: Any, shown: str | None) -> None:
    """The password of a URL is removed as soon as the URL is read."""
    assert cluster(members__a={'api_url': url}).members[0].api_url == shown


def test_rest_api(httpserver: HTTPServer) -> None:
    """``GET /patroni`` is sent whatever the path of the URL.

    Another answer is an error, and redirects are not followed.
    """
    api = RestApi(Settings([], scope='lab', timeout=1))
    mine = {'patroni': {'scope': 'lab', 'version': '4.1.5'}, 'state': 'running'}
    answers = [
        (200, json.dumps(mine)),
        (503, json.dumps(mine)),
        (200, '{"patroni": {"scope": "x"}}'),
        (200, '<html>'),
        (200, '[]'),
        (200, '{"state": "running"}'),
    ]
    said = []
    for status, body in answers:
        httpserver.expect_ordered_request('/patroni', method='GET').respond_with_data(body, status)
        said.append(api.status(httpserver.url_for('/elsewhere'), 'lab'))
    strange = {'error': 'GET /patroni is not answered with the status of a Patroni'}
    assert said == [mine, mine, {'error': 'the REST API there belongs to another cluster, x'}] + [strange] * 3
    httpserver.expect_ordered_request('/patroni').respond_with_data('', 302, {'Location': httpserver.url_for('/other')})
    assert api.status(httpserver.url_for('/'), 'lab') == strange
    httpserver.check_assertions()
    for url in ('http://127.0.0.1:1', 'nothing', 'http://[', 'http://127.0.0.1:x/', 'ftp://127.0.0.1/'):
        assert list(api.status(url, 'lab')) == ['error']


def test_no_password_is_sent(httpserver: HTTPServer) -> None:
    """No password is sent: the request needs none, and others can write the URL in the DCS."""
    settings = Settings([], scope='lab', rest={'ctl': {'insecure': True}, 'restapi': {}})
    RestApi(settings).status(httpserver.url_for('/'), 'lab')
    ((request, _),) = httpserver.log
    assert 'Authorization' not in request.headers


def test_rest_api_with_tls(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """The certificates of the configuration are used, as by patronictl.

    A certificate that cannot be verified is reported.
    """
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('localhost').configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / 'ca.pem'))
    with HTTPServer('localhost', ssl_context=context) as server:
        server.expect_request('/patroni').respond_with_json({'patroni': {'scope': 'lab'}})
        for rest, error in (
            ({'restapi': {'cafile': str(tmp_path / 'ca.pem')}}, None),
            ({'ctl': {'cacert': str(tmp_path / 'ca.pem')}}, None),
            ({'ctl': {'insecure': True}}, None),
            ({}, "TLS: the server's certificate, issued by 'trustme v"),
            ({'ctl': {'cacert': '/nowhere.pem'}}, 'TLS: '),
        ):
            status = RestApi(Settings([], scope='lab', rest=rest)).status(server.url_for('/'), 'lab')
            assert status.get('error') is error is None or str(status['error']).startswith(str(error))
    assert not recwarn.list


def test_nothing_in_the_dcs() -> None:
    """Missing keys are reported, whether no member returned any or there are none.

    The member of the configuration is included.
    """
    mine = Settings([], scope='lab', name='me', api_url='http://me:8008/patroni')
    facts = Cluster(mine, None).facts
    assert facts.error == 'no etcd member gave the keys below /service/lab/'
    assert facts.members == [PatroniMember('me', in_dcs=False, api_url='http://me:8008/patroni')]
    assert 'there are no keys below /service/lab/' in str(cluster().error)
    assert [member.in_dcs for member in cluster(mine, members__me={}).members] == [True]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    'ttl',
                    'slots',
                    'pause',
                    'standby_cluster',
                    'host',
                    'sync_standby',
                    'tags',
                    'role',
                    'conn_url',
                    'conn_kwargs',
                    'api_url',
                    'xlog_location',
                    'synchronous_mode',
                    'xlog',
                    'location',
                    'patroni',
                    'version',
                    'server_version',
                    'postgresql',
                    'optime',
                    'retain_slots',
                    'scheduled_at',
                    'quorum',
                ]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(['config', 'leader', 'status', 'sync', 'failover', 'optime/leader', 'members/a', 'members/b']),
        _JSON.map(json.dumps) | st.text(max_size=4),
    ),
    _JSON,
)
@pytest.mark.filterwarnings('ignore')
def test_any_keys(keys: dict[str, str], status: Any) -> None:
    """Any content of the keys results in facts of the declared types."""
    facts = Cluster(Settings([], scope='lab'), Keys(keys, 1, True)).facts
    for member in facts.members:
        if isinstance(status, dict):
            add_status(member, status)
        for value in (member.role, member.state, member.version, member.api_url, member.postgres_address):
            assert value is None or isinstance(value, str)
        for number in (member.timeline, member.position, member.lag):
            assert number is None or isinstance(number, int)
        assert isinstance(member.tags, dict)
    assert all(isinstance(value, int) for value in facts.published_slots.values())
