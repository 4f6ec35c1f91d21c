"""The DCS class on etcd clusters whose members run different versions."""

from __future__ import annotations

import functools
import logging
import re
import threading
import time
from typing import Any, Callable

import pytest

from lab import packages
from lab.processes import wait_until
from patroni_etcd3_compat.extras import GRPC

from .conftest import DEFAULTS

VERSIONS = packages.etcd_versions()
MIXED = [['3.2', '3.2', '3.4'], ['3.2', '3.4', '3.4'], ['3.3', '3.3', '3.4'], ['3.3', '3.3', '3.5']]


def ours(caplog: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[str]:
    """Return what this package logged from *level* on."""
    return [r.getMessage() for r in caplog.records if 'etcd3_compat' in r.name and r.levelno >= level]


def has_key(client: Any) -> bool:
    """Tell whether the member key of a client is there."""
    return client.name in [member.name for member in client.dcs.get_cluster().members]


@pytest.mark.parametrize('versions', MIXED, ids='+'.join)
def test_every_client_starts_and_writes(
    start: Callable[..., Any], connect: Callable[..., Any], versions: list[str]
) -> None:
    """30 of 30 clients start and write, with all members configured and with only one.

    Stock 4.1.5 crashes 5 and 22 times on the first two clusters.
    """
    cluster = start(versions)
    for number in range(30):
        every = connect(cluster.hosts, name=f'n{number}')
        alone = connect([cluster.hosts[number % 3]], name=f'm{number}', scope=every.scope)
        for dcs in (every, alone):
            assert dcs.touch(number=number)
            wait_until(functools.partial(has_key, dcs), 5, 'its key')
            dcs.stop()


@pytest.mark.parametrize('versions', MIXED[:1] + MIXED[2:], ids='+'.join)
def test_client_goes_on_at_any_other_member(
    start: Callable[..., Any], connect: Callable[..., Any], versions: list[str]
) -> None:
    """When the member in use is killed, newest first, the HA loops continue on an older one, and back."""
    cluster = start(versions)
    dcs = connect(cluster.hosts)
    assert dcs.acquire()
    for victim in (2, 0, 1, 2):
        member = cluster.members[victim]
        dcs.use(member.url)
        assert dcs.loop()
        cluster.wait_healthy(30)  # Patroni, too, loses sight of a new leader key at a member that is behind
        member.kill()
        # The leader key is held through retries. Patroni writes the member key without one, so only this write may
        # fail: the connection is lost, and etcd needs time to elect another leader.
        assert dcs.update_leader()
        dcs.touch(dead=victim)
        for _ in range(3):
            assert dcs.loop()
        assert dcs.client._base_uri != member.url
        member.start()
        cluster.wait_healthy(30)


def test_refused_connection_costs_no_call(start: Callable[..., Any], connect: Callable[..., Any]) -> None:
    """A call without a retry goes to the next member, once, if nobody can have executed it."""
    cluster = start(['3.2', '3.2', '3.4'], facade=True)
    dcs = connect(cluster.hosts)
    assert dcs.acquire()
    for number, member in enumerate(cluster.members):
        dcs.use(member.url)
        assert dcs.loop()
        member.facade.stop()
        before = len(cluster.requests())
        assert dcs.dcs.set_history_value(f'[{number}]')
        assert len([r for r in cluster.requests()[before:] if r.rpc == 'kv/put' and r.status != 404]) == 1
        member.facade.start(member.real_url, member.real_version)
        assert dcs.loop()


@pytest.mark.parametrize('versions', MIXED[:1] + MIXED[3:], ids='+'.join)
def test_member_changes_under_a_running_client(
    start: Callable[..., Any], connect: Callable[..., Any], versions: list[str]
) -> None:
    """Each loop holds the leader key while the member in use is upgraded in place and replaced."""
    cluster = start(versions)
    dcs = connect(cluster.hosts)
    assert dcs.acquire() and dcs.loop()
    newest = versions[-1]
    for number in (0, 1):
        dcs.use(cluster.members[number].url)
        assert dcs.loop()
        cluster.wait_healthy(30)  # as above
        change = cluster.upgrade if number else cluster.replace
        thread = threading.Thread(target=change, args=(number, newest))
        thread.start()
        failed = 0
        while thread.is_alive():
            failed += not dcs.update_leader()
            time.sleep(0.2)
        thread.join()
        assert not failed
        dcs.client._machines_cache_updated = 0  # a replaced member may be missing in the old list
        assert dcs.update_leader()
        dcs.use(cluster.members[number].url)
        for _ in range(2):
            assert dcs.loop()
        assert dcs.client._base_uri == cluster.members[number].url


def test_whole_cluster_wiped_and_back_older(
    start: Callable[..., Any], connect: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """If 3.4 returns empty as 3.3 on the same ports, the next HA loop works. With stock 4.1.5 none ever does."""
    cluster = start(['3.4', '3.4', '3.4'])
    dcs = connect(cluster.hosts)
    assert dcs.acquire() and dcs.loop()
    used = dcs.client._base_uri
    cluster.wipe(['3.3', '3.3', '3.3'])
    dcs.dcs.get_cluster()
    wait_until(dcs.acquire, 10, 'the leader key in the new cluster')
    assert dcs.loop() and dcs.loop()
    dcs.use(used)
    assert dcs.loop()
    if DEFAULTS.get('transport') == GRPC:  # which has no prefix
        return
    # The others changed, too, if they were used. The line comes with the version, which is asked for in the background.
    changed = re.compile(rf'{used} .*gateway prefix changed from /v3 to /v3beta')
    wait_until(lambda: any(map(changed.search, ours(caplog))), 5, 'the log line of the change')
    assert len([line for line in ours(caplog) if changed.search(line)]) == 1


@pytest.mark.gateway_only(reason='version_prefix plays no part over gRPC')
def test_explicit_prefix_in_a_mixed_cluster(
    start: Callable[..., Any], connect: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """/v3alpha works on 3.3 + 3.4; the warning names the 3.4 member, which does not serve it."""
    cluster = start(['3.3', '3.3', '3.4'], facade=True)
    dcs = connect(cluster.hosts, version_prefix='/v3alpha')
    assert dcs.acquire()
    for member in cluster.members:
        dcs.use(member.url)
        assert dcs.loop()
    new = cluster.members[2]
    wait_until(lambda: ours(caplog, logging.WARNING), 5, 'the member to have been asked for its version')
    assert ours(caplog, logging.WARNING) == [
        f'etcd member {new.url} (version {new.version}) does not serve the configured version_prefix /v3alpha; '
        'using /v3'
    ]
    assert {r.path for r in cluster.requests() if r.path.endswith('/kv/put')} == {'/v3alpha/kv/put', '/v3/kv/put'}


@pytest.mark.parametrize('versions', [['3.2'], ['3.3'], ['3.4'], ['3.5']], ids='+'.join)
def test_lease_not_found_is_seen_once(
    start: Callable[..., Any], connect: Callable[..., Any], versions: list[str]
) -> None:
    """An answer with status 404 is passed on as the right class and never sent again."""
    from patroni.dcs.etcd3 import LeaseNotFound

    cluster = start(versions, facade=True)
    dcs = connect(cluster.hosts)
    for count in (1, 2):
        with pytest.raises(LeaseNotFound):
            dcs.client.put('/service/x', 'y', '4711')
        assert len([r for r in cluster.requests() if r.rpc == 'kv/put' and r.status == 404]) == count


@pytest.mark.parametrize('versions', [['3.2', '3.2', '3.4'], ['3.3', '3.4', '3.5']], ids='+'.join)
def test_leader_stays_when_its_lease_changes(
    start: Callable[..., Any], connect: Callable[..., Any], versions: list[str]
) -> None:
    """After a change of ttl or a lost lease, the leader keeps the key through each member.

    No nested transaction is sent.
    """
    cluster = start(versions, facade=True)
    dcs = connect(cluster.hosts)
    assert dcs.acquire() and dcs.loop()
    for ttl, member in enumerate(cluster.members, 25):
        dcs.use(member.url)
        dcs.dcs.set_ttl(ttl)
        assert dcs.loop() and dcs.leader() == dcs.name

        lost, view = dcs.dcs._lease, dcs.dcs.get_cluster()
        assert cluster.call(ttl % 3, '/kv/lease/revoke', {'ID': lost})[0] == 200  # the leader key goes with it
        assert dcs.update_leader(view)
        # Patroni's copy of the keys may just be read anew, since the member changed, and get the key with the watch.
        wait_until(lambda: dcs.leader() == dcs.name, 10, 'the leader key in the copy')
        assert dcs.loop() and dcs.dcs._lease != lost
    bodies = [r.body for r in cluster.requests()]
    assert any(b'VALUE' in body for body in bodies)  # the plain step
    assert not [body for body in bodies if b'request_txn' in body or b'requestTxn' in body]


def test_somebody_else_took_the_key(start: Callable[..., Any], connect: Callable[..., Any]) -> None:
    """After the lease is lost, the key is not taken from a competitor."""
    cluster = start(['3.2', '3.2', '3.4'])
    dcs = connect(cluster.hosts)
    other = connect(cluster.hosts, name='b', scope=dcs.scope)
    assert dcs.acquire() and dcs.loop()
    view = dcs.dcs.get_cluster()
    assert cluster.call(0, '/kv/lease/revoke', {'ID': dcs.dcs._lease})[0] == 200
    wait_until(lambda: other.leader() is None, 5, 'the leader key to go')
    assert other.acquire()
    assert not dcs.update_leader(view)
    wait_until(lambda: dcs.leader() == 'b', 5, 'the other leader to be seen')


@pytest.mark.parametrize('version', ['3.0', '3.1'] + packages.missing() + VERSIONS)
def test_all_calls_on_one_version(start: Callable[..., Any], connect: Callable[..., Any], version: str) -> None:
    """All of Patroni's calls work on every etcd version, real or imitated, and a watch reports changes."""
    cluster = start([version])
    dcs, other = (connect(cluster.hosts, name=name, scope='one') for name in 'ab')
    assert dcs.acquire() and dcs.loop()
    assert dcs.dcs.initialize(create_new=True, sysid='1') and not dcs.dcs.initialize(create_new=True, sysid='2')
    assert dcs.dcs.set_config_value('{"ttl":20}')
    assert dcs.dcs.set_history_value('[]')
    assert dcs.dcs.set_sync_state_value('{}')
    assert dcs.dcs.set_failover_value('{}')
    wait_until(lambda: other.leader() == 'a', 5, 'the watch to tell the leader')
    dcs.touch(news='x')
    wait_until(lambda: any(m.data.get('news') == 'x' for m in other.dcs.get_cluster().members), 5, 'the watch')
    assert dcs.dcs.cancel_initialization()
    assert dcs.dcs.delete_cluster()
    wait_until(lambda: not other.dcs.get_cluster().members, 5, 'the watch to tell the end')


def test_steady_state_costs_nothing_extra(start: Callable[..., Any], connect: Callable[..., Any]) -> None:
    """Each contacted member is asked for its version once, and its prefix is found once."""
    cluster = start(['3.2', '3.2', '3.4'], facade=True)
    dcs = connect(cluster.hosts)
    assert dcs.acquire()
    assert dcs.loop()

    def asked() -> list[str]:
        return sorted(r.member for r in cluster.requests() if r.rpc in ('/version', 'maintenance/status'))

    wait_until(lambda: asked() == sorted({r.member for r in cluster.requests()}), 5, 'the questions for the version')
    unserved = [r for r in cluster.requests() if r.status == 404]
    assert len(unserved) == len({(r.member, r.path) for r in unserved})
    before = asked()
    for _ in range(5):
        assert dcs.loop()
    assert asked() == before
    assert [r for r in cluster.requests() if r.status == 404] == unserved
