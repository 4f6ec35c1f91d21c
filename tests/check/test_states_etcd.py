"""States of real etcd clusters that are no outage, and what ``check`` says about them."""

from __future__ import annotations

from typing import Callable

from lab.etcd import EtcdCluster, b64
from lab.ports import free_port
from lab.processes import wait_until
from patroni_etcd3_compat.check.findings.disks import LEAST
from tests.check.test_outages_etcd import check, endpoints


def test_elections(start: Callable[..., EtcdCluster]) -> None:
    """A leader that moves as often as no upgrade lets it is a warning."""
    cluster = start(['3.5', '3.5', '3.5'])
    ids = [int(cluster.call(number, 'maintenance/status', {})[1]['header']['member_id']) for number in range(3)]

    def leader() -> int:
        return ids.index(int(cluster.call(0, 'maintenance/status', {})[1]['leader']))

    assert 'etcd-elections' not in check(*endpoints(cluster))[1]
    for _ in range(LEAST + 2):
        old = leader()
        status, answer = cluster.call(old, 'maintenance/transfer-leadership', {'targetID': str(ids[old - 1])})
        assert status == 200, answer
        wait_until(lambda: leader() != old, 10, 'the next leader')  # noqa: B023
    ended, findings = check(*endpoints(cluster))
    assert ended.status == 1 and 'changes of the leader' in findings['etcd-elections']['seen']


def test_learner(start: Callable[..., EtcdCluster]) -> None:
    """A learner is named, and refuses what Patroni sends; promoted as the finding says, it no longer does."""
    cluster = start(['3.5', '3.5', '3.5'])
    name = cluster.members[2].name
    assert 'etcd-learner' not in check(*endpoints(cluster))[1]
    cluster.replace(2, '3.5', learner=True)
    wait_until(lambda: 'etcd-learner' in check(*endpoints(cluster))[1], 30, 'the learner')
    finding = check(*endpoints(cluster))[1]['etcd-learner']
    assert name in finding['where']
    status, answer = cluster.call(2, 'kv/range', {'key': b64('a')})
    assert status >= 400 and 'not supported for learner' in str(answer)
    listed = cluster.call(0, 'cluster/member/list', {})[1]['members']
    id = next(entry['ID'] for entry in listed if entry.get('isLearner'))
    assert f'etcdctl member promote {int(id):x}' in finding['remedy']
    wait_until(lambda: cluster.call(0, 'cluster/member/promote', {'ID': id})[0] == 200, 30, 'the promotion')
    wait_until(lambda: cluster.call(2, 'kv/range', {'key': b64('a')})[0] == 200, 30, 'an answer')
    assert 'etcd-learner' not in check(*endpoints(cluster))[1]


def test_hosts_differ(start: Callable[..., EtcdCluster], configuration: Callable[..., str]) -> None:
    """A host that is no member is a warning, and costs whoever asks it first a time-out or a refusal."""
    cluster = start(['3.5'])
    gone = f'127.0.0.1:{free_port()}'
    ended, findings = check('-c', configuration({'hosts': [gone, *cluster.hosts]}))
    assert ended.status == 1 and gone in findings['etcd-hosts-differ']['where']
    assert 'etcd-hosts-differ' not in check('-c', configuration({'hosts': cluster.hosts}))[1]


def test_versions_differ(start: Callable[..., EtcdCluster]) -> None:
    """Releases side by side are an information, with authentication on a warning where etcd says so."""
    cluster = start(['3.4', '3.4', '3.4'], auth=('root', 'secret'))
    login = ('--user', 'root:secret')
    assert not {'etcd-versions-differ', 'etcd-upgrade-auth'} & check(*endpoints(cluster), *login)[1].keys()
    cluster.upgrade(0, '3.5')
    findings = check(*endpoints(cluster), *login)[1]
    assert findings['etcd-versions-differ']['severity'] == 'info'
    assert findings['etcd-upgrade-auth']['severity'] == 'warning'
