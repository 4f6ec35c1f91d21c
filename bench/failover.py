"""The time from the loss of a primary to a new one, on real Patroni and PostgreSQL, both variants at once."""

from __future__ import annotations

import base64
import functools
import time
from typing import Any

from lab import say
from lab.environments import Environment
from lab.etcd import EtcdCluster, b64
from lab.patroni import PatroniCluster
from lab.processes import LabError, wait_until

from . import at_once


def _leader(etcd: EtcdCluster, scope: str) -> str | None:
    status, answer = etcd.call(0, 'kv/range', {'key': b64(f'/service/{scope}/leader')})
    if status != 200:
        raise LabError(f'etcd answered {status} {answer}')
    found = answer.get('kvs')
    return base64.b64decode(found[0]['value']).decode() if found else None


def lose_primary(cluster: PatroniCluster) -> tuple[float, float]:
    """Kill the primary, Patroni and its PostgreSQL, and wait for another one; then restart it as a replica.

    :returns: the seconds from the kill to the new primary, and from the end of the old leader key to it.
    :raises LabError: when none comes up within a minute.
    """
    old = cluster.wait_primary()
    scope = PatroniCluster.scope
    before = time.monotonic()
    old.kill()
    wait_until(lambda: _leader(cluster.etcd, scope) != old.name, 60, 'the leader key to expire', interval=0.005)
    expired = time.monotonic()
    new = next(node for node in cluster.nodes if node is not old)

    def promoted() -> bool:
        answer = new.rest('GET', '/primary')
        return answer is not None and answer[0] == 200

    wait_until(promoted, 60, 'a new primary', interval=0.005)
    after = time.monotonic()
    old.start()
    cluster.wait_replicas(90)
    return after - before, after - expired


def _run_one(name: str, environment: Environment, runs: int) -> list[tuple[float, float]]:
    times = []
    with EtcdCluster(['3.5', '3.5', '3.5']) as etcd, PatroniCluster(environment, etcd) as cluster:
        for number in range(runs):
            times.append(lose_primary(cluster))
            whole, after = times[-1]
            say(
                f'{name}: loss of the primary {number + 1} of {runs}: {whole:.1f} s, {after:.2f} s of it after the '
                'leader key'
            )
    return times


def run(environments: dict[str, Environment], runs: int) -> dict[str, Any]:
    """Lose the primary several times, each variant on its own servers.

    :returns: by variant ``kill_to_primary`` and ``key_gone_to_primary``, lists of seconds; ttl is 20, loop_wait 2.
    """
    times = at_once({name: functools.partial(_run_one, name, it, runs) for name, it in environments.items()})
    return {
        name: {'kill_to_primary': [whole for whole, _ in pairs], 'key_gone_to_primary': [part for _, part in pairs]}
        for name, pairs in times.items()
    }
