"""Patroni's calls over gRPC on real members."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Callable

import pytest

from lab import packages
from lab.ports import free_port
from lab.processes import wait_until

from .test_endpoints import refuses_common_name, use_all, warnings


def wait_for_log(caplog: pytest.LogCaptureFixture, text: str) -> None:
    """Wait until *text* is in the log. A prefix is logged with the version, from another thread."""
    wait_until(lambda: text in caplog.text, 5, text)


@pytest.mark.parametrize('version', sorted({version.rsplit('.', 1)[0] for version in packages.etcd_binaries()}))
def test_loops(
    start: Callable[..., Any], connect: Callable[..., Any], caplog: pytest.LogCaptureFixture, version: str
) -> None:
    """The HA loop of a leader runs over gRPC, the watch included, on each release."""
    caplog.set_level(logging.DEBUG)
    cluster = start([version])
    dcs = connect(cluster.hosts, transport='grpc')
    assert dcs.acquire()
    for _ in range(3):
        assert dcs.loop()
    assert not [r for r in caplog.records if cluster.members[0].url in r.getMessage() and '/v3' in r.getMessage()]
    assert 'using gRPC' in caplog.text
    other = connect(cluster.hosts, name='b', scope=dcs.scope, transport='gateway')
    assert other.leader() == 'a' and not other.acquire()
    other.touch(number=1)
    wait_until(lambda: any(m.name == 'b' for m in dcs.dcs.get_cluster().members), 5, 'the watch to tell')


def test_gateway_off(start: Callable[..., Any], connect: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    """With ``auto`` gRPC takes the place of a gateway that is off, and leaves it again when that is back."""
    cluster = start(['3.5'])
    member = cluster.members[0]
    member.flags = ['--enable-grpc-gateway=false']
    member.restart()
    dcs = connect(cluster.hosts, transport='auto')
    assert dcs.acquire() and dcs.loop()
    assert 'using gRPC, since its gateway is off' in caplog.text
    member.flags = []
    member.restart()
    wait_until(dcs.loop, 10, 'the client to go on')
    wait_until(lambda: dcs.loop() and 'using gateway prefix /v3' in caplog.text, 10, 'the gateway')
    assert caplog.text.count('using gRPC') == 1


def test_ports_for_grpc_alone(
    start: Callable[..., Any], connect: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """With ``auto`` the advertised URLs that speak gRPC alone are used, whichever are configured."""
    cluster = start(['3.5.30'] * 3)
    alone = []
    for member in cluster.members:
        alone.append(f'http://127.0.0.1:{free_port()}')
        member.flags = ['--listen-client-http-urls', member.real_url, '--listen-client-urls', alone[-1]]
        member.flags += ['--advertise-client-urls', alone[-1]]
        member.restart()
    cluster.wait_healthy(30)
    for number, hosts in enumerate((cluster.hosts, [url[len('http://') :] for url in alone])):
        caplog.clear()
        dcs = connect(hosts, name=f'n{number}', scope=f's{number}', transport='auto')
        assert dcs.acquire() and dcs.loop()
        assert sorted(dcs.client.machines_cache) == sorted(alone) and not warnings(caplog)
        use_all(dcs)
        assert dcs.loop() and 'using gRPC, since it speaks gRPC alone' in caplog.text
    cluster.members[0].restart()
    wait_until(dcs.loop, 10, 'the client to go on')
    use_all(dcs)
    assert dcs.loop()


@pytest.mark.parametrize('version', ['3.4', '3.5', '3.6'])
def test_common_name(
    start: Callable[..., Any],
    connect: Callable[..., Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    version: str,
) -> None:
    """With ``auto``, gRPC serves a client whose certificate's CommonName the gateway refuses (Patroni #3071)."""
    _, url, options = refuses_common_name(start, tmp_path, version)
    dcs = connect([url[len('https://') :]], username='root', password='secret', transport='auto', **options)
    assert dcs.acquire() and dcs.loop()
    assert "using gRPC, since its gateway refuses the certificate's CommonName" in caplog.text
    assert 'secret' not in caplog.text


def test_password(start: Callable[..., Any], connect: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    """A token is got and renewed over gRPC, and is in no log."""
    cluster = start(['3.5'], auth=('root', 'secret'))
    caplog.set_level(logging.DEBUG)
    dcs = connect(cluster.hosts, username='root', password='secret', transport='grpc')
    assert dcs.acquire() and dcs.loop()
    cluster.members[0].restart()  # simple tokens are lost with the process
    wait_until(dcs.loop, 20, 'the client to go on')
    token = str.__str__(dcs.client.http.token)
    assert token and token not in caplog.text and 'secret' not in caplog.text
    assert not [record for record in caplog.records if record.name.startswith('hpack')]


def test_transport_changes_by_reload(
    start: Callable[..., Any], connect: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A running client goes from one transport to the other and back, and no call fails."""
    cluster = start(['3.5'] * 3)
    dcs = connect(cluster.hosts, transport='gateway')
    assert dcs.acquire() and dcs.loop()
    assert len(dcs.client._transports) == 1  # what gRPC needs is not even made
    for transport in ('grpc', 'auto', 'grpc', 'gateway'):
        section = dict(dcs.config['etcd3'], transport=transport)
        general = {key: dcs.config[key] for key in ('ttl', 'loop_wait', 'retry_timeout')}
        caplog.clear()
        dcs.dcs.reload_config(dict(general, etcd3=section))
        for _ in range(3):
            assert dcs.loop()
        wait_for_log(caplog, 'using gRPC' if transport == 'grpc' else 'using gateway prefix')
        assert not [record for record in caplog.records if record.levelno > logging.INFO and 'watch' not in record.msg]
    dcs.dcs.reload_config(dict(general, etcd3=dict(section, transport='carrier pigeon')))
    assert "transport is 'carrier pigeon', allowed are: auto, gateway, grpc" in caplog.text and dcs.loop()
