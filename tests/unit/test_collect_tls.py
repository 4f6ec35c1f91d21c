"""Certificates in files and of servers, and what keeps a TLS connection from being made, with a real TLS server."""

from __future__ import annotations

import contextlib
import datetime
import inspect
import socket
import ssl
import threading
from pathlib import Path
from typing import Any, Iterator

import pytest
import trustme

from patroni_etcd3_compat.check.collect import Settings
from patroni_etcd3_compat.check.collect.certificates import read_certificate, read_files
from patroni_etcd3_compat.check.collect.interview import Interview
from patroni_etcd3_compat.check.collect.rest_api import RestApi, add_status
from patroni_etcd3_compat.check.collect.web import Web
from patroni_etcd3_compat.check.facts import EtcdEndpoint, PatroniMember

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
DAY = datetime.timedelta(days=1)
SOON = NOW + 5 * DAY

ANSWER = b'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'


class Files:
    """Certificates in a folder.

    :param folder: for the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority, self.stranger = trustme.CA(organization_name='lab'), trustme.CA(organization_name='stranger')
        self.ca, self.other_ca = self._path('ca.pem'), self._path('other-ca.pem')
        self.authority.cert_pem.write_to_path(self.ca)
        self.stranger.cert_pem.write_to_path(self.other_ca)

    def _path(self, name: str) -> str:
        return str(self._folder / name)

    def issue(
        self, name: str, host: str = '127.0.0.1', expires: datetime.datetime = SOON, stranger: bool = False
    ) -> tuple[str, str]:
        """Return the paths of a certificate and its key."""
        authority = self.stranger if stranger else self.authority
        begins: dict[str, Any] = {}
        if 'not_before' in inspect.signature(authority.issue_cert).parameters:
            begins['not_before'] = NOW - 10 * DAY
        elif expires < NOW:
            pytest.skip('trustme before 1.2, the last for Python 3.8, makes no certificate of the past')
        leaf = authority.issue_cert(host, not_after=expires, **begins)
        cert, key = self._path(name + '.pem'), self._path(name + '.key')
        leaf.cert_chain_pems[0].write_to_path(cert)
        leaf.private_key_pem.write_to_path(key)
        return cert, key


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A folder with two authorities."""
    return Files(tmp_path)


