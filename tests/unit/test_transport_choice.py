"""Which transport carries the calls to a member, and what is said where gRPC would help and cannot be used."""

from __future__ import annotations

import importlib
import logging
import sys
from http.client import BadStatusLine, RemoteDisconnected
from pathlib import Path
from typing import Any, Callable

import pytest
import urllib3
from urllib3.exceptions import ConnectTimeoutError, ProtocolError, ReadTimeoutError

from patroni_etcd3_compat import extras, options
from patroni_etcd3_compat.answers import Answer
from patroni_etcd3_compat.auth import AuthPool
from patroni_etcd3_compat.errors import (
    CommonNameRefused,
    GatewayOff,
    NoGrpc,
    NoHttp2,
    TakesNoToken,
    hung_up,
    speaks_http2,
)
from patroni_etcd3_compat.member import Member
from patroni_etcd3_compat.members import Members
from patroni_etcd3_compat.router import Router
from patroni_etcd3_compat.senders import Call

URL = 'http://127.0.0.1:2379'
NOTHING = Answer(200, b'{}')


class Scripted:
    """A transport that does what the test says, and keeps the calls that it was given."""

    def __init__(self, serves: Callable[[Member], bool], send: Callable[[Member, Call], Answer]) -> None:
        self.serves, self._send = serves, send
        self.calls: list[str] = []

    def send(self, member: Member, call: Call) -> Answer:
        """Do it."""
        self.calls.append(call.rpc)
        return self._send(member, call)

    def clear(self) -> None:
        """Do nothing."""


def route(
    gateway: Callable[[Member, Call], Answer],
    grpc: Callable[[Member, Call], Answer],
    transport: str = 'auto',
    asks: Callable[..., str | None] = lambda *_: '3.5.30',
) -> tuple[Router, Scripted, Scripted]:
    """Make a router over two transports."""
    pool = urllib3.PoolManager()
    members = Members(pool, None, transport)
    members.by_grpc = asks
    first = Scripted(lambda member: member.over_grpc, grpc)
    last = Scripted(lambda _: True, gateway)
    return Router(pool, members, (first, last)), last, first


def raising(error: Exception, leaves: str = '') -> Callable[[Member, Call], Answer]:
    """Return what a transport does that fails, as :class:`Gateway` does."""

    def send(member: Member, _: Call) -> Answer:
        if leaves:
            member.leaves_gateway(leaves)
        raise error

    return send


@pytest.mark.parametrize('error', [GatewayOff('x'), CommonNameRefused('x')])
def test_the_same_call_goes_over_grpc(error: Exception) -> None:
    """What the gateway cannot have executed goes over gRPC at once, the next call without the gateway."""
    router, gateway, grpc = route(raising(error, 'its gateway is off'), lambda *_: NOTHING)
    for _ in range(2):
        assert router.urlopen('POST', URL + '/v3/kv/put') is NOTHING
    assert (len(gateway.calls), len(grpc.calls)) == (1, 2)


@pytest.mark.parametrize('transport', ['auto', 'gateway'])
def test_the_error_of_the_gateway_stays(transport: str) -> None:
    """Where there is no gRPC either, or it is not wanted, the error is that of the gateway."""
    router, _, grpc = route(raising(GatewayOff('the member'), 'its gateway is off'), raising(NoGrpc('x')), transport)
    for _ in range(2):
        with pytest.raises(GatewayOff):
            router.urlopen('POST', URL + '/v3/kv/put')
    assert len(grpc.calls) == (transport == 'auto')
    assert not router.members.get(URL).over_grpc


@pytest.mark.parametrize('error', [ReadTimeoutError(None, '', 'x'), ConnectTimeoutError('x')])  # type: ignore[arg-type]
def test_silence_in_place_of_grpc(error: Exception) -> None:
    """Where gRPC is answered by silence, that costs one call its time: a proxy may not know HTTP/2.

    It is not so where gRPC has worked before: that member is just slow.
    """
    router, gateway, grpc = route(raising(GatewayOff('the member'), 'its gateway is off'), raising(error))
    with pytest.raises(type(error)):  # which may have been executed
        router.urlopen('POST', URL + '/v3/kv/put')
    for _ in range(2):
        with pytest.raises(GatewayOff):
            router.urlopen('POST', URL + '/v3/kv/put')
    assert (len(gateway.calls), len(grpc.calls)) == (3, 1)
    member = router.members.get(URL)
    member.configure(None, 'auto')
    member.serves_grpc()
    for _ in range(2):
        with pytest.raises(type(error)):
            router.urlopen('POST', URL + '/v3/kv/put')
    assert (len(gateway.calls), len(grpc.calls)) == (5, 3)


