"""Rolling upgrades of etcd, in every order of its members. Stock 4.1.5 demotes in 3.2 -> 3.4, 5 runs of 5."""

from __future__ import annotations

import itertools
from typing import Any, Callable, Sequence

import pytest

from lab.packages import etcd_versions, line_of

_AT_HAND = {line_of(version) for version in etcd_versions()}

#: the release lines that all members go through; later ones, where available, in one step each (`LEAST_BESIDE`)
PATHS: list[tuple[str, ...]] = [('3.2', '3.4', '3.5'), ('3.3', '3.4', '3.5'), ('3.3', '3.5')]
PATHS += [path for path in (('3.5', '3.6'), ('3.6', '3.7')) if _AT_HAND.issuperset(path)]

ORDERS = list(itertools.permutations(range(3)))


@pytest.mark.parametrize('order', ORDERS, ids=lambda order: ''.join(map(str, order)))
@pytest.mark.parametrize('path', PATHS, ids=':'.join)
@pytest.mark.parametrize('how', ['in place', 'by replacement'])
def test_rolling_upgrade(soak: Callable[..., Any], how: str, path: Sequence[str], order: Sequence[int]) -> None:
    """A rolling upgrade is not noticed."""
    what = f'upgrade {" -> ".join(path)} {how}, members in the order {" ".join(map(str, order))}'
    with soak(what, [path[0]] * 3) as run:
        for line in path[1:]:
            for i in order:
                change = run.etcd.upgrade if how == 'in place' else run.etcd.replace
                change(i, line)
                run.settle()
    run.nothing_noticed()


@pytest.mark.parametrize('line', ['3.2', '3.3'])
def test_leader_stays_when_its_lease_changes(soak: Callable[..., Any], line: str) -> None:
    """The leader stays when ttl is edited and its lease revoked at each step of an upgrade."""
    with soak(f'upgrade {line} -> 3.4, ttl edited and lease revoked at each step', [line] * 3) as run:
        for step, ttl in zip((None, 0, 1, 2), (25, 30, 35, 40)):
            if step is not None:
                run.etcd.upgrade(step, '3.4')
                run.settle()
            run.patroni.edit_config(ttl=ttl)
            run.settle()
            for i in range(3):
                lease = run.leader_lease()
                assert run.etcd.call(i, '/kv/lease/revoke', {'ID': lease})[0] == 200
                run.settle()
                assert run.leader_lease() != lease
    # each of the twelve revocations removes the key until the next HA loop of the leader, for at most 2 s
    run.nothing_noticed(without_leader_key=12 * 3)


@pytest.mark.parametrize('role', ['replica', 'primary'])
@pytest.mark.parametrize('path', PATHS[:2], ids=':'.join)
def test_patroni_starts_at_each_step(soak: Callable[..., Any], path: Sequence[str], role: str) -> None:
    """Patroni starts in each state of an upgrade and joins its cluster."""
    with soak(f'upgrade {path[0]} -> {path[1]}, {role} restarted at each step', [path[0]] * 3) as run:
        for step in (None, 0, 1, 2):
            if step is not None:
                run.etcd.upgrade(step, path[1])
            primary = run.patroni.wait_primary()
            node = next(node for node in run.patroni.nodes if (node is primary) == (role == 'primary'))
            node.restart()
            run.settle()
            run.patroni.wait_primary()
            run.patroni.wait_replicas()
    if role == 'replica':
        run.nothing_noticed()
