"""The whole output of the command on real etcd clusters: healthy, mixed, and with all kinds of faults."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any, Iterator, Sequence

import pytest
import trustme
import yaml

from lab import packages
from lab.etcd import EtcdCluster, EtcdMember, b64
from lab.ports import free_port
from lab.processes import Process, wait_until
from patroni_etcd3_compat import __version__
from patroni_etcd3_compat.mark import FIELD
from tests.check.command import compare, etcd_names, program, run

#: Wide enough for all columns. A finding about etcd's age appears with time in any case.
WIDE = {'COLUMNS': '400'}
NO_AGE = ('--ignore', 'etcd-end-of-life')

#: The key of the member that configurations here belong to.
MEMBER = '/service/batman/members/node1'

PASSWORD = 'sesame-of-etcd'


@pytest.fixture(scope='module')
def new() -> Iterator[EtcdCluster]:
    """Three members of 3.5; every test leaves them unchanged."""
    with EtcdCluster(['3.5'] * 3) as cluster:
        yield cluster


def restart(members: Sequence[EtcdMember], *flags: str) -> None:
    """Restart members with these flags."""
    for member in members:
        member.kill()  # faster than SIGTERM, on which they look for a successor
    for member in members:
        member.flags = list(flags)
        member.spawn()
    for member in members:
        member.serve()


def let_lead(cluster: EtcdCluster, i: int) -> None:
    """Make a member the leader."""
    own = cluster.call(i, 'maintenance/status', {})[1]['header']['member_id']

    def leads() -> bool:
        states = [cluster.call(k, 'maintenance/status', {})[1] for k in range(len(cluster.members))]
        for k, state in enumerate(states):
            if state.get('leader') == state['header']['member_id'] != own:
                cluster.call(k, 'maintenance/transfer-leadership', {'targetID': own})
        return all(state.get('leader') == own for state in states)

    wait_until(leads, 20, f'{cluster.members[i].name} to lead')


def endpoints(cluster: EtcdCluster) -> str:
    """Return its members for the command line."""
    return ','.join(cluster.hosts)


def configuration(folder: Path, **options: Any) -> str:
    """Write a configuration of Patroni with these options of section etcd3."""
    path = folder / 'patroni.yml'
    path.write_text(yaml.safe_dump({'scope': 'batman', 'name': 'node1', 'etcd3': options}))
    return str(path)


def served(folder: Path, cluster: EtcdCluster, mark: str | None) -> str:
    """Write a configuration of Patroni, and the key of its member with this mark; ``None``: that of a stock Patroni."""
    value = {'state': 'running', 'version': '4.1.5', **({FIELD: mark} if mark else {})}
    cluster.call(0, 'kv/put', {'key': b64(MEMBER), 'value': b64(json.dumps(value))})
    return configuration(folder, hosts=cluster.hosts)


def test_healthy(new: EtcdCluster) -> None:
    """Three members of 3.5 give no finding, apart from their age."""
    compare('healthy', run('check', '--endpoints', endpoints(new), *NO_AGE, **WIDE), etcd_names(new))


def test_dead_member(new: EtcdCluster) -> None:
    """A dead member is named, and identified through the member list."""
    new.members[2].kill()
    try:
        new.wait_healthy()  # it may have been the leader
        ended = run('check', '--endpoints', endpoints(new), '--timeout', '2', *NO_AGE, **WIDE)
    finally:
        new.members[2].start()
        new.wait_healthy()
    compare('dead-member', ended, etcd_names(new))


def test_quorum_lost(new: EtcdCluster) -> None:
    """Two dead members of three are critical."""
    for member in new.members[1:]:
        member.kill()
    try:
        wait_until(
            lambda: new.call(0, 'maintenance/status', {})[1].get('leader', '0') == '0',
            20,
            'the last member to know of no leader',
        )
        ended = run('check', '--endpoints', endpoints(new), '--timeout', '2', *NO_AGE, **WIDE)
    finally:
        restart(new.members[1:])
        new.wait_healthy()
    compare('quorum-lost', ended, etcd_names(new))


@pytest.mark.parametrize('which', [(1,), (0, 1, 2)], ids=['one', 'all'])
def test_gateway_off(new: EtcdCluster, which: list[int]) -> None:
    """One member without a gateway is a warning; all of them are critical."""
    members = [new.members[i] for i in which]
    let_lead(new, 0)  # which can be seen only if the gateway is on
    restart(members, '--enable-grpc-gateway=false')
    try:
        ended = run('check', '--endpoints', endpoints(new), *NO_AGE, **WIDE)
    finally:
        restart(members)
        new.wait_healthy()
    compare(f'gateway-off-{len(which)}', ended, etcd_names(new))


def test_split_ports(new: EtcdCluster, tmp_path: Path) -> None:
    """The HTTP port is configured, and the member list has another one that speaks only gRPC."""
    if '3.5.30' not in packages.etcd_binaries():
        pytest.fail('etcd 3.5.30, which can split its ports, is not at hand')
    member, grpc = new.members[1], f'127.0.0.1:{free_port()}'
    restart(
        [member],
        '--listen-client-http-urls',
        member.real_url,
        '--listen-client-urls',
        'http://' + grpc,
        '--advertise-client-urls',
        'http://' + grpc,
    )
    try:
        new.wait_healthy()
        only = ('--only', 'etcd-advertised-unusable,node-serves')
        both = [run('check', '-c', served(tmp_path, new, mark), *only, **WIDE) for mark in (__version__, None)]
    finally:
        new.call(0, 'kv/deleterange', {'key': b64(MEMBER)})
        restart([member])
        new.wait_healthy()
    for case, ended in zip(('split-ports', 'split-ports-stock'), both):
        compare(case, ended, dict(etcd_names(new), **{grpc: '127.0.0.1:grpc1'}))


def test_watch(new: EtcdCluster, tmp_path: Path) -> None:
    """The check is repeated until SIGINT, which ends it quietly with the status of the last round."""
    argv, environ = program('check', '--endpoints', endpoints(new), '--watch', '0.2', *NO_AGE)
    process = Process(argv, tmp_path / 'log', env=environ)
    try:
        wait_until(lambda: process.log_text().count('OK  etcd: no findings  ') >= 3, 60, 'three looks')
        process.signal(signal.SIGINT)
        assert process.wait(30) and process.exit_code == 0
    finally:
        process.kill()
    assert not re.search('Abort|Traceback|Interrupt', process.log_text())


def test_auth(tmp_path: Path) -> None:
    """Credentials that are missing, wrong or right lead to the right output and never appear in it."""
    with EtcdCluster(['3.5'], extra_flags=['--bcrypt-cost', '4']) as cluster:
        cluster.enable_auth('patroni', PASSWORD)
        for case, options in (
            ('auth-none', {}),
            ('auth-wrong', {'username': 'patroni', 'password': 'open-' + PASSWORD}),
            ('auth-right', {'username': 'patroni', 'password': PASSWORD}),
        ):
            config = configuration(tmp_path, hosts=cluster.hosts, **options)
            compare(case, run('check', '-c', config, *NO_AGE, **WIDE), etcd_names(cluster))
            for fmt in ('json', 'tsv', 'nagios', 'prometheus') if case == 'auth-wrong' else ('json',):
                ended = run('check', '-c', config, '-f', fmt)
                assert PASSWORD not in ended.out + ended.err
        url = f'http://patroni:{PASSWORD}@{cluster.hosts[0]}'
        ended = run('check', '--endpoints', url, '-f', 'json')
        assert PASSWORD not in ended.out + ended.err
        assert json.loads(ended.out)['etcd']['endpoints'][0]['auth'] is True


def test_mixed() -> None:
    """3.3, 3.4 and 3.5 side by side: the output has the prefix of each, and how stock Patroni would fail."""
    with EtcdCluster(['3.3', '3.4', '3.5']) as cluster:
        names = etcd_names(cluster)
        compare('mixed', run('check', '--endpoints', endpoints(cluster), *NO_AGE, **WIDE), names)
        ended = run('check', '--endpoints', endpoints(cluster), '-f', 'json')
        ages = run('check', '--endpoints', endpoints(cluster), '--only', 'etcd-end-of-life', '-f', 'tsv')
    members = json.loads(ended.out)['etcd']['endpoints']
    assert [member['prefixes'] for member in members] == [
        ['/v3beta', '/v3alpha'],
        ['/v3', '/v3beta'],
        ['/v3', '/v3beta'],
    ]
    assert ended.status == json.loads(ended.out)['exit_status']
    assert [line.split('\t')[1] for line in ages.out.splitlines()[1:]].count('etcd-end-of-life') >= 1


def test_mixed_with_3_2(tmp_path: Path) -> None:
    """With a member before 3.3 beside newer ones, the risk of losing the cluster is critical if stock Patroni runs."""
    with EtcdCluster(['3.2', '3.4', '3.4']) as cluster:
        only = ('--only', 'etcd-nested-transactions,etcd-prefix-mixed,etcd-upgrade-skips,node-serves')
        for case, mark in (('mixed-3.2', __version__), ('mixed-3.2-stock', None)):
            ended = run('check', '-c', served(tmp_path, cluster, mark), *only, **WIDE)
            compare(case, ended, etcd_names(cluster))
        ended = run('check', '--endpoints', endpoints(cluster), *NO_AGE, **WIDE)
        compare('mixed-3.2-unknown', ended, etcd_names(cluster))


def test_tls(tmp_path: Path) -> None:
    """Members require a client certificate: the output without one, with another authority, and with the right one."""
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / 'ca.pem'))
    stranger.cert_pem.write_to_path(str(tmp_path / 'stranger.pem'))
    for name in ('server', 'client'):
        leaf = authority.issue_cert('127.0.0.1', 'localhost', common_name=name)
        leaf.cert_chain_pems[0].write_to_path(str(tmp_path / (name + '.pem')))
        leaf.private_key_pem.write_to_path(str(tmp_path / (name + '.key')))
    with EtcdCluster(['3.5']) as cluster:
        secure = f'127.0.0.1:{free_port()}'
        names = dict(etcd_names(cluster), **{secure: '127.0.0.1:tls0'})
        restart(
            cluster.members,
            '--listen-client-urls',
            f'{cluster.members[0].real_url},https://{secure}',
            '--advertise-client-urls',
            'https://' + secure,
            '--client-cert-auth',
            '--cert-file',
            str(tmp_path / 'server.pem'),
            '--key-file',
            str(tmp_path / 'server.key'),
            '--trusted-ca-file',
            str(tmp_path / 'ca.pem'),
        )
        cluster.wait_healthy()
        own: dict[str, Any] = {
            'hosts': secure,
            'protocol': 'https',
            'cert': str(tmp_path / 'client.pem'),
            'key': str(tmp_path / 'client.key'),
        }
        for case, options in (
            ('tls', dict(own, cacert=str(tmp_path / 'ca.pem'))),
            ('tls-authority', dict(own, cacert=str(tmp_path / 'stranger.pem'))),
            ('tls-no-certificate', {'hosts': secure, 'protocol': 'https', 'cacert': str(tmp_path / 'ca.pem')}),
            ('tls-http', {'hosts': secure}),
        ):
            config = configuration(tmp_path, **options)
            compare(case, run('check', '-c', config, *NO_AGE, **WIDE), names)
