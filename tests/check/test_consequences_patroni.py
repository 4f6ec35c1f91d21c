"""What findings about Patroni, its slots and its releases claim: each state and what follows, on real servers.

The tests of one module share a cluster. Each leaves it as it was, apart from who leads.
"""

from __future__ import annotations

import datetime
import json
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Iterator

import psycopg
import pytest
import trustme

from lab.environments import Environment, environment
from lab.etcd import EtcdCluster, b64
from lab.node import PatroniNode, merge, unprivileged_user
from lab.patroni import PatroniCluster
from lab.processes import remove_folder, scratch_folder, wait_until
from lab.releases import NEWEST
from tests.check.command import run
from tests.check.test_outages_patroni import check, healthy, wait_for
from tests.mixed import wal

#: Slots of the tests, which Patroni leaves alone.
SLOT = 'of_the_test'

#: Loops of Patroni (loop_wait is 2 s) in which somebody would be promoted; seconds.
LOOPS = 8


def stock(release: str = NEWEST) -> Environment:
    """Return a stock Patroni."""
    return environment(release, plugin=False).for_user(unprivileged_user())


@pytest.fixture(scope='module')
def cluster() -> Iterator[PatroniCluster]:
    """A stock primary and replica, with WAL that shows what retains it, and with logical decoding."""
    dcs = {'postgresql': {'parameters': {'wal_level': 'logical'}}, 'ignore_slots': [{'name': SLOT}]}
    settings: dict[str, Any] = {'bootstrap': {'dcs': dcs}}
    merge(settings, wal.SETTINGS)
    with EtcdCluster(['3.5']) as etcd, PatroniCluster(stock(), etcd, settings=settings) as patroni:
        yield patroni


def pair(cluster: PatroniCluster) -> tuple[PatroniNode, PatroniNode]:
    """Return the primary and the replica, when nothing is wrong with either."""
    healthy(cluster)
    leader = cluster.wait_primary()
    return leader, next(node for node in cluster.nodes if node is not leader)


def look(cluster: PatroniCluster, id: str, member: str) -> list[dict[str, str]]:
    """Return the findings of one kind about the slot of the tests on a member."""
    ended = run('check', '-c', str(cluster.nodes[0].config_file), '-f', 'json', '--only', id)
    assert ended.err == ''
    found: list[dict[str, str]] = json.loads(ended.out)['findings']
    return [each for each in found if each['where'] == f'{member}, slot {SLOT}']


def key_expires(cluster: PatroniCluster) -> None:
    """Take the leader key out of etcd, as ttl does once nobody renews it."""
    status, _ = cluster.etcd.call(0, 'kv/deleterange', {'key': b64(f'/service/{cluster.scope}/leader')})
    assert status == 200


def test_slot_retains_wal(cluster: PatroniCluster) -> None:
    """pg_wal cannot shrink while a slot does not move, and does when it is dropped."""
    leader, replica = pair(cluster)
    wal.query(leader, f"SELECT pg_create_physical_replication_slot('{SLOT}', true)")
    try:
        for _ in range(4):
            wal.write_round(leader, [replica], {}, settle=0)
        (found,) = look(cluster, 'slot-retains-wal', leader.name)
        assert found['severity'] == 'warning' and 'cannot shrink' in found['consequence']
        assert wal.wal_size(leader) >= 4 * wal.ROUND > wal.wal_size(replica)
    finally:
        wal.query(leader, f"SELECT pg_drop_replication_slot('{SLOT}')")
    wal.query(leader, 'CHECKPOINT')
    assert wal.wal_size(leader) < 4 * wal.ROUND
    assert not look(cluster, 'slot-retains-wal', leader.name)


def kept_by_vacuum(node: PatroniNode) -> bool:
    """Tell whether VACUUM leaves something in a system catalog that was deleted."""
    said: list[str] = []
    with psycopg.connect(node.dsn, autocommit=True) as connection:
        connection.add_notice_handler(lambda notice: said.append(notice.message_primary or ''))
        connection.execute('CREATE TABLE short (at int)')
        connection.execute('DROP TABLE short')
        connection.execute('VACUUM (VERBOSE) pg_catalog.pg_class')
    text = ' '.join(said)
    assert 'dead but not yet removable' in text
    return ' 0 are dead but not yet removable' not in text


