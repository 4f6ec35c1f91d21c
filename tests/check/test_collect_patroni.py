"""The facts that are collected about real Patroni members and their PostgreSQL."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
import yaml

from lab.environments import Environment, environment
from lab.etcd import EtcdCluster, b64
from lab.load import WriteLoad
from lab.patroni import PatroniCluster
from lab.processes import wait_until
from lab.releases import NEWEST
from patroni_etcd3_compat.check.collect import collect, load_settings
from patroni_etcd3_compat.check.facts import Facts, Patroni, PatroniMember, Postgres
from tests.mixed import wal

SECRET, MB = 'pAssw0rd-of-the-superuser', 1 << 20


@pytest.fixture(scope='module')
def cluster(newest: Environment) -> Iterator[PatroniCluster]:
    """Three nodes on three releases of etcd."""
    with EtcdCluster(['3.3', '3.4', '3.5']) as etcd, PatroniCluster(
        newest,
        etcd,
        nodes=3,
        settings={
            'tags': {'clonefrom': True},
            'restapi': {'authentication': {'username': 'rest', 'password': SECRET}},
            'postgresql': {
                'authentication': {'superuser': {'password': SECRET}},
                'parameters': {'max_slot_wal_keep_size': '1GB'},
            },
        },
    ) as patroni:
        yield patroni


def look(cluster: PatroniCluster, node: int = 0, **options: Any) -> Facts:
    """Collect with the configuration of a node."""
    return collect(load_settings(str(cluster.nodes[node].config_file), **options))


def patroni_of(facts: Facts) -> Patroni:
    """Return the Patroni cluster, which has to exist."""
    assert facts.patroni is not None
    return facts.patroni


def members(facts: Facts) -> dict[str, PatroniMember]:
    """Return the Patroni members by name."""
    return {member.name: member for member in patroni_of(facts).members}


def postgres_of(member: PatroniMember) -> Postgres:
    """Return what its PostgreSQL reported."""
    assert member.postgres is not None
    return member.postgres


def query(node: Any, *statements: str) -> None:
    """Run statements on a node."""
    from patroni import psycopg

    with contextlib.closing(psycopg.connect(node.dsn)) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def configure(cluster: PatroniCluster, **changes: str) -> None:
    """Change the dynamic configuration, without the REST API, which requires a password."""
    done = cluster.patronictl(
        'edit-config',
        '--force',
        *(argument for name, value in changes.items() for argument in ('-s', f'{name}={value}')),
    )
    assert done.returncode == 0, done.stdout


def test_whole_cluster(cluster: PatroniCluster) -> None:
    """Members with their roles, versions, positions and slots are the same from every node, and contain no secret."""
    primary = cluster.wait_primary()

    def slots_everywhere() -> bool:
        return all(len(wal.query(node, 'SELECT 1 FROM pg_replication_slots')) == 2 for node in cluster.nodes)

    wait_until(slots_everywhere, 30, 'the slots on the replicas')
    for number, node in enumerate(cluster.nodes):
        facts = look(cluster, number)
        patroni = patroni_of(facts)
        assert (patroni.scope, patroni.namespace, patroni.leader, patroni.error) == (
            'lab',
            '/service',
            primary.name,
            None,
        )
        assert patroni.paused is False
        assert {name: patroni.config[name] for name in ('ttl', 'loop_wait', 'retry_timeout')} == {
            'ttl': 20,
            'loop_wait': 2,
            'retry_timeout': 5,
        }
        assert set(patroni.published_slots) <= {node.name for node in cluster.nodes}
        assert (facts.this_host.name, facts.this_host.section, facts.this_host.serves) == (
            node.name,
            'etcd3',
            'package',
        )
        assert [member.name for member in patroni.members] == ['node1', 'node2', 'node3']
        for member, real in zip(patroni.members, cluster.nodes):
            assert member.in_dcs and member.error is None and member.version == NEWEST and member.timeline == 1
            expected = ('leader', 'running') if real is primary else ('replica', 'streaming')
            assert (member.role, member.state) == expected
            assert member.tags == {'clonefrom': True} and (member.position or 0) > 0
            lags = (member.lag, member.receive_lag, member.replay_lag)
            assert lags == (None,) * 3 if real is primary else all(lag is not None and lag < MB for lag in lags)
            assert member.api_url == real.rest_url + '/patroni'
            assert member.postgres_address == f'127.0.0.1:{real.port}'
            postgres = postgres_of(member)
            assert postgres.error is None and postgres.version == member.postgres_version
            assert postgres.in_recovery is (real is not primary) and (postgres.position or 0) > 0
            assert (postgres.wal_size or 0) >= 16 * MB and postgres.free_disk is None
            assert (postgres.max_wal_size, postgres.max_slot_wal_keep_size) == (128 * MB, 1024 * MB)
            assert {slot.name for slot in postgres.slots} == {node.name for node in cluster.nodes if node is not real}
            for slot in postgres.slots:
                assert slot.type == 'physical' and slot.active is (real is primary) and slot.wal_status == 'reserved'
                assert slot.later_restart_lsn is None
                assert slot.restart_lsn is None or slot.retained == max((postgres.position or 0) - slot.restart_lsn, 0)
        assert SECRET not in repr(facts) and SECRET not in repr(load_settings(str(node.config_file)))


def test_two_samples(cluster: PatroniCluster) -> None:
    """The second sample has the later positions of slots and members, and an unused slot that does not advance."""
    primary = cluster.wait_primary()
    configure(cluster, ignore_slots='[{"name": "stuck"}]')  # otherwise Patroni drops it at some time
    time.sleep(5)  # more than an HA loop
    query(primary, "SELECT pg_create_physical_replication_slot('stuck', true)")
    with WriteLoad(cluster):
        facts = look(cluster, slots_interval=2)
    query(primary, "SELECT pg_drop_replication_slot('stuck')")
    configure(cluster, ignore_slots='null')
    assert facts.slots_interval == 2 and facts.seconds >= 2
    for member in members(facts).values():
        assert (member.later_position or 0) > (member.position or 0) > 0
    slots = {slot.name: slot for slot in postgres_of(members(facts)[primary.name]).slots}
    stuck = slots.pop('stuck')
    assert stuck.restart_lsn is not None and stuck.restart_lsn == stuck.later_restart_lsn
    assert not stuck.active and (stuck.retained or 0) > 0
    assert all((slot.later_restart_lsn or 0) > (slot.restart_lsn or 0) > 0 for slot in slots.values())


def test_dynamic_configuration(cluster: PatroniCluster) -> None:
    """Relevant options, a synchronous standby, and a slot that holds nothing yet are reported."""
    primary = cluster.wait_primary()
    configure(cluster, pause='true', synchronous_mode='true', failsafe_mode='true', member_slots_ttl='1h')
    query(primary, "SELECT pg_create_physical_replication_slot('physical')")
    try:

        def synchronous() -> bool:
            return any(member.role == 'sync_standby' for member in patroni_of(look(cluster)).members)

        wait_until(synchronous, 20, 'a synchronous standby')
        patroni = patroni_of(look(cluster))
        assert patroni.paused is True and patroni.config['failsafe_mode'] is True
        assert (patroni.config['synchronous_mode'], patroni.config['member_slots_ttl']) == (True, '1h')
        slots = {slot.name: slot for slot in postgres_of(members(look(cluster))[primary.name]).slots}
        assert slots['physical'].restart_lsn is slots['physical'].retained is None  # it holds nothing yet
    finally:
        query(primary, "SELECT pg_drop_replication_slot('physical')")
        configure(cluster, pause='null', synchronous_mode='null', failsafe_mode='null', member_slots_ttl='null')


def test_member_that_is_gone(cluster: PatroniCluster) -> None:
    """A replica that hangs costs the time-out and is named; the others report everything."""
    replica = next(node for node in cluster.nodes if node is not cluster.wait_primary())
    pid = replica.postmaster_pid()
    assert replica.process and pid
    replica.process.freeze()
    os.kill(pid, 19)
    try:
        found = members(look(cluster, timeout=1))
    finally:
        os.kill(pid, 18)
        replica.process.thaw()
    member = found[replica.name]
    assert member.error == 'no answer within 1 s' and member.in_dcs and member.version == NEWEST  # from the DCS
    assert postgres_of(member).error
    assert [other.error for name, other in found.items() if name != replica.name] == [None, None]
    assert [postgres_of(other).error for name, other in found.items() if name != replica.name] == [None, None]


def test_postgres_refuses(cluster: PatroniCluster, tmp_path: Path) -> None:
    """A refusal or missing credentials are reported and not fatal; an account without rights can read the slots."""
    primary = cluster.wait_primary()
    query(primary, 'CREATE ROLE reader LOGIN')
    try:
        for account, error in (
            (('superuser', 'nobody'), 'role "nobody" does not exist'),
            ((), 'no credentials in the configuration'),
            (('rewind', 'reader'), None),
        ):
            accounts = {account[0]: {'username': account[1], 'password': SECRET}} if account else {}
            config = dict(primary.config, postgresql=dict(primary.config['postgresql'], authentication=accounts))
            (tmp_path / 'patroni.yml').write_text(yaml.safe_dump(config))
            facts = collect(load_settings(str(tmp_path / 'patroni.yml')))
            postgres = postgres_of(members(facts)[primary.name])
            assert SECRET not in repr(facts) and members(facts)[primary.name].error is None
            if error:
                assert error in str(postgres.error) and postgres.version is None
            else:
                assert postgres.error is None and postgres.wal_size is None and len(postgres.slots) == 2
    finally:
        query(primary, 'DROP ROLE reader')


def test_rubbish_in_the_dcs(cluster: PatroniCluster) -> None:
    """Keys that Patroni would not write do not prevent the others from being read."""
    rubbish = {
        'config': '[1',
        'status': '"x"',
        'sync': '17',
        'leader': 'gone',
        'history': '{',
        'members/a': 'null',
        'members/b': '{"conn_url": 7, "api_url": [], "tags": 3, "xlog_location": "x", "version": {}}',
        'members/c': 'postgres://:x@[/',
        'members/d': json.dumps(
            {
                'conn_url': 'postgres://[::1]:1/postgres',
                'api_url': 'http://127.0.0.1:1/patroni',
                'role': 'replica',
                'state': 'running',
                'version': '3.0.2',
                'xlog_location': 5,
            }
        ),
        'members/e/f': '{}',
        'optime/leader': '9',
    }
    for key, value in rubbish.items():
        cluster.etcd.call(0, 'kv/put', {'key': b64('/service/rubbish/' + key), 'value': b64(value)})
    facts = look(cluster, scope='rubbish')
    patroni = patroni_of(facts)
    assert (patroni.leader, patroni.paused, patroni.config, patroni.published_slots) == ('gone', None, {}, {})
    assert [member.name for member in patroni.members] == ['a', 'b', 'c', 'd'] and patroni.error is None
    assert {member.error for member in patroni.members[:3]} == {'its key in the DCS has no api_url'}
    assert {postgres_of(member).error for member in patroni.members[:3]} == {'its key in the DCS has no conn_url'}
    last = patroni.members[3]
    assert (last.role, last.version, last.position, last.lag) == ('replica', '3.0.2', 5, 4)
    assert last.error == 'cannot connect: Connection refused' and last.postgres_address == '[::1]:1'
    assert facts.this_host.name is None  # the configuration belongs to another cluster


def test_group_of_citus_and_unknown_scope(cluster: PatroniCluster, configuration: Callable[..., str]) -> None:
    """The keys of a group are one level deeper; a scope that does not exist is an error with the path."""
    etcd = {'hosts': cluster.etcd.hosts}
    cluster.etcd.call(0, 'kv/put', {'key': b64('/deep/demo/2/leader'), 'value': b64('worker')})
    path = configuration(etcd, scope='demo', namespace='/deep/', citus={'group': 2, 'database': 'citus'})
    patroni = patroni_of(collect(load_settings(path)))
    assert (patroni.leader, patroni.namespace, patroni.error) == ('worker', '/deep', None)
    patroni = patroni_of(collect(load_settings(None, cluster.etcd.hosts, 'nothing')))
    assert patroni.error and 'no keys below /service/nothing/' in patroni.error and patroni.members == []


def test_node_that_is_not_in_the_dcs(cluster: PatroniCluster, configuration: Callable[..., str]) -> None:
    """The node of the configuration is always asked; if its API belongs to another cluster, the facts say so."""
    path = configuration(
        {'hosts': cluster.etcd.hosts},
        scope='other',
        name='lost',
        restapi={'listen': '0.0.0.0:8008', 'connect_address': f'127.0.0.1:{cluster.nodes[0].rest_port}'},
    )
    (member,) = patroni_of(collect(load_settings(path))).members
    assert (member.name, member.in_dcs) == ('lost', False)
    assert member.error == 'the REST API there belongs to another cluster, lab'


def test_beside_the_oldest_release(cluster: PatroniCluster) -> None:
    """The command runs in the Python of Patroni 3.0 with urllib3 1.26, without output on stderr."""
    script = (
        'import dataclasses, json, sys\n'
        'from patroni_etcd3_compat.check.collect import collect, load_settings\n'
        'print(json.dumps(dataclasses.asdict(collect(load_settings(sys.argv[1])))))'
    )
    done = environment('3.0.2', '1.26').run(['-c', script, str(cluster.nodes[0].config_file)], stderr=subprocess.PIPE)
    assert done.stderr == ''
    facts = json.loads(done.stdout)
    assert (facts['this_host']['patroni'], facts['this_host']['serves']) == (NEWEST, 'package')  # of the node it is
    assert {member['error'] for member in facts['etcd']['endpoints'] + facts['patroni']['members']} == {None}
    assert {member['postgres']['error'] for member in facts['patroni']['members']} == {None}
