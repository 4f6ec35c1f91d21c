"""Options of the command line that say how to reach a cluster, without a configuration of Patroni."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import trustme

from lab.etcd import EtcdCluster, b64
from lab.ports import free_port
from tests.check.command import Ended, run

PASSWORD = 'sesame-of-etcd'


def found(ended: Ended) -> tuple[list[str], dict[str, Any]]:
    """Return identifiers of warnings and worse, and the document."""
    document = json.loads(ended.out)
    return [each['id'] for each in document['findings'] if each['severity'] != 'info'], document


def test_certificates(tmp_path: Path) -> None:
    """--cacert, --cert and --key reach members that require a client certificate; without a scheme it is https."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / 'ca.pem'))
    for name in ('server', 'client'):
        leaf = authority.issue_cert('127.0.0.1', 'localhost', common_name=name)
        leaf.cert_chain_pems[0].write_to_path(str(tmp_path / (name + '.pem')))
        leaf.private_key_pem.write_to_path(str(tmp_path / (name + '.key')))
    with EtcdCluster(['3.5']) as cluster:
        secure, member = f'127.0.0.1:{free_port()}', cluster.members[0]
        member.kill()
        member.flags = [
            '--listen-client-urls', f'{member.real_url},https://{secure}',
            '--advertise-client-urls', f'https://{secure}',
            '--client-cert-auth', '--trusted-ca-file', str(tmp_path / 'ca.pem'),
            '--cert-file', str(tmp_path / 'server.pem'), '--key-file', str(tmp_path / 'server.key'),
        ]  # fmt: skip
        member.spawn()
        member.serve()
        cluster.wait_healthy()
        args = ('check', '--endpoints', secure, '--cacert', str(tmp_path / 'ca.pem'), '-f', 'json')
        client = ('--cert', str(tmp_path / 'client.pem'), '--key', str(tmp_path / 'client.key'))
        ids, document = found(run(*args, *client))
        assert ids == [] and document['etcd']['endpoints'][0]['url'] == f'https://{secure}'
        assert found(run(*args))[0] != []


def test_user_and_group() -> None:
    """--user logs in, with the password from the environment; --group reads the keys of one Citus group."""
    with EtcdCluster(['3.5'], extra_flags=['--bcrypt-cost', '4']) as cluster:
        for name, value in (
            ('leader', 'node1'),
            ('members/node1', json.dumps({'state': 'running', 'role': 'primary'})),
        ):
            cluster.call(0, 'kv/put', {'key': b64(f'/service/citus/2/{name}'), 'value': b64(value)})
        args: tuple[str, ...] = ('check', 'citus', '--endpoints', cluster.hosts[0], '-f', 'json')
        assert 'group 2: name one with --group' in found(run(*args))[1]['patroni']['error']
        document = found(run(*args, '--group', '2'))[1]
        assert document['patroni']['error'] is None and document['patroni']['leader'] == 'node1'
        cluster.enable_auth('patroni', PASSWORD)
        args = ('check', '--endpoints', cluster.hosts[0], '--only', 'etcd', '-f', 'json')
        assert found(run(*args))[0] != []
        for user, env in (('patroni', {'PATRONI_ETCD3_PASSWORD': PASSWORD}), (f'patroni:{PASSWORD}', {})):
            ended = run(*args, '--user', user, **env)
            assert found(ended)[0] == [] and PASSWORD not in ended.out + ended.err


def test_only_with_etcd_down() -> None:
    """Whatever --only names, the line for Nagios gives the reason if no member of etcd answers."""
    ended = run('check', '--endpoints', f'127.0.0.1:{free_port()}', '--only', 'slot-lost', '-f', 'nagios')
    assert ended.status == 3
    assert ended.out.startswith(
        'PATRONI-ETCD3 UNKNOWN - 1 etcd URL, none answers: cannot connect: Connection refused | '
    )
