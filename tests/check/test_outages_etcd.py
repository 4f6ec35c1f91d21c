"""Outages of a real etcd that the command has to name: a full database, a downgrade, no member at all, two clusters."""

from __future__ import annotations

import json
from typing import Any, Callable

import pytest

from lab.balancer import Balancer, Choice
from lab.etcd import EtcdCluster, b64, request
from lab.processes import wait_until
from tests.check.command import Ended, run

#: Bytes; a write of :func:`fill` is a small part of them.
QUOTA = 30_000_000


def check(*args: str) -> tuple[Ended, dict[str, dict[str, Any]]]:
    """How the command ended, and its findings by identifier, of which each is there once."""
    ended = run('check', '-f', 'json', *args)
    assert ended.err == ''
    findings = json.loads(ended.out)['findings']
    by_id = {finding['id']: finding for finding in findings}
    assert len(by_id) == len(findings), findings
    return ended, by_id


def endpoints(cluster: EtcdCluster) -> tuple[str, str]:
    """The option that names all members."""
    return '--endpoints', ','.join(cluster.hosts)


def fill(cluster: EtcdCluster, share: float) -> int:
    """Write until the first member's database has reached this share of the quota; return the last status of HTTP."""
    status = 200
    for number in range(600):
        if int(cluster.call(0, 'maintenance/status', {})[1]['dbSize']) >= share * QUOTA or status != 200:
            break
        status = cluster.call(0, 'kv/put', {'key': b64(f'{number}'), 'value': b64('x' * 100_000)})[0]
    return status


def test_quota(start: Callable[..., EtcdCluster]) -> None:
    """A database near its quota is a warning, nearer critical, and full one finding with the revision to compact."""
    # Each write counts at once, so the size grows in small steps.
    flags = ['--quota-backend-bytes', str(QUOTA), '--backend-batch-limit', '1']
    cluster = start(['3.5', '3.6', '3.6'], extra_flags=flags)
    ended, findings = check(*endpoints(cluster))
    assert ended.status == 0 and 'etcd-quota' not in findings
    fill(cluster, 0.8)
    ended, findings = check(*endpoints(cluster))
    assert ended.status == 1 and findings['etcd-quota']['severity'] == 'warning'
    assert cluster.members[0].name in findings['etcd-quota']['seen']  # whose status does not have the quota
    fill(cluster, 0.955)
    ended, findings = check(*endpoints(cluster))
    assert ended.status == 2 and findings['etcd-quota']['severity'] == 'critical'
    assert fill(cluster, 9) != 200
    wait_until(lambda: 'etcd-alarm' in check(*endpoints(cluster))[1], 20, 'the alarm')
    ended, findings = check(*endpoints(cluster))
    revision = int(cluster.call(0, 'kv/range', {'key': b64('a')})[1]['header']['revision'])
    assert ended.status == 2 and 'etcd-quota' not in findings
    assert f' compact {revision}, then ' in findings['etcd-alarm']['remedy']


@pytest.mark.parametrize('line, target', [('3.6', '3.5.0'), ('3.7', '3.6.0')])
def test_downgrade(start: Callable[..., EtcdCluster], line: str, target: str) -> None:
    """A downgrade that was enabled is named with the way to cancel it, and is gone after that."""
    cluster = start([line, line, line])
    assert not {'etcd-downgrade', 'etcd-cluster-version'} & check(*endpoints(cluster))[1].keys()
    for action, version in (('VALIDATE', target), ('ENABLE', target)):
        status, answer = cluster.call(0, 'maintenance/downgrade', {'action': action, 'version': version})
        assert status == 200, answer

    def storage() -> set[str]:
        return {cluster.call(i, 'maintenance/status', {})[1]['storageVersion'] for i in range(len(cluster.members))}

    wait_until(lambda: storage() == {target}, 60, 'the storage version to go down')
    ended, findings = check(*endpoints(cluster))
    assert ended.status == 1 and 'etcd-cluster-version' not in findings
    finding = findings['etcd-downgrade']
    assert f'a downgrade to {target} is enabled; storage version {target}' in finding['seen']
    assert finding['remedy'].endswith(f'etcdctl --endpoints={cluster.urls[0]} downgrade cancel')
    status, answer = cluster.call(1, 'maintenance/downgrade', {'action': 'CANCEL'})
    assert status == 200, answer
    wait_until(lambda: storage() == {line + '.0'}, 60, 'the storage version to go up')
    assert not {'etcd-downgrade', 'etcd-cluster-version'} & check(*endpoints(cluster))[1].keys()


