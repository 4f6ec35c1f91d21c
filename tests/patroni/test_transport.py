"""The newest Patroni with PostgreSQL over gRPC, and from one transport to the other."""

from __future__ import annotations

import functools
import re
import time
from typing import Iterator

import pytest

from lab.environments import Environment, environment
from lab.etcd import EtcdCluster, b64
from lab.load import WriteLoad
from lab.monitor import Monitor
from lab.node import unprivileged_user
from lab.packages import line_of
from lab.patroni import PatroniCluster
from lab.processes import wait_until

SETTLE = 5
"""Seconds in each state: two HA loops and more."""


@pytest.fixture(scope='module')
def with_grpc() -> Iterator[Environment]:
    """The newest Patroni with this package and its extra ``grpc``, at a place where its user can reach it."""
    yield environment(extras=['grpc']).for_user(unprivileged_user())


def nothing_noticed(patroni: PatroniCluster, monitor: Monitor, load: WriteLoad) -> None:
    """Check that the primary stayed, that no HA loop failed and that writes went on."""
    assert monitor.demotions == 0 and monitor.leader_changes == 0
    assert [monitor.failed_loops(node) for node in patroni.nodes] == [0, 0]
    assert load.longest_gap < 5  # seconds: a busy machine holds writes up for one, a demotion for ten and more
    load.verify()


def test_upgrades_under_a_primary_over_grpc(with_grpc: Environment) -> None:
    """etcd goes from 3.4 to 3.7, one member and one release at a time, and no call goes to the gateway."""
    # Each member takes a snapshot of its log all the time: 3.6 and 3.7 do not start on logs of older releases.
    with EtcdCluster(['3.4'] * 3, extra_flags=['--snapshot-count=5']) as etcd, PatroniCluster(
        with_grpc, etcd, settings={'etcd3': {'transport': 'grpc'}}
    ) as patroni:
        with Monitor(patroni) as monitor, WriteLoad(patroni) as load:
            for line in ('3.5', '3.6', '3.7'):
                for number in range(40):
                    status, _ = etcd.call(number % 3, 'kv/put', {'key': b64('log'), 'value': b64(str(number))})
                    assert status == 200
                etcd.logs_began_anew()
                for number in range(3):
                    etcd.upgrade(number, line)
                    time.sleep(SETTLE)
        nothing_noticed(patroni, monitor, load)
        assert {line_of(member.real_version) for member in etcd.members} == {'3.7'}
        for node in patroni.nodes:
            used = set(re.findall(r'etcd member (\S+) .*: using gRPC', node.log_text()))
            assert len(used) > 1, used  # it went from one member to another
            assert 'gateway prefix' not in node.log_text()


def test_transport_changes_by_reload(with_grpc: Environment) -> None:
    """A reload (SIGHUP) takes a primary and a replica from one transport to another; a wrong one changes nothing."""
    with EtcdCluster(['3.4', '3.5', '3.5'], facade=True) as etcd, PatroniCluster(with_grpc, etcd) as patroni:
        patroni.wait_replicas()
        before = 0

        def carries(over: str) -> bool:
            """Return whether the keepalives, and the watches of both nodes, have gone that way since *before*."""
            rpcs = [r.rpc for r in etcd.requests()[before:] if r.path.startswith(f'/{over}/')]
            return 'lease/keepalive' in rpcs and rpcs.count('watch') >= 2

        with Monitor(patroni) as monitor, WriteLoad(patroni) as load:
            # From auto, which is the default: these members are reached over their gateways.
            for transport, over in (('grpc', 'grpc'), ('auto', 'v3'), ('grpc', 'grpc'), ('gateway', 'v3')):
                before = len(etcd.requests())
                for node in patroni.nodes:
                    node.config['etcd3']['transport'] = transport
                    node.reload()
                wait_until(functools.partial(carries, over), 30, f'calls over {over}')
                time.sleep(SETTLE)
                assert [r.path for r in etcd.requests() if r.rpc == 'lease/keepalive'][-1] == f'/{over}/lease/keepalive'
            for node in patroni.nodes:
                node.config['etcd3']['transport'] = 'carrier pigeon'
                node.reload()
            time.sleep(SETTLE)
        nothing_noticed(patroni, monitor, load)
        for node in patroni.nodes:
            assert "transport is 'carrier pigeon', allowed are: auto, gateway, grpc" in node.log_text()
