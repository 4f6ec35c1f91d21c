"""Authentication: tokens that are required, expire, are revoked or cannot be sent, and none of them in a log."""

from __future__ import annotations

import logging
import re
from typing import Any, Callable, Literal

import pytest
from patroni.dcs import etcd3

from lab import packages
from lab.processes import wait_until

USER, PASSWORD = 'root', 'se3ret-pAssw0rd'
CLUSTERS = [['3.4.23'], ['3.5.16'], ['3.5.30'], ['3.3', '3.4', '3.4']]
CLUSTERS = [
    versions for versions in CLUSTERS if all(v in packages.etcd_binaries() or v.count('.') == 1 for v in versions)
]
WHEN: tuple[Literal['setup'], Literal['call']] = ('setup', 'call')
CREDENTIALS: dict[str, Any] = {'username': USER, 'password': PASSWORD}


@pytest.fixture(autouse=True)
def _nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Any:
    """Neither the password nor anything that looks like one of etcd's tokens is logged, not even at level DEBUG."""
    caplog.set_level(logging.DEBUG)
    yield
    text = '\n'.join(str(r.getMessage()) + str(r.exc_text or '') for when in WHEN for r in caplog.get_records(when))
    assert PASSWORD not in text and 'other-pAssw0rd' not in text
    assert not re.search(r'[A-Za-z]{16}\.\d+', text)  # a simple token


def login_again(dcs: Any) -> None:
    """Replace the token with one that etcd does not know."""
    dcs.client._token = 'AAAAAAAAAAAAAAAA.7'


@pytest.mark.parametrize('versions', CLUSTERS, ids='+'.join)
def test_everything_works_with_a_token(
    start: Callable[..., Any], connect: Callable[..., Any], versions: list[str]
) -> None:
    """Start, HA loops and watch work through each member.

    That includes releases that require a token for member list and keepalive.
    """
    cluster = start(versions, auth=(USER, PASSWORD))
    dcs = connect(cluster.hosts, **CREDENTIALS)
    assert dcs.acquire()
    for member in cluster.members:
        dcs.use(member.url)
        assert dcs.loop() and dcs.loop()
        dcs.client._machines_cache_updated = 0  # as after ten times ttl, when the member list is due
        assert dcs.loop()
        dcs.dcs._last_lease_refresh = 0
        assert dcs.loop()


@pytest.mark.parametrize('versions', CLUSTERS, ids='+'.join)
def test_token_that_is_no_longer_good(
    start: Callable[..., Any], connect: Callable[..., Any], versions: list[str]
) -> None:
    """A token that expired, or was lost with its member, is replaced by each call without help."""
    cluster = start(versions, auth=(USER, PASSWORD))
    dcs = connect(cluster.hosts, **CREDENTIALS)
    assert dcs.acquire() and dcs.loop()
    for call in (dcs.update_leader, lambda: dcs.touch(x=1), dcs.loop, lambda: dcs.dcs.set_config_value('{}')):
        login_again(dcs)
        assert call()
    dcs.dcs.set_ttl(40)  # the leader key is written with a new lease
    login_again(dcs)
    assert dcs.loop()
    for member in cluster.members:  # tokens live in memory
        member.restart()
    cluster.wait_healthy(30)
    wait_until(dcs.loop, 20, 'the client to go on')


@pytest.mark.parametrize('versions', CLUSTERS, ids='+'.join)
def test_auth_comes_and_goes_under_a_running_client(
    start: Callable[..., Any], connect: Callable[..., Any], versions: list[str]
) -> None:
    """While authentication is enabled, disabled and enabled again, loops fail only at the moment of the change."""
    cluster = start(versions)
    dcs = connect(cluster.hosts, **CREDENTIALS)
    assert dcs.acquire() and dcs.loop()
    cluster.enable_auth(USER, PASSWORD)
    assert dcs.loop() and dcs.loop()
    cluster.disable_auth()
    assert dcs.loop() and dcs.loop()
    cluster.enable_auth(USER, PASSWORD)
    assert dcs.loop() and dcs.loop()


