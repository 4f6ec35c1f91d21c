"""The whole output of the command on Patroni members of different releases: slots that advance, are stuck, are lost."""

from __future__ import annotations

import json
import threading
from typing import Any, Iterator

import jsonschema
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from lab import ROOT
from lab.environments import environment
from lab.etcd import EtcdCluster
from lab.node import unprivileged_user
from lab.patroni import PatroniCluster
from lab.processes import wait_until
from tests.check.command import Ended, compare, etcd_names, patroni_names, run
from tests.mixed import wal

WIDE = {'COLUMNS': '400'}
NO_AGE = ('--ignore', 'etcd-end-of-life')

#: Passwords that must not appear. PostgreSQL trusts everybody on loopback.
SECRETS = ('sesame-of-postgres', 'sesame-of-rest')


@pytest.fixture(scope='module')
def mixed() -> Iterator[PatroniCluster]:
    """A leader on 3.2.1 and stock replicas on 4.0.2 and 4.0.3, which keep slots for all members. Three etcd members."""
    releases = [
        environment(release, plugin=False).for_user(unprivileged_user()) for release in ('3.2.1', '4.0.2', '4.0.3')
    ]
    settings: dict[str, Any] = {
        'restapi': {'authentication': {'username': 'admin', 'password': SECRETS[1]}},
        'postgresql': dict(
            wal.SETTINGS['postgresql'], authentication={'superuser': {'username': 'postgres', 'password': SECRETS[0]}}
        ),
    }
    with EtcdCluster(['3.5'] * 3) as etcd, PatroniCluster(releases, etcd, ttl=120, settings=settings) as cluster:
        wait_until(lambda: all(len(wal.slots(node)) == 2 for node in cluster.nodes), 60, 'the slots on all nodes')
        yield cluster


def check(cluster: PatroniCluster, *args: str) -> Ended:
    """Run the command with the configuration of the first node."""
    return run('check', '-c', str(cluster.nodes[0].config_file), *args, **WIDE)


def names(cluster: PatroniCluster) -> dict[str, str]:
    """Return names for all ports."""
    return dict(etcd_names(cluster.etcd), **patroni_names(cluster))


def write_wal(cluster: PatroniCluster) -> None:
    """Write 64 MB of WAL on each node, which is removed again if nothing holds it. Slots have time to advance."""
    primary = cluster.nodes[0]
    for _ in range(4):
        wal.query(primary, 'INSERT INTO written VALUES (1)')
        wal.query(primary, 'SELECT pg_switch_wal()')
    wal.query(primary, 'CHECKPOINT')
    reached = wal.position(primary)
    wait_until(lambda: all(wal.position(node) >= reached for node in cluster.nodes[1:]), 60, 'the replicas to replay')
    wait_until(
        lambda: all((slot.restart_lsn or 0) >= reached for slot in wal.slots(cluster.nodes[2]).values()),
        60,
        'the slots on node3 to move',
    )
    for node in cluster.nodes[1:]:
        wal.query(node, 'CHECKPOINT')


def test_one_sample(mixed: PatroniCluster) -> None:
    """Incompatible releases are found at once; no slot is called stuck after one sample."""
    compare('mixed-patroni', check(mixed, *NO_AGE), names(mixed))


def test_slots_stuck(mixed: PatroniCluster) -> None:
    """With WAL between two samples, the slots on 4.0.2 are stuck, and those on 4.0.3 are not."""
    wal.query(mixed.nodes[0], 'CREATE TABLE written (at int)')
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            wal.query(mixed.nodes[0], 'INSERT INTO written VALUES (1)')
            done.wait(0.5)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        ended = check(mixed, '--slots-interval', '5', *NO_AGE)
    finally:
        done.set()
        writer.join()
    compare('slots-stuck', ended, names(mixed))


def test_every_format(mixed: PatroniCluster) -> None:
    """All formats agree on the same cluster, programs can parse them, and none contains a password."""
    ended = {fmt: check(mixed, '-f', fmt) for fmt in ('pretty', 'json', 'yaml', 'yml', 'tsv', 'nagios', 'prometheus')}
    for fmt, each in ended.items():
        assert (each.status, each.err) == (2, ''), fmt
        assert not [secret for secret in SECRETS if secret in each.out], fmt
    document = json.loads(ended['json'].out)
    jsonschema.Draft7Validator(json.loads((ROOT / 'docs' / 'check.schema.json').read_text())).validate(document)
    findings = document['findings']
    assert yaml.safe_load(ended['yaml'].out)['findings'] == yaml.safe_load(ended['yml'].out)['findings'] == findings
    assert [line.split('\t')[1] for line in ended['tsv'].out.splitlines()[1:]] == [each['id'] for each in findings]
    assert ended['nagios'].out.startswith('PATRONI-ETCD3 CRITICAL - 1 critical')
    assert "'node2 slot node1'=" in ended['nagios'].out
    families = {family.name: family for family in text_string_to_metric_families(ended['prometheus'].out)}
    assert {sample.labels['version'] for sample in families['patroni_etcd3_patroni_info'].samples} == {
        '3.2.1',
        '4.0.2',
        '4.0.3',
    }
    assert len(families['patroni_etcd3_slot_retained_bytes'].samples) == 6


def test_slot_lost(mixed: PatroniCluster) -> None:
    """After max_slot_wal_keep_size is exceeded, the stuck slot is lost and has to be dropped by hand."""
    edited = mixed.patronictl('edit-config', '--force', '-p', 'max_slot_wal_keep_size=128MB')
    assert edited.returncode == 0, edited.stdout
    wait_until(
        lambda: all(wal.query(node, 'SHOW max_slot_wal_keep_size') == [('128MB',)] for node in mixed.nodes),
        30,
        'the setting to arrive',
    )
    for _ in range(8):
        write_wal(mixed)
        if all(slot.wal_status == 'lost' for slot in wal.slots(mixed.nodes[1]).values()):
            break
    compare('slot-lost', check(mixed, *NO_AGE), names(mixed))


def test_dead_node(mixed: PatroniCluster) -> None:
    """A machine is gone: its REST API and PostgreSQL do not answer, but its key is still in etcd."""
    mixed.nodes[2].kill()
    compare('dead-node', check(mixed, '--timeout', '2', '--ignore', 'slot-lost', *NO_AGE), names(mixed))
