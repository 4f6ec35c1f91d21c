"""WAL on the nodes of a Patroni cluster: writing it in rounds, its size, and the slots that hold it.

A round is 64 MB: four times one row and a switch to the next segment. A checkpoint then removes what it may. With
`SETTINGS` a node keeps 128 MB because of ``wal_keep_size`` (Patroni accepts no less), and more only because of a slot.
"""

from __future__ import annotations

import functools
import json
import re
import time
from base64 import b64decode
from typing import Any, Collection, Mapping, NamedTuple, Sequence

import psycopg
from patroni.dcs import slot_name_from_member_name

from lab.etcd import EtcdCluster, b64
from lab.node import PatroniNode
from lab.processes import LabError, wait_until

ROUND = 64
"""MB of WAL in a round."""

SETTINGS: Mapping[str, Any] = {
    'postgresql': {
        'parameters': {
            'wal_keep_size': '128MB',
            'min_wal_size': '32MB',
            'max_wal_size': '64MB',
            'checkpoint_timeout': '30s',
        }
    }
}
"""Settings of the nodes under which it shows within a few rounds whether WAL is held back."""


class Slot(NamedTuple):
    """One replication slot."""

    #: bytes from the start of WAL, None if the slot is lost
    restart_lsn: int | None
    #: ``'reserved'``, ``'extended'``, ``'lost'``, ...
    wal_status: str | None


def query(node: PatroniNode, sql: str) -> list[Any]:
    """Run one statement on a node, as superuser.

    :returns: the rows, none for a statement that gives none.
    :raises psycopg.Error: when the node rejects it.
    """
    with psycopg.connect(node.dsn, autocommit=True, connect_timeout=5) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def slots(node: PatroniNode) -> dict[str, Slot]:
    """List the replication slots of a node by their names."""
    return {
        name: Slot(None if lsn is None else int(lsn), status)
        for name, lsn, status in query(
            node, "SELECT slot_name, pg_wal_lsn_diff(restart_lsn, '0/0'), wal_status FROM pg_replication_slots"
        )
    }


def slot_name(member: str) -> str:
    """Return the name of the slot that Patroni creates for a member: ``'node-1'`` -> ``'node_1'``."""
    return str(slot_name_from_member_name(member))


def position(node: PatroniNode) -> int:
    """Return the WAL position of a node, in bytes: what was written on a primary, replayed on a replica."""
    return int(
        query(
            node,
            'SELECT pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()'
            " ELSE pg_current_wal_insert_lsn() END, '0/0')",
        )[0][0]
    )


def wal_size(node: PatroniNode) -> int:
    """Return the size of WAL on a node, in MB of 1024 * 1024 bytes."""
    total = 0
    for entry in (node.data / 'pg_wal').iterdir():
        if re.fullmatch('[0-9A-F]{24}', entry.name):
            try:
                total += entry.stat().st_size
            except FileNotFoundError:  # removed by a checkpoint meanwhile
                pass
    return total >> 20


def write_round(
    primary: PatroniNode,
    replicas: Sequence[PatroniNode],
    follow: Mapping[PatroniNode, Collection[str]],
    settle: float = 6,
    timeout: float = 60,
) -> dict[str, int]:
    """Write a round of WAL, and let every node remove what nothing holds.

    :param replicas: who replays it.
    :param follow: replicas with the names of those of their slots that are expected to get as far as the round went.
    :param settle: seconds that Patroni has to move slots when none are expected to.
    :param timeout: seconds to wait for each replica at most.
    :returns: what WAL takes up on each node then, in MB, by name.
    :raises LabError: when a replica does not replay it, or the slots in `follow` do not advance that far.
    """
    query(primary, 'CREATE TABLE IF NOT EXISTS wal (at timestamptz)')
    for _ in range(ROUND // 16):
        query(primary, 'INSERT INTO wal VALUES (now())')
        query(primary, 'SELECT pg_switch_wal()')
    query(primary, 'CHECKPOINT')
    reached = position(primary)

    def replayed(node: PatroniNode) -> bool:
        return position(node) >= reached

    for node in replicas:
        wait_until(functools.partial(replayed, node), timeout, f'{node.name} to replay', interval=0.2)

    def there(node: PatroniNode, names: Collection[str]) -> bool:
        found = slots(node)
        return all(name in found and (found[name].restart_lsn or 0) >= reached for name in names)

    for node, names in follow.items():
        try:
            what = f'slots {sorted(names)} on {node.name} to get to {reached}'
            wait_until(functools.partial(there, node, names), timeout, what, interval=0.2)
        except LabError as e:
            raise LabError(f'{e}; they are {slots(node)}') from None
    if not follow:
        time.sleep(settle)
    for node in replicas:
        query(node, 'CHECKPOINT')
    return {node.name: wal_size(node) for node in (primary, *replicas)}


def read_key(etcd: EtcdCluster, name: str, scope: str = 'lab') -> Any:
    """Read one key of a Patroni cluster: ``'status'``, ``'members/node1'``.

    :returns: its value, parsed as JSON; None when there is no such key.
    """
    i = next(i for i, member in enumerate(etcd.members) if member.running)
    found = etcd.call(i, 'kv/range', {'key': b64(f'/service/{scope}/{name}')})[1].get('kvs')
    return json.loads(b64decode(found[0]['value'])) if found else None
