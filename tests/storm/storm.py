"""Random faults on clients that compete for one leader key: ``python -m tests.storm --seed N --seconds 600``.

The clients are those of `tests.storm.contender`, each in its own process. The etcd members are real ones behind
facades. The last client reaches them through a load balancer that picks a member for each request. The two before it
use relays, so that they can be cut off while the others are not.

The seed determines the sequence of faults, whatever the clients do, as long as the same releases are available.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Mapping, Sequence

from lab import ROOT, say
from lab.balancer import Balancer
from lab.etcd import EtcdCluster
from lab.facade import Fault
from lab.processes import LabError, Process, remove_folder, scratch_folder
from lab.relay import PASS, Mode, Relay
from lab.service import Service

from .journal import Entry
from .judge import Figures, judge
from .moves import CLIENTS, MEMBERS, TTL, Move, lines_for, plan

LOOP_WAIT = 1.0
"""Seconds from the start of one loop of a client to that of the next."""

_APART = 2
"""How many clients reach etcd through relays: those before the last one, which has the balancer as its only host."""


class Contender:
    """One client process and its journal.

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
        #: when it was frozen
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
        """Freeze it for some seconds."""
        started = time.monotonic()
        self.process.freeze()
        time.sleep(seconds)
        self.process.thaw()
        self.stops.append((started, time.monotonic()))

    def entries(self) -> list[Entry]:
        """Return its journal so far, without an incomplete line."""
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
    :param transports: values of ``transport``, which the clients get in turn; what is the default if left out.
    """

    def __init__(
        self,
        seed: int,
        lines: Sequence[str] | None = None,
        loop_wait: float = LOOP_WAIT,
        transports: Sequence[str] = (),
    ) -> None:
        self.seed = seed
        self._options = [{'transport': transport} for transport in transports] or [{}]
        self._loop_wait = loop_wait
        self.lines = list(lines or lines_for(seed))
        self.etcd = EtcdCluster([self.lines[0]] * MEMBERS, facade=True)
        self.balancer: Balancer | None = None
        self.relays: list[Relay] = []
        self.contenders: list[Contender] = []
        self._folder = scratch_folder('lab-storm-')
        self.moves: list[Move] = []

    def start(self) -> None:
        """Start etcd, the relays and the balancer before it, and the clients.

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
                Contender(f'c{i}', dict(section, **options), self._folder, self.seed * CLIENTS + i, self._loop_wait)
                for i, (section, options) in enumerate(zip(sections, itertools.cycle(self._options)))
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
        """Cause faults for that long, then judge the result.

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
        """Return whether a member leads. It is then killed instead of frozen.

        A frozen leader that wakes up revokes leases that the next leader has renewed. This is fixed by
        etcd-io/etcd#15247, which 3.3.25 and 3.4.23 lack. No client can keep a promise against that.
        """
        try:
            return self.etcd.leads(number)
        except (OSError, LabError, KeyError):
            return False

    def _make(self, move: Move) -> None:
        member, contender = self.etcd.members[move.number % MEMBERS], self.contenders[move.number]
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
        """Make some members silent for the clients behind relays, and for no other client."""
        relays = [self.relays[(move.number + i) % MEMBERS] for i in range(move.members)]
        try:
            for relay in relays:
                relay.mode = mode
            time.sleep(move.seconds)
        finally:
            for relay in relays:
                relay.cut()  # first, otherwise requests that its client has long given up would still arrive
                relay.mode = PASS

    def _misbehave(self, move: Move, fault: Fault) -> None:
        """Make the facades of some members misbehave for a while."""
        members = [self.etcd.members[(move.number + i) % MEMBERS] for i in range(move.members)]
        facades = [member.facade for member in members if member.facade is not None]
        try:
            for facade in facades:
                facade.faults = [replace(fault)]
            time.sleep(move.seconds)
        finally:
            for facade in facades:
                facade.faults = []
                if move.kind == 'stall':  # otherwise waiting requests would wait for the rest of their minute
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
    parser.add_argument('--transport', type=lambda text: text.split(','), help='of the clients, such as grpc,gateway')
    options = parser.parse_args(argv)
    with Storm(options.seed, options.lines, options.loop_wait, options.transport or ()) as storm:
        figures = storm.run(options.seconds)
    print(f'seed {options.seed}, etcd {"/".join(storm.lines)}, {len(storm.moves)} faults: {figures}')
    for problem in figures.problems:
        print('  broken: ' + problem)
    return 1 if figures.problems else 0
