"""The number of requests per HA loop to etcd, with real Patroni and PostgreSQL, counted by the lab's facades.

Each node uses its own etcd member (``use_proxies``, so that it stays there), whose facade counts. The watch is left
out: it is one request for many loops.
"""

from __future__ import annotations

import functools
import re
import time

from lab import say
from lab.environments import Environment
from lab.etcd import EtcdCluster
from lab.load import WriteLoad
from lab.node import PatroniNode
from lab.patroni import PatroniCluster
from lab.processes import wait_until

from . import at_once

LOOPS = 12
"""How many HA loops are counted."""

_LOOP = re.compile(r' INFO: no action\. I am ', re.M)


def _count(cluster: PatroniCluster) -> list[float]:
    """Return the requests per loop of each node, over the same time."""

    def loops(node: PatroniNode) -> int:
        return len(_LOOP.findall(node.log_text()))

    def sent(i: int) -> int:
        facade = cluster.etcd.members[i].facade
        return sum(entry.rpc != 'watch' for entry in facade.requests) if facade is not None else 0

    def next_loop() -> None:
        now = loops(cluster.nodes[0])
        wait_until(lambda: loops(cluster.nodes[0]) > now, 30, 'an HA loop of the leader', interval=0.02)
        time.sleep(0.5)  # between two loops

    next_loop()
    before = [(loops(node), sent(i)) for i, node in enumerate(cluster.nodes)]
    wait_until(lambda: loops(cluster.nodes[0]) >= before[0][0] + LOOPS - 1, 90, 'the HA loops of the leader')
    next_loop()
    return [(sent(i) - before[i][1]) / max(loops(node) - before[i][0], 1) for i, node in enumerate(cluster.nodes)]


def _run_one(name: str, environment: Environment) -> dict[str, float]:
    with EtcdCluster(['3.5', '3.5', '3.5'], facade=True) as etcd:
        cluster = PatroniCluster(
            environment, etcd, nodes=1, hosts=etcd.hosts[:1], settings={'etcd3': {'use_proxies': True}}
        )
        with cluster:
            replica = cluster.add_node(hosts=etcd.hosts[1:2])
            replica.start()
            cluster.wait_replicas()
            say(f'{name}: {LOOPS} HA loops idle, {LOOPS} under load')
            time.sleep(5)
            idle = _count(cluster)
            with WriteLoad(cluster):
                load = _count(cluster)
    return {'leader, idle': idle[0], 'replica, idle': idle[1], 'leader, load': load[0], 'replica, load': load[1]}


def run(environments: dict[str, Environment]) -> dict[str, dict[str, float]]:
    """Count for all variants at the same time, each on its own servers."""
    return at_once({name: functools.partial(_run_one, name, it) for name, it in environments.items()})
