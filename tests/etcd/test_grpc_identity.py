"""Who a client is over gRPC: a certificate's CommonName, a password, both, and members whose gateway takes no token."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any, Callable

import pytest
import trustme
from patroni.dcs import etcd3

from lab.etcd import b64
from lab.ports import free_port
from lab.processes import wait_until

from .test_endpoints import advertise, certificates, use_all

ROOT = {'username': 'root', 'password': 'secret'}
BOTH = pytest.mark.parametrize('transport', ['auto', 'grpc'])


class Guarded:
    """A member over TLS with authentication, and a user named like the CommonName of the clients' certificate.

    The user may read and write below ``/service/``, and nothing else.

    :param start: the fixture.
    :param folder: for the certificates.
    :param version: of etcd.
    """

    def __init__(self, start: Callable[..., Any], folder: Path, version: str) -> None:
        self.cluster = start([version], auth=('root', 'secret'))
        self.folder = folder
        for rpc, body in (
            ('role/add', {'name': 'patroni'}),
            (
                'role/grant',
                {
                    'name': 'patroni',
                    'perm': {'permType': 'READWRITE', 'key': b64('/service/'), 'range_end': b64('/service0')},
                },
            ),
            ('user/add', {'name': 'client', 'password': 'never used'}),
            ('user/grant', {'user': 'client', 'role': 'patroni'}),
        ):
            answer = self.cluster.call(0, '/auth/' + rpc, body, self.cluster.token(0))
            assert answer[0] == 200, answer
        flags, self.options = certificates(folder)
        self.authority = certificates.authority  # type: ignore[attr-defined]
        self.url = f'https://127.0.0.1:{free_port()}'
        advertise(self.cluster.members[0], self.url, flags=flags)

    @property
    def hosts(self) -> list[str]:
        """For the configuration of clients."""
        return [self.url[len('https://') :]]

    def renew(self, common_name: str = 'client', authority: Any = None) -> None:
        """Replace the clients' certificate, and make the member end all connections."""
        leaf = (authority or self.authority).issue_cert('localhost', common_name=common_name)
        leaf.cert_chain_pems[0].write_to_path(str(self.folder / 'client.pem'))
        leaf.private_key_pem.write_to_path(str(self.folder / 'client.key'))
        self.cluster.members[0].restart()


@pytest.mark.parametrize(
    'version, transport',
    # Over the gateway of 3.3 such a client has no permissions. It does not say that the CommonName is the reason, so
    # auto has nothing to go by.
    [(line, transport) for line in ('3.3', '3.4', '3.5', '3.6', '3.7') for transport in ('auto', 'grpc')][1:],
)
def test_common_name_is_the_user(
    start: Callable[..., Any], connect: Callable[..., Any], tmp_path: Path, version: str, transport: str
) -> None:
    """The certificate takes the place of a password: the user's keys can be written, others are refused."""
    etcd = Guarded(start, tmp_path, version)
    dcs = connect(etcd.hosts, transport=transport, **etcd.options)
    assert dcs.acquire() and dcs.loop() and dcs.loop()
    with pytest.raises(etcd3.PermissionDenied):
        dcs.client.put('/other/x', 'y')
    with pytest.raises(etcd3.PermissionDenied):
        dcs.client.range('/other/x')
    assert dcs.loop()


def test_renewed_certificate(
    start: Callable[..., Any], connect: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A renewed certificate is read without a reload; one that etcd does not trust, or of nobody, is a clear error."""
    etcd = Guarded(start, tmp_path, '3.5')
    dcs = connect(etcd.hosts, transport='grpc', **etcd.options)
    assert dcs.acquire() and dcs.loop()
    etcd.renew()
    wait_until(lambda: _loops(dcs), 20, 'the client to go on')
    etcd.renew(authority=trustme.CA())
    assert not _loops(dcs) and 'unknown ca' in caplog.text
    etcd.renew('somebody else')
    caplog.clear()
    with pytest.raises(etcd3.PermissionDenied):  # what etcd says of a name that is no user's
        dcs.client.put('/service/x', 'y')
    assert not _loops(dcs)
    etcd.renew()
    wait_until(lambda: _loops(dcs), 20, 'the client to go on')


def _loops(dcs: Any) -> bool:
    try:
        return bool(dcs.loop())
    except Exception:
        logging.exception('the loop failed')
        return False


@pytest.mark.parametrize('version', ['3.4', '3.5', '3.6'])
def test_password_beside_a_certificate(
    start: Callable[..., Any], connect: Callable[..., Any], tmp_path: Path, version: str
) -> None:
    """As etcd has it, the password counts and not the certificate."""
    etcd = Guarded(start, tmp_path, version)
    dcs = connect(etcd.hosts, transport='grpc', **ROOT, **etcd.options)
    assert dcs.acquire() and dcs.loop()
    assert dcs.client.put('/other/x', 'y')
    dcs.client._token = 'AAAAAAAAAAAAAAAA.7'
    assert dcs.client.put('/other/x', 'z') and dcs.loop()


@BOTH
def test_members_whose_gateway_takes_no_token(
    start: Callable[..., Any], connect: Callable[..., Any], caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    """With authentication on, members like 3.2 are used over gRPC, each of them and with no warning."""
    cluster = start(['3.2', '3.2', '3.4'], auth=('root', 'secret'))
    dcs = connect(cluster.hosts, transport=transport, **ROOT)
    assert dcs.acquire()
    use_all(dcs)
    assert sorted(dcs.client.machines_cache) == sorted(cluster.urls)
    assert not [r for r in caplog.records if r.levelno == logging.WARNING and 'etcd3_compat' in r.name]
    for member in cluster.members[:2]:
        mine = [r for r in cluster.requests() if r.member == member.name]
        assert [r for r in mine if r.path == '/grpc/kv/put' and r.status == 200]
        since = ', since its gateway takes no token' if transport == 'auto' else ''
        assert re.search(rf'{member.url} \(version .*\): using gRPC{since}\n', caplog.text)
    used = {r.path.split('/')[1] for r in cluster.requests() if r.member == cluster.members[2].name and r.status == 200}
    assert ('grpc' in used) == (transport == 'grpc')


@BOTH
def test_no_gateway_at_all(
    start: Callable[..., Any], connect: Callable[..., Any], caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    """Members whose gateways are off are used as any others, also after a restart."""
    cluster = start(['3.3', '3.4', '3.5'])
    for member in cluster.members:
        member.flags = ['--enable-grpc-gateway=false'] if member.version > '3.4' else []
        member.restart()
    dcs = connect(cluster.hosts, transport=transport)
    assert dcs.acquire()
    use_all(dcs)
    for member in cluster.members:
        dcs.use(member.url)
        assert dcs.loop()
        member.restart()
        assert dcs.update_leader()
        wait_until(dcs.loop, 10, 'the client to go on')
    assert 'using gRPC' in caplog.text
