"""Calls over gRPC and TLS: certificates that are good, wrong or missing on either side, and servers without HTTP/2."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
from urllib3.exceptions import ProtocolError, ReadTimeoutError, SSLError

from patroni_etcd3_compat.errors import NoHttp2
from tests.unit.grpc_client import KNOWN, SHORT, SLACK, Client
from tests.unit.grpc_server import DOCUMENT, Peer, serving, silent, stalls


class Authority(NamedTuple):
    """An authority, and the file with its certificate."""

    ca: trustme.CA
    file: str

    def client(self, folder: Path) -> dict[str, str]:
        """Return the options for a client with a certificate of this authority."""
        cert = self.ca.issue_cert('patroni')
        cert.private_key_pem.write_to_path(str(folder / 'key.pem'))
        cert.cert_chain_pems[0].write_to_path(str(folder / 'cert.pem'))
        return {'cert_file': str(folder / 'cert.pem'), 'key_file': str(folder / 'key.pem')}


@pytest.fixture(scope='module')
def authorities(tmp_path_factory: pytest.TempPathFactory) -> list[Authority]:
    """The authority of the servers, and another one."""
    ret = []
    for number in range(2):
        ca, path = trustme.CA(), tmp_path_factory.mktemp('ca') / f'{number}.pem'
        ca.cert_pem.write_to_path(str(path))
        ret.append(Authority(ca, str(path)))
    return ret


@pytest.fixture
def good(authorities: list[Authority]) -> Authority:
    """The authority of the servers."""
    return authorities[0]


@pytest.fixture
def other(authorities: list[Authority]) -> Authority:
    """An authority that nobody knows."""
    return authorities[1]


def server_of(authority: Authority, *protocols: str, name: str = '127.0.0.1', wants: bool = False) -> ssl.SSLContext:
    """Make a context for a server.

    :param protocols: what it agrees to.
    :param name: for its certificate.
    :param wants: a certificate of the client.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.ca.issue_cert(name).configure_cert(context)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if wants:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.ca.configure_trust(context)
    return context


def connect(url: str, authority: Authority, **options: Any) -> Client:
    """Return a client that checks the server, as Patroni's does."""
    return Client(url, ca_certs=authority.file, cert_reqs='CERT_REQUIRED', **options)


def test_calls(good: Authority) -> None:
    """Calls and watches go over TLS if the server agrees to HTTP/2."""
    with serving(tls=server_of(good, 'h2', 'http/1.1')) as server:
        client = connect(server.url, good)
        assert client.range() == DOCUMENT == client.range()
        assert client.put(300_000)['header'] == DOCUMENT['header']
    assert server.connections == 1
    assert server.requests[0].headers[':scheme'] == 'https'


def test_closed_while_idle(good: Authority) -> None:
    """A connection that the server closed while it was idle costs no failed call."""

    def script(peer: Peer) -> None:
        peer.send(*peer.answer(peer.request().stream))
        peer.sock.unwrap()

    with serving(*[script] * 3, tls=server_of(good, 'h2')) as server:
        client = connect(server.url, good)
        for _ in range(4):
            assert client.range() == DOCUMENT
            time.sleep(0.05)
    assert server.connections == 4


@pytest.mark.parametrize('protocols', [[], ['http/1.1']], ids=['no ALPN', 'http/1.1'])
def test_without_http_2(good: Authority, protocols: list[str]) -> None:
    """A server that does not agree to HTTP/2 gets no call, and the error names it."""
    with serving(silent, tls=server_of(good, *protocols)) as server:
        with pytest.raises(NoHttp2, match='does not speak HTTP/2') as e:
            connect(server.url, good).range()
    assert server.url in str(e.value) and not server.requests


def test_unknown_authority(good: Authority, other: Authority) -> None:
    """A server whose certificate is from an unknown authority gets no call."""
    with serving(tls=server_of(good, 'h2')) as server:
        with pytest.raises(SSLError, match='(?i)certificate.verify.failed'):
            connect(server.url, other).range()
    assert not server.requests


def test_another_name(good: Authority) -> None:
    """A server whose certificate is for another name gets no call."""
    with serving(tls=server_of(good, 'h2', name='example.org')) as server:
        with pytest.raises(SSLError, match="(?i)mismatch|doesn't match"):
            connect(server.url, good).range()
    assert not server.requests


def test_certificate_of_the_client(good: Authority, tmp_path: Path) -> None:
    """A server that wants a certificate gets it."""
    with serving(tls=server_of(good, 'h2', wants=True)) as server:
        assert connect(server.url, good, **good.client(tmp_path)).range() == DOCUMENT


@pytest.mark.parametrize('kind', ['missing', 'other'])
@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_wrong_certificate_of_the_client(
    good: Authority, other: Authority, tmp_path: Path, kind: str, version: ssl.TLSVersion
) -> None:
    """A certificate that is missing or unknown is an error in which the alert of the server can be read."""
    context = server_of(good, 'h2', wants=True)
    context.maximum_version = version
    with serving(tls=context) as server:
        client = connect(server.url, good, **(other.client(tmp_path) if kind == 'other' else {}))
        with pytest.raises((SSLError, ProtocolError)) as e:
            client.range()
    assert 'alert' in str(e.value).lower(), e.value
    assert not server.requests


def test_file_that_is_missing(good: Authority) -> None:
    """A file that does not exist is a known error that names the cause."""
    with serving(tls=server_of(good, 'h2')) as server:
        for options in ({'cert_file': '/none.pem', 'key_file': '/none.pem'},):
            with pytest.raises(KNOWN, match='No such file'):
                connect(server.url, good, **options).range()


def test_tls_where_there_is_none(good: Authority) -> None:
    """HTTPS to a port without TLS is an error of TLS, and nothing was sent."""

    def script(peer: Peer) -> None:
        peer.sock.recv(100)
        peer.sock.sendall(b'HTTP/1.0 400 Bad Request\r\n\r\nno TLS here, just plain text')

    with serving(script) as server:
        with pytest.raises(SSLError):
            connect(server.url.replace('http:', 'https:'), good).range()


def test_no_tls_where_there_is(good: Authority) -> None:
    """HTTP to a port with TLS is a known error, which says so if the server does."""

    def script(peer: Peer) -> None:
        peer.frame()
        peer.sock.sendall(b'\x15\x03\x01\0\x02\x02\x46')  # an alert: protocol version
        peer.wait_for_end()

    with serving(script) as server:
        with pytest.raises(NoHttp2, match='use https') as e:
            Client(server.url).range()
    assert server.url in str(e.value)
    with serving(tls=server_of(good, 'h2')) as server:
        with pytest.raises(KNOWN):
            Client(server.url.replace('https:', 'http:')).range()


def test_stall_in_the_handshake(good: Authority) -> None:
    """A server that falls silent during the TLS handshake costs the time-out."""
    with serving(silent) as server:
        started = time.monotonic()
        with pytest.raises(ReadTimeoutError):
            connect(server.url.replace('http:', 'https:'), good).range(SHORT)
        assert time.monotonic() - started < SHORT + SLACK


@pytest.mark.parametrize('count', range(4))
def test_stalls(good: Authority, count: int) -> None:
    """A server that falls silent over TLS costs the time-out."""
    with serving(stalls(count, 3), tls=server_of(good, 'h2')) as server:
        started = time.monotonic()
        with pytest.raises(ReadTimeoutError):
            connect(server.url, good).range(SHORT)
        assert time.monotonic() - started < SHORT + SLACK
    assert len(server.requests) == 1
