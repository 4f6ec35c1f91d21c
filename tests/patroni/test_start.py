"""The newest Patroni with PostgreSQL on a mixed etcd cluster."""

from __future__ import annotations

import re
import socket
import time
from contextlib import ExitStack

from lab.environments import Environment
from lab.etcd import EtcdCluster
from lab.load import WriteLoad
from lab.monitor import Monitor
from lab.patroni import PatroniCluster
from lab.ports import free_port
from lab.processes import wait_until
from patroni_etcd3_compat import __version__


def test_primary_and_replica_through_an_upgrade(newest: Environment) -> None:
    """Patroni starts, patronictl lists its members, and the etcd members are upgraded under a write load."""
    with EtcdCluster(['3.2', '3.2', '3.4'], facade=True) as etcd, PatroniCluster(newest, etcd) as patroni:
        primary = patroni.wait_primary()
        patroni.wait_replicas()
        listed = patroni.patronictl('list').stdout
        assert re.search(r'Leader +\| running', listed), listed
        assert re.search(r'Replica +\| (running|streaming)', listed), listed
        assert f'patroni-etcd3-compat {__version__} serves section etcd3' in primary.log_text()
        with Monitor(patroni) as monitor, WriteLoad(patroni) as load:
            for number in (0, 1):
                etcd.upgrade(number, '3.4')
                time.sleep(5)  # two HA loops and more
            patroni.edit_config(ttl=25)
            time.sleep(5)
        load.verify()
        assert monitor.demotions == 0 and monitor.leader_changes == 0
        assert [monitor.failed_loops(node) for node in patroni.nodes] == [0, 0]
        assert load.longest_gap < 5  # seconds: a busy machine holds writes up for one, a demotion for ten and more
        assert not [r for r in etcd.requests() if b'request_txn' in r.body]
        restarted = patroni.nodes[1]
        restarted.restart()
        patroni.wait_replicas()


def test_members_come_to_advertise_dead_urls(newest: Environment) -> None:
    """A running primary stays, and Patroni starts, while members advertise five kinds of dead URLs in turn."""
    with EtcdCluster(['3.5'] * 3) as etcd, PatroniCluster(newest, etcd) as patroni, ExitStack() as ends:
        full = ends.enter_context(socket.create_server(('127.0.0.1', 0), backlog=0))  # neither accepts nor refuses
        for _ in range(8):
            client = ends.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        patroni.wait_primary()
        patroni.wait_replicas()
        dead = [f'127.0.0.1:{full.getsockname()[1]}'] + [
            f'{host}:{free_port()}' for host in ('etcd.invalid', '0.0.0.0', '[::]', '127.0.0.1')
        ]
        with Monitor(patroni) as monitor, WriteLoad(patroni) as load:
            for number, host in enumerate(dead):
                member = etcd.members[number % 3]
                member.flags = ['--advertise-client-urls', 'http://' + host]
                member.restart()
                etcd.wait_healthy(30)
                time.sleep(5)  # two HA loops and more
        load.verify()
        assert monitor.demotions == 0 and monitor.leader_changes == 0
        assert [monitor.failed_loops(node) for node in patroni.nodes] == [0, 0]
        patroni.nodes[1].restart()
        patroni.wait_replicas()


def test_reload_applies_the_prefix(newest: Environment) -> None:
    """A reload (SIGHUP) applies a changed ``version_prefix`` and refuses a wrong one, which changes nothing."""
    with EtcdCluster(['3.3'], facade=True) as etcd, PatroniCluster(newest, etcd, nodes=1) as patroni:
        node = patroni.wait_primary()
        assert {r.path.split('/')[1] for r in etcd.requests() if r.path != '/version' and r.status != 404} == {'v3beta'}

        def reload(prefix: str) -> None:
            node.config['etcd3']['version_prefix'] = prefix
            node.reload()

        reload('/v3alpha')
        wait_until(lambda: etcd.requests()[-1].path.startswith('/v3alpha/'), 20, 'the changed prefix')
        reload('/v3gamma')
        wait_until(
            lambda: "version_prefix is '/v3gamma', allowed are: auto, /v3, /v3beta, /v3alpha" in node.log_text(),
            20,
            'the error',
        )
        time.sleep(3)
        assert etcd.requests()[-1].path.startswith('/v3alpha/')
        assert node.failed_loops() == 0


def test_stock_is_back_when_switched_off(newest: Environment) -> None:
    """``PATRONI_ETCD3_COMPAT=off`` in the environment of a real Patroni restores the stock class."""
    with EtcdCluster(['3.4']) as etcd, PatroniCluster(newest, etcd, nodes=1, env={'PATRONI_ETCD3_COMPAT': 'off'}) as p:
        assert 'patroni-etcd3-compat' not in p.wait_primary().log_text()


def test_by_name(newest: Environment) -> None:
    """Section ``etcd3_compat`` works for the daemon and for patronictl."""
    with EtcdCluster(['3.2', '3.4', '3.4']) as etcd, PatroniCluster(newest, etcd, nodes=1, section='etcd3_compat') as p:
        assert f'patroni-etcd3-compat {__version__} serves section etcd3_compat' in p.wait_primary().log_text()
        listed = p.patronictl('list')
        assert 'Leader' in listed.stdout, listed.stdout
