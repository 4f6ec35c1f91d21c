"""The Patroni cluster as its keys and its REST APIs tell it."""

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

from patroni_etcd3_compat.check.collect import Settings
from patroni_etcd3_compat.check.collect.interview import Keys
from patroni_etcd3_compat.check.collect.patroni_keys import Cluster
from patroni_etcd3_compat.check.collect.rest_api import RestApi, add_lags, add_status, position
from patroni_etcd3_compat.check.facts import Patroni, PatroniMember


def cluster(settings: Settings | None = None, **keys: Any) -> Patroni:
    """What is made of these keys; ``__`` in a name stands for a slash."""
    values = {
        name.replace('__', '/'): value if isinstance(value, str) else json.dumps(value) for name, value in keys.items()
    }
    return Cluster(settings or Settings([], scope='lab'), Keys(values, 1, True)).facts


def roles(facts: Patroni) -> dict[str, str | None]:
    """The roles by name."""
    return {member.name: member.role for member in facts.members}


def test_roles() -> None:
    """As ``patronictl list`` has them; without a leader key a member that calls itself one is one."""
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
    """What matters of it; commands may hold credentials."""
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


def test_positions() -> None:
    """Lag against the position that the leader has published, in both forms of the key."""
    members: dict[str, Any] = {
        'members__a': {'xlog_location': 90},
        'members__b': {'xlog_location': 70},
        'members__c': {'timeline': 3},
    }
    for status in ({'status': {'optime': 100, 'slots': {'b': 60, 'x': 'y'}}}, {'optime__leader': '100'}):
        facts = cluster(leader='a', **dict(members, **status))
        assert [(member.position, member.lag) for member in facts.members] == [(90, None), (70, 30), (None, None)]
        assert facts.published_slots == ({'b': 60} if 'status' in status else {})
    add_lags(facts, {'a': 200, 'b': 195, 'c': 210})  # read at one time
    assert [member.lag for member in facts.members] == [None, 5, 0]
    add_lags(facts, {'b': 100})
    assert [member.lag for member in facts.members] == [None, 5, 0]


def test_status_completes_a_member() -> None:
    """What the API says is newer; up to 3.x a primary is a master; versions of PostgreSQL before and after 10."""
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
    assert member == PatroniMember('a', True, 'leader', 'running', '4.1.5', '15.6', 4, 77, tags={'nofailover': True})
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


def test_citus_without_a_group() -> None:
    """Says which groups there are; with keys of its own, or a group, it is a cluster as any other."""
    keys: dict[str, Any] = {'10__members__c': {}, '0__leader': 'a', '0__members__a': {}, '1__members__b': {}}
    assert cluster(**keys).error == 'a Citus cluster with groups 0, 1, 10: set citus.group in the configuration'
    assert (
        cluster(None, **{'0__config': {}}).error == 'a Citus cluster with group 0: set citus.group in the configuration'
    )
    assert cluster(members__d={}, **keys).error is None
    assert cluster(Settings([], scope='lab', group=1), **keys).error is None
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
    """It is taken out as soon as it is read."""
    assert cluster(members__a={'api_url': url}).members[0].api_url == shown


def test_rest_api(httpserver: HTTPServer) -> None:
    """``GET /patroni`` whatever the path of the URL; what is no such answer is an error; redirects are not followed."""
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
        said.append(api.status(httpserver.url_for('/elsewhere')))
    strange = {'error': 'GET /patroni is not answered with the status of a Patroni'}
    assert said == [mine, mine, {'error': 'the REST API there belongs to another cluster, x'}] + [strange] * 3
    httpserver.expect_ordered_request('/patroni').respond_with_data('', 302, {'Location': httpserver.url_for('/other')})
    assert api.status(httpserver.url_for('/')) == strange
    httpserver.check_assertions()
    for url in ('http://127.0.0.1:1', 'nothing', 'http://[', 'http://127.0.0.1:x/', 'ftp://127.0.0.1/'):
        assert list(api.status(url)) == ['error']


def test_no_password_is_sent(httpserver: HTTPServer) -> None:
    """The question needs none, and the URL stands in the DCS, where others write."""
    settings = Settings([], scope='lab', rest={'ctl': {'insecure': True}, 'restapi': {}})
    RestApi(settings).status(httpserver.url_for('/'))
    ((request, _),) = httpserver.log
    assert 'Authorization' not in request.headers


def test_rest_api_with_tls(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    """The certificates of the configuration count, as for patronictl; what does not verify is named."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('localhost').configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / 'ca.pem'))
    with HTTPServer('localhost', ssl_context=context) as server:
        server.expect_request('/patroni').respond_with_json({'patroni': {'scope': 'lab'}})
        for rest, error in (
            ({'restapi': {'cafile': str(tmp_path / 'ca.pem')}}, None),
            ({'ctl': {'cacert': str(tmp_path / 'ca.pem')}}, None),
            ({'ctl': {'insecure': True}}, None),
            ({}, 'TLS: certificate verify failed: '),
            ({'ctl': {'cacert': '/nowhere.pem'}}, 'TLS: '),
        ):
            status = RestApi(Settings([], scope='lab', rest=rest)).status(server.url_for('/'))
            assert status.get('error') is error is None or str(status['error']).startswith(str(error))
    assert not recwarn.list


def test_nothing_in_the_dcs() -> None:
    """No member gave keys; there are none; and the member that the configuration belongs to."""
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
        st.sampled_from(['config', 'leader', 'status', 'sync', 'optime/leader', 'members/a', 'members/b']),
        _JSON.map(json.dumps) | st.text(max_size=4),
    ),
    _JSON,
)
@pytest.mark.filterwarnings('ignore')
def test_any_keys(keys: dict[str, str], status: Any) -> None:
    """Whatever stands there, it is facts in the end, of the types that they promise."""
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
