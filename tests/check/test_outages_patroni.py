"""Outages of Patroni and PostgreSQL that nothing but ``check`` puts together, each produced on real servers.

Each test shows the finding with its severity, and the consequence that the finding claims.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from typing import Any, Callable, Dict, Iterator

import psycopg
import pytest

from lab.environments import Environment
from lab.etcd import EtcdCluster
from lab.node import PatroniNode
from lab.patroni import PatroniCluster
from lab.processes import wait_until
from patroni_etcd3_compat.check.findings.registry import PATRONI_GATE as GATE
from patroni_etcd3_compat.check.findings.registry import stopping
from tests.check.command import run
from tests.mixed import wal

#: Seconds; the least that Patroni takes.
TTL = 20

Finding = Dict[str, str]


@pytest.fixture
def cluster(newest: Environment) -> Iterator[PatroniCluster]:
    """A primary and a replica, with a table."""
    with EtcdCluster(['3.5']) as etcd, PatroniCluster([newest] * 2, etcd, ttl=TTL) as patroni:
        wal.query(patroni.nodes[0], 'CREATE TABLE written (at int)')
        yield patroni


def check(cluster: PatroniCluster, *args: str) -> tuple[int, dict[str, Finding]]:
    """Return the exit status, and the findings about Patroni by identifier."""
    ended = run('check', '-c', str(cluster.nodes[0].config_file), '-f', 'json', '--timeout', '2', *args)
    assert ended.err == ''
    document = json.loads(ended.out)
    return ended.status, {each['id']: each for each in document['findings'] if each['id'].startswith('patroni-')}


def wait_for(
    cluster: PatroniCluster, id: str, severity: str, *args: str, timeout: float = 30
) -> tuple[int, dict[str, Finding]]:
    """Wait until the finding is there with that severity."""

    def there() -> tuple[int, dict[str, Finding]] | None:
        status, found = check(cluster, *args)
        return (status, found) if id in found and found[id]['severity'] == severity else None

    result = wait_until(there, timeout, f'{id}: {severity}')
    assert result is not None
    return result


def healthy(cluster: PatroniCluster) -> None:
    """Wait until nothing is found but for information."""

    def nothing() -> bool:
        return not [each for each in check(cluster)[1].values() if each['severity'] != 'info']

    wait_until(nothing, 60, 'nothing to find')


def pg_ctl(node: PatroniNode, *args: str) -> None:
    """Run ``pg_ctl`` as the user that its PostgreSQL runs as."""
    program = str(node.config['postgresql']['bin_dir']) + '/pg_ctl'
    argv = [program, '-D', str(node.data), *args]
    subprocess.run(argv, check=True, timeout=60, stdout=subprocess.DEVNULL, **run_as(node))


def run_as(node: PatroniNode) -> dict[str, Any]:
    """Return what lets a program run as the user of a node."""
    return {'cwd': '/'} if node.user is None else {'cwd': '/', 'user': node.user.pw_uid, 'group': node.user.pw_gid}


def accepts_writes(node: PatroniNode) -> bool:
    """Return whether a row can be written there."""
    try:
        wal.query(node, 'INSERT INTO written VALUES (1)')
    except psycopg.Error:
        return False
    return True


def hangs(node: PatroniNode, seconds: float, cure: Callable[[], None]) -> None:
    """Write a row: it waits in its COMMIT for a standby, until it is cured.

    :param seconds: how long it is watched.
    :param cure: ends the waiting.
    """
    writer = threading.Thread(target=wal.query, args=(node, 'INSERT INTO written VALUES (2)'))
    writer.start()
    try:
        deadline = time.monotonic() + seconds
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE 'INSERT%'"
        wait_until(lambda: wal.query(node, waits) == [(1,)], 10, 'the write to wait')
        while time.monotonic() < deadline:
            assert writer.is_alive() and wal.query(node, waits) == [(1,)]
            time.sleep(0.5)
    finally:
        cure()
        writer.join(30)
    assert not writer.is_alive()


def nobody_takes_over(cluster: PatroniCluster) -> None:
    """Kill the leader: its key expires, and for two more loops nobody takes it."""
    leader, replica = cluster.nodes
    leader.kill()
    wait_until(lambda: 'patroni-no-leader' in check(cluster)[1], TTL + 20, 'the leader key to expire')
    for _ in range(8):
        time.sleep(1)
        assert cluster.primary() is None and replica.role() == 'replica'


def test_two_primaries(cluster: PatroniCluster) -> None:
    """In pause somebody promotes the replica: both accept writes. What the finding advises ends it."""
    first, second = cluster.nodes
    healthy(cluster)
    assert cluster.patronictl('pause', '--wait').returncode == 0
    pg_ctl(second, 'promote')
    status, found = wait_for(cluster, 'patroni-two-primaries', 'critical')
    assert status == 2 and found['patroni-two-primaries']['where'] == 'node1 and node2'
    assert re.search(
        r'node1 is not in recovery \(timeline 1\), node2 is not in recovery \(timeline 2\); node1 holds the leader key',
        found['patroni-two-primaries']['seen'],
    )
    assert accepts_writes(first) and accepts_writes(second)
    assert cluster.patronictl('resume', '--wait').returncode == 0  # the remedy
    wait_until(lambda: second.role() == 'replica', 60, 'Patroni to demote it')
    _, found = wait_for(cluster, 'patroni-not-streaming', 'critical')  # it does not rewind what was promoted by hand
    assert 'patroni-two-primaries' not in found
    assert cluster.patronictl('reinit', 'lab', 'node2', '--force', '--wait').returncode == 0
    healthy(cluster)


def test_nobody_synchronous(cluster: PatroniCluster) -> None:
    """Strict, and the only standby dead: writes hang. Not strict: they do not, and nobody may take over."""
    leader, standby = cluster.nodes
    cluster.edit_config(synchronous_mode=True, synchronous_mode_strict=True)
    wait_until(lambda: check(cluster)[1].keys() & {'patroni-sync-none', 'patroni-sync-few'} == set(), 30, 'a standby')
    standby.kill()
    status, found = wait_for(cluster, 'patroni-sync-none', 'critical', timeout=TTL + 20)
    assert (
        status == 2
        and 'synchronous_mode_strict: true; the key /sync names no standby' in (found['patroni-sync-none']['seen'])
    )
    remedy = re.search('patronictl edit-config (lab -s .*)', found['patroni-sync-none']['remedy'])
    assert remedy

    def cure() -> None:
        _, *options = remedy.group(1).split()
        assert cluster.patronictl('edit-config', '--force', *options).returncode == 0

    hangs(leader, 15, cure)
    status, found = wait_for(cluster, 'patroni-sync-none', 'warning')
    assert accepts_writes(leader) and 'waits for no standby' in found['patroni-sync-none']['consequence']


def test_nobody_synchronous_and_failover(cluster: PatroniCluster) -> None:
    """While ``/sync`` names nobody, a replica that streams without lag is not promoted."""
    _, replica = cluster.nodes
    replica.config['tags'] = {'nosync': True}
    replica.reload()
    cluster.edit_config(synchronous_mode=True)
    _, found = wait_for(cluster, 'patroni-sync-none', 'warning')
    assert 'no member is promoted' in found['patroni-sync-none']['consequence']
    assert not found.keys() & {'patroni-not-streaming', 'patroni-lag'}
    nobody_takes_over(cluster)


def test_replica_does_not_stream(cluster: PatroniCluster) -> None:
    """``pg_hba.conf`` does not let it in: Patroni says running. Behind by more than the maximum, it is not promoted."""
    leader, replica = cluster.nodes
    hba = leader.config['postgresql']['pg_hba']
    leader.config['postgresql']['pg_hba'] = ['host replication all 127.0.0.1/32 reject', *hba]
    leader.reload()
    wait_until(lambda: 'reject' in (leader.data / 'pg_hba.conf').read_text(), 10, 'the rule')
    wal.query(leader, 'SELECT pg_terminate_backend(pid) FROM pg_stat_replication')
    status, found = wait_for(cluster, 'patroni-not-streaming', 'critical')
    assert status == 2 and found['patroni-not-streaming']['where'] == 'node2'
    assert "state 'running' instead of streaming" in found['patroni-not-streaming']['seen']
    assert 'no other replica streams' in found['patroni-not-streaming']['consequence']
    wal.query(leader, 'INSERT INTO written SELECT generate_series(1, 500000)')

    def is_behind() -> bool:
        found = check(cluster)[1]['patroni-not-streaming']
        return bool(re.search(r'\d MB behind what node1 has published', found['seen'])) and (
            'more than maximum_lag_on_failover (1.0 MB) behind' in found['consequence']
        )

    wait_until(is_behind, 20, 'the lag')
    nobody_takes_over(cluster)


def test_replica_lags(cluster: PatroniCluster) -> None:
    """It streams, and its WAL receiver is stopped for a while: too far behind, then it catches up."""
    leader, replica = cluster.nodes
    (pid,) = wal.query(replica, 'SELECT pid FROM pg_stat_wal_receiver')[0]
    healthy(cluster)
    subprocess.run(['kill', '-STOP', str(pid)], check=True)
    try:
        wal.query(leader, 'INSERT INTO written SELECT generate_series(1, 500000)')
        _, found = wait_for(cluster, 'patroni-lag', 'critical')
        assert 'MB behind what node1 has published' in found['patroni-lag']['seen']
        _, found = check(cluster, '--lag', '1MB,100GB')
        limit = found['patroni-lag-limit']
        assert (limit['severity'], limit['where']) == ('warning', 'node2') and 'more than 1.0 MB' in limit['seen']
    finally:
        subprocess.run(['kill', '-CONT', str(pid)], check=True)
    healthy(cluster)


def test_members_gone(cluster: PatroniCluster) -> None:
    """A replica is dead for longer than ttl; then the leader's machine as well; then there is no Patroni at all."""
    leader, replica = cluster.nodes
    healthy(cluster)
    assert 'patroni-member-gone' not in check(cluster, '--members', '2')[1]
    replica.kill()
    status, found = wait_for(cluster, 'patroni-member-gone', 'warning', timeout=TTL + 20)
    assert status == 1 and found['patroni-member-gone']['where'] == 'slot node2'
    cluster.edit_config(member_slots_ttl=1)  # nothing tells of it any more

    wait_until(lambda: 'patroni-member-gone' not in check(cluster)[1], 30, 'the slot to be dropped')
    for expected, where in (('2', 'lab'), ('node1,node2', 'node2')):
        status, found = check(cluster, '--members', expected)
        assert (status, found['patroni-member-gone']['where']) == (1, where)
    leader.kill()
    status, found = check(cluster)
    assert status == 2 and "state 'running' is from its key" in found['patroni-member-down']['seen']
    assert 'patroni-api-unreachable' not in found
    endpoints = ('lab', '--endpoints', ','.join(cluster.etcd.hosts), '-f', 'json')

    def nobody() -> bool:
        ended = run('check', *endpoints)
        ids = [each['id'] for each in json.loads(ended.out)['findings'] if each['severity'] == 'critical']
        return ended.status == 2 and ids == ['patroni-all-down']

    wait_until(nobody, TTL + 20, 'the keys to expire')


