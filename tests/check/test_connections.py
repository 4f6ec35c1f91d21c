"""The way to real etcd: schemes, certificates, and refusals of whoever asks."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any, Iterator

import pytest
import trustme
import yaml

from lab.etcd import EtcdCluster, b64
from lab.ports import free_port
from tests.check.command import run

NOW = datetime.datetime.now(datetime.timezone.utc)


class Secure:
    """A member of etcd that serves https beside the http of the lab.

    :param folder: for certificates and configurations.
    :param cluster: of one member.
    """

    def __init__(self, folder: Path, cluster: EtcdCluster) -> None:
        self.folder, self.cluster = folder, cluster
        self.address = f'127.0.0.1:{free_port()}'
        self.authority, self.stranger = trustme.CA(), trustme.CA()
        for name, authority in (('ca', self.authority), ('stranger', self.stranger)):
            authority.cert_pem.write_to_path(self.path(name + '.pem'))
        self.issue('server')
        self.issue('client')

    def path(self, name: str) -> str:
        """Return the path of a file."""
        return str(self.folder / name)

    def issue(
        self, name: str, *hosts: str, days: float = 400, stranger: bool = False, common_name: str | None = None
    ) -> None:
        """Write a certificate and its key; etcd reads its own anew at each connection."""
        authority = self.stranger if stranger else self.authority
        leaf = authority.issue_cert(
            *(hosts or ('127.0.0.1',)),
            common_name=common_name,
            not_before=NOW - datetime.timedelta(days=30),
            not_after=NOW + datetime.timedelta(days=days),
        )
        leaf.cert_chain_pems[0].write_to_path(self.path(name + '.pem'))
        leaf.private_key_pem.write_to_path(self.path(name + '.key'))

    def restart(self, *flags: str) -> None:
        """Restart the member with these flags and those for https."""
        member = self.cluster.members[0]
        member.kill()
        urls = f'{member.real_url},https://{self.address}'
        member.flags = ['--listen-client-urls', urls, '--advertise-client-urls', 'https://' + self.address]
        member.flags += ['--cert-file', self.path('server.pem'), '--key-file', self.path('server.key'), *flags]
        member.start()
        self.cluster.wait_healthy()

    def check(self, **options: Any) -> tuple[dict[str, dict[str, str]], int, str]:
        """Return the findings by identifier, the exit status and the output for people."""
        path = self.folder / 'patroni.yml'
        path.write_text(yaml.safe_dump({'scope': 'lab', 'name': 'node1', 'etcd3': {'hosts': self.address, **options}}))
        ended = run('check', '-c', str(path), '-f', 'json')
        shown = run('check', '-c', str(path), '--ignore', 'etcd-end-of-life')
        return {each['id']: each for each in json.loads(ended.out)['findings']}, ended.status, shown.out


@pytest.fixture(scope='module')
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    """A member of 3.5; each test restarts it."""
    with EtcdCluster(['3.5']) as cluster:
        yield Secure(tmp_path_factory.mktemp('tls'), cluster)


def test_schemes(secure: Secure) -> None:
    """http where https is spoken, and the other way round: the option by its name."""
    secure.restart()
    for options in ({}, {'protocol': 'http'}):
        findings, status, _ = secure.check(**options)
        assert status == 2 and 'set protocol: https in section etcd3' in findings['etcd-wrong-scheme']['remedy']
        assert 'etcd-configured-unusable' not in findings and 'etcd-unreachable' not in findings
    plain = secure.cluster.members[0].real_url.partition('//')[2]
    findings, status, _ = secure.check(hosts=plain, protocol='https')
    assert status == 2 and 'set protocol: http in section etcd3' in findings['etcd-wrong-scheme']['remedy']
    path = secure.folder / 'patroni.yml'
    for options, words in (
        ({'hosts': 'https://' + secure.address}, 'write host:port there, and protocol: https as an option of its own'),
        ({'hosts': secure.address, 'protocol': ''}, 'protocol in section etcd3'),
    ):
        path.write_text(yaml.safe_dump({'scope': 'lab', 'etcd3': options}))
        ended = run('check', '-c', str(path))
        assert ended.status == 3 and words in ended.err


def test_seven_faults(secure: Secure) -> None:
    """Each fault of TLS is told from the others, with the option, the file and what is wrong."""
    secure.restart('--client-cert-auth', '--trusted-ca-file', secure.path('ca.pem'))
    secure.issue('foreign', stranger=True)
    secure.issue('old', days=-1)
    own = {
        'protocol': 'https',
        'cacert': secure.path('ca.pem'),
        'cert': secure.path('client.pem'),
        'key': secure.path('client.key'),
    }
    assert not {'etcd-tls', 'etcd-certificate-expires'} & set(secure.check(**own)[0])

    def fault(*words: str, without: tuple[str, ...] = (), **options: str) -> None:
        section = {name: value for name, value in dict(own, **options).items() if name not in without}
        findings, status, shown = secure.check(**section)
        finding = findings['etcd-tls']
        text = f'{finding["seen"]} {finding["remedy"]}'
        assert all(word in text for word in words), text
        assert status == 2 and finding['severity'] == 'critical' and 'CRITICAL etcd-tls' in shown
        assert not {'etcd-unreachable', 'etcd-unknown', 'etcd-hosts-differ'} & set(findings)

    fault('its authority is unknown here', f'into {secure.path("stranger.pem")}', cacert=secure.path('stranger.pem'))
    fault('requires a client certificate', 'set cert and key in section etcd3', without=('cert', 'key'))
    refused = f'have cert in section etcd3 ({secure.path("foreign.pem")}'
    fault('refuses', refused, cert=secure.path('foreign.pem'), key=secure.path('foreign.key'))
    fault(
        'refuses',
        f'renew cert in section etcd3 ({secure.path("old.pem")}), which expired',
        cert=secure.path('old.pem'),
        key=secure.path('old.key'),
    )
    fault(f'key {secure.path("old.key")}: does not belong to the certificate in', key=secure.path('old.key'))
    fault(f'cacert {secure.path("gone.pem")}: no such file', 'correct cacert', cacert=secure.path('gone.pem'))
    try:
        secure.issue('server', days=-2)
        fault("the server's certificate expired on", '--cert-file')
        secure.issue('server', days=2.5)
        findings, status, _ = secure.check(**own)
        assert status == 2 and 'in 2 days' in findings['etcd-certificate-expires']['seen']
        secure.issue('server', 'etcd.example.com')
        fault('not valid for 127.0.0.1, only for etcd.example.com', 'hosts in section etcd3')
    finally:
        secure.issue('server')


def test_host_whitelist(secure: Secure) -> None:
    """A host name that etcd does not permit is not "no etcd member": the option is named."""
    secure.restart('--host-whitelist', '127.0.0.1')
    plain = secure.cluster.members[0].real_url.rpartition(':')[2]
    findings, status, _ = secure.check(hosts=f'localhost:{plain}')
    assert status == 2 and '--host-whitelist' in findings['etcd-host-whitelist']['remedy']
    assert not {'etcd-unreachable', 'etcd-unknown', 'etcd-configured-unusable'} & set(findings)
    assert 'etcd-host-whitelist' not in secure.check(hosts=f'127.0.0.1:{plain}')[0]


def test_common_name(secure: Secure, request: pytest.FixtureRequest) -> None:
    """The gateway refuses a certificate with a CommonName while authentication is on; one without it is taken."""
    secure.restart('--client-cert-auth', '--trusted-ca-file', secure.path('ca.pem'), '--bcrypt-cost', '4')
    secure.issue('named', common_name='patroni')
    own = {'protocol': 'https', 'cacert': secure.path('ca.pem'), 'username': 'patroni', 'password': 'sesame-of-etcd'}
    secure.cluster.enable_auth('patroni', 'sesame-of-etcd')
    request.addfinalizer(secure.cluster.disable_auth)
    findings, status, shown = secure.check(cert=secure.path('named.pem'), key=secure.path('named.key'), **own)
    assert status == 2 and 'certificate without a CommonName' in findings['etcd-common-name']['remedy']
    assert secure.path('named.pem') in findings['etcd-common-name']['seen'] and 'sesame' not in shown
    assert 'etcd-unknown' not in findings
    findings, _, _ = secure.check(cert=secure.path('client.pem'), key=secure.path('client.key'), **own)
    assert not {'etcd-common-name', 'etcd-tls', 'etcd-login-failed', 'etcd-permission-denied'} & set(findings)


def test_permission_denied(secure: Secure) -> None:
    """A user whose role has other keys: the role and the command that grants these."""
    secure.restart('--bcrypt-cost', '4')
    cluster, password = secure.cluster, 'sesame-of-etcd'
    cluster.call(0, 'auth/role/add', {'name': 'dba'})
    others = {'permType': 'READWRITE', 'key': b64('/other/'), 'range_end': b64('/other0')}
    cluster.call(0, 'auth/role/grant', {'name': 'dba', 'perm': others})
    cluster.call(0, 'auth/user/add', {'name': 'limited', 'password': password})
    cluster.call(0, 'auth/user/grant', {'user': 'limited', 'role': 'dba'})
    cluster.enable_auth('patroni', password)
    try:
        own = {'protocol': 'https', 'cacert': secure.path('ca.pem'), 'username': 'limited', 'password': password}
        findings, status, shown = secure.check(**own)
        grant = 'etcdctl role grant-permission dba --prefix=true readwrite /service/'
        assert status == 2 and findings['etcd-permission-denied']['remedy'].startswith(grant)
        assert 'etcd-unknown' not in findings and 'sesame' not in shown
    finally:
        cluster.disable_auth()


def test_wrong_scope(secure: Secure) -> None:
    """The scopes that there are below the namespace are named."""
    secure.restart()
    secure.cluster.call(0, 'kv/put', {'key': b64('/service/other/config'), 'value': b64('{}')})
    try:
        findings, status, _ = secure.check(protocol='https', cacert=secure.path('ca.pem'))
    finally:
        secure.cluster.call(0, 'kv/deleterange', {'key': b64('/service/other/config')})
    assert status == 3
    assert findings['patroni-unknown']['remedy'] == 'correct the scope: below /service/ there is other'
