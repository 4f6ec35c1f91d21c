"""No secret from servers, keys in etcd or drivers reaches the output."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import time
from types import SimpleNamespace
from typing import Any, Iterator
from unittest import mock

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from patroni import psycopg

from patroni_etcd3_compat.check.collect import Settings, collect, collection, rest_api
from patroni_etcd3_compat.check.collect.redaction import HIDDEN, Redaction
from patroni_etcd3_compat.check.collect.web import Clock, Unanswered
from patroni_etcd3_compat.check.facts import Facts
from patroni_etcd3_compat.check.findings import judge
from patroni_etcd3_compat.check.plan import make_plan, render_plan
from patroni_etcd3_compat.check.render import FORMATS, render
from patroni_etcd3_compat.urls import as_key, redacted
from tests.examples import examples

#: A part of all secrets, so that a fragment of one is found as well.
MARK = 'hunter2'
PASSWORD, TOKEN, SQL_PASSWORD = f'{MARK}-etcd', f'{MARK}-token', f'{MARK}-postgres'


@pytest.mark.parametrize(
    'url, wanted',
    [
        ('http://u:p@h:1', 'http://h:1'),
        ('http://p@h:1/x', 'http://h:1/x'),
        ('http://u:p/@:?#\n@h', 'http://h'),
        ('u:p@h:1', 'h:1'),
        ('//u:p@h', '//h'),
        ('u:p//p@h:1', 'h:1'),
        ('http://h:1', 'http://h:1'),
        ('http://u:p@x@h:1', 'http://h:1'),
        ('http://u:x//y@h:1', 'http://h:1'),
        ('u:p]%//1?p@h:1/x', 'h:1/x'),
        ('', ''),
    ],
)
def test_redacted(url: str, wanted: str) -> None:
    """User name and password are removed, whatever they contain, and nothing else is."""
    assert redacted(url) == wanted


def test_as_key() -> None:
    """All spellings of a URL give one key; what is not a URL stays as it is."""
    assert {as_key(url) for url in ('http://A:1', 'http://a:1/', 'http://u:p@a:1/x')} == {'http://a:1'}
    assert as_key('http://[') == 'http://['


@pytest.mark.parametrize(
    'text, wanted',
    [
        ('failed for http://u:p@h:1 and HTTPS://p/w@h', 'failed for http://h:1 and HTTPS://h'),
        ("host=h password=p' user=u", 'host=h password=*** user=u'),
        (r"password='a \' b' x", 'password=*** x'),
        ('Authorization: Bearer abc.def, x', 'Authorization: ***, x'),
        ('postgres://h/db?sslpassword=p&x=1', 'postgres://h/db?sslpassword=***&x=1'),
        ('{"token": "abc"}', '{"token": ***}'),
        ('etcdserver: invalid auth token', 'etcdserver: invalid auth token'),
        ('FATAL: password authentication failed for user "u"', 'FATAL: password authentication failed for user "u"'),
        ('root@host', 'root@host'),
        ('1http://u:p@h and x@y://z', '1http://h and x@y://z'),
    ],
)
def test_text(text: str, wanted: str) -> None:
    """What looks like a secret is hidden in any text, and ordinary texts stay unchanged."""
    assert Redaction().text(text) == wanted


@pytest.mark.parametrize(
    'part', ['a', 'a:', '://', '@', 'token', 'token=', 'token ', '"token="', "password='", ' ', '\\\\']
)
def test_time(part: str) -> None:
    """A long hostile text takes no longer than any other, since all threads wait for a regular expression."""
    text = '@' + part * 300000
    started = time.thread_time()
    Redaction().text(text)
    redacted(text)
    assert time.thread_time() - started < 5


def test_error() -> None:
    """A secret that a server quotes is hidden, unless it is as short as a word."""
    redaction = Redaction([PASSWORD, PASSWORD + '2', 'abc', None, 7])
    assert redaction.error(f'no user abc with {PASSWORD}2, {PASSWORD}') == f'no user abc with {HIDDEN}, {HIDDEN}'


def test_json() -> None:
    """Names, texts and values with a secret's name are hidden; numbers stay, and no document is too deep."""
    deep: object = 'x'
    for _ in range(10000):
        deep = [deep]
    assert Redaction().json({'http://u:p@h': [1, True, None, 'http://u:p@h'], 'password': 'p', 'tokens': 'p'}) == {
        'http://h': [1, True, None, 'http://h'],
        'password': HIDDEN,
        'tokens': 'p',
    }
    json.dumps(Redaction().json({'deep': deep}))


