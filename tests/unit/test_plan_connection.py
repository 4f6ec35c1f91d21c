"""The variables of a plan that let its gates reach the cluster: read as ``check`` reads them."""

from __future__ import annotations

from typing import Any

import pytest

from patroni_etcd3_compat.check.collect import load_settings
from patroni_etcd3_compat.check.collect.settings import Settings
from patroni_etcd3_compat.check.facts import Facts
from patroni_etcd3_compat.check.findings import judge
from patroni_etcd3_compat.check.plan import make_plan
from tests.unit.finding_facts import etcd_facts, etcd_member, facts, of_versions


def variables(some: Facts, config_file: str | None = None) -> dict[str, str]:
    """The exported variables of a plan, by name."""
    made = make_plan(some, judge(some), '3.6', None, False, config_file)
    return {variable.name: variable.value for variable in made.variables if variable.export}


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


@pytest.mark.parametrize('patroni', [True, False])
def test_user_and_certificates(monkeypatch: pytest.MonkeyPatch, patroni: bool) -> None:
    """With --endpoints or the environment alone, check gets what it needs; the plan itself holds placeholders only."""
    found = variables(cluster(patroni, auth=True, tls=True))
    assert {name: found[f'PATRONI_ETCD3_{name}'] for name in ('USERNAME', 'PASSWORD', 'CACERT', 'CERT', 'KEY')} == {
        'USERNAME': 'USER',
        'PASSWORD': 'PASSWORD',
        'CACERT': 'FILE',
        'CERT': 'FILE',
        'KEY': 'FILE',
    }
    settings = read(monkeypatch, found, username='u', password='p', cacert=__file__, cert='', key='')
    assert (settings.username, settings.password) == ('u', 'p')
    assert settings.tls['ca_certs'] == __file__ and not settings.tls.get('cert_file')
    assert settings.urls[0].startswith('https://10.0.0.1:')


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