def test_slot_holds_xmin(cluster: PatroniCluster) -> None:
    """VACUUM cannot clean system catalogs while an inactive logical slot is there, and can when it is dropped."""
    leader, _ = pair(cluster)
    wait_until(lambda: not kept_by_vacuum(leader), 20, 'vacuum to remove everything')
    wal.query(leader, f"SELECT pg_create_logical_replication_slot('{SLOT}', 'test_decoding')")
    try:
        (found,) = look(cluster, 'slot-holds-xmin', leader.name)
        assert 'from the system catalogs' in found['consequence']
        assert kept_by_vacuum(leader)
    finally:
        wal.query(leader, f"SELECT pg_drop_replication_slot('{SLOT}')")
    wait_until(lambda: not kept_by_vacuum(leader), 20, 'vacuum to remove everything again')
    assert not look(cluster, 'slot-holds-xmin', leader.name)


def test_few_synchronous(cluster: PatroniCluster) -> None:
    """With fewer standbys than synchronous_node_count, a commit waits for those that there are."""
    leader, replica = pair(cluster)
    cluster.edit_config(synchronous_mode=True, synchronous_node_count=2)
    try:
        _, found = wait_for(cluster, 'patroni-sync-few', 'info')
        assert f'a commit on {leader.name} waits for no more than 1' in found['patroni-sync-few']['consequence']
        ((names,),) = wal.query(leader, 'SHOW synchronous_standby_names')
        assert replica.name in names and leader.name not in names and not names.startswith('2')
        wal.query(leader, 'CREATE TABLE IF NOT EXISTS written (at int)')
        cluster.edit_config(synchronous_node_count=1)
        healthy(cluster)
        assert 'patroni-sync-few' not in wait_for(cluster, 'patroni-wal-limit', 'warning', '--wal', '1MB')[1]
    finally:
        cluster.edit_config(synchronous_mode=None, synchronous_node_count=None)


def test_scheduled_switchover(cluster: PatroniCluster) -> None:
    """At its time, Patroni performs it by itself."""
    leader, replica = pair(cluster)
    at = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=10)).isoformat()
    assert cluster.patronictl('switchover', '--force', '--candidate', replica.name, '--scheduled', at).returncode == 0
    wait_for(cluster, 'patroni-switchover-scheduled', 'warning', timeout=8)
    assert cluster.primary() is leader
    wait_until(lambda: cluster.primary() is replica, 30, 'the switchover')
    healthy(cluster)


def test_paused(cluster: PatroniCluster) -> None:
    """In pause nobody is promoted when the primary is gone; after resume somebody is."""
    leader, replica = pair(cluster)
    assert cluster.patronictl('pause', '--wait').returncode == 0
    wait_for(cluster, 'patroni-paused', 'info')
    leader.kill()
    key_expires(cluster)
    _, found = wait_for(cluster, 'patroni-no-leader', 'warning')
    assert 'in pause no member becomes it by itself' in found['patroni-no-leader']['consequence']
    for _ in range(LOOPS):
        time.sleep(1)
        assert cluster.primary() is None and replica.role() == 'replica'
    assert cluster.patronictl('resume').returncode == 0
    wait_until(lambda: cluster.primary() is replica, 30, 'somebody to be promoted')
    leader.start()
    assert 'patroni-paused' not in pair_findings(cluster)


def pair_findings(cluster: PatroniCluster) -> set[str]:
    """Return what is found about a cluster of which both nodes are well."""
    pair(cluster)
    return set(wait_for(cluster, 'patroni-wal-limit', 'warning', '--wal', '1MB')[1])


def test_slot_unknown(cluster: PatroniCluster) -> None:
    """Without credentials nothing is known about slots and pg_wal; with the configuration it is."""
    pair(cluster)
    by_endpoints = ('lab', '--endpoints', ','.join(cluster.etcd.hosts))
    for args, known in ((by_endpoints, False), (('-c', str(cluster.nodes[0].config_file)), True)):
        document = json.loads(run('check', *args, '-f', 'json').out)
        found = {each['where']: each['severity'] for each in document['findings'] if each['id'] == 'slot-unknown'}
        assert found == ({} if known else {'node1': 'info', 'node2': 'info'})
        for member in document['patroni']['members']:
            assert (member['postgres']['wal_size'] is not None, bool(member['postgres']['slots'])) == (known, known)


def test_quorum_before_4() -> None:
    """A leader before 4.0.0 replicates asynchronously with synchronous_mode: quorum, and synchronously with on."""
    with EtcdCluster(['3.5']) as etcd, PatroniCluster(stock('3.3.11'), etcd) as cluster:
        leader = cluster.wait_primary()
        cluster.edit_config(synchronous_mode='quorum')
        wait_for(cluster, 'patroni-quorum-commit', 'critical')
        time.sleep(LOOPS)
        assert wal.query(leader, 'SHOW synchronous_standby_names') == [('',)]
        cluster.edit_config(synchronous_mode=True)
        wait_until(lambda: wal.query(leader, 'SHOW synchronous_standby_names') != [('',)], 30, 'a standby')
        healthy(cluster)


