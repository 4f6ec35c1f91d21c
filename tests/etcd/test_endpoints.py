"""Other ways to reach the members than plain hosts, and advertised URLs that lead nowhere."""

from __future__ import annotations

import functools
import logging
import re
import socket
import threading
from pathlib import Path
from typing import Any, Callable

import pytest
import trustme
from patroni.dcs import etcd as patroni_etcd
from pytest_httpserver import HTTPServer

from lab import packages
from lab.etcd import request
from lab.ports import free_port
from lab.processes import wait_until

MIXED = ['3.3', '3.4', '3.5']


def advertise(member: Any, *urls: str, flags: tuple[str, ...] = ()) -> None:
    """Restart a member that listens on additional URLs and advertises only those."""
    member.flags = [
        '--listen-client-urls',
        ','.join((member.real_url,) + urls),
        '--advertise-client-urls',
        ','.join(urls),
        *flags,
    ]
    member.restart()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings of this package."""
    return [r.getMessage() for r in caplog.records if 'etcd3_compat' in r.name and r.levelno >= logging.WARNING]


def uses(dcs: Any, urls: list[str]) -> bool:
    """Return whether a client would use these members and no others."""
    return sorted(dcs.client.machines_cache) == sorted(urls)


def use_all(dcs: Any, loops: int = 2) -> None:
    """Run HA loops through each of the members that the client would use."""
    for url in list(dcs.client.machines_cache):
        dcs.use(url)
        for _ in range(loops):
            assert dcs.loop()


@pytest.mark.gateway_only(reason='gRPC uses such URLs, see test_grpc_calls')
@pytest.mark.parametrize('split', [(0, 1, 2), (2,)], ids=['all', 'one'])
def test_grpc_port_split_off(
    start: Callable[..., Any], connect: Callable[..., Any], caplog: pytest.LogCaptureFixture, split: tuple[int, ...]
) -> None:
    """With the HTTP ports configured and no ``use_proxies``, each URL that speaks only gRPC causes one warning."""
    if '3.5.30' not in packages.etcd_binaries():
        pytest.fail('etcd 3.5.30, which can split its ports, is not at hand')
    cluster = start(['3.5.30'] * 3)
    bad = []
    for number in split:
        member = cluster.members[number]
        bad.append(f'http://127.0.0.1:{free_port()}')
        member.flags = [
            '--listen-client-http-urls',
            member.real_url,
            '--listen-client-urls',
            bad[-1],
            '--advertise-client-urls',
            bad[-1],
        ]
        member.restart()
    cluster.wait_healthy(30)
    for number in range(5):  # the order of the members is random
        caplog.clear()
        dcs = connect(cluster.hosts, name=f'n{number}', scope=f's{number}', transport='gateway')
        assert dcs.acquire() and dcs.loop()
        wait_until(functools.partial(uses, dcs, cluster.urls), 5, 'the bad URLs to be left')
        use_all(dcs)
        dcs.client._machines_cache_updated = 0  # the member list is due
        assert dcs.loop()
        assert sorted(dcs.client.machines_cache) == sorted(cluster.urls)
        found = warnings(caplog)
        assert len(found) == len(bad)
        for url in bad:
            (text,) = [line for line in found if url + ',' in line]
            assert 'cannot be used: no HTTP/1.1 there (a port for gRPC alone?)' in text


@pytest.mark.gateway_only(reason='gRPC uses such URLs, see test_grpc_calls')
def test_ports_split_under_a_running_client(
    start: Callable[..., Any], connect: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A new gRPC-only URL in the member list is recognised outside the HA loop and not used."""
    cluster = start(['3.5.30'] * 3)
    dcs = connect(cluster.hosts, transport='gateway')
    assert dcs.acquire() and dcs.loop()
    member, bad = cluster.members[1], f'http://127.0.0.1:{free_port()}'
    member.flags = [
        '--listen-client-http-urls',
        member.real_url,
        '--listen-client-urls',
        bad,
        '--advertise-client-urls',
        bad,
    ]
    member.restart()
    cluster.wait_healthy(30)
    wait_until(dcs.loop, 10, 'the client to go on')
    dcs.client._machines_cache_updated = 0
    assert dcs.loop()
    wait_until(lambda: bad not in dcs.client.machines_cache, 10, 'the URL to be left')
    for _ in range(3):
        assert dcs.loop()
    assert len(warnings(caplog)) == 1