@pytest.mark.parametrize('rpc', ['/kv/put', '/watch'])
@pytest.mark.parametrize('transport', ['auto', 'grpc'])
def test_the_same_call_goes_to_the_gateway(transport: str, rpc: str) -> None:
    """Where the server turns out not to speak HTTP/2, the gateway has the call at once, and the next ones.

    Not so if another answer than gRPC's came over HTTP/2, or if the gateway is not wanted.
    """
    router, gateway, grpc = route(lambda *_: NOTHING, raising(NoHttp2('x')), transport)
    router.members.get(URL).leaves_gateway('the reason')
    for _ in range(2):
        if transport == 'grpc':
            with pytest.raises(NoHttp2):
                router.urlopen('POST', f'{URL}/v3{rpc}')
        else:
            assert router.urlopen('POST', f'{URL}/v3{rpc}') is NOTHING
    assert (len(gateway.calls), len(grpc.calls)) == ((0, 2) if transport == 'grpc' else (2, 1))

    router, gateway, _ = route(lambda *_: NOTHING, raising(NoGrpc('x')), transport)
    router.members.get(URL).leaves_gateway('the reason')
    with pytest.raises(NoGrpc):
        router.urlopen('POST', f'{URL}/v3{rpc}')
    assert not gateway.calls


@pytest.mark.parametrize('rpc, twice', [('/kv/range', True), ('/cluster/member/list', True), ('/kv/put', False)])
def test_a_new_member_that_hangs_up(rpc: str, twice: bool) -> None:
    """A call that changes something is not sent again, since it may have been executed."""
    gone = ProtocolError('Connection aborted.', RemoteDisconnected('gone'))
    router, gateway, grpc = route(raising(gone), lambda *_: NOTHING)
    if twice:
        assert router.urlopen('POST', f'{URL}/v3{rpc}') is NOTHING
    else:
        with pytest.raises(ProtocolError):
            router.urlopen('POST', f'{URL}/v3{rpc}')
    assert len(grpc.calls) == twice
    assert router.urlopen('POST', URL + '/v3/kv/put') is NOTHING
    assert len(gateway.calls) == 1


def test_a_member_that_hangs_up_and_speaks_no_grpc() -> None:
    """The member is asked once whether it speaks gRPC; the error is that of the call."""
    gone = ProtocolError('Connection aborted.', RemoteDisconnected('gone'))

    def refuses(*_: object) -> str:
        raise NoGrpc('no')

    router, _, grpc = route(raising(gone), lambda *_: NOTHING, asks=refuses)
    with pytest.raises(ProtocolError):
        router.urlopen('POST', URL + '/v3/kv/range')
    assert not grpc.calls


def test_a_failure_takes_it_back() -> None:
    """A member that was away may have its gateway on; one whose port is for gRPC alone stays that."""
    for lasting in (False, True):
        member = Member(URL, None, 'auto')
        assert member.leaves_gateway('the reason', lasting)
        member.fails(OSError())
        assert member.over_grpc == lasting
        member.learned('3.4.0')
        assert member.over_grpc == lasting
        member.learned('3.5.0')
        assert not member.over_grpc


def test_a_member_without_grpc_is_not_tried_again() -> None:
    """Where gRPC turns out not to be spoken, as behind a proxy, the gateway has the calls for a while."""

    def gateway(*_: object) -> Answer:
        return Answer(400, b'{}', 3, 'etcdserver: user name is empty')

    router, _, grpc = route(gateway, raising(NoGrpc('x')))
    member = router.members.get(URL)
    member.learned('3.2.26')
    pool = AuthPool(router, router.members, lambda: ('root', 'secret'))
    for error in (NoGrpc, TakesNoToken, TakesNoToken):
        with pytest.raises(error):
            pool.urlopen('POST', URL + '/v3/kv/range')
    assert len(grpc.calls) == 1 and member.wants_token
    member.learned('3.3.0')
    assert member.leaves_gateway('the reason')


def test_logged_once_per_change(caplog: pytest.LogCaptureFixture) -> None:
    """The log says when gRPC is used and when the gateway is used again."""
    caplog.set_level(logging.INFO)
    member = Member(URL, None, 'auto')
    for _ in range(2):
        member.leaves_gateway('its gateway is off')
        member.serves_grpc()
        member.fails(OSError())
    assert caplog.text.count('using gRPC, since its gateway is off') == 1
    member.answers(None, '/v3')
    member.learned('3.5.0')
    assert 'using gateway prefix /v3' in caplog.text