@pytest.mark.parametrize('versions', CLUSTERS[:1] + CLUSTERS[-2:], ids='+'.join)
def test_password_changes(start: Callable[..., Any], connect: Callable[..., Any], versions: list[str]) -> None:
    """A changed password invalidates the old token; a reload of the configuration applies the new password."""
    cluster = start(versions, auth=(USER, PASSWORD))
    dcs = connect(cluster.hosts, **CREDENTIALS)
    assert dcs.acquire() and dcs.loop()
    status, _ = cluster.call(0, '/auth/user/changepw', {'name': USER, 'password': 'other-pAssw0rd'}, cluster.token(0))
    assert status == 200
    with pytest.raises(etcd3.AuthFailed):
        dcs.client.put('/service/x', 'y')
    dcs.client.reload_config({'username': USER, 'password': 'other-pAssw0rd'})
    assert dcs.loop() and dcs.loop()


@pytest.mark.parametrize('versions', CLUSTERS, ids='+'.join)
def test_wrong_password_at_the_start(
    start: Callable[..., Any], connect: Callable[..., Any], caplog: pytest.LogCaptureFixture, versions: list[str]
) -> None:
    """A wrong password gives one clear line and exit status 1."""
    cluster = start(versions, auth=(USER, PASSWORD))
    with pytest.raises(SystemExit) as e:
        connect(cluster.hosts, username=USER, password='other-pAssw0rd')
    assert e.value.code == 1
    fatal = [r.getMessage() for r in caplog.records if r.levelno == logging.CRITICAL]
    assert len(fatal) == 1 and fatal[0].startswith('Etcd3 authentication failed: ')
    assert 'authentication failed, invalid user ID or password' in fatal[0]


@pytest.mark.parametrize('versions', [['3.4.23'], ['3.5.30']], ids='+'.join)
def test_no_password_at_all(start: Callable[..., Any], connect: Callable[..., Any], versions: list[str]) -> None:
    """Without a password, etcd's error arrives as the class that Patroni knows."""
    cluster = start(versions)
    dcs = connect(cluster.hosts)
    cluster.enable_auth(USER, PASSWORD)
    with pytest.raises(etcd3.UserEmpty):
        dcs.client.put('/service/x', 'y')


def test_auth_on_for_a_moment_without_a_password(start: Callable[..., Any], connect: Callable[..., Any]) -> None:
    """A client without a password goes on by itself once authentication is off again; stock Patroni does not."""
    cluster = start(['3.5'])
    dcs = connect(cluster.hosts)
    assert dcs.acquire() and dcs.loop()
    cluster.enable_auth(USER, PASSWORD)
    for _ in range(2):
        assert not dcs.touch(number=1)
        with pytest.raises(etcd3.UserEmpty):
            dcs.client.put('/service/x', 'y')
    cluster.disable_auth()
    assert dcs.loop() and dcs.loop()


@pytest.mark.gateway_only(reason='over gRPC such members take a token, see test_grpc_identity')
def test_members_that_take_no_token_are_avoided(
    start: Callable[..., Any], connect: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """In a cluster with members before 3.3 the others serve, with one warning for each member that does not."""
    cluster = start(['3.2', '3.2', '3.4'], auth=(USER, PASSWORD))
    for number in range(6):
        dcs = connect(cluster.hosts, name=f'n{number}', transport='gateway', **CREDENTIALS)
        for _ in range(3):
            assert dcs.touch(number=number) or dcs.touch(number=number)
        assert dcs.client._base_uri == cluster.members[2].url
        assert dcs.client.machines_cache[0] == cluster.members[2].url
        warnings = [
            r.getMessage()
            for r in caplog.records
            if r.levelno == logging.WARNING and 'takes no token' in r.getMessage()
        ]
        assert len(warnings) == len(set(warnings)) and len(warnings) <= 2
        dcs.stop()
        caplog.clear()


def test_password_set_but_auth_not_enabled_on_3_2(start: Callable[..., Any], connect: Callable[..., Any]) -> None:
    """A password without authentication works as with stock Patroni: no token is requested."""
    dcs = connect(start(['3.2', '3.2', '3.2']).hosts, **CREDENTIALS)
    assert dcs.acquire() and dcs.loop() and dcs.loop()