def test_failover_priority_before_3_2() -> None:
    """A member before 3.2.0 with failover_priority: 0 is promoted; with nofailover: true it is not."""
    settings = {'tags': {'failover_priority': 0}}
    with EtcdCluster(['3.4']) as etcd, PatroniCluster(stock('3.1.2'), etcd, settings=settings) as cluster:
        leader, replica = cluster.nodes

        def both() -> bool:
            _, found = wait_for(cluster, 'patroni-failover-priority', 'warning')
            return found['patroni-failover-priority']['where'] == 'node1 and node2'

        wait_until(both, 20, 'the tag in both keys')
        leader.stop()
        wait_until(lambda: cluster.primary() is replica, 30, 'the promotion')
        leader.config['tags'] = {'nofailover': True}
        leader.start()
        cluster.wait_replicas()
        replica.stop()
        for _ in range(LOOPS):
            time.sleep(1)
            assert cluster.primary() is None and leader.role() != 'primary'


def test_role_primary() -> None:
    """A leader before 4.0.0 calls itself master; a member from 4.0.0 on refuses that word."""
    with EtcdCluster(['3.5']) as etcd, PatroniCluster([stock('3.3.11'), stock()], etcd) as cluster:
        leader, replica = cluster.nodes
        wait_for(cluster, 'patroni-role-primary', 'info')
        assert wal.read_key(etcd, f'members/{leader.name}')['role'] == 'master'
        assert (leader.status() or {})['role'] == 'master'
        # PostgreSQL is newer than that, so nobody is restarted.
        answers = [
            node.rest('POST', '/restart', {'role': 'master', 'postgres_version': '9.0.0'}, timeout=10)
            for node in (replica, leader)
        ]
        statuses = [answer and answer[0] for answer in answers]
        assert statuses[0] == 400 and statuses[1] != 400, answers


def granted(etcd: EtcdCluster, member: str) -> int:
    """Return the ttl in seconds of the lease that a member key hangs on."""
    (key,) = etcd.call(0, 'kv/range', {'key': b64(f'/service/lab/members/{member}')})[1]['kvs']
    return int(etcd.call(0, 'lease/timetolive', {'ID': key['lease']})[1]['grantedTTL'])


def test_minimum_times() -> None:
    """With a ttl below what newer members enforce, members work with different values; with 20 they do not."""
    with EtcdCluster(['3.5']) as etcd, PatroniCluster([stock('3.1.2'), stock()], etcd, ttl=15) as cluster:
        wait_for(cluster, 'patroni-minimum-times', 'warning')
        assert (granted(etcd, 'node1'), granted(etcd, 'node2')) == (15, 20)
        cluster.edit_config(ttl=20)
        wait_until(lambda: granted(etcd, 'node1') == 20, 20, 'the ttl to be taken')
        assert granted(etcd, 'node2') == 20
        assert 'patroni-minimum-times' not in wait_for(cluster, 'patroni-role-primary', 'info')[1]


def test_permanent_slots() -> None:
    """Under a leader before 3.2.0, a permanent slot stays where it is on a replica, and its WAL as well."""
    dcs = {'slots': {SLOT: {'type': 'physical'}}}
    settings: dict[str, Any] = {'bootstrap': {'dcs': dcs}}
    merge(settings, wal.SETTINGS)
    with EtcdCluster(['3.5']) as etcd, PatroniCluster([stock('3.1.2'), stock()], etcd, settings=settings) as cluster:
        leader, replica = cluster.nodes
        wait_for(cluster, 'patroni-permanent-slots', 'critical')
        wait_until(lambda: SLOT in wal.slots(leader) and SLOT in wal.slots(replica), 20, 'the slot on both')
        first = wal.slots(replica)[SLOT].restart_lsn
        for _ in range(5):
            wal.write_round(leader, [replica], {}, settle=0)
            wal.query(leader, f"SELECT pg_replication_slot_advance('{SLOT}', pg_current_wal_flush_lsn())")
        time.sleep(LOOPS)
        wal.query(leader, 'CHECKPOINT')
        wal.query(replica, 'CHECKPOINT')
        assert wal.slots(replica)[SLOT].restart_lsn == first != wal.slots(leader)[SLOT].restart_lsn
        assert wal.wal_size(replica) >= 5 * wal.ROUND > wal.wal_size(leader)
        cluster.edit_config(slots=None)
        wait_until(lambda: SLOT not in wal.slots(replica), 20, 'the slot to be dropped')
        assert 'patroni-permanent-slots' not in wait_for(cluster, 'patroni-role-primary', 'info')[1]


