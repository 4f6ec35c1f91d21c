"""Authentication and split ports under a real Patroni, release by release."""

from __future__ import annotations

import re
import time

import pytest

from lab import packages
from lab.environments import environment
from lab.etcd import EtcdCluster
from lab.load import WriteLoad
from lab.monitor import Monitor
from lab.node import unprivileged_user
from lab.patroni import PatroniCluster
from lab.ports import free_port
from lab.processes import wait_until
from lab.releases import NEWEST

USER, PASSWORD, OTHER = 'root', 'se3ret-pAssw0rd', 'other-pAssw0rd'
RELEASES = ['3.0.4', '4.0.7', NEWEST]
CLUSTERS = [['3.4.23'] * 3, ['3.5.16'] * 3, ['3.5.30'] * 3, ['3.3', '3.4', '3.4']]
CLUSTERS = [
    versions for versions in CLUSTERS if all(v in packages.etcd_binaries() or v.count('.') == 1 for v in versions)
]
DEBUG = {'log': {'level': 'DEBUG'}}


def secrets_in(patroni: PatroniCluster) -> list[str]:
    """Return what must not be in a log: passwords, and what looks like a token of etcd."""
    text = ''.join(node.log_text() for node in patroni.nodes)
    return [word for word in (PASSWORD, OTHER) if word in text] + re.findall(r'\b[A-Za-z]{16}\.\d+\b', text)


@pytest.mark.parametrize('versions', CLUSTERS, ids='+'.join)
@pytest.mark.parametrize('release', RELEASES)
def test_auth_changes_under_a_running_primary(release: str, versions: list[str]) -> None:
    """The primary stays and no secret is logged while tokens are lost, auth is switched and the password changes."""
    env = environment(release).for_user(unprivileged_user())
    with EtcdCluster(versions, auth=(USER, PASSWORD)) as etcd, PatroniCluster(
        env, etcd, nodes=1, settings=DEBUG
    ) as patroni:
        node = patroni.wait_primary()
        with Monitor(patroni) as monitor, WriteLoad(patroni) as load:
            for member in etcd.members:
                member.restart()  # tokens live in memory
                etcd.wait_healthy(30)
                time.sleep(3)  # more than an HA loop
            etcd.disable_auth()
            time.sleep(3)
            etcd.enable_auth(USER, PASSWORD)
            time.sleep(3)
            node.config['etcd3']['password'] = OTHER
            node.reload()  # first: the token stays valid until the password changes in etcd, too
            time.sleep(3)
            assert etcd.call(0, 'auth/user/changepw', {'name': USER, 'password': OTHER}, etcd.token(0))[0] == 200
            etcd.auth = (USER, OTHER)
            patroni.edit_config(ttl=25)
            time.sleep(5)
        load.verify()
        assert monitor.demotions == 0 and load.longest_gap < 1
        assert not secrets_in(patroni)


@pytest.mark.parametrize('versions', CLUSTERS, ids='+'.join)
@pytest.mark.parametrize('release', RELEASES)
def test_wrong_password_at_the_start(release: str, versions: list[str]) -> None:
    """A wrong password gives one clear line and exit status 1."""
    env = environment(release).for_user(unprivileged_user())
    with EtcdCluster(versions, auth=(USER, PASSWORD)) as etcd:
        patroni = PatroniCluster(env, etcd, nodes=1, settings=dict(DEBUG, etcd3={'username': USER, 'password': OTHER}))
        node = patroni.add_node()
        try:
            node.start()
            wait_until(lambda: not node.alive, 30, 'Patroni to end')
            assert node.process is not None and node.process.exit_code == 1
            lines = [line for line in node.log_text().splitlines() if 'CRITICAL' in line]
            assert len(lines) == 1 and 'Etcd3 authentication failed' in lines[0]
            assert 'Traceback' not in node.log_text() and not secrets_in(patroni)
        finally:
            patroni.stop()


@pytest.mark.parametrize('release', RELEASES)
def test_split_ports(release: str) -> None:
    """The primary stays when etcd 3.5.30 advertises a separate gRPC port; the HTTP ports are configured."""
    env = environment(release).for_user(unprivileged_user())
    with EtcdCluster(['3.5.30'] * 3) as etcd:
        for member in etcd.members:
            grpc = f'http://127.0.0.1:{free_port()}'
            member.flags = [
                '--listen-client-http-urls',
                member.real_url,
                '--listen-client-urls',
                grpc,
                '--advertise-client-urls',
                grpc,
            ]
            member.restart()
        etcd.wait_healthy(30)
        with PatroniCluster(env, etcd) as patroni:
            patroni.wait_replicas()
            with Monitor(patroni) as monitor, WriteLoad(patroni) as load:
                for member in etcd.members:
                    member.restart()
                    etcd.wait_healthy(30)
                    patroni.edit_config(loop_wait=2)
            load.verify()
            assert monitor.demotions == 0 and load.longest_gap < 1
            assert sum(monitor.failed_loops(node) for node in patroni.nodes) == 0
