"""A monitor that records what happens to a Patroni cluster: the roles of its nodes, and who holds the leader key."""

from __future__ import annotations

import base64
import threading
import time
from typing import Any, Callable, NamedTuple, Sequence

from .etcd import b64
from .node import PatroniNode
from .patroni import PatroniCluster
from .processes import LabError


class Sample(NamedTuple):
    """What was observed at one moment."""

    #: seconds, `time.monotonic`
    time: float
    #: `PatroniNode.role` by name of the node
    roles: dict[str, str | None]
    #: who holds the leader key in etcd, '' if nobody does, None if no member answers
    leader: str | None


class Monitor:
    """Record five times a second, inside a ``with``, the role of each node and who holds the leader key.

    :param cluster: the Patroni cluster; its nodes at the start are watched.
    """

    INTERVAL = 0.2

    def __init__(self, cluster: PatroniCluster) -> None:
        self._cluster = cluster
        self._latest: dict[str, Any] = {}
        self._token: str | None = None
        self._member = 0
        self._done = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failed_before: dict[str, int] = {}
        self.samples: list[Sample] = []

    def __enter__(self) -> Monitor:
        nodes = list(self._cluster.nodes)
        self._failed_before = {node.name: node.failed_loops() for node in nodes}
        # One thread each, since a node that hangs must not hide what the others do meanwhile.
        probes: dict[str, Callable[[], str | None]] = {node.name: node.role for node in nodes}
        probes['/leader'] = self._leader
        for name, probe in probes.items():
            self._latest[name] = probe()
            self._threads.append(threading.Thread(target=self._watch, args=(name, probe), daemon=True))
        self._threads.append(threading.Thread(target=self._sample, daemon=True))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _watch(self, name: str, probe: Callable[[], str | None]) -> None:
        while not self._done.wait(self.INTERVAL):
            self._latest[name] = probe()

    def _sample(self) -> None:
        while True:
            latest = dict(self._latest)
            leader = latest.pop('/leader')
            self.samples.append(Sample(time.monotonic(), latest, leader))
            if self._done.wait(self.INTERVAL):
                break

    def _leader(self) -> str | None:
        """Return the leader key from the member that answered last; after a failure the next one is asked next time."""
        etcd = self._cluster.etcd
        key = f'/service/{self._cluster.scope}/leader'
        if etcd.members[self._member].running:
            try:
                if etcd.auth is not None and self._token is None:
                    self._token = etcd.token(self._member)
                status, answer = etcd.call(self._member, 'kv/range', {'key': b64(key)}, self._token)
                if status == 200:
                    found = answer.get('kvs')
                    return base64.b64decode(found[0]['value']).decode() if found else ''
            except (OSError, LabError):
                pass
        self._token = None
        self._member = (self._member + 1) % len(etcd.members)
        return None

    def _seconds(self, counts: Callable[[Sample], bool]) -> float:
        return sum(after.time - before.time for before, after in zip(self.samples, self.samples[1:]) if counts(before))

    @property
    def seconds_without_primary(self) -> float:
        """The seconds in which no node was a primary."""
        return self._seconds(lambda sample: 'primary' not in sample.roles.values())

    @property
    def seconds_without_leader_key(self) -> float:
        """The seconds in which etcd had no leader key, without those in which no member answered."""
        return self._seconds(lambda sample: sample.leader == '')

    @property
    def demotions(self) -> int:
        """How often a primary had another role in the next sample, or stopped."""
        return sum(
            before == 'primary' and after != 'primary'
            for before, after in self._changes(
                [[sample.roles[name] for sample in self.samples] for name in self._failed_before]
            )
        )

    @property
    def role_changes(self) -> int:
        """How often a node had a role different from before."""
        return len(self._changes([[sample.roles[name] for sample in self.samples] for name in self._failed_before]))

    @property
    def leader_changes(self) -> int:
        """How often the leader key moved from one node to another."""
        return len(self._changes([[sample.leader or None for sample in self.samples]]))

    @staticmethod
    def _changes(series: Sequence[Sequence[str | None]]) -> list[Sequence[str]]:
        """Return each change (before, after) in several series of values, without None."""
        known = [[value for value in values if value is not None] for values in series]
        return [pair for values in known for pair in zip(values, values[1:]) if pair[0] != pair[1]]

    def failed_loops(self, node: PatroniNode) -> int:
        """Count the HA loops of a node that failed because of the DCS since the monitor started, by its log."""
        return node.failed_loops() - self._failed_before[node.name]
