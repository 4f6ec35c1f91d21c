"""``--dcs-url`` and ``DCS_URL`` on a real etcd: of patronictl, and of ``check``, which takes them as that does."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from lab.environments import Environment, clean_environ, environment
from lab.etcd import EtcdCluster
from lab.releases import NEWEST
from tests.check.command import run

#: Becomes the leader of a cluster.
LEAD = """
from patroni.dcs import get_dcs
dcs = get_dcs({'etcd3': {'host': %r}, 'scope': 's', 'name': 'a', 'namespace': 'service', 'ttl': 300, 'loop_wait': 10,
               'retry_timeout': 10})
print(dcs.touch_member({'state': 'running', 'conn_url': 'postgres://127.0.0.1:5432/postgres'}),
      bool(dcs.attempt_to_acquire_leader()))
"""


@pytest.fixture(scope='module')
def etcd() -> Iterator[EtcdCluster]:
    """An etcd cluster with the leader of a Patroni cluster in it."""
    with EtcdCluster(['3.4']) as cluster:
        assert environment().run(['-c', LEAD % cluster.hosts[0]]).stdout.splitlines()[-1:] == ['True True']
        yield cluster


@pytest.fixture(params=['3.0.2+1.26', f'{NEWEST}+2'])
def patroni(request: pytest.FixtureRequest) -> Environment:
    """The oldest release, whose patronictl does not know ``etcd3://``, and the newest."""
    return environment(*request.param.split('+'))


def patronictl(env: Environment, config: Path, url: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run ``patronictl --dcs-url list``."""
    return env.run(
        [str(env.patronictl), '-c', str(config), '--dcs-url', url, 'list', '--format', 'tsv'],
        env=dict(clean_environ(), **environ),
    )


@pytest.mark.parametrize('section', ['etcd3', 'etcd3_compat'])
def test_section_by_name(patroni: Environment, etcd: EtcdCluster, tmp_path: Path, section: str) -> None:
    """``etcd3_compat://`` finds the cluster; the one in the configuration file is not asked."""
    config = tmp_path / 'patroni.yml'
    config.write_text(f'scope: s\nnamespace: service\n{section}:\n  hosts: 127.0.0.1:1\n')
    ret = patronictl(patroni, config, 'etcd3_compat://' + etcd.hosts[0])
    assert ret.returncode == 0 and '\tLeader\t' in ret.stdout, ret.stdout
    assert '127.0.0.1:1/' not in ret.stdout


def test_other_schemes_are_as_in_stock(patroni: Environment, etcd: EtcdCluster, tmp_path: Path) -> None:
    """Other schemes give the same output as stock, be it the cluster or an error."""
    config = tmp_path / 'patroni.yml'
    config.write_text('scope: s\nnamespace: service\n')
    for url in ('etcd3://' + etcd.hosts[0], 'unknown://' + etcd.hosts[0]):
        ours, stock = (patronictl(patroni, config, url, PATRONI_ETCD3_COMPAT=switch) for switch in ('on', 'off'))
        assert (ours.returncode, ours.stdout) == (stock.returncode, stock.stdout)


def test_check(etcd: EtcdCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``check`` finds the cluster at the URL; that in the configuration file, with another namespace, is not asked."""
    config = tmp_path / 'patroni.yml'
    config.write_text('scope: s\nnamespace: other\netcd3:\n  hosts: 127.0.0.1:1\n')
    url = f'etcd3://{etcd.hosts[0]}/service'

    def leader(*args: str) -> str:
        document = json.loads(run('check', '-c', str(config), '-f', 'json', *args).out)
        assert document['etcd']['configured'] == [f'http://{etcd.hosts[0]}']
        name: str = document['patroni']['leader']
        return name

    assert leader('--dcs-url', url) == 'a'
    monkeypatch.setenv('DCS_URL', url)
    assert leader() == 'a'
