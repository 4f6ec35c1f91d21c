"""The faults of a storm, and the sequence of them that follows from a seed."""

from __future__ import annotations

import random
from typing import Iterator, NamedTuple, Sequence

from lab.facade import Fault
from lab.packages import etcd_versions, line_of, version_key
from lab.relay import STALL, Mode, stall_within_answer

TTL = 10
"""Seconds that the leader key lives unless its holder renews it."""

CLIENTS = 6
"""How many compete."""

MEMBERS = 3
"""How many members etcd has."""

_ALWAYS = 10**6
"""More requests than there will be."""

_GARBAGE = (
    (502, b'<html><body>Bad Gateway</body></html>'),
    (200, b'{"header":{"cluster_id":"1'),
    (200, b''),
    (200, b'404'),
    (500, b'\x00\x00\x06\x04\x00'),
    (404, b'404 page not found\n'),
    (200, b'[]'),
)
"""Never a well-formed success: that would not be garbage but a lie, and no client could know."""


class Move(NamedTuple):
    """One fault."""

    kind: str
    #: index of the etcd member, or of the client
    number: int
    #: how many members it hits: that one and the following ones
    members: int = 1
    #: release line that the member returns with, if it does
    line: str = ''
    #: for how many seconds, if it takes time
    seconds: float = 0
    #: what the facade does
    fault: Fault | None = None
    #: what the relays do
    mode: Mode | None = None
    #: seconds of calm afterwards
    pause: float = 0

    def __str__(self) -> str:
        more = [f'{self.seconds:g} s'] if self.seconds else []
        numbers = [self.number] + [(self.number + i) % MEMBERS for i in range(1, self.members)]
        more += [repr(what) for what in (self.fault, self.mode) if what]
        return ' '.join([self.kind, '+'.join(map(str, numbers)), self.line] + more)


def lines_for(seed: int) -> list[str]:
    """Return the release lines that the members of a storm move between, oldest first.

    All of them can be in one cluster. Usually they are the old ones, with a 3.2 imitated by a facade. Sometimes they
    are two of the later ones, which can run only beside each other, see `lab.member.LEAST_BESIDE`.
    """
    real = {line_of(version) for version in etcd_versions()}
    old = {line for line in real if version_key(line) <= (3, 5)} | ({'3.2'} if '3.3' in real else set())
    late = [pair for pair in (['3.5', '3.6'], ['3.6', '3.7']) if real.issuperset(pair)]
    rng = random.Random(f'lines {seed}')
    return rng.choice(late) if late and rng.random() < 0.25 else sorted(old, key=version_key)


def plan(seed: int, lines: Sequence[str]) -> Iterator[Move]:
    """Yield the endless sequence of faults of a seed. It depends only on the arguments.

    It complies with what etcd permits: no member goes below the lowest of the cluster. One member is down at a time,
    except when the quorum is to be lost.

    :param lines: release lines, oldest first.
    """
    rng = random.Random(seed)
    members = [0] * MEMBERS  # index of each member's line; all start with the oldest
    kinds = [
        'upgrade',
        'upgrade',
        'upgrade',
        'downgrade',
        'downgrade',
        'replace',
        'restart',
        'kill',
        'kill',
        'freeze',
        'freeze',
        'cut',
        'cut',
        'cut',
        'garbage',
        'garbage',
        'garbage',
        'quorum',
        'client',
        'stall',
        'stall',
        'slow',
        'slow',
        'apart',
        'apart',
    ]
    while True:
        kind, i = rng.choice(kinds), rng.randrange(MEMBERS)
        calm, seconds = round(rng.uniform(0.2, 2), 1), round(rng.uniform(0.5, 6), 1)
        line = members[i]
        if kind == 'upgrade':
            # The last old member is rarely upgraded, since mixed clusters are the subject.
            last = line == min(members) and members.count(line) == 1
            if line + 1 == len(lines) or last and rng.random() > 0.2:
                continue
            members[i] = rng.randrange(line + 1, len(lines))
        elif kind == 'downgrade':
            if line == min(members):
                continue
            members[i] = rng.randrange(min(members), line)
        elif kind == 'replace':
            members[i] = rng.randrange(min(members), len(lines))
        if kind in ('upgrade', 'downgrade', 'replace'):
            yield Move(kind, i, line=lines[members[i]], pause=calm)
        elif kind == 'cut':
            yield Move(
                kind,
                i,
                fault=rng.choice(
                    (
                        Fault(reset='before', times=rng.randint(1, 9)),
                        Fault(reset='after', times=rng.randint(1, 9)),
                        Fault(cut_after=rng.randint(0, 40), times=rng.randint(1, 9)),
                        Fault(path='/watch', cut_after=rng.randint(0, 400), times=2),
                    )
                ),
                seconds=seconds,
                pause=calm,
            )
        elif kind == 'garbage':
            status, body = rng.choice(_GARBAGE)
            yield Move(
                kind,
                i,
                fault=Fault(
                    path=rng.choice(('', '/kv/', '/lease/', '/watch', '/version', '/member')),
                    status=status,
                    body=body,
                    times=rng.randint(1, 9),
                ),
                seconds=seconds,
                pause=calm,
            )
        elif kind == 'stall':  # long enough for the leader key to expire
            yield Move(
                kind,
                i,
                rng.randint(1, 2),
                fault=Fault(delay=60, times=_ALWAYS),
                seconds=round(rng.uniform(2, 2 * TTL), 1),
                pause=calm,
            )
        elif kind == 'apart':
            yield Move(
                kind,
                i,
                rng.randint(1, MEMBERS),
                seconds=round(rng.uniform(2, 2 * TTL), 1),
                pause=calm,
                mode=rng.choice((STALL, stall_within_answer(rng.randint(0, 400)))),
            )
        elif kind == 'slow':
            yield Move(
                kind,
                i,
                rng.randint(1, 3),
                fault=Fault(delay=round(rng.uniform(0.3, 0.9), 1), times=_ALWAYS),
                seconds=2 * seconds,
                pause=calm,
            )
        elif kind == 'client':
            yield Move(kind, rng.randrange(CLIENTS), seconds=round(rng.uniform(1, TTL + 2), 1), pause=calm)
        else:
            yield Move(kind, i, seconds=seconds / 2 if kind == 'quorum' else seconds, pause=calm)
