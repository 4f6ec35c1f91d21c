"""With a leader on Patroni 3.2.1 and replicas on 4.0.2, WAL on the replica stays bounded with this package.

This is the short version: one cluster for all tests, in this order. The other files have the rest (``make
soak-mixed``).
"""

from __future__ import annotations

import functools
from typing import Any, Callable, Iterator

import pytest

from lab.node import PatroniNode
from lab.processes import wait_until
from tests.mixed import wal
from tests.mixed.cluster import MixedCluster

ROUNDS = 5

TAKES = 'Leader node1 runs Patroni 3.2.1, which does not publish the positions of member slots. Taking them from the'
WARNS = 'WARNING: Patroni members of different versions: '


@pytest.fixture(scope='module')
def cluster(mixed: Callable[..., Any]) -> Iterator[MixedCluster]:
    """Leader 3.2.1, and three replicas: 4.0.2 stock, 4.0.2 with this package, 4.0.3."""
    with mixed('short', ['3.2.1', '4.0.2', '4.0.2+package', '4.0.3']) as running:
        yield running


@pytest.fixture(scope='module')
def statuses(cluster: MixedCluster) -> list[Any]:
    """The contents of ``/status`` over time, recorded by the tests."""
    return [wal.read_key(cluster.etcd, 'status')]


def test_wal_stays_bounded(cluster: MixedCluster, statuses: list[Any]) -> None:
    """Stock grows with each round; with this package WAL is within a round of 4.0.3, and all slots advance."""
    stock, ours, control = cluster.nodes[1:]
    wait_until(lambda: len(wal.slots(stock)) == 3, 60, 'the slots of the others on the stock replica')
    before = wal.slots(stock)
    for _ in range(ROUNDS):
        cluster.round(follow=[ours, control])
        statuses.append(wal.read_key(cluster.etcd, 'status'))
    grown = [sizes[stock.name] for sizes in cluster.rounds]
    assert all(earlier < later for earlier, later in zip(grown[1:], grown[2:])), grown
    assert grown[-1] - grown[0] >= (ROUNDS - 2) * wal.ROUND, grown
    assert wal.slots(stock) == before  # which is why
    for sizes in cluster.rounds:
        assert abs(sizes[ours.name] - sizes[control.name]) <= wal.ROUND, cluster.rounds


def test_slot_of_a_stopped_member_holds(cluster: MixedCluster, statuses: list[Any]) -> None:
    """The slot of a stopped member holds while the others advance; when the member is back, its slot advances again."""
    stopped, ours, control = cluster.nodes[1:]
    stopped.stop()
    wait_until(
        lambda: 'xlog_location' not in (wal.read_key(cluster.etcd, 'members/' + stopped.name) or {}),
        60,
        'the member to be known as stopped',
    )
    cluster.round(follow=[ours], held=[stopped.name])
    held = wal.slots(ours)[stopped.name].restart_lsn
    assert held
    for _ in range(2):
        cluster.round(follow=[ours], held=[stopped.name])
        statuses.append(wal.read_key(cluster.etcd, 'status'))
        assert wal.slots(ours)[stopped.name].restart_lsn == held
    stopped.start()
    cluster.wait_replicas()
    cluster.round(follow=[ours, control])
    held_no_longer = wal.slots(ours)[stopped.name].restart_lsn
    assert held_no_longer and held_no_longer > held
    last = cluster.rounds[-1]
    assert abs(last[ours.name] - last[control.name]) <= wal.ROUND, last


def test_status_is_what_the_leader_writes(cluster: MixedCluster, statuses: list[Any]) -> None:
    """Nothing that the package adds reaches ``/status``: a 3.2.1 leader writes its position, and no slots."""
    statuses.append(wal.read_key(cluster.etcd, 'status'))
    assert all(set(status) == {'optime'} for status in statuses), statuses
    assert statuses[-1]['optime'] > statuses[0]['optime']


def test_rest_api_is_that_of_stock(cluster: MixedCluster) -> None:
    """``GET /cluster`` and the other documents about the cluster are the same with this package and without."""
    _, stock, ours, _ = cluster.nodes

    def told(node: PatroniNode, path: str) -> Any:
        answer = node.rest('GET', path)
        if answer and path == '/cluster':
            answer[1]['members'].sort(key=lambda member: str(member['name']))
        return answer

    def same(path: str) -> bool:
        return bool(told(ours, path) == told(stock, path))

    for path in ('/cluster', '/config', '/history', '/failsafe'):
        wait_until(functools.partial(same, path), 60, f'the same answer to GET {path}')


def test_log_says_it_once(cluster: MixedCluster) -> None:
    """The start is logged once, with leader and version. There is no exception, and no line under stock."""
    ours = cluster.nodes[2]
    assert ours.log_text().count('INFO: ' + TAKES) == 1
    assert 'No longer taking' not in ours.log_text()
    for word in ('Exception', 'Traceback', 'Could not look', 'is lost'):
        assert word not in ours.log_text()
    assert not any(TAKES in node.log_text() for node in cluster.nodes if node is not ours)


def test_warning_when_the_versions_change(cluster: MixedCluster) -> None:
    """The warning about incompatible versions appears when they change and names members, consequence and remedy."""
    warnings = [line.split(WARNS)[1] for line in cluster.nodes[2].log_text().splitlines() if WARNS in line]
    assert all(before != after for before, after in zip(warnings, warnings[1:])), warnings
    assert len(warnings) == 1, warnings  # of the other replica on 4.0.2; this one is not affected
    assert 'leader node1 (3.2.1) beside node2 (4.0.2):' in warnings[0]
    assert 'pg_wal on the replicas grows' in warnings[-1] and 'upgrade these replicas to 4.0.3' in warnings[-1]