#: Hazards of a release beside the newest, with failsafe_mode and synchronous_mode: quorum, and their severities.
HAZARDS = {
    '3.0.4': {
        'patroni-before-3.1': 'warning',
        'patroni-failsafe-mode': 'warning',
        'patroni-failsafe-bugs': 'warning',
        'patroni-quorum-commit': 'critical',
        'patroni-quorum-replica': 'critical',
        'patroni-leader-race': 'warning',
        'patroni-stale-etcd': 'info',
        'patroni-canceled-watch': 'info',
    },
    '4.0.1': {
        'patroni-failsafe-bugs': 'warning',
        'patroni-quorum-bugs': 'warning',
        'patroni-slots-hold-xmin': 'info',
        'patroni-stale-etcd': 'info',
        'patroni-canceled-watch': 'info',
    },
}


@pytest.mark.parametrize('release', list(HAZARDS))
def test_hazards_are_shown(release: str) -> None:
    """Every hazard of old releases is found on a real cluster, and none of them after the upgrade."""
    expected = HAZARDS[release]
    with EtcdCluster(['3.5']) as etcd, PatroniCluster([stock(release), stock()], etcd) as cluster:
        cluster.edit_config(failsafe_mode=True, synchronous_mode='quorum')

        def severities() -> dict[str, str]:
            return {id: each['severity'] for id, each in check(cluster)[1].items() if id in expected}

        wait_until(lambda: severities() == expected, 20, 'all of them')
        old = cluster.nodes[0]
        old.stop()
        old.environment = cluster.nodes[1].environment
        old.start()
        cluster.wait_primary()
        cluster.wait_replicas()
        wait_until(lambda: not severities(), 20, 'no hazard to be left')


def test_versions_differ() -> None:
    """Two releases without a hazard side by side are for information, and nothing else is found about Patroni."""
    with EtcdCluster(['3.5']) as etcd, PatroniCluster([stock('4.0.11'), stock()], etcd) as cluster:
        _, found = wait_for(cluster, 'patroni-versions-differ', 'info')
        assert found['patroni-versions-differ']['seen'] == f'node1 4.0.11, node2 {NEWEST}'
        healthy(cluster)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the user of PostgreSQL can enter."""
    path = scratch_folder('lab-consequences-')
    path.chmod(0o755)
    try:
        yield path
    finally:
        remove_folder(path)


def test_certificate_of_the_rest_api(folder: Path) -> None:
    """Its end is announced; after it, clients that verify get no answer; a new file and a reload cure both."""
    authority, (cert, key, cacert) = trustme.CA(), (folder / name for name in ('api.pem', 'api.key', 'ca.pem'))
    authority.cert_pem.write_to_path(str(cacert))

    def issue(days: float) -> None:
        now = datetime.datetime.now(datetime.timezone.utc)
        leaf = authority.issue_cert(
            '127.0.0.1', not_before=now - datetime.timedelta(30), not_after=now + datetime.timedelta(days)
        )
        leaf.private_key_pem.write_to_path(str(key))
        leaf.cert_chain_pems[0].write_to_path(str(cert))
        for path in (cert, key):
            path.chmod(0o644)

    def severities() -> dict[str, str]:
        ended = run('check', '-c', str(node.config_file), '-f', 'json')
        return {each['id']: each['severity'] for each in json.loads(ended.out)['findings']}

    def answer() -> str:
        context = ssl.create_default_context(cafile=str(cacert))
        try:
            with urllib.request.urlopen(f'https://127.0.0.1:{node.rest_port}/liveness', timeout=5, context=context):
                return 'verified'
        except urllib.error.URLError as e:
            return str(e)

    tls = {'restapi': {'certfile': str(cert), 'keyfile': str(key)}, 'ctl': {'cacert': str(cacert)}}
    issue(2)
    with EtcdCluster(['3.5']) as etcd:
        node = PatroniNode('node1', stock(), etcd.hosts, folder, settings=tls)
        try:
            node.start()
            wait_until(lambda: 'the leader with the lock' in node.log_text(), 60, 'the leader')
            assert severities()['patroni-certificate-expires'] == 'critical' and answer() == 'verified'
            issue(-1)
            node.reload()
            wait_until(lambda: severities().get('patroni-api-tls') == 'warning', 20, 'the certificate to be served')
            assert 'certificate has expired' in answer()
            issue(400)
            node.reload()
            wait_until(lambda: answer() == 'verified', 20, 'the new certificate to be served')
            assert not severities().keys() & {'patroni-api-tls', 'patroni-certificate-expires'}
        finally:
            node.stop()