def test_wrong_scheme_advertised(
    start: Callable[..., Any], connect: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A member that advertises https but speaks http is reached through its configured host."""
    cluster = start(MIXED)
    member = cluster.members[1]
    wrong = member.url.replace('http:', 'https:')
    member.flags = ['--advertise-client-urls', wrong]
    member.restart()
    dcs = connect(cluster.hosts)
    assert dcs.acquire() and dcs.loop()
    wait_until(lambda: sorted(dcs.client.machines_cache) == sorted(cluster.urls), 5, 'the wrong URL to be left')
    (text,) = warnings(caplog)
    assert wrong in text and ('no TLS there' in text or 'a port without TLS?' in text)


def test_loopback_advertised_by_another_machine(
    start: Callable[..., Any],
    connect: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The configured names are kept if the members behind them advertise loopback URLs."""
    resolve = patroni_etcd.DnsCachingResolver._do_resolve
    monkeypatch.setattr(
        patroni_etcd.DnsCachingResolver,
        '_do_resolve',
        staticmethod(lambda host, port: resolve('127.0.0.1' if host.endswith('.example') else host, port)),
    )
    cluster = start(MIXED)
    names = [f'etcd{i}.example:{host.split(":")[1]}' for i, host in enumerate(cluster.hosts)]
    dcs = connect(names)
    assert dcs.acquire() and dcs.loop()
    assert sorted(dcs.client.machines_cache) == sorted('http://' + name for name in names)
    found = warnings(caplog)
    assert len(found) == 3 and all('a loopback address, learned from http://etcd' in text for text in found)


def test_member_that_is_down_is_not_judged(
    start: Callable[..., Any], connect: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A member that is only advertised and down at the start stays in the list, and is used once it is up."""
    cluster = start(['3.4', '3.4', '3.5'])
    cluster.members[2].kill()
    dcs = connect(cluster.hosts[:1])
    assert dcs.acquire() and dcs.loop()
    assert cluster.urls[2] in dcs.client.machines_cache and not warnings(caplog)
    cluster.members[2].start()
    use_all(dcs)


@pytest.mark.parametrize('option', ['use_proxies', 'proxy', 'url', 'host', 'srv', 'hosts'])
def test_ways_to_name_the_members(
    start: Callable[..., Any], connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    """All of Patroni's options to name the members work in a mixed cluster."""
    cluster = start(MIXED)
    hosts: Any = None
    options: dict[str, Any] = {}
    if option == 'use_proxies':
        hosts, options = cluster.hosts, {'use_proxies': True}
    elif option in ('proxy', 'url'):
        options = {option: cluster.urls[0]}
    elif option == 'host':
        options = {'host': cluster.hosts[2]}
    elif option == 'hosts':
        hosts = ','.join(cluster.hosts)
    else:
        records = [('127.0.0.1', int(host.split(':')[1])) for host in cluster.hosts]
        monkeypatch.setattr(
            patroni_etcd.AbstractEtcdClientWithFailover,
            'get_srv_record',
            staticmethod(lambda name: records if name == '_etcd-client._tcp.example.org' else []),
        )
        options = {'srv': 'example.org'}
    dcs = connect(hosts, **options)
    assert dcs.acquire()
    use_all(dcs)
    expected = cluster.urls[:1] if option == 'proxy' else cluster.urls
    assert sorted(dcs.client.machines_cache) == sorted(expected)


def has_ipv6() -> bool:
    """Return whether this machine has the IPv6 loopback address."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(('::1', 0))
        return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason='this machine has no IPv6 loopback address')
def test_ipv6(start: Callable[..., Any], connect: Callable[..., Any]) -> None:
    """IPv6 hosts in brackets work."""
    cluster = start(MIXED)
    urls = []
    for member in cluster.members:
        urls.append(f'http://[::1]:{free_port()}')
        advertise(member, urls[-1])
    dcs = connect([url[len('http://') :] for url in urls])
    assert dcs.acquire()
    assert sorted(dcs.client.machines_cache) == sorted(urls)
    use_all(dcs)


def certificates(folder: Path, client_name: str | None = 'client') -> tuple[tuple[str, ...], dict[str, str]]:
    """Make an authority with a certificate for servers and one for a client.

    :returns: flags for etcd, which wants a certificate of its clients, and options of the section.
    """
    authority = certificates.authority = trustme.CA()  # type: ignore[attr-defined]
    authority.cert_pem.write_to_path(str(folder / 'ca.pem'))
    for name, common_name in (('server', 'server'), ('client', client_name)):
        leaf = authority.issue_cert('127.0.0.1', 'localhost', common_name=common_name)
        leaf.cert_chain_pems[0].write_to_path(str(folder / (name + '.pem')))
        leaf.private_key_pem.write_to_path(str(folder / (name + '.key')))
    flags = (
        '--cert-file',
        str(folder / 'server.pem'),
        '--key-file',
        str(folder / 'server.key'),
        '--client-cert-auth',
        '--trusted-ca-file',
        str(folder / 'ca.pem'),
    )
    return flags, {
        'protocol': 'https',
        'cacert': str(folder / 'ca.pem'),
        'cert': str(folder / 'client.pem'),
        'key': str(folder / 'client.key'),
    }


def over_tls(start: Callable[..., Any], connect: Callable[..., Any], folder: Path) -> tuple[Any, list[str], Any]:
    """Start a mixed cluster over TLS, with a client that has the required certificate; return the URLs, too."""
    flags, options = certificates(folder)
    cluster = start(MIXED)
    urls = []
    for member in cluster.members:
        urls.append(f'https://127.0.0.1:{free_port()}')
        advertise(member, urls[-1], flags=flags)
    dcs = connect([url[len('https://') :] for url in urls], **options)
    return cluster, urls, dcs


def test_tls_with_client_certificates(start: Callable[..., Any], connect: Callable[..., Any], tmp_path: Path) -> None:
    """Members that require a client certificate can be used; the authority is created here."""
    cluster, urls, dcs = over_tls(start, connect, tmp_path)
    assert dcs.acquire()
    assert sorted(dcs.client.machines_cache) == sorted(urls)
    use_all(dcs)
    cluster.members[0].kill()
    assert dcs.update_leader() and dcs.loop()


def test_member_with_a_certificate_for_another_name(
    start: Callable[..., Any], connect: Callable[..., Any], tmp_path: Path
) -> None:
    """If the member in use returns with such a certificate, the others are used, with both lines of urllib3."""
    cluster, urls, dcs = over_tls(start, connect, tmp_path)
    assert dcs.acquire() and dcs.loop()
    number = urls.index(dcs.client._base_uri)
    leaf = certificates.authority.issue_cert('etcd.example.org')  # type: ignore[attr-defined]
    leaf.cert_chain_pems[0].write_to_path(str(tmp_path / 'other.pem'))
    leaf.private_key_pem.write_to_path(str(tmp_path / 'other.key'))
    member = cluster.members[number]
    member.flags = [flag.replace('server.', 'other.') for flag in member.flags]
    member.restart()
    cluster.wait_healthy(30)
    for _ in range(3):
        assert dcs.update_leader()
    wait_until(dcs.loop, 5, 'a good loop')
    assert dcs.client._base_uri != urls[number]


@pytest.mark.parametrize('status, body', [(200, '<html>'), (200, '{"status": "ok"}'), (404, '404 page not found')])
def test_somebody_else_at_the_advertised_url(
    start: Callable[..., Any], connect: Callable[..., Any], httpserver: HTTPServer, status: int, body: str
) -> None:
    """If an advertised URL leads to another HTTP server, the configured host is used from the start."""
    httpserver.expect_request(re.compile('.*')).respond_with_data(body, status)
    cluster = start(['3.5'])
    url = httpserver.url_for('')[:-1].replace('localhost', '127.0.0.1')
    cluster.members[0].flags = ['--advertise-client-urls', url]
    cluster.members[0].restart()
    cluster.wait_healthy(30)
    dcs = connect(cluster.hosts)
    assert dcs.acquire()
    for _ in range(3):
        assert dcs.loop()
    assert dcs.client.machines_cache[0] == cluster.urls[0]


def refuses_common_name(start: Callable[..., Any], folder: Path, version: str) -> tuple[Any, str, dict[str, str]]:
    """Start a member with authentication over TLS, and return the cluster, its URL, and a client's options for TLS.

    The certificate has a CommonName, which the member's gateway refuses.
    """
    cluster = start([version], auth=('root', 'secret'))
    flags, options = certificates(folder)
    url = f'https://127.0.0.1:{free_port()}'
    advertise(cluster.members[0], url, flags=flags)
    return cluster, url, options


@pytest.mark.gateway_only(reason='gRPC takes such a certificate, see test_grpc_calls')
@pytest.mark.parametrize('version', ['3.4', '3.5', '3.6'])
def test_common_name_is_refused_by_the_gateway(
    start: Callable[..., Any],
    connect: Callable[..., Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    version: str,
) -> None:
    """With authentication on, etcd's refusal of a certificate with a CommonName is logged whole (Patroni #3071)."""
    cluster, url, options = refuses_common_name(start, tmp_path, version)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr('time.sleep', raise_interrupt)  # Patroni waits for etcd forever
        with pytest.raises(InterruptedError):
            connect([url[len('https://') :]], username='root', password='secret', transport='gateway', **options)
    assert 'CommonNameRefused' in caplog.text
    assert 'CommonName of client sending a request against gateway' in caplog.text
    assert 'Use a certificate without a CommonName' in caplog.text and 'secret' not in caplog.text
    flags, options = certificates(tmp_path, client_name=None)
    member = cluster.members[0]
    member.flags = ['--listen-client-urls', ','.join((member.real_url, url)), '--advertise-client-urls', url, *flags]
    member.restart()
    dcs = connect([url[len('https://') :]], username='root', password='secret', **options)
    assert dcs.acquire() and dcs.loop()


@pytest.mark.gateway_only(reason='etcd does not compare its --host-whitelist with what gRPC names')
@pytest.mark.parametrize('version', ['3.4', '3.5', '3.6'])
def test_host_that_etcd_does_not_permit(
    start: Callable[..., Any], connect: Callable[..., Any], caplog: pytest.LogCaptureFixture, version: str
) -> None:
    """The refusal of ``--host-whitelist`` is logged whole, with the remedy (etcd #16667)."""
    cluster = start([version])
    member = cluster.members[0]
    member.flags = ['--host-whitelist', 'etcd.example.org']
    member.stop()
    member.spawn()
    wait_until(lambda: 'unrecognized' in str(request(member.url, 'GET', '/version')), 20, 'the member to be up')
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr('time.sleep', raise_interrupt)
        with pytest.raises(InterruptedError):
            connect(cluster.hosts)
    assert 'HostRefused' in caplog.text and 'e.g. etcd --host-whitelist' in caplog.text
    assert 'DNS Rebinding' in caplog.text and 'Add it to --host-whitelist' in caplog.text


def raise_interrupt(seconds: float) -> None:
    """End an endless wait, and only that: Patroni waits five seconds at a time when it waits for etcd."""
    if seconds >= 5:
        raise InterruptedError
    threading.Event().wait(seconds)
