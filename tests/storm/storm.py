"""Random faults against clients that compete for one leader key: ``python -m tests.storm --seed N --seconds 600``.

The clients are those of `tests.storm.contender`, each in a process of its own; the etcd members are real ones behind
facades. The last client reaches them through a load balancer that picks a member for each request. The two before it
go through relays, so that they can be cut off while the others are not. The seed determines the sequence of faults,
whatever the clients do, as long as the same releases are at hand.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Iterator, Mapping, NamedTuple, Sequence

from lab import ROOT, say
from lab.balancer import Balancer
from lab.etcd import EtcdCluster
from lab.facade import Fault
from lab.packages import etcd_versions, line_of, version_key
from lab.processes import LabError, Process, remove_folder, scratch_folder
from lab.relay import PASS, STALL, Mode, Relay, stall_within_answer
from lab.service import Service

from .judge import Entry, Figures, judge

TTL = 10
"""Seconds that the leader key lives unless its holder renews it."""

LOOP_WAIT = 1.0
"""Seconds from the start of one loop of a client to that of the next."""

CLIENTS = 6
"""How many compete. The last one has the balancer for its only host, and `_APART` before it relays."""

_APART = 2

_MEMBERS = 3

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
    #: how many members it hits, that one and those that follow
    members: int = 1
    #: release line that the member comes back with, if it does
    line: str = ''
    #: for how long, where it takes time
    seconds: float = 0
    #: what the facade does
    fault: Fault | None = None
    #: what the relays do
    mode: Mode | None = None
    #: seconds of calm afterwards
    pause: float = 0

    def __str__(self) -> str:
        more = [f'{self.seconds:g} s'] if self.seconds else []
        numbers = [self.number] + [(self.number + i) % _MEMBERS for i in range(1, self.members)]
        more += [repr(what) for what in (self.fault, self.mode) if what]
        return ' '.join([self.kind, '+'.join(map(str, numbers)), self.line] + more)


def lines_for(seed: int) -> list[str]:
    """List the release lines that the members of a storm move between, oldest first.

    All that can follow upon each other in one cluster: mostly the old ones, with 3.2, which a facade makes; now and
    then two of the later ones, which can live only with each other, see `lab.member.LEAST_BESIDE`.
    """
    real = {line_of(version) for version in etcd_versions()}
    old = {line for line in real if version_key(line) <= (3, 5)} | ({'3.2'} if '3.3' in real else set())
    late = [pair for pair in (['3.5', '3.6'], ['3.6', '3.7']) if real.issuperset(pair)]
    rng = random.Random(f'lines {seed}')
    return rng.choice(late) if late and rng.random() < 0.25 else sorted(old, key=version_key)


def plan(seed: int, lines: Sequence[str]) -> Iterator[Move]:
    """Make the endless sequence of faults of a seed. Nothing but the arguments plays a part.

    Only what etcd permits: no member goes below the lowest of the cluster, and one is down at a time, but for the loss
    of the quorum that is meant.

    :param lines: release lines, oldest first.
    """
    rng = random.Random(seed)
    members = [0] * _MEMBERS  # index of each member's line; all start with the oldest
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
        kind, i = rng.choice(kinds), rng.randrange(_MEMBERS)
        calm, seconds = round(rng.uniform(0.2, 2), 1), round(rng.uniform(0.5, 6), 1)
        line = members[i]
        if kind == 'upgrade':
            # The last old one goes on rarely: mixed clusters are what this is about.
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
                rng.randint(1, _MEMBERS),
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


class Contender:
    """One client process, and what it wrote down.

    :param name: name of the Patroni member.
    :param etcd3: section ``etcd3`` of its configuration.
    :param folder: where its files go.
    :param seed: what decides when it gives the leader key away.
    :param loop_wait: seconds from the start of one loop to that of the next.
    """

    def __init__(
        self, name: str, etcd3: Mapping[str, Any], folder: Path, seed: int, loop_wait: float = LOOP_WAIT
    ) -> None:
        self.name = name
        self.journal = folder / (name + '.journal')
        self.log = folder / (name + '.log')
        #: when it stood still
        self.stops: list[tuple[float, float]] = []
        options = {
            'name': name,
            'etcd3': dict(etcd3),
            'journal': str(self.journal),
            'seed': seed,
            'ttl': TTL,
            'loop_wait': loop_wait,
        }
        self.process = Process([sys.executable, '-m', 'tests.storm.contender', json.dumps(options)], self.log, cwd=ROOT)

    def freeze(self, seconds: float) -> None:
        """Have it stand still for a while."""
        started = time.monotonic()
        self.process.freeze()
        time.sleep(seconds)
        self.process.thaw()
        self.stops.append((started, time.monotonic()))

    def entries(self) -> list[Entry]:
        """What it wrote down so far, a line that is half written left out."""
        if not self.journal.exists():
            return []
        lines = self.journal.read_text().splitlines(True)
        return [Entry(**json.loads(line)) for line in lines if line.endswith('\n')]


class Storm(Service):
    """An etcd cluster with its contenders, inside a ``with``.

    :param seed: determines the faults.
    :param lines: release lines that the members move between, oldest first; the seed chooses if left out.
    :param loop_wait: of the clients. With 4 they have no time to spare, as with Patroni's defaults: loop_wait and twice
        retry_timeout make ttl.
    """

    def __init__(self, seed: int, lines: Sequence[str] | None = None, loop_wait: float = LOOP_WAIT) -> None:
        self.seed = seed
        self._loop_wait = loop_wait
        self.lines = list(lines or lines_for(seed))
        self.etcd = EtcdCluster([self.lines[0]] * _MEMBERS, facade=True)
        self.balancer: Balancer | None = None
        self.relays: list[Relay] = []
        self.contenders: list[Contender] = []
        self._folder = scratch_folder('lab-storm-')
        self.moves: list[Move] = []

    def start(self) -> None:
        """Start etcd, what stands before it, and the clients.

        :raises LabError: when etcd does not come up.
        """
        try:
            self.etcd.start()
            self.balancer = Balancer(self.etcd.urls)
            self.balancer.start()
            self.relays = [Relay(url) for url in self.etcd.urls]
            for relay in self.relays:
                relay.start()
            relays = [relay.url.partition('//')[2] for relay in self.relays]
            sections: list[dict[str, Any]] = [{'hosts': self.etcd.hosts}] * (CLIENTS - _APART - 1)
            sections += [{'hosts': relays, 'use_proxies': True}] * _APART + [{'proxy': self.balancer.url}]
            self.contenders = [
                Contender(f'c{i}', section, self._folder, self.seed * CLIENTS + i, self._loop_wait)
                for i, section in enumerate(sections)
            ]
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the clients, and everything else."""
        for contender in self.contenders:
            contender.process.kill()
        for relay in self.relays:
            relay.stop()
        if self.balancer is not None:
            self.balancer.stop()
        self.etcd.stop()
        remove_folder(self._folder)

    def run(self, seconds: float) -> Figures:
        """Let faults happen for that long, and then look at what came of it.

        :returns: the figures, with the broken promises.
        :raises LabError: when an etcd member does not come back from a fault.
        """
        deadline = time.monotonic() + seconds
        time.sleep(3)
        for move in plan(self.seed, self.lines):
            if time.monotonic() >= deadline:
                break
            say(f'storm {self.seed}: {move}')
            self.moves.append(move)
            self._make(move)
            time.sleep(move.pause)
        calm_since = time.monotonic()
        time.sleep(TTL + 4)
        ended = time.monotonic()
        for contender in self.contenders:
            contender.process.kill()
        return judge(
            {contender.name: contender.entries() for contender in self.contenders},
            self.etcd,
            TTL,
            calm_since,
            ended,
            {contender.name: contender.process.log_text() for contender in self.contenders},
            {contender.name: contender.stops for contender in self.contenders},
        )

    def _leads(self, number: int) -> bool:
        """Whether a member leads. One that stood still then revokes leases that the next leader has renewed, in etcd
        without the fix of etcd-io/etcd#15247 (3.3.25 and 3.4.23 have none). No client can keep a promise against that,
        so it is killed instead.
        """
        try:
            return self.etcd.leads(number)
        except (OSError, LabError, KeyError):
            return False

    def _make(self, move: Move) -> None:
        member, contender = self.etcd.members[move.number % _MEMBERS], self.contenders[move.number]
        if move.kind == 'client':
            contender.freeze(move.seconds)
        elif move.kind == 'upgrade':
            self.etcd.upgrade(move.number, move.line)
        elif move.kind in ('downgrade', 'replace'):
            self.etcd.replace(move.number, move.line)
        elif move.kind == 'restart':
            member.restart()
        elif move.kind == 'freeze' and not self._leads(move.number):
            member.freeze()
            time.sleep(move.seconds)
            member.thaw()
        elif move.kind in ('freeze', 'kill', 'quorum'):
            victims = [member] + [other for other in self.etcd.members if other is not member][: move.kind == 'quorum']
            for victim in victims:
                victim.kill()
            time.sleep(move.seconds)
            for victim in victims:
                victim.spawn()
            for victim in victims:
                victim.serve()
        elif move.fault is not None:
            self._misbehave(move, move.fault)
        elif move.mode is not None:
            self._set_apart(move, move.mode)
        self.etcd.wait_healthy(120)

    def _set_apart(self, move: Move, mode: Mode) -> None:
        """Have some members fall silent for the clients that have relays, and for nobody else."""
        relays = [self.relays[(move.number + i) % _MEMBERS] for i in range(move.members)]
        try:
            for relay in relays:
                relay.mode = mode
            time.sleep(move.seconds)
        finally:
            for relay in relays:
                relay.cut()  # first, or what its client has long given up would still arrive
                relay.mode = PASS

    def _misbehave(self, move: Move, fault: Fault) -> None:
        """Have the facades of some members do what they should not, and leave nothing of it behind."""
        members = [self.etcd.members[(move.number + i) % _MEMBERS] for i in range(move.members)]
        facades = [member.facade for member in members if member.facade is not None]
        try:
            for facade in facades:
                facade.faults = [replace(fault)]
            time.sleep(move.seconds)
        finally:
            for facade in facades:
                facade.faults = []
                if move.kind == 'stall':  # what still waits would do so for the rest of its minute
                    facade.cut()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one storm and print its figures.

    :returns: 0 if every promise was kept.
    """
    parser = argparse.ArgumentParser(prog='python -m tests.storm', description=__doc__)
    parser.add_argument('--seed', type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument('--seconds', type=float, default=600)
    parser.add_argument('--lines', type=lambda text: text.split(','), help='such as 3.6,3.7, oldest first')
    parser.add_argument('--loop-wait', type=float, default=LOOP_WAIT, help='4 leaves the clients no time to spare')
    options = parser.parse_args(argv)
    with Storm(options.seed, options.lines, options.loop_wait) as storm:
        figures = storm.run(options.seconds)
    print(f'seed {options.seed}, etcd {"/".join(storm.lines)}, {len(storm.moves)} faults: {figures}')
    for problem in figures.problems:
        print('  broken: ' + problem)
    return 1 if figures.problems else 0
