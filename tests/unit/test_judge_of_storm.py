"""Who believes to lead, and when: what the judge of a storm reads from the journals of its clients."""

from __future__ import annotations

import pytest

from tests.storm.journal import LEADER_KEY, Entry, Event
from tests.storm.judge import check_beliefs, check_claims

TTL, ENDED = 10, 100


def held(started: float, told: float = 0) -> Entry:
    """A loop that was told that it has the leader key."""
    told = told or started + 0.1
    return Entry(started=started, ended=told + 0.1, looked=started, asked=started, held=True, told=told)


def sees(leader: str, started: float, looked: float = 0) -> Entry:
    """A loop of one who sees somebody else lead."""
    looked = looked or started + 0.1
    return Entry(started=started, ended=looked, looked=looked, leader=leader, told=looked)


def blind(started: float, ended: float) -> Entry:
    """A loop that could not read."""
    return Entry(started=started, ended=ended, error='Etcd3Error')


def refused(started: float, ended: float, error: str = 'Etcd3Error') -> Entry:
    """A loop that read, and could not hold the key."""
    return Entry(started=started, ended=ended, looked=started, leader='a', asked=started, error=error)


def resigned(started: float, ended: float, released: bool) -> Entry:
    """A loop that gave the key away."""
    return Entry(
        started=started, ended=ended, looked=started, leader='a', asked=started, resigned=True, released=released
    )


NEXT = [sees('a', 20), held(31), held(32)]
"""Somebody who has the leader key from 31.1 on."""


@pytest.mark.parametrize(
    'old',
    [
        [held(20), blind(21, 25)],
        [held(20), blind(21, 31)],  # hung, and ended before the other was told
        [held(20), refused(21, 30.9)],
        [held(20), refused(21, 30.9, ''), sees('b', 40)],  # told no
        [held(20), sees('b', 21)],
        [held(20), resigned(21, 40, True)],  # Patroni demotes before it asks
        [held(20), blind(21, 25), sees('b', 33)],
        [sees('', 20), blind(21, 60)],
        [],
    ],
    ids=['blind', 'in time', 'refused', 'no', 'another', 'resigned', 'goes on', 'never', 'nothing'],
)
def test_kept(old: list[Entry]) -> None:
    """Who lets go before another is told has kept the promise."""
    assert check_beliefs({'a': old, 'b': NEXT}, {}, TTL, ENDED) == []


@pytest.mark.parametrize(
    'old, seconds',
    [
        ([held(20), blind(21, 33.6)], 2.5),
        ([held(20), refused(21, 36.1)], 5),
        ([held(20), sees('b', 21, 31.6)], 0.5),
        ([held(20), held(21, 31), blind(32, 33.1)], 2),
        ([held(20), Entry(started=21, ended=41.1, looked=21, asked=21, told=41.1)], 10),  # key gone, asked for anew
        ([held(20)], ENDED - 31.1),  # hung until the end
        (
            [held(30), blind(31, 32)],
            0.9,
        ),  # long before the key could expire: then it was not the client, and still wrong
    ],
)
def test_broken(old: list[Entry], seconds: float) -> None:
    """Who hears of it only after another was told has not, whatever it hears."""
    (problem,) = check_beliefs({'a': old, 'b': NEXT}, {}, TTL, ENDED)
    assert problem.startswith(f'a held on to the leader key {seconds:.1f} s after b had it, ')


def test_both_believe_for_long() -> None:
    """The one who was first is named, and how long ago it had asked."""
    assert check_beliefs({'b': [held(31), held(40)], 'a': [held(20), held(21), blind(22, 35)]}, {}, TTL, ENDED) == [
        'a held on to the leader key 3.9 s after b had it, 14.0 s after it had last asked for it'
    ]


@pytest.mark.parametrize(
    'old, stop, broken',
    [
        ([held(20), blind(21, 35)], (22, 35), False),  # stood still in the call
        ([held(20), sees('b', 35)], (20.5, 35), False),  # between two loops
        ([held(20), held(21, 35), sees('b', 36)], (22, 35), False),  # the answer lay there when it woke up
        ([held(20), held(21, 35), blind(36, 39)], (22, 35), False),
        ([held(20), blind(21, 35)], (32, 34), True),  # when another had the key already
        ([held(20), blind(21, 35)], (10, 15), True),
        ([held(20), held(35.5), sees('b', 37)], (21, 35), True),  # asked after it woke up, and was told yes
    ],
)
def test_stood_still(old: list[Entry], stop: tuple[float, float], broken: bool) -> None:
    """A stopped process cannot let go: what it believed counts until it stopped, and from its next call on."""
    assert bool(check_beliefs({'a': old, 'b': NEXT}, {'a': [stop]}, TTL, ENDED)) is broken


def test_resignation_that_nobody_answered() -> None:
    """It may be carried out later, from under a client that holds the key again: for one ttl nobody is to blame."""

    def problems(released: bool, started: float) -> list[str]:
        old = [held(20), resigned(started, started + 1, released), held(started + 2), blind(started + 3, 40)]
        return check_beliefs({'a': old, 'b': NEXT}, {}, TTL, ENDED)

    assert problems(False, 25) == []
    assert problems(True, 25) and problems(False, 15)


@pytest.mark.parametrize(
    'before, broken',
    [([], True), ([resigned(15, 16, False)], False), ([resigned(15, 16, True)], True), ([resigned(5, 6, False)], True)],
)
def test_somebody_else_is_told_too_early(before: list[Entry], broken: bool) -> None:
    """Within ttl of a renewal, but for a resignation that may have been carried out late."""
    events = [Event(revision, LEADER_KEY, name, revision, name) for revision, name in enumerate('ab', 1)]
    old = [entry._replace(lease='a') for entry in [*before, held(20)]]
    ret = check_claims({'a': old, 'b': [held(22)._replace(lease='b')]}, events, TTL)
    assert bool(ret) is broken
    assert not broken or ret == ['b became the leader 2.1 s after a was told that it was for 10 s (lease a)']


def test_resignation_is_carried_out_before_its_answer_comes() -> None:
    """Somebody else leads before the one who gave the key away hears of it."""
    events = [Event(revision, LEADER_KEY, name, revision, name) for revision, name in enumerate('ab', 1)]
    old = [entry._replace(lease='a') for entry in (held(20), resigned(21, 26, False)._replace(told=22.1))]
    assert check_claims({'a': old, 'b': [held(21.2)._replace(lease='b')]}, events, TTL) == []
