"""Members whose JSON gateway is off, and members that are too old."""

from __future__ import annotations

import threading
from typing import Any, Callable

import pytest

from lab.processes import wait_until

pytestmark = pytest.mark.gateway_only(reason='gRPC does not need the gateway, see test_grpc_calls')


def turn(member: Any, on: bool) -> None:
    """Restart a member with its gateway on or off."""
    member.flags = [] if on else ['--enable-grpc-gateway=false']
    member.restart()


def test_others_serve(start: Callable[..., Any], connect: Callable[..., Any]) -> None:
    """A member without a gateway counts as unreachable, and the others are used."""
    cluster = start(['3.4', '3.4', '3.5'])
    turn(cluster.members[1], on=False)
    for number in range(3):
        dcs = connect(cluster.hosts, name=f'n{number}', transport='gateway')
        assert dcs.touch(number=number)
        dcs.use(cluster.members[1].url)
        dcs.touch(number=-1)  # written without a retry, as with any unreachable member
        assert dcs.touch(number=-2)
        assert dcs.client._base_uri != cluster.members[1].url


@pytest.mark.parametrize('version', ['3.4', '3.5'])
def test_none_is_left(
    start: Callable[..., Any], connect: Callable[..., Any], caplog: pytest.LogCaptureFixture, version: str
) -> None:
    """The log names the members and the setting. Once the gateway is on, the waiting client continues without help."""
    cluster = start([version])
    turn(cluster.members[0], on=False)
    made: list[Any] = []
    thread = threading.Thread(target=lambda: made.append(connect(cluster.hosts, transport='gateway')), daemon=True)
    thread.start()
    text = (
        f'No etcd member can be used. etcd member {cluster.members[0].url} (version {cluster.members[0].version}): '
        'the gRPC gateway is off. Set '
        '"enable-grpc-gateway: true" in the configuration file of etcd or start it with --enable-grpc-gateway'
    )
    wait_until(lambda: any(text in r.getMessage() for r in caplog.records), 15, 'the error')
    assert 'AttributeError' not in caplog.text
    turn(cluster.members[0], on=True)
    thread.join(20)
    assert made and made[0].touch()


def test_gateway_goes_off_under_a_running_client(
    start: Callable[..., Any], connect: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The call that fails names the member and the remedy."""
    cluster = start(['3.4'])
    dcs = connect(cluster.hosts, transport='gateway')
    assert dcs.acquire()
    turn(cluster.members[0], on=False)
    caplog.clear()
    with pytest.raises(Exception) as e:
        dcs.dcs.retry(dcs.client.prefix, '/service')
    assert 'its gRPC gateway is off' in caplog.text and 'enable-grpc-gateway: true' in str(e.value)
    turn(cluster.members[0], on=True)
    wait_until(dcs.loop, 20, 'the client to go on')
