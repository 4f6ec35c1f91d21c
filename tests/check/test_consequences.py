"""What findings claim about stock Patroni: each state is produced on real servers, and so is what cures it."""

from __future__ import annotations

import json
import time
from typing import Any, Callable, Iterator, Mapping, NamedTuple, Sequence

import pytest

from lab.balancer import Balancer, Choice
from lab.environments import Environment, environment
from lab.etcd import EtcdCluster
from lab.node import PatroniNode, unprivileged_user
from lab.patroni import PatroniCluster
from lab.ports import free_port
from lab.processes import LabError, remove_folder, scratch_folder, wait_until
from lab.releases import NEWEST
from tests.check.command import run

#: A line of the log of a Patroni that leads, in every release.
LEADS = 'the leader with the lock'

#: Seconds for a Patroni that must not come to lead: several of its loops.
WAIT = 12

PASSWORD = 'sesame-of-etcd'


def stock(release: str = NEWEST) -> Environment:
    """Return a stock Patroni."""
    return environment(release, plugin=False).for_user(unprivileged_user())


def ours() -> Environment:
    """Return the newest Patroni with this package."""
    return environment().for_user(unprivileged_user())


Start = Callable[..., PatroniNode]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a Patroni that nobody waits for; it ends with the test."""
    folder = scratch_folder('lab-consequences-')
    nodes: list[PatroniNode] = []
    folder.chmod(0o755)

    def new(where: Environment, hosts: Sequence[str], scope: str = 'lab', **options: Any) -> PatroniNode:
        node = PatroniNode(f'node{len(nodes)}', where, hosts, folder, settings={'etcd3': options})
        node.config['scope'] = scope
        nodes.append(node)
        node.start()
        return node

    yield new
    try:
        for node in nodes:
            node.stop()
    finally:
        remove_folder(folder)


def leads(node: PatroniNode, seconds: float) -> bool:
    """Return whether a Patroni comes to lead within a time."""
    try:
        wait_until(lambda: LEADS in node.log_text(), seconds, 'the leader')
    except LabError:
        return False
    return True


def severities(node: PatroniNode) -> dict[str, set[str]]:
    """Return what ``check`` finds with the configuration of a node: severities by identifier."""
    ended = run('check', '-c', str(node.config_file), '-f', 'json')
    assert ended.err == ''
    document = json.loads(ended.out)
    found: dict[str, set[str]] = {}
    for finding in document['findings']:
        found.setdefault(finding['id'], set()).add(finding['severity'])
    assert (ended.status == 2) is any('critical' in those for those in found.values())
    return found


class Case(NamedTuple):
    """A state in which stock Patroni does not start, and what cures it."""

    versions: Sequence[str]
    #: etcd has authentication on
    auth: bool = False
    #: options of the section, without and with the cure
    options: Mapping[str, Any] = {}
    cured: Mapping[str, Any] = {}
    #: the package is the cure
    package: bool = False


CASES = {
    'etcd-prefix-mixed': Case(['3.2', '3.4', '3.4'], package=True),
    'etcd-auth-no-credentials': Case(['3.5'], auth=True, cured={'username': 'root', 'password': PASSWORD}),
    'etcd-login-failed': Case(
        ['3.5'],
        auth=True,
        options={'username': 'root', 'password': 'wrong'},
        cured={'username': 'root', 'password': PASSWORD},
    ),
}


@pytest.mark.parametrize('id', list(CASES))
def test_stock_does_not_start(start: Start, id: str) -> None:
    """Stock Patroni does not start, and check is critical. What the finding advises lets it start."""
    case = CASES[id]
    auth = ('root', PASSWORD) if case.auth else None
    with EtcdCluster(case.versions, auth=auth, extra_flags=['--bcrypt-cost', '4'] if auth else None) as etcd:
        hosts = etcd.hosts[-1:]
        node = start(stock(), hosts, **case.options)
        assert not leads(node, WAIT)
        assert severities(node)[id] == {'critical'}
        node.stop()
        node = start(ours() if case.package else stock(), hosts, **case.cured)
        assert leads(node, 60), node.log_text()[-2000:]
        assert 'critical' not in severities(node).get(id, set())


def test_guard_of_the_member_list(start: Start) -> None:
    """After a patch release of etcd, a stock Patroni 4.0.2 does not start again; 4.0.11 does."""
    options = {'username': 'root', 'password': PASSWORD}
    with EtcdCluster(['3.5.16'], auth=('root', PASSWORD), extra_flags=['--bcrypt-cost', '4']) as etcd:
        node = start(stock('4.0.2'), etcd.hosts, **options)
        assert leads(node, 60)
        assert 'etcd-auth-guard' not in severities(node)
        etcd.upgrade(0, '3.5.30')
        assert severities(node)['etcd-auth-guard'] == {'critical'}
        node.stop()
        before = node.log_text().count(LEADS)
        node.start()
        time.sleep(WAIT)
        assert node.log_text().count(LEADS) == before and 'ERROR' in node.log_text()
        node.stop()
        node.environment = stock('4.0.11')
        node.start()
        wait_until(lambda: node.log_text().count(LEADS) > before, 60, 'the leader')
        assert 'etcd-auth-guard' not in severities(node)


def test_gateway_off(start: Start) -> None:
    """Without any gateway no Patroni starts, with the package or without."""
    with EtcdCluster(['3.4']) as etcd:
        etcd.members[0].flags.append('--enable-grpc-gateway=false')
        etcd.members[0].restart()
        for where in (stock(), ours()):
            node = start(where, etcd.hosts)
            assert not leads(node, WAIT)
            assert severities(node)['etcd-gateway-off'] == {'critical'}


def test_gateway_off_and_grpc(start: Start) -> None:
    """With the extra, Patroni leads without any gateway; check reads its key over gRPC and says that all is well."""
    with EtcdCluster(['3.5']) as etcd:
        etcd.members[0].flags.append('--enable-grpc-gateway=false')
        etcd.members[0].restart()
        node = start(environment(extras=('grpc',)).for_user(unprivileged_user()), etcd.hosts)
        assert leads(node, 60), node.log_text()[-2000:]
        assert 'using gRPC, since its gateway is off' in node.log_text()
        found = severities(node)
        assert found['etcd-gateway-off'] == {'info'} and 'critical' not in set().union(*found.values())


def test_advertised_port_speaks_grpc(start: Start) -> None:
    """If all advertised URLs speak only gRPC, stock Patroni exits; the package keeps using the configured one."""
    with EtcdCluster(['3.5.30']) as etcd:
        (member,) = etcd.members
        grpc = f'http://127.0.0.1:{free_port()}'
        member.flags += ['--listen-client-http-urls', member.real_url, '--listen-client-urls', grpc]
        member.flags += ['--advertise-client-urls', grpc]
        member.restart()
        node = start(stock(), etcd.hosts)
        assert not leads(node, WAIT)
        assert severities(node)['etcd-advertised-unusable'] == {'critical'}
        node.stop()
        node = start(ours(), etcd.hosts)
        assert leads(node, 60), node.log_text()[-2000:]
        assert severities(node)['etcd-advertised-unusable'] == {'info'}


def test_configured_port_speaks_grpc(start: Start) -> None:
    """With no other host than a port for gRPC alone, stock Patroni does not start; with the right one it does."""
    with EtcdCluster(['3.5.30']) as etcd:
        (member,) = etcd.members
        grpc = f'127.0.0.1:{free_port()}'
        member.flags += ['--listen-client-http-urls', member.real_url, '--listen-client-urls', f'http://{grpc}']
        member.flags += ['--advertise-client-urls', member.real_url]
        member.restart()
        node = start(stock(), [grpc])
        assert not leads(node, WAIT)
        assert severities(node)['etcd-configured-unusable'] == {'critical'}
        node.stop()
        node = start(stock(), etcd.hosts)
        assert leads(node, 60), node.log_text()[-2000:]
        assert 'etcd-configured-unusable' not in severities(node)


def test_balancer_without_a_shared_prefix(start: Start) -> None:
    """Behind a balancer per request, a stock primary demotes once members serve different prefixes; ours stays."""
    with EtcdCluster(['3.2', '3.2', '3.2']) as etcd, Balancer(etcd.urls, Choice.RANDOM) as balancer:
        host = [balancer.url.partition('//')[2]]
        nodes = []
        for where, scope in (stock(), 'a'), (ours(), 'b'):
            node = start(where, host, scope, use_proxies=True)
            nodes.append(node)
            assert leads(node, 60), node.log_text()[-2000:]
        assert severities(nodes[0])['etcd-shared-url'] == {'info'}
        for number in (0, 1):
            etcd.upgrade(number, '3.4')
        wait_until(lambda: 'demot' in nodes[0].log_text(), 60, 'the primary to demote')
        assert severities(nodes[0])['etcd-shared-url'] == {'critical'}
        assert severities(nodes[1])['etcd-shared-url'] == {'info'}
        assert 'demot' not in nodes[1].log_text()


def test_quorum_lost() -> None:
    """Without a quorum the primary is demoted, and leads again when the members are back."""
    with EtcdCluster(['3.5'] * 3) as etcd, PatroniCluster(stock(), etcd, nodes=1) as patroni:
        primary = patroni.wait_primary()
        for member in etcd.members[:2]:
            member.stop()
        wait_until(lambda: primary.role() != 'primary', 60, 'the demotion')
        assert severities(primary)['etcd-quorum-lost'] == {'critical'}
        for member in etcd.members[:2]:
            member.start()
        etcd.wait_healthy()
        patroni.wait_primary()
        assert 'etcd-quorum-lost' not in severities(primary)


def test_invalid_prefix(start: Start) -> None:
    """A version_prefix that does not exist keeps a Patroni with the package from starting."""
    with EtcdCluster(['3.5']) as etcd:
        node = start(ours(), etcd.hosts, version_prefix='v3')
        assert not leads(node, WAIT) and 'version_prefix' in node.log_text()
        assert severities(node)['etcd-prefix-option'] == {'warning'}  # nothing says that the package serves it
        node.stop()
        assert leads(start(ours(), etcd.hosts, version_prefix='/v3'), 60)
