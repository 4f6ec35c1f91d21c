"""The deadline of a call, and how long a leader may wait."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from patroni_etcd3_compat import deadline
from patroni_etcd3_compat.deadline import Errand, TookTooLong
from patroni_etcd3_compat.leadership import Leadership
from patroni_etcd3_compat.names import Names

NEVER = float('inf')


def test_never_later_than_the_one_around_it() -> None:
    """A nested deadline is never later than the surrounding one, and there is none afterwards."""
    assert deadline.current().left() == NEVER
    with deadline.within(5):
        with deadline.within(60) as inner:
            assert inner.left() <= 5
            inner.shorten(1)
            inner.shorten(30)
            assert deadline.current().left() <= 1
        assert 1 < deadline.current().left() <= 5
    assert deadline.current().left() == NEVER


def test_threads_do_not_share_it() -> None:
    """The deadline of the HA loop does not apply to threads of the REST API."""
    seen: list[float] = []
    with deadline.within(0):
        thread = threading.Thread(target=lambda: seen.append(deadline.current().left()))
        thread.start()
        thread.join()
    assert seen == [NEVER]


def test_without_one_there_is_nothing_to_shorten() -> None:
    """Shortening the deadline outside a call has no effect on anybody."""
    deadline.current().shorten(0)
    assert deadline.current().left() == NEVER


def test_errand_is_left_when_the_time_is_over() -> None:
    """The caller leaves an errand when the time is over; it continues, and the result can be fetched later."""
    go = threading.Event()
    errand = Errand(lambda: go.wait() and 'done')
    with deadline.within(0.01), pytest.raises(TookTooLong):
        errand.result()
    assert not errand.is_over()
    go.set()
    assert errand.result() == 'done' and errand.is_over()
    with pytest.raises(ZeroDivisionError):
        Errand(lambda: 1 / 0).result()


class Resolver:
    """A resolver like Patroni's, with a DNS server that can fall silent."""

    def __init__(self) -> None:
        self.silent = threading.Event()
        self.asked = 0
        self.found: Any = ['address']

    def resolve(self, host: str, port: int) -> Any:
        """Look a name up."""
        self.asked += 1
        while self.silent.is_set():
            time.sleep(0.01)
        return self.found


def test_names_are_not_waited_for() -> None:
    """Known addresses are used while the DNS is silent, and only one lookup at a time is under way."""
    resolver = Resolver()
    Names(resolver)
    with deadline.within(1):
        assert list(resolver.resolve('a', 1)) == ['address']
    resolver.silent.set()
    for _ in range(3):
        with deadline.within(0.01):
            assert list(resolver.resolve('a', 1)) == ['address']
            with pytest.raises(socket.timeout):
                resolver.resolve('b', 1)
    assert resolver.asked == 3  # one success, and one lookup for each name
    with deadline.within(0.01):
        resolver.silent.clear()
        resolver.found = []
    time.sleep(0.05)
    with deadline.within(1):
        assert list(resolver.resolve('b', 1)) == []


def test_address_of_no_use_is_not_tried_for_ever() -> None:
    """If an address uses up the time of the connection, the next attempt begins with the next address."""
    resolver = Resolver()
    resolver.found = ['a', 'b', 'c']
    Names(resolver)

    def attempt(seconds: float) -> list[str]:
        tried = []
        with deadline.within(seconds):
            for address in resolver.resolve('x', 1):
                tried.append(address)
                time.sleep(0.4)  # it hangs
        return tried

    assert [attempt(0.3) for _ in range(4)] == [['a'], ['b'], ['c'], ['a']]
    assert attempt(0.7) == ['b', 'c']


def test_no_threads_to_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no thread can be started, known addresses are used, or the lookup is made as Patroni makes it."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    resolver = Resolver()
    Names(resolver)
    monkeypatch.setattr(threading.Thread, 'start', refuse)
    with deadline.within(1):
        assert Errand(lambda: 1).is_over()
        for _ in range(2):
            assert list(resolver.resolve('a', 1)) == ['address']


def test_leader_waits_until_its_key_may_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    """A leader waits at most ttl minus a tenth from the moment when its last good keepalive was sent."""
    now = [100.0]
    monkeypatch.setattr('patroni_etcd3_compat.leadership.time.monotonic', lambda: now[0])
    ours = Leadership()
    assert ours.patience() == NEVER
    ours.renewed('7', 100, 30)
    assert ours.patience() == NEVER  # a lease alone is not a key
    ours.took('7')
    assert ours.patience() == pytest.approx(27)
    now[0] = 120
    assert ours.patience() == pytest.approx(7)
    ours.renewed('7', 119, 30)
    assert ours.patience() == pytest.approx(26)
    ours.renewed('7', 118, 30)  # an older answer that arrived later
    assert ours.patience() == pytest.approx(26)
    now[0] = 1000  # stopped for a while: one short call, to see whether etcd works
    assert ours.patience() == pytest.approx(0.75)
    ours.lost()
    assert ours.patience() == NEVER


def test_key_stays_on_its_lease_until_it_was_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new lease does not extend the life of the key, since the transaction that moves it may fail."""
    now = [0.0]
    monkeypatch.setattr('patroni_etcd3_compat.leadership.time.monotonic', lambda: now[0])
    ours = Leadership()
    ours.renewed('old', 0, 30)
    ours.took('old')
    now[0] = 20
    ours.renewed('new', 20, 60)
    assert ours.patience() == pytest.approx(7)
    ours.took('new')
    assert ours.patience() == pytest.approx(54)


def test_only_the_thread_that_leads_is_told_of_a_loss() -> None:
    """A failure in the REST API does not change what the HA loop assumes."""
    ours = Leadership()
    ours.renewed('7', time.monotonic(), 30)
    ours.took('7')
    thread = threading.Thread(target=ours.lost)
    thread.start()
    thread.join()
    assert ours.patience() < 30