def test_pending(cluster: PatroniCluster) -> None:
    """A setting that needs a restart is for information; a switchover at night closes gates. The remedies end both."""
    healthy(cluster)
    cluster.edit_config(postgresql={'parameters': {'max_connections': 120}})  # less than 100 would take two restarts
    both = 'node1 and node2'
    wait_until(lambda: check(cluster)[1].get('patroni-pending-restart', {}).get('where') == both, 30, 'both to wait')
    scheduled = ('switchover', '--force', '--candidate', 'node2', '--scheduled', '2099-01-01T03:00+00:00')
    assert cluster.patronictl(*scheduled).returncode == 0
    status, found = wait_for(cluster, 'patroni-switchover-scheduled', 'warning', '--only', ','.join(stopping(GATE)))
    assert status == 1
    assert 'at 2099-01-01T03:00:00+00:00, from node1 to node2' in found['patroni-switchover-scheduled']['seen']
    assert cluster.patronictl('flush', 'lab', 'switchover', '--force').returncode == 0
    wait_until(lambda: 'patroni-switchover-scheduled' not in check(cluster)[1], 20, 'the switchover to be gone')
    assert cluster.patronictl('restart', 'lab', '--pending', '--force').returncode == 0
    wait_until(lambda: 'patroni-pending-restart' not in check(cluster)[1], 40, 'the restart')
