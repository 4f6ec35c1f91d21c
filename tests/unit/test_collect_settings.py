"""What to collect and from whom: Patroni's configuration as Patroni reads it, and the endpoints."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any, Callable

import patroni.ctl
import pytest
import urllib3.util.connection
import yaml
from hypothesis import given
from hypothesis import strategies as st

from patroni_etcd3_compat.check.collect import ConfigError, Settings, load_settings

SECRET = 'pAssw0rd'


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith('PATRONI'):
            monkeypatch.delenv(name)


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Settings]:
    """Load a configuration, given as text or as its contents."""

    def go(config: Any, *args: Any, **kwargs: Any) -> Settings:
        path = tmp_path / 'patroni.yml'
        path.write_text(config if isinstance(config, str) else yaml.safe_dump(config))
        return load_settings(str(path), *args, **kwargs)

    return go


def etcd3(scope: str | None = 'lab', **options: Any) -> dict[str, Any]:
    """Return a configuration with these options in section ``etcd3``."""
    return dict({'scope': scope} if scope else {}, etcd3=options)


@pytest.mark.parametrize(
    'options, urls',
    [
        ({'hosts': ['a:1', 'b', '[::1]:3']}, ['http://a:1', 'http://b:2379', 'http://[::1]:3']),
        ({'hosts': 'b:2, a:1,b:2', 'protocol': 'https'}, ['https://b:2', 'https://a:1']),
        ({'hosts': ['a'], 'port': 7}, ['http://a:7']),
        ({'host': '127.0.0.1'}, ['http://127.0.0.1:2379']),
        ({'host': '127.0.0.1:5', 'protocol': 'https'}, ['https://127.0.0.1:5']),
        ({'url': f'https://u:{SECRET}@a'}, ['https://a:2379']),
        ({'proxy': 'http://p:1', 'hosts': ['a:1']}, ['http://p:1']),
    ],
)
def test_members_of_the_configuration(load: Callable[..., Settings], options: dict[str, Any], urls: Any) -> None:
    """The members are derived as in Patroni, in the order of the configuration, each once."""
    settings = load(etcd3(**options))
    assert settings.urls == urls
    assert settings.use_proxies is ('proxy' in options)
    assert (settings.username, settings.password) == (('u', SECRET) if 'url' in options else (None, None))
    assert SECRET not in repr(settings)


def test_srv(load: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    """SRV records of the DNS are used; if there are none, the hosts are, as in Patroni."""
    from patroni.dcs import etcd as patroni_etcd

    records = {'_etcd-client-ssl._tcp.example': [('b', 2), ('a', 1)]}
    monkeypatch.setattr(
        patroni_etcd.AbstractEtcdClientWithFailover, 'get_srv_record', staticmethod(lambda name: records.get(name, []))
    )
    assert load(etcd3(srv='example')).urls == ['https://a:1', 'https://b:2']
    assert load(etcd3(srv='none', hosts=['c:3'])).urls == ['http://c:3']
    with pytest.raises(ConfigError, match='names no etcd member: no SRV records were found for none'):
        load(etcd3(srv='none'))


def test_everything_else(load: Callable[..., Settings], tmp_path: Path) -> None:
    """Credentials, certificates and names each reach their place, and no other."""
    files = {name: str(tmp_path / name) for name in ('ca', 'cert', 'key')}
    for path in files.values():
        Path(path).write_text('')
    config = dict(
        etcd3(
            hosts=['a:1'],
            username='u',
            password=SECRET,
            cacert=files['ca'],
            cert=files['cert'],
            key=files['key'],
            use_proxies=True,
            version_prefix='/v3beta',
        ),
        name='n',
        namespace='/deep/',
        citus={'group': 1, 'database': 'd'},
        ctl={'insecure': True, 'cacert': files['ca']},
        restapi={
            'listen': ':8008',
            'connect_address': 'n:8008',
            'certfile': files['cert'],
            'authentication': {'username': 'r', 'password': SECRET},
        },
        postgresql={
            'authentication': {
                'superuser': {'username': 'postgres', 'password': SECRET, 'sslmode': 'require'},
                'rewind': {'username': 'rewind'},
            }
        },
    )
    settings = load(config, timeout=2, slots_interval=3)
    assert (settings.timeout, settings.slots_interval, settings.section) == (2, 3, 'etcd3')
    assert (settings.use_proxies, settings.version_prefix) == (True, '/v3beta')
    assert (settings.username, settings.password) == ('u', SECRET)
    assert settings.tls == {
        'cert_file': files['cert'],
        'key_file': files['key'],
        'ca_certs': files['ca'],
        'cert_reqs': 'CERT_REQUIRED',
    }
    assert (settings.scope, settings.namespace, settings.group, settings.name) == ('lab', '/deep', 1, 'n')
    assert settings.path == '/deep/lab/1/' and settings.api_url == 'https://n:8008/patroni'
    assert settings.postgres == {'username': 'postgres', 'password': SECRET, 'sslmode': 'require'}
    assert SECRET not in repr(settings.rest) and settings.rest['ctl']['insecure'] is True
    other = load(config, scope='other')
    assert (other.path, other.name, other.api_url) == ('/deep/other/', None, None)
    del config['postgresql']['authentication']['superuser']
    assert load(config).postgres == {'username': 'rewind'}
    assert load(etcd3(hosts='a', version_prefix='auto')).version_prefix is None
    assert load(etcd3(hosts='a', version_prefix='/v4')).version_prefix == '/v4'


def test_addresses_and_secrets(load: Callable[..., Settings]) -> None:
    """URLs lose user name and password here, and the secrets to hide are known."""
    config = dict(
        etcd3(hosts=['a:1'], username='u', password=SECRET + '1'),
        name='n',
        ctl={'keyfile_password': SECRET + '2'},
        restapi={'connect_address': f'u:{SECRET}@n:8008'},
        postgresql={'authentication': {'superuser': {'username': 'postgres', 'password': SECRET + '3'}}},
    )
    settings = load(config)
    assert settings.api_url == 'http://n:8008/patroni' and SECRET not in repr(settings)
    assert set(settings.secrets) == {SECRET + '1', SECRET + '2', SECRET + '3'}
    assert Settings([f'http://u:{SECRET}@a:1'], api_url=f'http://u:{SECRET}@a:1').urls == ['http://a:1']


def test_environment(monkeypatch: pytest.MonkeyPatch, load: Callable[..., Settings]) -> None:
    """Patroni's variables apply without a file, override a file, and still exist afterwards."""
    values = {
        'PATRONI_SCOPE': 'env',
        'PATRONI_ETCD3_HOSTS': 'e:1,f:2',
        'PATRONI_ETCD3_USERNAME': 'u',
        'PATRONI_ETCD3_PASSWORD': SECRET,
        'PATRONI_SUPERUSER_USERNAME': 'super',
        'PATRONI_ETCD3_VERSION_PREFIX': '/v3alpha',
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    connect = urllib3.util.connection.create_connection
    for _ in range(2):
        settings = load_settings(None)
        assert settings.urls == ['http://e:1', 'http://f:2'] and settings.scope == 'env'
        assert (settings.username, settings.password) == ('u', SECRET)
        assert settings.postgres == {'username': 'super'}
        assert settings.version_prefix == '/v3alpha'  # known to Patroni by this package's hook
        assert load(etcd3(hosts='a')).urls == ['http://e:1', 'http://f:2']
    assert {name: os.environ[name] for name in values} == values
    assert urllib3.util.connection.create_connection is connect  # which Patroni replaces
    monkeypatch.setenv('PATRONI_CONFIGURATION', yaml.safe_dump(etcd3('whole', hosts='g:3')))
    assert load_settings(None).path == '/service/whole/'


def test_named_section_comes_first(load: Callable[..., Settings]) -> None:
    """Section ``etcd3_compat`` takes precedence, since whoever has it means it."""
    settings = load({'scope': 'lab', 'etcd3': {'hosts': 'a'}, 'etcd3_compat': {'hosts': 'b'}})
    assert (settings.section, settings.urls) == ('etcd3_compat', ['http://b:2379'])


def test_folder_of_files(tmp_path: Path) -> None:
    """A folder of files is read as Patroni reads it."""
    (tmp_path / '0.yml').write_text('scope: lab\netcd3: {hosts: a}')
    (tmp_path / '1.yaml').write_text('etcd3: {hosts: b}')
    assert load_settings(str(tmp_path)).urls == ['http://b:2379']


@pytest.mark.parametrize(
    'values, urls',
    [
        (['a:1,b'], ['http://a:1', 'http://b:2379']),
        (['a:1', ' https://b:2/ ', 'a:1'], ['http://a:1', 'https://b:2']),
        (['[::1]:5', 'https://[::1]'], ['http://[::1]:5', 'https://[::1]:2379']),
    ],
)
def test_endpoints(values: Any, urls: Any) -> None:
    """With endpoints, only etcd is checked unless a scope is named."""
    settings = load_settings(None, values)
    assert (settings.urls, settings.section, settings.scope, settings.path) == (urls, None, None, '')
    assert load_settings(None, values, 'lab').path == '/service/lab/'


def test_endpoints_and_more(load: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    """Endpoints replace those of the configuration; the rest of it applies. Credentials may be part of a URL."""
    settings = load(dict(etcd3(hosts='a', username='u', password=SECRET, protocol='https'), name='n'), ['b:1'])
    assert (settings.urls, settings.username, settings.scope) == (['https://b:1'], 'u', 'lab')
    settings = load_settings(None, [f'http://u:{SECRET}@a:1'])
    assert (settings.urls, settings.username, settings.password) == (['http://a:1'], 'u', SECRET)
    assert SECRET not in repr(settings)
    monkeypatch.setenv('PATRONI_ETCD3_USERNAME', 'v')
    monkeypatch.setenv('PATRONI_SCOPE', 'env')
    settings = load_settings(None, ['a:1'])
    assert (settings.urls, settings.username, settings.scope) == (['http://a:1'], 'v', None)


@pytest.mark.parametrize('value', ['ftp://a:1', 'a:x', 'http://', 'a:99999', f'http://u:{SECRET}@a:x', ':1'])
def test_bad_endpoints(value: str) -> None:
    """The error shows the endpoint without a password."""
    with pytest.raises(ConfigError, match='is not an etcd endpoint; write host:port') as e:
        load_settings(None, [value])
    assert SECRET not in str(e.value) and e.value.__cause__ is None


@pytest.mark.parametrize(
    'value',
    [
        'u:{0}@a:1',
        'u:{0}@a',
        '{0}@a:1',
        'http:/u:{0}@a',
        'http://u:{0},x@a:1',
        'http://u:1,{0}@a:1',
        'a:1,u:{0}@b:1',
        'a:1,{0}:x,u@b',
    ],
)
def test_passwords_where_none_is_looked_for(value: str, load: Callable[..., Settings]) -> None:
    """A misplaced password is never shown, and the error says where it belongs."""
    value = value.format(SECRET)
    for values in ([value], value.split(',')):
        with pytest.raises(ConfigError) as e:
            load_settings(None, values)
        assert SECRET not in str(e.value)
    if 'http' not in value:
        for option in ('hosts', 'host'):
            with pytest.raises(ConfigError) as e:
                load(etcd3(**{option: value}))
            assert SECRET not in str(e.value)
    with pytest.raises(ConfigError, match='write username and password as options of their own'):
        load(etcd3(hosts=['a:1', f'u:{SECRET}@b:1']))
    with pytest.raises(ConfigError, match='write username and password as options of their own'):
        load_settings(None, [f'u:{SECRET}@b:1'])


@pytest.mark.parametrize(
    'config, text',
    [
        (f'scope: lab\netcd3:\n  password: "{SECRET}\n', r'is not valid YAML \(line 4, column 1\)'),
        (f'scope: lab\netcd3: {{password: *{SECRET}}}', r'is not valid YAML \(line 2, column 19\)'),
        (f'scope: lab\netcd3: {{password: !{SECRET} x}}', r'is not valid YAML'),
        (f'- {SECRET}', 'cannot be used as a configuration of Patroni'),
        ('', 'cannot be used as a configuration of Patroni'),
        (f'postgresql: {{authentication: {SECRET}}}', 'cannot be used as a configuration of Patroni'),
        ({'scope': 'lab'}, r'has no section etcd3; name the configuration file'),
        ({'scope': 'lab', 'etcd': {'hosts': 'a'}}, r'has no section etcd3 \(but etcd\)'),
        ({'scope': 'lab', 'etcd3': 'a:1'}, 'section etcd3 in .* contains no options'),
        (etcd3(username='u'), r'names no etcd member: set hosts'),
        (etcd3(hosts=[]), 'names no etcd member: set hosts'),
        (etcd3(url=f'http://u:{SECRET}/@a'), 'Patroni cannot read host, hosts, url or proxy in section etcd3'),
        (etcd3(hosts=['a:b']), 'Patroni cannot read host, hosts, url or proxy in section etcd3'),
        (
            etcd3(hosts='http://a:1,b:1'),
            '^hosts in section etcd3 .* has http:// in it.*write host:port.*protocol: http ',
        ),
        (etcd3(hosts=['a:1', 'https://b']), '^hosts in section etcd3 .* has https:// in it.*protocol: https '),
        (etcd3(hosts='a', protocol=''), '^protocol in section etcd3 .* is empty.*set protocol: https'),
        (etcd3(hosts='a', protocol=None), '^protocol in section etcd3 .* is empty'),
        (etcd3(hosts='a', protocol=SECRET), '^protocol in section etcd3 .* is empty, or neither http nor https'),
        (etcd3(host=f'https://u:{SECRET}@a'), '^host in section etcd3 .* has https:// in it'),
        (dict(etcd3(hosts='a'), scope=7), 'scope in .* is not a string; put it in quotes'),
        (dict(etcd3(hosts='a'), scope={'a': SECRET}), 'scope in .* is not a string; put it in quotes'),
        (dict(etcd3(hosts='a'), name=['a']), 'name in .* is not a string; put it in quotes'),
        (dict(etcd3(hosts='a'), name=0), 'name in .* is not a string; put it in quotes'),
    ],
)
def test_bad_configuration(
    load: Callable[..., Settings],
    config: Any,
    text: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The error has cause and remedy. The text, the log and the traceback contain nothing that could be a secret."""
    with pytest.raises(ConfigError, match=text) as e:
        load(config)
    assert SECRET not in str(e.value) and SECRET not in caplog.text
    assert e.value.__cause__ is None and e.value.__suppress_context__ or e.value.__context__ is None
    assert capfd.readouterr().err == ''


def test_members(load: Callable[..., Settings]) -> None:
    """One number is how many there have to be; anything else are names. Without a cluster of Patroni it is refused."""
    for given_, names, number in (
        (('3',), (), 3),
        (('a',), ['a'], None),
        (('3', '4'), ['3', '4'], None),
        ((), [], None),
    ):
        settings = load(etcd3(hosts=['a:1']), members=given_)
        assert (list(settings.members), settings.members_number) == (list(names), number)
    with pytest.raises(ConfigError, match='--members is about Patroni'):
        load_settings(None, ['a:1'], members=('3',))


def test_file_that_is_not_there_or_unreadable(tmp_path: Path) -> None:
    """A missing or unreadable file is an error; Patroni itself would continue with the environment."""
    with pytest.raises(ConfigError, match=r'/nowhere.yml does not exist; name the one that Patroni is started with'):
        load_settings('/nowhere.yml')
    path = tmp_path / 'binary.yml'
    path.write_bytes(b'\xff\xfe\x00')
    with pytest.raises(ConfigError, match='is not a text file|is not valid YAML'):
        load_settings(str(path))
    with pytest.raises(ConfigError, match=r'the environment \(PATRONI_\*\) has no section etcd3'):
        load_settings(None)
    with pytest.raises(ConfigError, match='the time-out is 0 seconds'):
        load_settings(None, ['a'], timeout=0)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                'hosts',
                'host',
                'port',
                'protocol',
                'username',
                'cert',
                'key',
                'use_proxies',
                'url',
                'proxy',
                'version_prefix',
            ]
        ),
        _VALUES,
        max_size=4,
    ),
    st.dictionaries(
        st.sampled_from(['scope', 'name', 'namespace', 'ctl', 'restapi', 'postgresql', 'citus']), _VALUES, max_size=4
    ),
)
def test_any_configuration(tmp_path_factory: pytest.TempPathFactory, options: Any, sections: Any) -> None:
    """Any configuration results in settings or in a :class:`ConfigError`."""
    path = tmp_path_factory.getbasetemp() / 'any.yml'
    path.write_text(yaml.safe_dump(dict(sections, etcd3=options)))
    try:
        settings = load_settings(str(path), scope='lab')
    except ConfigError:
        return
    assert settings.urls and settings.path.startswith('/') and settings.path.endswith('/')


def test_access_of_the_command_line(tmp_path: Path) -> None:
    """Certificates and credentials of the command line count before those of the configuration."""
    cert, key = tmp_path / 'cert', tmp_path / 'key'
    for file in (cert, key):
        file.write_text('')
    given = {'cacert': str(cert), 'cert': str(cert), 'key': str(key), 'username': 'root', 'password': SECRET}
    settings = load_settings(None, ['a:1', 'http://b:1'], etcd=given)
    assert settings.urls == ['https://a:1', 'http://b:1']
    assert settings.tls == {
        'ca_certs': str(cert),
        'cert_reqs': 'CERT_REQUIRED',
        'cert_file': str(cert),
        'key_file': str(key),
    }
    assert (settings.username, settings.password) == ('root', SECRET) and SECRET not in repr(settings)


def test_citus_group_of_the_command_line() -> None:
    """A group that was given is part of the path; the member of the configuration is in another one."""
    assert load_settings(None, ['a:1'], 'lab', group=0).path == '/service/lab/0/'
    with pytest.raises(ConfigError, match='--group is about a Citus cluster: name it'):
        load_settings(None, ['a:1'], group=0)


@pytest.mark.parametrize(
    'url, urls, path, shown',
    [
        ('etcd3://10.0.0.9:7', ['http://10.0.0.9:7'], '/own/lab/', 'etcd3://10.0.0.9:7'),
        ('etcd3://10.0.0.9', ['http://10.0.0.9:2379'], '/own/lab/', 'etcd3://10.0.0.9:2379'),
        (' etcd3:// ', ['http://127.0.0.1:2379'], '/own/lab/', 'etcd3://localhost:2379'),
        ('etcd3://10.0.0.9:7/', ['http://10.0.0.9:7'], '/own/lab/', 'etcd3://10.0.0.9:7'),
        ('etcd3://10.0.0.9:7/other/', ['http://10.0.0.9:7'], '/other/lab/', 'etcd3://10.0.0.9:7/other'),
        ('etcd3://[::1]:7/a/b', ['http://[::1]:7'], '/a/b/lab/', 'etcd3://[::1]:7/a/b'),
        ('etcd3_compat://10.0.0.9:7', ['http://10.0.0.9:7'], '/own/lab/', 'etcd3_compat://10.0.0.9:7'),
        (f'etcd3://u:{SECRET}@10.0.0.9:7', ['http://10.0.0.9:7'], '/own/lab/', 'etcd3://10.0.0.9:7'),
    ],
)
def test_dcs_url(
    monkeypatch: pytest.MonkeyPatch, load: Callable[..., Settings], url: str, urls: list[str], path: str, shown: str
) -> None:
    """It replaces the section of etcd and, if it has a path, the namespace; the rest of the configuration counts."""
    resolve = socket.getaddrinfo  # many a machine has localhost as ::1 as well
    monkeypatch.setattr(
        socket, 'getaddrinfo', lambda host, *rest: resolve({'localhost': '127.0.0.1'}.get(host, host), *rest)
    )
    config = dict(etcd3(hosts='a:1', username='u', password=SECRET), namespace='own', name='node1')
    settings = load(config, dcs_url=url)
    assert (settings.urls, settings.path, settings.dcs_url) == (urls, path, shown)
    assert (settings.username, settings.password, settings.name) == (None, None, 'node1')
    assert load(config).urls == ['http://a:1'] and load(config).dcs_url is None


def test_dcs_url_is_as_in_patronictl(load: Callable[..., Settings]) -> None:
    """What patronictl makes of the same URL is the same.

    Releases whose patronictl knows no etcd3:// take no namespace from a URL either: there the members are compared.
    """
    for rest in ('10.0.0.9:7', '10.0.0.9', '', '10.0.0.9:7/', '10.0.0.9:7/other', '10.0.0.9/a/b'):
        known = 'etcd3' if 'etcd3' in patroni.ctl.DCS_DEFAULTS else 'etcd'
        theirs: Any = dict({'namespace': 'own'}, **patroni.ctl.parse_dcs(f'{known}://{rest}') or {})
        theirs['etcd3'] = theirs.pop(known)
        expected = load({'scope': 'lab', **theirs})
        ours = load(dict(etcd3(hosts='a:1'), namespace='own'), dcs_url=f'etcd3://{rest}')
        assert ours.urls == expected.urls
        assert ours.path == expected.path or known == 'etcd'


def test_dcs_url_without_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """It and the name of the cluster are enough; options of the command line go with it."""
    settings = load_settings(None, scope='lab', dcs_url='etcd3://10.0.0.9:7/ns', etcd={'cacert': __file__})
    assert (settings.urls, settings.path) == (['https://10.0.0.9:7'], '/ns/lab/')
    settings = load_settings(None, dcs_url='etcd3://10.0.0.9:7/ns')
    assert (settings.scope, settings.every, settings.path) == (None, True, '/ns/')


def test_all_clusters(load: Callable[..., Settings]) -> None:
    """They are meant with --all, and by a configuration that names none; the latter's own member plays no part."""
    config = dict(etcd3(hosts='a:1'), scope='lab', name='node1', restapi={'connect_address': 'b:8008'})
    settings = load(config)
    assert (settings.every, settings.path, settings.name) == (False, '/service/lab/', 'node1')
    settings = load(config, every=True)
    assert (settings.every, settings.path, settings.name, settings.api_url) == (True, '/service/', None, None)
    assert load(config, every=True, namespace='x/y/').path == '/x/y/'
    assert load(config, namespace='/own/').path == '/own/lab/'
    settings = load(etcd3(None, hosts='a:1'))
    assert (settings.every, settings.path) == (True, '/service/')
    settings = load_settings(None, ['a:1'])
    assert (settings.every, settings.path) == (False, '')  # etcd alone
    assert load_settings(None, ['a:1'], every=True).path == '/service/'
    for options in ({'scope': 'lab'}, {'members': ['3']}, {'group': 1}):
        with pytest.raises(ConfigError):
            load(config, every=True, **options)


@pytest.mark.parametrize(
    'url, text',
    [
        ('h:2379', 'none, which patronictl takes for the API v2 of etcd'),
        ('etcd://h:2379', 'is etcd; this command knows etcd3 only'),
        ('consul://h', 'is consul;'),
        ('etcd3://h:x', 'is not a URL'),
        ('etcd3://[::1', 'is not a URL'),
    ],
)
def test_dcs_url_of_something_else(load: Callable[..., Settings], url: str, text: str) -> None:
    """A sentence says what to write."""
    with pytest.raises(ConfigError, match='etcd3://HOST:PORT/NAMESPACE') as raised:
        load(etcd3(hosts='a:1'), dcs_url=url)
    assert text in str(raised.value)