_SECRETS = st.text('@:/?#%,;&=\'"\\|<>[]a1é', max_size=6).map(lambda text: f'{MARK}{text}{MARK}')
_SIMPLE = st.text('@:/%+a1', max_size=4).map(lambda text: f'{MARK}{text}{MARK}')


def _urls(benign: str) -> st.SearchStrategy[str]:
    scheme, _, place = benign.partition('//')
    return st.just(benign) | st.builds(
        lambda secret, form: form.format(scheme=scheme, secret=secret, place=place),
        _SECRETS,
        st.sampled_from(['{scheme}//u:{secret}@{place}', '{scheme}//{secret}@{place}', 'u:{secret}@{place}']),
    )


def _texts(benign: str) -> st.SearchStrategy[str]:
    return (
        st.just(benign)
        | st.builds('{1} http://u:{0}@h:1 {1}'.format, _SECRETS, st.just(benign))
        | st.builds('postgres://{0}@h/{1}'.format, _SECRETS, st.just(benign))
        | st.builds('{1} password={0}'.format, _SIMPLE, st.just(benign))
        | st.builds('{1}, "token": "{0}"'.format, _SIMPLE, st.just(benign))
    )


def _errors(benign: str, *sent: str) -> st.SearchStrategy[str]:
    """Draw an error text, which may quote what was sent."""
    return _texts(benign) | st.sampled_from(sent).map(f'{benign} {{0}}'.format)


#: All input from outside, with a secret in any field.
OUTSIDE = st.fixed_dictionaries(
    {
        'configured': _urls('http://10.0.0.1:2379'),
        'client': _urls('http://10.0.0.2:2379'),
        'peer': _urls('http://10.0.0.2:2380'),
        'loopback': _urls('http://127.0.0.1:2379') | _urls('unix://x'),
        'api': _urls('http://10.0.0.3:8008/patroni'),
        'connection': _urls('postgres://10.0.0.3:5432/postgres'),
        'own_api': _urls('http://10.0.0.4:8008/patroni'),
        'etcd_name': _texts('infra1'),
        'version': _texts('3.4.23') | _texts('3.3.25'),
        'alarm': _texts('NOSPACE'),
        'patroni_name': _texts('node1'),
        'patroni_version': _texts('4.0.7'),
        'state': _texts('running'),
        'tag': _texts('zone'),
        'slot': _texts('slot1'),
        'list': st.sampled_from(['given', 'refused', 'silent']),
        'etcd_error': _errors('etcdserver: trouble', PASSWORD, TOKEN),
        'etcd_unanswered': _errors('TLS: trouble', PASSWORD, TOKEN),
        'rest_scope': st.just('batman') | _texts('joker'),
        'sql_error': st.none() | _errors('FATAL: trouble', SQL_PASSWORD),
        'wal_status': _texts('lost'),
    }
)


