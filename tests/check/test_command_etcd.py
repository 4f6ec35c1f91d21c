"""The whole output of the command on real etcd clusters: healthy, mixed, and with all that can be wrong."""

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
from lab.etcd import EtcdCluster, EtcdMember
from lab.ports import free_port
from lab.processes import Process, wait_until
from tests.check.command import compare, etcd_names, program, run

#: Wide enough for all columns; a finding of etcd's age comes with time, whatever else is the case.
WIDE = {'COLUMNS': '400'}
#: The same on a node where stock Patroni serves.
STOCK = dict(WIDE, PATRONI_ETCD3_COMPAT='off')
NO_AGE = ('--ignore', 'etcd-end-of-life')

PASSWORD = 'sesame-of-etcd'


@pytest.fixture(scope='module')
def new() -> Iterator[EtcdCluster]:
    """Three members of 3.5; every test leaves it as it was."""
    with EtcdCluster(['3.5'] * 3) as cluster:
        yield cluster


def restart(members: Sequence[EtcdMember], *flags: str) -> None:
    """Start members anew with these flags."""
    for member in members:
        member.kill()  # sooner done than SIGTERM, with which they look for a successor
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
    """Its members for the command line."""
    return ','.join(cluster.hosts)


def test_healthy(new: EtcdCluster) -> None:
    """Nothing to say about three members of 3.5."""
    compare('healthy', run('check', '--endpoints', endpoints(new), *NO_AGE, **WIDE), etcd_names(new))


def test_dead_member(new: EtcdCluster) -> None:
    """It is named, and by the member list the one that it is."""
    new.members[2].kill()
    try:
        new.wait_healthy()  # it may have been the leader
        ended = run('check', '--endpoints', endpoints(new), '--timeout', '2', *NO_AGE, **WIDE)
    finally:
        new.members[2].start()
        new.wait_healthy()
    compare('dead-member', ended, etcd_names(new))


def test_quorum_lost(new: EtcdCluster) -> None:
    """Two of three are dead: critical."""
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
    """One member without a gateway is a warning, all of them are critical."""
    members = [new.members[i] for i in which]
    let_lead(new, 0)  # which is seen only where the gateway is on
    restart(members, '--enable-grpc-gateway=false')
    try:
        ended = run('check', '--endpoints', endpoints(new), *NO_AGE, **WIDE)
    finally:
        restart(members)
        new.wait_healthy()
    compare(f'gateway-off-{len(which)}', ended, etcd_names(new))


def test_split_ports(new: EtcdCluster) -> None:
    """The HTTP port is configured, and the member list says another one, which speaks gRPC alone."""
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
        both = [run('check', '--endpoints', endpoints(new), *NO_AGE, **env) for env in (WIDE, STOCK)]
    finally:
        restart([member])
        new.wait_healthy()
    for case, ended in zip(('split-ports', 'split-ports-stock'), both):
        compare(case, ended, dict(etcd_names(new), **{grpc: '127.0.0.1:grpc1'}))


def test_watch(new: EtcdCluster, tmp_path: Path) -> None:
    """One look after the other until SIGINT, which ends it quietly with the status of the last one."""
    argv, environ = program('check', '--endpoints', endpoints(new), '--watch', '0.2', *NO_AGE)
    process = Process(argv, tmp_path / 'log', env=environ)
    try:
        wait_until(lambda: process.log_text().count('OK: 1 info (exit status 0; ') >= 3, 60, 'three looks')
        process.signal(signal.SIGINT)
        assert process.wait(30) and process.exit_code == 0
    finally:
        process.kill()
    assert not re.search('Abort|Traceback|Interrupt', process.log_text())


def configuration(folder: Path, **options: Any) -> str:
    """Write a configuration of Patroni with these options of section etcd3."""
    path = folder / 'patroni.yml'
    path.write_text(yaml.safe_dump({'scope': 'batman', 'name': 'node1', 'etcd3': options}))
    return str(path)


def test_auth(tmp_path: Path) -> None:
    """Without credentials, with the wrong ones and with the right ones, which never show."""
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
    """3.3, 3.4 and 3.5 side by side: the prefix of each, and what stock Patroni would make of it."""
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


def test_mixed_with_3_2() -> None:
    """A member before 3.3 beside newer ones: what can destroy the cluster is critical where stock Patroni serves."""
    with EtcdCluster(['3.2', '3.4', '3.4']) as cluster:
        for case, env in (('mixed-3.2', WIDE), ('mixed-3.2-stock', STOCK)):
            compare(case, run('check', '--endpoints', endpoints(cluster), *NO_AGE, **env), etcd_names(cluster))


def test_tls(tmp_path: Path) -> None:
    """Members that want a certificate: without one, with another authority, and as it should be."""
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