def test_all_dead(start: Callable[..., EtcdCluster], configuration: Callable[..., str]) -> None:
    """All of etcd down is critical with a configuration of Patroni, and unknown with URLs alone."""
    cluster = start(['3.6', '3.6', '3.6'])
    path = configuration({'hosts': cluster.hosts})
    for member in cluster.members:
        member.kill()
    ended, findings = check('-c', path)
    assert ended.status == 2 and findings['etcd-quorum-lost']['severity'] == 'critical'
    assert all(url in findings['etcd-quorum-lost']['seen'] for url in cluster.urls)
    assert 'cannot connect: Connection refused' in findings['etcd-quorum-lost']['seen']
    assert not {'etcd-unknown', 'etcd-unreachable'} & findings.keys()
    ended = run('check', *endpoints(cluster))
    assert ended.status == 3 and 'etcd-quorum-lost' not in ended.out


def test_two_clusters(start: Callable[..., EtcdCluster], configuration: Callable[..., str]) -> None:
    """Hosts of two clusters are critical, whichever of them is configured first."""
    one, other = start(['3.6']), start(['3.5'])
    for hosts in (one.hosts + other.hosts, other.hosts + one.hosts):
        ended, findings = check('-c', configuration({'hosts': hosts}))
        finding = findings['etcd-two-clusters']
        assert ended.status == 2 and finding['severity'] == 'critical'
        assert one.urls[0] in finding['seen'] and other.urls[0] in finding['seen']


@pytest.mark.parametrize('choice', [Choice.ROUND_ROBIN, Choice.RANDOM])
def test_balancer(start: Callable[..., EtcdCluster], configuration: Callable[..., str], choice: Choice) -> None:
    """A balancer that chooses a member for each request is an information, and nothing is wrong with the cluster."""
    cluster = start(['3.5', '3.5', '3.5'])
    with Balancer(cluster.urls, choice) as balancer:
        ended = run('check', '-f', 'json', '-c', configuration({'host': balancer.url.partition('//')[2]}))
    document = json.loads(ended.out)
    urls = {url['url']: url for url in document['etcd']['endpoints']}
    shared = urls.pop(balancer.url)
    assert len(shared['shared_by']) > 1 and (shared['id'], shared['leader']) == (None, None)
    assert [url['leader'] for url in urls.values()].count(True) == 1 and len(urls) == 3
    ids = {finding['id'] for finding in document['findings']}
    assert 'etcd-shared-url' in ids and not {'etcd-gateway-off', 'etcd-cluster-version', 'etcd-quorum-lost'} & ids


def test_v2_requests(start: Callable[..., EtcdCluster]) -> None:
    """GET /health of 3.4 is found there, and in the log that 3.5 replays; check itself makes no such request."""
    cluster = start(['3.4'])
    check(*endpoints(cluster))
    assert 'etcd-v2-requests' not in check(*endpoints(cluster))[1]
    status, _ = request(cluster.urls[0], 'GET', '/health')
    assert status == 200
    assert check(*endpoints(cluster))[1]['etcd-v2-requests']['severity'] == 'info'
    cluster.upgrade(0, '3.5.30')
    assert check(*endpoints(cluster))[1]['etcd-v2-requests']['severity'] == 'warning'