class Outside:
    """A stand-in for etcd, Patroni's REST API and PostgreSQL.

    :param said: as :data:`OUTSIDE` makes it.
    """

    def __init__(self, said: dict[str, str]) -> None:
        self.said = said

    def ask(
        self, method: str, url: str, clock: Clock, body: bytes | None = None, token: str | None = None
    ) -> tuple[int, bytes]:
        """Stand in for ``Web.ask``."""
        status, answer = self._etcd('/' + url.split('/', 3)[3], token)
        return status, json.dumps(answer).encode()

    def close(self) -> None:
        """Stand in for ``Web.close``."""

    def _etcd(self, path: str, token: str | None) -> tuple[int, Any]:
        said = self.said
        header = {'member_id': '1', 'raft_term': '2', 'revision': '5'}
        if path == '/version':
            return 200, {'etcdserver': said['version'], 'etcdcluster': said['version']}
        if path.endswith('/authenticate'):
            return 200, {'token': TOKEN}
        if path.endswith('/status') and not token:
            return 400, {'code': 3, 'message': 'etcdserver: user name is empty'}
        if path.endswith('/status'):
            alarm = f'memberID:1 alarm:{said["alarm"]}'
            return 200, {'header': header, 'leader': '1', 'errors': [alarm]}
        if path.endswith('/list') and said['list'] == 'silent':
            raise Unanswered(said['etcd_unanswered'])
        if path.endswith('/list') and said['list'] == 'given':
            urls = [said['client'], said['loopback']]
            member = {'ID': '1', 'name': said['etcd_name'], 'clientURLs': urls, 'peerURLs': [said['peer']]}
            return 200, {'header': header, 'members': [member]}
        if path.endswith('/alarm'):
            return 200, {'header': header, 'alarms': [{'memberID': '1', 'alarm': said['alarm']}]}
        if path.endswith('/range'):
            return 200, {'header': header, 'kvs': [_pair(*pair) for pair in self._keys().items()]}
        return 400, {'code': 3, 'message': said['etcd_error']}

    def _keys(self) -> dict[str, object]:
        said = self.said
        member = {
            'conn_url': said['connection'],
            'api_url': said['api'],
            'role': 'replica',
            'state': said['state'],
            'version': said['patroni_version'],
            'tags': {said['tag']: said['tag'], 'password': MARK, 'deep': [{'token': MARK}]},
        }
        return {
            f'members/{said["patroni_name"]}': member,
            'members/old': said['connection'] + '?application_name=' + said['api'],
            'leader': said['patroni_name'],
            'config': {'ttl': 30, 'slots': {said['slot']: {'type': 'physical', 'password': MARK}}},
            'status': {'optime': 5, 'slots': {said['slot']: 7}},
            'sync': {'leader': said['patroni_name'], 'sync_standby': said['patroni_name']},
        }

    def request(self, *args: object, **kwargs: object) -> object:
        """Stand in for ``PatroniRequest.request``."""
        said = self.said
        status = {
            'patroni': {'scope': said['rest_scope'], 'version': said['patroni_version']},
            'state': said['state'],
            'role': said['state'],
            'tags': {said['tag']: said['tag']},
        }
        return io.BytesIO(json.dumps(status).encode())

    def connect(self, **arguments: object) -> Any:
        """Stand in for ``psycopg.connect``."""
        assert arguments['password'] == SQL_PASSWORD  # outgoing data is not redacted
        if self.said['sql_error'] is not None:
            raise psycopg.Error(self.said['sql_error'])
        return SimpleNamespace(server_version=150006, cursor=self._cursor, close=lambda: None)

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[Any]:
        said, asked = self.said, ['']
        slot = {'slot_name': said['slot'], 'slot_type': said['slot'], 'active': False, 'wal_status': said['wal_status']}

        def fetchall() -> list[tuple[Any, ...]]:
            if 'server_version' in asked[0]:
                return [(said['patroni_version'],)]
            if 'pg_is_in_recovery' in asked[0]:
                return [(False, 100)]
            return [(json.dumps(slot),)] if 'pg_replication_slots' in asked[0] else [(5,)]

        yield SimpleNamespace(execute=lambda sql: asked.insert(0, sql), fetchall=fetchall)


