"""What serves each Patroni member, as its key says. The command runs in a Python with the package."""

from __future__ import annotations

import base64
import json
import platform
from typing import Any, Iterator

import jsonschema
import pytest

from lab import ROOT
from lab.environments import Environment, environment
from lab.etcd import EtcdCluster, b64
from lab.node import PatroniNode, unprivileged_user
from lab.patroni import PatroniCluster
from lab.processes import wait_until
from patroni_etcd3_compat import __version__
from patroni_etcd3_compat.mark import FIELD
from tests.check.command import run

#: Seconds, as the clusters of the lab have it.
LOOP_WAIT = 2


@pytest.fixture(scope='module')
def cluster(newest: Environment) -> Iterator[PatroniCluster]:
    """The primary is stock, the replica has the package."""
    stock = environment(plugin=False).for_user(unprivileged_user())
    with EtcdCluster(['3.5']) as etcd, PatroniCluster([stock, newest], etcd, loop_wait=LOOP_WAIT) as patroni:
        yield patroni


def check(cluster: PatroniCluster, *args: str) -> dict[str, Any]:
    """What the command says as JSON, which fits its schema."""
    ended = run('check', *args, '-f', 'json')
    assert ended.err == ''
    document: dict[str, Any] = json.loads(ended.out)
    jsonschema.Draft7Validator(json.loads((ROOT / 'docs' / 'check.schema.json').read_text())).validate(document)
    return document


def serves(document: dict[str, Any]) -> dict[str, tuple[str | None, str | None]]:
    """What serves each member, by name."""
    return {member['name']: (member['serves'], member['compat']) for member in document['patroni']['members']}


def key(cluster: PatroniCluster, node: PatroniNode) -> tuple[int, dict[str, Any]]:
    """The revision in which the member key of a node was written last, and what stands in it."""
    answer = cluster.etcd.call(0, 'kv/range', {'key': b64(f'/service/lab/members/{node.name}')})[1]
    (found,) = answer['kvs']
    value: dict[str, Any] = json.loads(base64.b64decode(found['value']))
    return int(found['mod_revision']), value


def loops(node: PatroniNode) -> int:
    """HA loops that its log tells of."""
    return node.log_text().count('no action. I am')


def test_every_member_and_this_host(cluster: PatroniCluster) -> None:
    """From each node the same about all; about this host what its own key says; the Python is that of its Patroni."""
    stock, ours = cluster.nodes
    wait_until(lambda: key(cluster, ours)[1]['state'] == 'running', 30, 'the key of the replica')
    for node, expected in ((stock, ('stock', None)), (ours, ('package', __version__))):
        document = check(cluster, '-c', str(node.config_file))
        assert serves(document) == {'node1': ('stock', None), 'node2': ('package', __version__)}
        host = document['this_host']
        assert (host['name'], host['section'], (host['serves'], host['compat'])) == (node.name, 'etcd3', expected)
        assert host['patroni'] == node.status()['patroni']['version']  # type: ignore[index]
        assert host['interpreter'] == str(node.environment.for_user(node.user).python)
        assert platform.python_version().startswith(host['python'])


def test_from_somewhere_else(cluster: PatroniCluster) -> None:
    """Without a configuration file the members are known all the same, and nothing is said about this host."""
    document = check(cluster, 'lab', '--endpoints', ','.join(cluster.etcd.hosts))
    assert serves(document) == {'node1': ('stock', None), 'node2': ('package', __version__)}
    assert {name: value for name, value in document['this_host'].items() if value} == {}


def test_no_key_of_its_own(cluster: PatroniCluster) -> None:
    """Nothing is known then about what serves this host, and this Python is not asked instead."""
    _, ours = cluster.nodes
    assert ours.process
    ours.process.freeze()  # or the key would be back at once
    try:
        cluster.etcd.call(0, 'kv/deleterange', {'key': b64(f'/service/lab/members/{ours.name}')})
        document = check(cluster, '-c', str(ours.config_file), '--timeout', '1')
    finally:
        ours.process.thaw()
    host = document['this_host']
    assert host['name'] == ours.name and host['serves'] is host['compat'] is host['patroni'] is None
    assert serves(document) == {'node1': ('stock', None), 'node2': (None, None)}
    wait_until(lambda: check(cluster, '-c', str(ours.config_file))['this_host']['serves'] == 'package', 30, 'its key')


def test_no_writes_because_of_the_mark(cluster: PatroniCluster) -> None:
    """Several HA loops, and the key stands; when it is written, something else in it has changed."""
    _, ours = cluster.nodes

    def stands() -> bool:
        revision, before = key(cluster, ours)
        seen = loops(ours)
        wait_until(lambda: loops(ours) >= seen + 4, 30, 'four HA loops')
        again, after = key(cluster, ours)
        assert before[FIELD] == after[FIELD] == __version__
        assert again == revision or before != after
        return again == revision

    wait_until(stands, 90, 'the key to stand while nothing happens')


def test_stock_ignores_it(cluster: PatroniCluster) -> None:
    """``patronictl list`` and ``/cluster`` of stock Patroni show the member as they do without the mark.

    ``PATRONI_ETCD3_COMPAT=off`` on that node takes the mark away.
    """
    stock, ours = cluster.nodes

    def shown() -> Any:
        table = cluster.patronictl('list', '-f', 'json')
        assert table.returncode == 0 and FIELD not in table.stdout
        answer = stock.rest('GET', '/cluster')
        assert answer is not None and FIELD not in str(answer)
        rows = [row for row in json.loads(table.stdout) if row['Member'] == ours.name]
        members = [member for member in answer[1]['members'] if member['name'] == ours.name]
        assert len(rows) == len(members) == 1
        # positions move on
        return [{name: value for name, value in entry.items() if 'lsn' not in name.lower()} for entry in rows + members]

    def running() -> bool:
        cluster.wait_replicas()
        return key(cluster, ours)[1].get('replication_state') == 'streaming'

    wait_until(running, 30, 'the replica')
    with_mark = shown()
    ours.env['PATRONI_ETCD3_COMPAT'] = 'off'
    ours.restart()
    wait_until(lambda: FIELD not in key(cluster, ours)[1], 30, 'the key of the stock class')
    wait_until(running, 30, 'the replica')
    assert serves(check(cluster, '-c', str(ours.config_file))) == {'node1': ('stock', None), 'node2': ('stock', None)}
    assert shown() == with_mark
    del ours.env['PATRONI_ETCD3_COMPAT']
    ours.restart()
    wait_until(lambda: key(cluster, ours)[1].get(FIELD) == __version__, 30, 'the mark')
