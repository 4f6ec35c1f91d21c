"""Telling a URL that cannot be used from an unreachable member."""

from __future__ import annotations

from http.client import BadStatusLine, RemoteDisconnected

import pytest
import urllib3
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError, ReadTimeoutError, SSLError

from patroni_etcd3_compat.errors import GatewayOff, MemberStopping, UnexpectedAnswer, no_http, unexecuted
from patroni_etcd3_compat.urls import is_loopback

POOL = urllib3.HTTPConnectionPool('localhost')


@pytest.mark.parametrize(
    'error, text',
    [
        (ProtocolError('Connection aborted.', BadStatusLine('\x00\x00\x06\x04')), 'no HTTP/1.1 there'),
        (ProtocolError('Connection aborted.', ConnectionResetError(104, 'reset')), 'no HTTP/1.1 there'),
        (ProtocolError('Connection aborted.', RemoteDisconnected('closed')), 'no HTTP/1.1 there'),
        (SSLError('wrong version number'), 'no TLS there'),
        (UnexpectedAnswer('http://a:1 speaks TLS'), 'speaks TLS'),
    ],
)
def test_wrong_url(error: Exception, text: str) -> None:
    """A wrong URL is recognised, whether the error comes bare or at the end of urllib3's retries."""
    for e in (error, MaxRetryError(POOL, '/version', error)):
        reason = no_http(e, 'http://a:1')
        assert reason and text in reason


@pytest.mark.parametrize(
    'error',
    [
        NewConnectionError(POOL, 'refused'),  # type: ignore[arg-type]
        ReadTimeoutError(POOL, '/version', 'timed out'),
        OSError('no route to host'),
    ],
)
def test_member_that_is_not_there(error: Exception) -> None:
    """An unreachable member says nothing about the URL."""
    for e in (error, MaxRetryError(POOL, '/version', error)):
        assert no_http(e, 'http://a:1') is None


def test_hanging_up_on_tls() -> None:
    """A server that hangs up on TLS may be one without TLS."""
    reason = no_http(ProtocolError('Connection aborted.', ConnectionResetError(104, 'reset')), 'https://a:1')
    assert reason and 'no HTTP/1.1 there (a port without TLS?)' in reason


@pytest.mark.parametrize(
    'error, expected',
    [
        (NewConnectionError(POOL, 'refused'), True),  # type: ignore[arg-type]
        (GatewayOff('etcd member'), True),
        (MemberStopping('etcd member'), False),
        (UnexpectedAnswer('etcd member'), False),
        (ReadTimeoutError(POOL, '/version', 'timed out'), False),
        (ProtocolError('Connection aborted.'), False),
        (OSError('broken pipe'), False),
    ],
)
def test_what_nobody_can_have_executed(error: Exception, expected: bool) -> None:
    """Only a request that nobody can have executed may go to another member unless Patroni asks for it."""
    assert unexecuted(error) is expected and unexecuted(MaxRetryError(POOL, '/v3/kv/put', error)) is expected


@pytest.mark.parametrize(
    'url, expected',
    [
        ('http://127.0.0.1:2379', True),
        ('http://127.1.2.3:2379', True),
        ('http://localhost:2379', True),
        ('https://[::1]:2379', True),
        ('http://10.0.0.1:2379', False),
        ('http://etcd1:2379', False),
        ('http://localhost.localdomain:2379', True),
        ('http://localhosts:2379', False),
        ('', False),
        ('http://[', False),
    ],
)
def test_is_loopback(url: str, expected: bool) -> None:
    """A loopback URL is recognised by its address or by the names that always mean loopback."""
    assert is_loopback(url) is expected