def _pair(name: str, value: object) -> dict[str, str]:
    text = value if isinstance(value, str) else json.dumps(value)
    return {'key': _encode(f'/service/batman/{name}'), 'value': _encode(text)}


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def facts_from(said: dict[str, str]) -> Facts:
    """Collect from servers that say this."""
    outside = Outside(said)
    with mock.patch.object(collection, 'Web', lambda tls: outside), mock.patch.object(
        rest_api, 'PatroniRequest', lambda options: outside
    ), mock.patch.object(psycopg, 'connect', outside.connect):
        return collect(
            Settings(
                [said['configured']],
                username='u',
                password=PASSWORD,
                scope='batman',
                name='self',
                api_url=said['own_api'],
                postgres={'username': 'postgres', 'password': SQL_PASSWORD},
            )
        )


def outputs(facts: Facts) -> Iterator[str]:
    """Return everything that the command could print about facts."""
    findings = judge(facts)
    for fmt in FORMATS:
        yield render(fmt, facts, findings, 1000)
    for target in ({'etcd_to': '3.5', 'patroni_to': None}, {'etcd_to': None, 'patroni_to': '4.1.5'}):
        try:
            plan = make_plan(facts, findings, direct=False, **target)
        except ValueError as e:
            yield str(e)
        else:
            yield render_plan(plan, 'markdown')
            yield render_plan(plan, 'json')


# Not shrunk, since each attempt collects everything.
@settings(max_examples=examples(100), phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(OUTSIDE)
def test_no_secret_in_any_output(said: dict[str, str]) -> None:
    """No secret appears in any format, in plans or in the facts, whatever the source and the field."""
    facts = facts_from(said)
    assert MARK not in repr(facts)
    for text in outputs(facts):
        assert MARK not in text


PLAIN = {
    'configured': 'http://10.0.0.1:2379',
    'client': 'http://10.0.0.2:2379',
    'peer': 'http://10.0.0.2:2380',
    'loopback': 'unix://x',
    'api': 'http://10.0.0.3:8008/patroni',
    'connection': 'postgres://10.0.0.3:5432/postgres',
    'own_api': 'http://10.0.0.4:8008/patroni',
    'etcd_name': 'infra1',
    'version': '3.4.23',
    'alarm': 'NOSPACE',
    'patroni_name': 'node1',
    'patroni_version': '4.0.7',
    'state': 'running',
    'tag': 'zone',
    'slot': 'slot1',
    'list': 'given',
    'etcd_error': 'etcdserver: trouble',
    'etcd_unanswered': 'TLS: trouble',
    'rest_scope': 'batman',
    'sql_error': None,
    'wal_status': 'lost',
}


def test_everything_said_is_heard() -> None:
    """The fields of the test above do reach the facts: without secrets, every word is there."""
    said: dict[str, Any] = PLAIN
    facts = facts_from(said)
    text = render('json', facts, judge(facts))
    for other in ({'list': 'refused', 'sql_error': 'FATAL: trouble'}, {'list': 'silent', 'rest_scope': 'joker'}):
        text += render('json', facts_from({**said, **other}), [])
    unheard = {'connection', 'list', 'sql_error'}
    assert [name for name in said if name not in unheard and said[name] not in text] == []
    assert '10.0.0.3:5432' in text and 'FATAL: trouble' in text and 'another cluster, joker' in text


def test_password_of_an_advertised_url(capsys: pytest.CaptureFixture[str]) -> None:
    """The password of an advertised URL, which four formats once printed, is not shown."""
    said: dict[str, Any] = dict(PLAIN, client=f'http://u:{MARK}@10.0.0.2:2379', peer=f'http://u:{MARK}@10.0.0.2:2380')
    facts = facts_from(said)
    assert facts.etcd.listed and facts.etcd.listed[0].client_urls == ['http://10.0.0.2:2379', 'unix://x']
    assert facts.etcd.listed[0].peer_urls == ['http://10.0.0.2:2380']
    assert 'http://10.0.0.2:2379' in [endpoint.url for endpoint in facts.etcd.endpoints]
    for text in outputs(facts):
        assert MARK not in text
