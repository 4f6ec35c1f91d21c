"""A leader that was stopped past its ttl, with a healthy etcd, leads again as soon as Patroni asks for it."""

from __future__ import annotations

import time
from typing import Any, Callable

TIMES = {'ttl': 5, 'loop_wait': 1, 'retry_timeout': 2}


def test_key_that_expired_is_taken_again(start: Callable[..., Any], connect: Callable[..., Any]) -> None:
    """A key that nobody else took is taken again; the old ttl, which is over, does not limit that."""
    dcs = connect(start(['3.5']).hosts, **TIMES)
    assert dcs.acquire() and dcs.loop()
    time.sleep(TIMES['ttl'] + 2)
    assert dcs.leader() is None
    for _ in range(2):
        dcs.dcs.get_cluster()
    assert dcs.dcs.attempt_to_acquire_leader()
    for _ in range(3):
        assert dcs.loop()


def test_key_that_expired_within_a_loop(start: Callable[..., Any], connect: Callable[..., Any]) -> None:
    """A key that expired between reading the cluster and the update is taken again, with a new lease."""
    dcs = connect(start(['3.5']).hosts, **TIMES)
    assert dcs.acquire() and dcs.loop()
    cluster = dcs.dcs.get_cluster()
    time.sleep(TIMES['ttl'] + 2)
    assert dcs.update_leader(cluster)
    for _ in range(3):
        assert dcs.loop()


def test_somebody_else_has_it(start: Callable[..., Any], connect: Callable[..., Any]) -> None:
    """A key that another member took stays with that member."""
    hosts = start(['3.5']).hosts
    dcs = connect(hosts, scope='held', **TIMES)
    other = connect(hosts, name='b', scope='held', **TIMES)
    assert dcs.acquire() and dcs.loop()
    cluster = dcs.dcs.get_cluster()
    time.sleep(TIMES['ttl'] + 2)
    assert other.acquire()
    assert not dcs.update_leader(cluster)
    assert other.leader() == 'b' and other.loop()
