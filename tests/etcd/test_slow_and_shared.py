"""Members that are slow, that return, and that take turns behind one URL are used as with stock Patroni."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from typing import Any, Callable, Iterator

import pytest

from lab.balancer import Balancer, Choice
from lab.processes import wait_until
from lab.relay import PASS, RESET, STALL, Relay, slow

TIMES = {'ttl': 20, 'loop_wait': 2, 'retry_timeout': 3}


class Relayed:
    """A cluster whose members advertise the relays in front of them."""

    def __init__(self, cluster: Any, ends: ExitStack) -> None:
        self.cluster = cluster
        self.relays = [ends.enter_context(Relay(member.url)) for member in cluster.members]
        for member, relay in zip(cluster.members, self.relays):
            member.flags = ['--advertise-client-urls', relay.url]
            member.restart()
        cluster.wait_healthy(30)
        self.hosts = [relay.url.partition('//')[2] for relay in self.relays]

    def become(self, mode: Any) -> None:
        """Set all relays to a mode."""
        for relay in self.relays:
            relay.mode = mode


@pytest.fixture
def relayed(start: Callable[..., Any]) -> Iterator[Callable[[list[str]], Relayed]]:
    """Create such clusters."""
    with ExitStack() as ends:
        yield lambda versions: Relayed(start(versions), ends)


def test_slow_members_after_they_were_too_slow(
    relayed: Callable[[list[str]], Relayed], connect: Callable[..., Any]
) -> None:
    """After a silence, all loops work although each answer takes more than half of a member's time."""
    etcd = relayed(['3.5'] * 3)
    dcs = connect(etcd.hosts, **TIMES)
    assert dcs.acquire() and dcs.loop()
    etcd.become(slow(0.6))
    assert dcs.loop()
    etcd.become(STALL)
    with pytest.raises(Exception, match='No more machines'):
        dcs.update_leader(dcs.dcs.cluster)
    etcd.become(slow(0.6))
    wait_until(dcs.loop, 6, 'a good loop')
    for _ in range(4):
        assert dcs.loop()


def test_start_on_slow_members(relayed: Callable[[list[str]], Relayed], connect: Callable[..., Any]) -> None:
    """The start waits only for necessary requests."""
    etcd = relayed(['3.4', '3.4', '3.5'])
    etcd.become(slow(0.6))
    dcs = connect(etcd.hosts, patronictl=True, **TIMES)
    assert dcs.leader() is None


def test_patronictl_does_not_wait_for_a_silent_member(
    relayed: Callable[[list[str]], Relayed], connect: Callable[..., Any]
) -> None:
    """A silent member that is advertised but not configured is not waited for."""
    etcd = relayed(['3.5'] * 3)
    silent = next(number for number in range(3) if not etcd.cluster.leads(number))
    etcd.relays[silent].mode = STALL
    hosts = [host for number, host in enumerate(etcd.hosts) if number != silent]
    for number in range(4):  # the order of the members is random
        dcs = connect(hosts, patronictl=True, scope=f'ctl{number}', **TIMES)
        assert dcs.client._base_uri != etcd.relays[silent].url
        assert dcs.leader() is None and not etcd.cluster.members[silent].url == dcs.client._base_uri


def test_url_that_hung_up_once(start: Callable[..., Any], connect: Callable[..., Any]) -> None:
    """A URL that hung up once, like a sidecar that is not ready, is used when the configured entry goes away."""
    cluster = start(['3.5'])
    with Relay(cluster.urls[0]) as advertised, Relay(cluster.urls[0]) as entry:
        cluster.members[0].flags = ['--advertise-client-urls', advertised.url]
        cluster.members[0].restart()
        cluster.wait_healthy(30)
        advertised.mode = RESET
        dcs = connect(entry.url.partition('//')[2], **TIMES)
        assert dcs.acquire() and dcs.loop()
        member = dcs.client.http.members.get(advertised.url)
        wait_until(lambda: member.refused or member.failed, 5, 'the URL to be found of no use')
        advertised.mode = PASS
        wait_until(lambda: dcs.loop() and dcs.client.machines_cache == [advertised.url], 10, 'it to be used')
        entry.stop()
        for _ in range(3):
            assert dcs.loop()


BEHIND: list[dict[str, Any]] = [
    {'versions': ['3.2', '3.4', '3.4'], 'facade': True},
    {'versions': ['3.2', '3.4'], 'facade': True},
    {'versions': ['3.3', '3.4']},
    {'versions': ['3.3', '3.4', '3.4']},
    {'versions': ['3.4', '3.6', '3.6']},
]


@pytest.mark.parametrize('behind', BEHIND, ids=lambda behind: '+'.join(behind['versions']))
@pytest.mark.parametrize(
    'option, choice', [('proxy', Choice.ROUND_ROBIN), ('use_proxies', Choice.RANDOM)], ids=['in turn', 'random']
)
def test_members_take_turns_behind_one_url(
    start: Callable[..., Any],
    connect: Callable[..., Any],
    option: str,
    caplog: pytest.LogCaptureFixture,
    behind: dict[str, Any],
    choice: Choice,
) -> None:
    """All loops work, no gateway counts as off, and the log stays short."""
    cluster = start(**behind)
    with Balancer(cluster.urls, choice) as balancer:
        host = balancer.url.partition('//')[2]
        dcs = connect('', proxy=balancer.url) if option == 'proxy' else connect(host, use_proxies=True)
        assert dcs.acquire()
        caplog.clear()
        failed = sum(not dcs.loop() for _ in range(12))
        assert failed == 0
        time.sleep(1)  # watches that end at once would become visible
    lines = [r.getMessage() for r in caplog.records if r.levelno >= logging.INFO and 'etcd3_compat' in r.name]
    assert not [line for line in lines if 'off' in line or 'again' in line]
    assert len([r for r in caplog.records if 'watchprefix failed' in r.getMessage()]) <= 3
    several = [line for line in lines if line.startswith('Several members answer at')]
    assert len(several) <= 1 and len(lines) <= 6
