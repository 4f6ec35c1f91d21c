"""The variables of a plan that let its gates reach the cluster: read as ``check`` reads them."""

from __future__ import annotations

from typing import Any

import pytest

from patroni_etcd3_compat.check.collect import load_settings
from patroni_etcd3_compat.check.collect.settings import Settings
from patroni_etcd3_compat.check.facts import Facts, TlsFile
from patroni_etcd3_compat.check.findings import judge
from patroni_etcd3_compat.check.plan import make_plan
from tests.unit.finding_facts import etcd_facts, etcd_member, facts, of_versions


def variables(some: Facts, config_file: str | None = None, every: bool = False) -> dict[str, str]:
    """The variables of a plan, by name: the exported ones, or all."""
    made = make_plan(some, judge(some), '3.6', None, False, config_file)
    return {variable.name: variable.value for variable in made.variables if variable.export or every}


def read(monkeypatch: pytest.MonkeyPatch, found: dict[str, str], **filled_in: str) -> Settings:
    """What ``check`` reads from them, as its call in the plan does: endpoints if these are not in the environment."""
    for name, value in found.items():
        monkeypatch.setenv(name, filled_in.get(name.rpartition('_')[2].lower(), value))
    return load_settings(None, () if 'PATRONI_ETCD3_HOSTS' in found else ['https://10.0.0.1:2379'], 'batman')


def cluster(patroni: bool, **different: Any) -> Facts:
    """A healthy cluster."""
    some = facts(of_versions('3.5.30', '3.5.30', '3.5.30', **different))
    if not patroni:
        some.patroni = None
    return some


def with_access(some: Facts) -> Facts:
    """The same, asked with a user name and with files."""
    some.etcd.username, some.etcd.credentials = 'app', True
    some.etcd.files = [TlsFile('cacert', '/etc/ssl/ca.pem'), TlsFile('cert', '/etc/ssl/app.pem')]
    return some


@pytest.mark.parametrize('patroni', [True, False])
def test_user_and_certificates(monkeypatch: pytest.MonkeyPatch, patroni: bool) -> None:
    """With --endpoints or the environment alone, check gets what this call had; only the password is to fill in."""
    found = variables(with_access(cluster(patroni, auth=True, tls=True)))
    assert {
        name: value for name, value in found.items() if name.startswith('PATRONI_ETCD3_') and name[-5:] != 'HOSTS'
    } == {
        'PATRONI_ETCD3_USERNAME': 'app',
        'PATRONI_ETCD3_PASSWORD': 'PASSWORD',
        'PATRONI_ETCD3_CACERT': '/etc/ssl/ca.pem',
        'PATRONI_ETCD3_CERT': '/etc/ssl/app.pem',
        **({'PATRONI_ETCD3_PROTOCOL': 'https'} if patroni else {}),
    }
    settings = read(monkeypatch, found, password='p', cacert=__file__, cert='')
    assert (settings.username, settings.password) == ('app', 'p')
    assert settings.tls['ca_certs'] == __file__ and not settings.tls.get('cert_file')
    assert settings.urls[0].startswith('https://10.0.0.1:')


def test_files_for_other_programs() -> None:
    """etcdctl and curl get the same files, the key from the certificate; what the shell would split is to fill in."""
    some = with_access(cluster(True, tls=True))
    found = variables(some, every=True)
    files = {'cacert': '/etc/ssl/ca.pem', 'cert': '/etc/ssl/app.pem', 'key': '/etc/ssl/app.pem'}
    assert found['ETCDCTL_FLAGS'] == ' '.join(f'--{option}={path}' for option, path in files.items())
    assert found['CURL_FLAGS'] == ' '.join(f'--{option} {path}' for option, path in files.items())
    some.etcd.files = [TlsFile('cacert', '/etc/my ssl/$(reboot).pem')]
    some.etcd.username = '$(reboot)'
    found = variables(some, every=True)
    assert found['ETCDCTL_FLAGS'] == '--cacert=FILE' and found['PATRONI_ETCD3_CACERT'] == 'FILE'
    assert found['PATRONI_ETCD3_USERNAME'] == 'USER'


def test_options_of_this_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """What counted before the configuration file is repeated to check, except for the password."""
    given = {'cacert': '/etc/ssl/ca.pem', 'username': 'app', 'password': 'secret'}
    monkeypatch.setattr('patroni_etcd3_compat.check.collect.settings.read_files', lambda _: [])
    settings = load_settings(None, ['10.0.0.1:2379', '10.0.0.2'], 'batman', etcd=given, group=3)
    some = with_access(cluster(True, tls=True))
    some.etcd.given = list(settings.given)
    found = variables(some, 'patroni.yml', every=True)
    assert found['CHECK'] == (
        'patroni-etcd3-compat check --endpoints https://10.0.0.1:2379,https://10.0.0.2:2379 '
        '--cacert /etc/ssl/ca.pem --user app --group 3 batman'
    )
    assert (found['PATRONI_ETCD3_USERNAME'], found['PATRONI_ETCD3_PASSWORD']) == ('app', 'PASSWORD')
    assert 'secret' not in str(found)


def test_citus_group() -> None:
    """Commands are about the group that was looked at: others have leaders of their own."""
    some = cluster(True)
    assert some.patroni is not None
    some.patroni.group = 2
    assert variables(some, every=True)['CHECK'] == 'patroni-etcd3-compat check --group 2 batman'
    made = make_plan(some, judge(some), '3.6', None, False, 'patroni.yml')
    commands = [gate.command for step in made.steps for gate in step.gates if 'patronictl list' in gate.command]
    assert commands and all('patronictl list batman --group 2 ' in command for command in commands)


def test_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a configuration file the plan names none, and check finds the same cluster in the environment."""
    some = cluster(True)
    assert some.patroni is not None
    some.patroni.namespace = '/other'
    found = variables(some)
    assert 'PATRONICTL_CONFIG_FILE' not in found
    settings = read(monkeypatch, found)
    assert (settings.urls, settings.path) == (some.etcd.configured, '/other/batman/')


def test_environment_with_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses in brackets are read as a list too."""
    urls = ['http://[fd00::1]:2379', 'http://[fd00::2]:2379']
    some = facts(etcd_facts(*(etcd_member(i, '3.5.30', url=url) for i, url in enumerate(urls, 1)), configured=urls))
    settings = read(monkeypatch, variables(some))
    assert settings.urls == urls


def test_configuration_file() -> None:
    """It has everything, so nothing else has to be filled in for check."""
    found = variables(cluster(True, auth=True, tls=True), '/etc/patroni.yml')
    assert [name for name in found if name.startswith('PATRONI')] == ['PATRONICTL_CONFIG_FILE']


def test_no_secret_is_needed() -> None:
    """On a cluster without authentication and TLS nothing is asked for."""
    assert list(variables(cluster(False))) == ['ETCDCTL_API']


def test_dcs_url() -> None:
    """A plan that was made with another DCS than that of the configuration says so to patronictl and check."""
    some = cluster(True)
    some.etcd.dcs_url = 'etcd3://10.0.0.1:2379/other'
    found = variables(some, 'patroni.yml')
    assert (found['PATRONICTL_CONFIG_FILE'], found['DCS_URL']) == ('patroni.yml', 'etcd3://10.0.0.1:2379/other')
    assert 'DCS_URL' not in variables(cluster(True), 'patroni.yml')
    some.etcd.dcs_url = 'etcd3://10.0.0.1:2379/$(reboot)'
    with pytest.raises(ValueError, match='no plan is made: the command line has the URL'):
        variables(some, 'patroni.yml')
