"""The promises of a storm, checked against the journals of its clients and the history of etcd."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field
from typing import Mapping, NamedTuple, Sequence, Tuple

from lab.etcd import EtcdCluster, b64
from lab.facade import is_nested_txn

from .journal import LEADER_KEY, Entry, Event, history


class Belief(NamedTuple):
    """An uninterrupted time in which a client believed to be the leader."""

    name: str
    #: when it was told
    since: float
    #: when the call about the leader key ended that followed the last confirmation
    until: float
    #: when it began to ask for the last confirmation
    asked: float
    #: until then, an earlier unanswered resignation of its own may still be executed
    doubt: float


Stops = Mapping[str, Sequence[Tuple[float, float]]]
"""For each client the times in which its process stood still."""


@dataclass
class Figures:
    """The results of a storm."""

    problems: list[str] = field(default_factory=list)
    loops: int = 0
    failed: int = 0
    writes: int = 0
    generations: int = 0
    requests: int = 0
    #: seconds from the end of the last fault to the end of the last failed loop
    recovery: float = 0
    #: the longest time for which a client believed to be the leader after it had asked for the last confirmation
    unconfirmed: float = 0

    def __str__(self) -> str:
        return (
            f'{self.loops} loops, {self.failed} of them failed; {self.writes} writes acknowledged; {self.generations} '
            f'generations of the leader key; {self.requests} requests; good again after {self.recovery:.1f} s; '
            f'leader without confirmation for {self.unconfirmed:.1f} s at most; {len(self.problems)} promises '
            'broken'
        )


def judge(
    journals: Mapping[str, Sequence[Entry]],
    etcd: EtcdCluster,
    ttl: float,
    calm_since: float,
    ended: float,
    logs: Mapping[str, str],
    stops: Stops | None = None,
) -> Figures:
    """Look for broken promises.

    :param journals: what each client wrote down.
    :param etcd: the cluster, up, its facades with all requests.
    :param ttl: seconds that the leader key lives.
    :param calm_since: when the last fault was over.
    :param ended: when the clients were stopped.
    :param logs: what each client logged, searched for errors that must not appear.
    :param stops: when clients were frozen, by name.
    """
    events, figures = history(etcd), Figures()
    for check in (
        _check_generations(events),
        check_claims(journals, events, ttl),
        check_beliefs(journals, stops or {}, ttl, ended),
        _check_writes(journals, events),
        _check_recovery(journals, ttl, calm_since, ended),
        _check_requests(etcd),
    ):
        figures.problems += check
    for name, entries in journals.items():
        figures.problems += [f'{name}: unexpected {e.unexpected}' for e in entries if e.unexpected]
        figures.problems += [
            f'{name} logged: {line}'
            for line in logs[name].splitlines()
            if any(word in line for word in ('AttributeError(', 'KeyError(', 'TypeError('))
        ][:3]
    everything = [entry for entries in journals.values() for entry in entries]
    failed = [entry for entry in everything if not entry.good]
    figures.loops, figures.failed = len(everything), len(failed)
    figures.writes = sum(entry.written is not None for entry in everything)
    figures.generations = len({e.created for e in events if e.key == LEADER_KEY and e.value is not None})
    figures.requests = len(etcd.requests())
    figures.unconfirmed = max(
        [
            belief.until - belief.asked
            for name, its in journals.items()
            for belief in _beliefs(name, its, (stops or {}).get(name, ()), ttl, ended)
        ]
        + [0]
    )
    figures.recovery = max([entry.ended - calm_since for entry in failed] + [0])
    return figures


def _check_generations(events: Sequence[Event]) -> list[str]:
    """Check that the leader key belongs to one client from its creation to its end."""
    holders: dict[int, list[str]] = {}
    for event in events:
        if event.key == LEADER_KEY and event.value is not None:
            holders.setdefault(event.created, []).append(event.value)
    return [
        f'the leader key of revision {created} had the holders {names}'
        for created, names in holders.items()
        if len(set(names)) > 1
    ]


def check_claims(journals: Mapping[str, Sequence[Entry]], events: Sequence[Event], ttl: float) -> list[str]:
    """Check that a client that was told to be the leader was, and that no other was at that time.

    An attempt to give the key away that got no answer suspends this for one ttl. It may take effect late, and Patroni
    does not read the key in each loop.
    """
    problems = []
    leases = {(event.value, event.lease) for event in events if event.key == LEADER_KEY}
    claims: list[tuple[float, str, Entry, bool]] = []
    for name, entries in journals.items():
        doubt = 0.0
        for entry in entries:
            # A resignation counts from when it was requested, since it may be executed long before its answer arrives.
            told = entry.asked or entry.started if entry.resigned else entry.told or entry.ended
            if entry.resigned or entry.held and told < entry.started + ttl:  # Patroni itself no longer trusts it
                claims.append((told, name, entry, entry.held and entry.started >= doubt))
            if entry.resigned and not entry.released:
                doubt = entry.ended + ttl
            if entry.held and (name, entry.lease) not in leases:
                problems.append(f'{name} took itself for the leader with lease {entry.lease}, never on the key')
    claims.sort()
    for (_, before, first, firm), (told, after, second, _) in zip(claims, claims[1:]):
        # The lease was renewed after the loop had started, and etcd never ends one early.
        if before != after and firm and second.held and told < first.started + ttl:
            problems.append(
                f'{after} became the leader {told - first.started:.1f} s after {before} was told that it '
                f'was for {ttl} s (lease {first.lease})'
            )
    return problems


def check_beliefs(journals: Mapping[str, Sequence[Entry]], stops: Stops, ttl: float, ended: float) -> list[str]:
    """Check that no two clients believe to be the leader at once.

    A client that cannot renew the key has to let go before it expires.

    :param ended: when the clients were stopped, in the middle of whatever they did.
    """
    everyone = sorted(
        (
            belief
            for name, entries in journals.items()
            for belief in _beliefs(name, entries, stops.get(name, ()), ttl, ended)
        ),
        key=lambda belief: belief.since,
    )
    return [
        f'{old.name} held on to the leader key {old.until - new.since:.1f} s after {new.name} had it, '
        f'{old.until - old.asked:.1f} s after it had last asked for it'
        for i, old in enumerate(everyone)
        for new in everyone[i + 1 :]
        if old.name != new.name and old.doubt <= new.since < old.until
    ]


def _beliefs(
    name: str, entries: Sequence[Entry], stops: Sequence[tuple[float, float]], ttl: float, ended: float
) -> list[Belief]:
    """Return the times in which a client believed to be the leader.

    A frozen process cannot let go. Its belief counts until it froze, and again from the first call that it began
    afterwards. A confirmation that may have waited for it to wake up does not count.
    """
    found: list[Belief] = []
    belief: Belief | None = None
    last = doubt = 0.0  # when it was last told that it is the leader

    def close(end: float) -> None:
        stopped = min([since for since, until in stops if last < until and since < end] + [end])
        if belief is not None:
            found.append(belief._replace(until=max(last, stopped)))

    for entry in entries:
        holds, time = _verdict(entry)
        if holds is None:
            continue
        asked = entry.asked or entry.started
        if belief is not None and (not holds or _overlap(stops, last, time)):
            close(time)
            belief = None
        if holds and not _overlap(stops, asked, time):
            belief = belief._replace(asked=asked) if belief is not None else Belief(name, time, time, asked, doubt)
            last = time
        if entry.resigned and not entry.released:
            doubt = entry.ended + ttl
    close(ended)
    return found


def _verdict(entry: Entry) -> tuple[bool | None, float]:
    """Return what a loop told its client about the leader key, and when; ``None`` if nothing."""
    told = entry.told or entry.ended
    if entry.resigned:
        return False, entry.asked or entry.started  # Patroni demotes first
    if entry.held or entry.asked:
        return entry.held, told
    if entry.leader:  # somebody else
        return False, entry.looked
    return (None if entry.looked else False), entry.ended


def _overlap(stops: Sequence[tuple[float, float]], since: float, until: float) -> bool:
    return any(since < end and start < until for start, end in stops)


def _check_writes(journals: Mapping[str, Sequence[Entry]], events: Sequence[Event]) -> list[str]:
    there = {(event.revision, event.value) for event in events}
    return [
        f'{name}: acknowledged write {entry.written[0]} of revision {entry.written[1]} is lost'
        for name, entries in journals.items()
        for entry in entries
        if entry.written and (entry.written[1], entry.written[0]) not in there
    ]


def _check_recovery(journals: Mapping[str, Sequence[Entry]], ttl: float, calm_since: float, ended: float) -> list[str]:
    problems = []
    for name, entries in journals.items():
        late = [entry for entry in entries if entry.ended > calm_since + ttl]
        if not any(entry.good for entry in late):
            problems.append(f'{name}: no good loop from {ttl} s after the last fault on')
        problems += [
            f'{name}: {entry.ended - calm_since:.1f} s after the last fault: '
            f'{entry.error or entry.unexpected or "not good"}'
            for entry in late
            if not entry.good
        ]
    return problems


def _check_requests(etcd: EtcdCluster) -> list[str]:
    """Check that no nested transaction was sent, and no write twice unless the answer was "not executed"."""
    problems: list[str] = []
    sent: dict[bytes, int] = collections.Counter()
    own = b64('/storm').encode()  # six characters, so this is how every longer key begins as well
    for request in etcd.requests():
        if is_nested_txn(request.body) or b'request_txn' in request.body or b'requestTxn' in request.body:
            problems.append(f'nested transaction to {request.member}: {request.body!r}')
        if request.rpc == 'kv/put' and request.status != 404 and own in request.body:
            sent[request.body] += 1
    return problems + [f'{body.decode()} was sent {times} times' for body, times in sent.items() if times > 1]