def test_token_for_a_gateway_that_takes_none() -> None:
    """Where the gateway takes no token (3.2), the login and the call go over gRPC."""

    def gateway(member: Member, _: Call) -> Answer:
        member.learned('3.2.26')
        return Answer(400, b'{}', 3, 'etcdserver: user name is empty')

    def grpc(_: Member, call: Call) -> Answer:
        return Answer(200, b'{"token": "abc"}') if call.rpc == '/auth/authenticate' else NOTHING

    router, _, first = route(gateway, grpc)
    pool = AuthPool(router, router.members, lambda: ('root', 'secret'))
    for _ in range(2):
        assert pool.urlopen('POST', URL + '/v3/kv/range') is NOTHING
    assert first.calls == ['/auth/authenticate', '/kv/range', '/kv/range']
    assert not router.members.get(URL).wants_token


def test_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a wrong value lists those that are allowed, and that of a missing package says how to get it."""
    assert [options.parse_transport(value) for value in (None, 'auto', 'gateway', 'grpc')] == [
        'auto',
        'auto',
        'gateway',
        'grpc',
    ]
    with pytest.raises(ValueError, match="transport is 'GRPC', allowed are: auto, gateway, grpc"):
        options.parse_transport('GRPC')
    monkeypatch.setattr(options, 'has_grpc', lambda: False)
    assert options.parse_transport('auto') == 'auto'
    with pytest.raises(ValueError, match=r'the Python package h2 is missing; install it with: pip install'):
        options.parse_transport('grpc')


@pytest.mark.parametrize(
    'transport, possible, hint', [('auto', False, extras.INSTALL), ('gateway', True, '"transport: auto"')]
)
def test_hint(transport: str, possible: bool, hint: str) -> None:
    """The remedy for a gateway that is off names gRPC where that would help."""
    members = Members(urllib3.PoolManager(), None, transport)
    if possible:
        members.by_grpc = lambda *_: None
    member = members.get(URL)
    assert members.remedy() is None
    member.is_off()
    assert not member.leaves_gateway('its gateway is off')
    assert hint in str(members.remedy())


def test_look_at_a_port_for_grpc_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """An advertised URL that speaks gRPC alone is used with ``auto``, and refused where gRPC cannot be used."""
    for possible in (True, False):
        members = Members(urllib3.PoolManager(), None, 'auto')
        if possible:
            members.by_grpc = lambda *_: '3.5.30'

        def learn(*_: Any) -> None:
            raise ProtocolError('Connection aborted.', ConnectionResetError())

        monkeypatch.setattr(members, 'learn', learn)
        members.look_at(URL, 1)
        member: Any = members.get(URL)
        assert (member.over_grpc, member.answered, bool(member.refused)) == (possible, possible, not possible)


def test_signs_of_grpc() -> None:
    """HTTP/2 in answer to HTTP/1.1 is told from other nonsense, and a closed connection from both."""
    settings = ProtocolError('Connection aborted.', BadStatusLine('\x00\x00\x06\x04\x00\x00'))
    other = ProtocolError('Connection aborted.', BadStatusLine('nonsense'))
    gone = ProtocolError('Connection aborted.', ConnectionResetError())
    assert [speaks_http2(e) for e in (settings, other, gone)] == [True, False, False]
    assert [hung_up(e) for e in (settings, other, gone)] == [False, False, True]


@pytest.mark.parametrize('content', ['raise ImportError("hyperframe is too old")', 'raise RuntimeError("x")', None])
def test_broken_package(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With h2 that cannot be loaded, or of which only a folder is left, it is as without h2."""
    (tmp_path / 'h2' / '__pycache__').mkdir(parents=True)
    if content:
        (tmp_path / 'h2' / '__init__.py').write_text(content)
    pytest.importorskip('h2.connection')  # whose modules are put back afterwards
    for name in [name for name in sys.modules if name.partition('.')[0] == 'h2']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, 'path', [str(tmp_path)] + [entry for entry in sys.path if 'site-packages' not in entry])
    importlib.invalidate_caches()
    assert not extras.has_grpc()
    assert ('does not load' in caplog.text) is bool(content)
    with pytest.raises(ValueError, match='the Python package h2 is missing'):
        options.parse_transport('grpc')
    assert options.parse_transport(None) == 'auto'


def test_silence_is_not_asked_again() -> None:
    """A member that hangs up on HTTP/1.1, and is silent over gRPC, costs one call its time."""
    gone = ProtocolError('Connection aborted.', RemoteDisconnected('gone'))
    asked: list[object] = []

    def silent(*args: object) -> str:
        asked.append(args)
        raise ReadTimeoutError(None, '', 'x')  # type: ignore[arg-type]

    router, _, _ = route(raising(gone), lambda *_: NOTHING, asks=silent)
    for _ in range(3):
        with pytest.raises(ProtocolError):
            router.urlopen('POST', URL + '/v3/kv/range')
    assert len(asked) == 1