@contextlib.contextmanager
def server(
    pair: tuple[str, str], client_ca: str | None = None, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> Iterator[str]:
    """Run a TLS server that knows nothing of etcd, and yield its URL.

    :param client_ca: authority of the client certificates that it requires.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = newest
    context.load_cert_chain(*pair)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    with socket.create_server(('127.0.0.1', 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    return
                with contextlib.suppress(OSError), connection:
                    connection.settimeout(5)
                    with context.wrap_socket(connection, server_side=True) as wrapped:
                        if wrapped.recv(65536):
                            wrapped.sendall(ANSWER)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f'https://127.0.0.1:{listener.getsockname()[1]}'
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def ask(url: str, ca: str | None, cert: tuple[str, str] | None = None) -> EtcdEndpoint:
    """Return what is known of the member at a URL."""
    options: dict[str, object] = {'ca_certs': ca, 'cert_reqs': 'CERT_REQUIRED'} if ca else {}
    options.update(dict(zip(('cert_file', 'key_file'), cert)) if cert else {})
    settings = Settings([url], timeout=5, tls=options)
    settings.tls_files = read_files(settings.tls)
    return Interview(EtcdEndpoint(url, True, tls=True), settings, Web(settings.tls)).run().member


def test_no_fault(files: Files) -> None:
    """A server that answers has no fault of TLS, whatever else is wrong with it."""
    with server(files.issue('server')) as url:
        member = ask(url, files.ca)
    assert member.tls_fault is None and member.error and 'not an etcd member' in member.error


def test_unknown_authority(files: Files) -> None:
    """The text names who issued the server's certificate; its end is known all the same."""
    with server(files.issue('server')) as url:
        member = ask(url, files.other_ca)
    assert member.tls_fault == 'unknown-authority' and "issued by 'lab'" in str(member.error)
    assert member.certificate_expires == SOON.isoformat()


def test_expired(files: Files) -> None:
    """The text has the day on which the certificate expired."""
    ended = NOW - 2 * DAY
    with server(files.issue('server', expires=ended)) as url:
        member = ask(url, files.ca)
    assert member.tls_fault == 'expired'
    assert member.error == f"TLS: the server's certificate expired on {ended.date()}"


def test_name(files: Files) -> None:
    """The text has the names that the certificate is valid for."""
    with server(files.issue('server', host='etcd.example.com')) as url:
        member = ask(url, files.ca)
    assert member.tls_fault == 'name'
    assert member.error == "TLS: the server's certificate is not valid for 127.0.0.1, only for etcd.example.com"


@pytest.mark.parametrize(
    'version, wanted', [(ssl.TLSVersion.TLSv1_2, None), (ssl.TLSVersion.TLSv1_3, 'certificate-wanted')]
)
def test_client_certificates(files: Files, version: ssl.TLSVersion, wanted: str | None) -> None:
    """One that is missing is told from one that is refused, and why. With TLS 1.2 OpenSSL does not say that it is."""
    with server(files.issue('server'), files.ca, version) as url:
        missing = ask(url, files.ca)
        strange = ask(url, files.ca, files.issue('client', stranger=True))
        expired = ask(url, files.ca, files.issue('client', expires=NOW - DAY))
        right = ask(url, files.ca, files.issue('client'))
    assert missing.tls_fault == wanted
    assert (strange.tls_fault, expired.tls_fault, right.tls_fault) == ('certificate-refused',) * 2 + (None,)
    assert 'unknown authority' in str(strange.error) and 'expired' in str(expired.error)


def test_files(files: Files, tmp_path: Path) -> None:
    """Each fault of a file is named with the option and the path, and the text says that in the member as well."""
    cert, key = files.issue('client')
    other = files.issue('other')[1]
    empty, gone = tmp_path / 'empty.pem', tmp_path / 'gone.pem'
    empty.write_text('nothing')
    assert [
        (file.option, file.error) for file in read_files({'ca_certs': files.ca, 'cert_file': cert, 'key_file': key})
    ] == [('cacert', None), ('cert', None), ('key', None)]
    for options, errors in (
        ({'ca_certs': str(gone)}, {'cacert': 'no such file or directory'}),
        ({'ca_certs': str(tmp_path)}, {'cacert': 'is a directory'}),
        ({'ca_certs': str(empty)}, {'cacert': 'holds no certificate'}),
        ({'cert_file': cert, 'key_file': other}, {'key': f'does not belong to the certificate in {cert}'}),
        ({'cert_file': cert, 'key_file': str(empty)}, {'key': 'holds no private key'}),
        ({'cert_file': cert}, {'cert': 'holds no private key, and the option key is not set'}),
    ):
        assert {file.option: file.error for file in read_files(options) if file.error} == errors
    with server(files.issue('server')) as url:
        member = ask(url, files.ca, (cert, other))
    assert member.tls_fault == 'files'
    assert member.error == f'TLS: key {other}: does not belong to the certificate in {cert}'


def test_end_of_files(files: Files, tmp_path: Path) -> None:
    """Each certificate of a chain is needed; one of several authorities is enough."""
    cert, key = files.issue('client')
    old = Path(files.issue('old', expires=NOW - DAY)[0])
    both = tmp_path / 'both.pem'
    both.write_text(Path(cert).read_text() + old.read_text())
    (cacert,) = read_files({'ca_certs': str(both)})
    chain, _ = read_files({'cert_file': str(both), 'key_file': key})
    assert cacert.expires == SOON.isoformat() and chain.expires == (NOW - DAY).isoformat()


def test_certificates_that_are_none() -> None:
    """What cannot be read is unknown."""
    for data in (b'', b'\x30', b'\x30\x84\xff\xff\xff\xff', b'\x30\x03\x02\x01\x01', bytes(300)):
        assert read_certificate(data) is None


def test_rest_api(files: Files) -> None:
    """What TLS fails at is a fact of the member, with the end of the certificate."""
    ctl: dict[str, str] = {'cacert': files.ca}
    with server(files.issue('server'), files.ca) as url:
        api = RestApi(Settings([], timeout=5, rest={'ctl': ctl}))
        status = api.status(url, 'lab')
        assert (status['tls_fault'], status['certificate_expires']) == ('certificate-wanted', SOON.isoformat())
        ctl['certfile'], ctl['keyfile'] = files.issue('client', stranger=True)
        status = RestApi(Settings([], timeout=5, rest={'ctl': ctl})).status(url, 'lab')
        assert status['tls_fault'] == 'certificate-refused'
        ctl['certfile'], ctl['keyfile'] = files.issue('client')
        assert 'tls_fault' not in RestApi(Settings([], timeout=5, rest={'ctl': ctl})).status(url, 'lab')
    with server(files.issue('server')) as url:
        status = RestApi(Settings([], timeout=5, rest={'ctl': {'cacert': files.other_ca}})).status(url, 'lab')
    assert status['tls_fault'] == 'unknown-authority'
    member = PatroniMember('node1')
    add_status(member, status)
    assert (member.tls_fault, member.certificate_expires) == ('unknown-authority', SOON.isoformat())
    assert member.error and member.error.startswith('TLS: ')
