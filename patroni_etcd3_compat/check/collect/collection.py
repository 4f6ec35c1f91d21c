"""The order in which everything is asked: as soon as it is known whom to ask, and concurrently."""

from __future__ import annotations

import re
import socket
import time
from dataclasses import replace
from datetime import datetime, timezone
from typing import Callable, Iterable, Iterator

from ..facts import EtcdEndpoint, Facts, Fleet
from .cluster import Members
from .endpoints import Endpoints
from .interview import Interview, Keys, Told
from .patroni_keys import Cluster
from .questions import Questions
from .rest_api import RestApi
from .settings import Settings
from .this_host import this_host
from .web import Web

_ETCD = 'etcd'

#: Keys of a Patroni cluster below its name, or below the number of a Citus group, which is the first part.
_KEY = re.compile(
    r'(?:([0-9]{1,9})/)?'
    r'(?:members/.*|optime/leader|config|failover|failsafe|history|initialize|leader|status|sync)',
    re.DOTALL,
)

#: Seconds between two reports of the progress.
_REPORT = 1.0


def collect(settings: Settings) -> Facts:
    """Return the facts; servers that do not answer in time are noted and left out.

    :param settings: what to collect and from whom.

    :returns: the facts. It takes as long as the slowest of those that were asked, and with an interval between two
              samples at least that long.
    """
    return _Collection(settings).run()


def collect_fleet(settings: Settings, progress: Callable[[str], None] | None = None) -> Fleet:
    """Return the facts about every Patroni cluster of an etcd. PostgreSQL is not asked: each has its own credentials.

    :param settings: what to collect and from whom; :attr:`Settings.every` is set.
    :param progress: is told once a second how many have answered.
    """
    return _Collection(settings, progress).run_all()


class _Collection:
    def __init__(self, settings: Settings, progress: Callable[[str], None] | None = None) -> None:
        self._settings = settings
        self._questions = Questions(settings.timeout)
        self._web = Web(settings.tls)
        self._endpoints = Endpoints(settings)
        #: the Patroni clusters whose members are being asked, by path
        self._clusters: dict[str, Members] = {}
        self._progress = progress
        self._asked = self._answered = 0
        self._started = time.monotonic()
        self._taken = datetime.now(timezone.utc).isoformat(timespec='seconds')

    def run(self) -> Facts:
        """Collect what there is to know about etcd and one cluster."""
        settings = self._settings
        try:
            self._ask_everybody()
            cluster = next(iter(self._clusters.values()), None)
            if cluster and settings.slots_interval is not None:
                time.sleep(max(settings.slots_interval - (time.monotonic() - self._started), 0))
                cluster.ask_again()
                for outcome in self._questions.outcomes():
                    cluster.take_again(outcome)
        finally:
            self._web.close()
        patroni = cluster.facts if cluster else None
        return Facts(
            self._taken,
            self._seconds(),
            self._endpoints.facts(),
            patroni,
            this_host(settings, patroni),
            settings.slots_interval if cluster else None,
            asked_from=socket.gethostname(),
        )

    def run_all(self) -> Fleet:
        """Collect what there is to know about etcd and all of its clusters."""
        try:
            self._ask_everybody()
        finally:
            self._web.close()
        return Fleet(
            self._taken,
            self._seconds(),
            self._endpoints.facts(),
            self._settings.namespace,
            [cluster.facts for cluster in self._clusters.values()],
            None if self._endpoints.keys() else f'no etcd member gave the keys below {self._settings.path}',
            asked_from=socket.gethostname(),
        )

    def _seconds(self) -> float:
        return round(time.monotonic() - self._started, 3)

    def _ask_everybody(self) -> None:
        self._ask_members(self._endpoints.configured())
        self._take_answers()
        if not self._clusters:
            self._ask_patroni(self._endpoints.keys())  # no member gave keys that the others have agreed to
            self._take_answers()
        for cluster in self._clusters.values():
            cluster.work_out()

    def _ask_members(self, members: Iterable[EtcdEndpoint]) -> None:
        for member in members:
            self._questions.send((_ETCD, '', member.url), self._interview, member)

    def _interview(self, member: EtcdEndpoint) -> Told:
        return Interview(member, self._settings, self._web).run()

    def _take_answers(self) -> None:
        reported = time.monotonic()
        for outcome in self._questions.outcomes():
            kind, path, name = outcome.key
            if kind != _ETCD:
                self._answered += 1
                self._clusters[path].take(outcome)
            elif outcome.error:
                self._endpoints.failed(name, outcome.error)
            else:
                self._ask_members(self._endpoints.add(outcome.value))
                keys = self._endpoints.keys()
                if not self._clusters and keys and keys.agreed:
                    self._ask_patroni(keys)
            if self._progress and time.monotonic() - reported >= _REPORT:
                reported = time.monotonic()
                self._progress(f'{self._answered} of {self._asked} members asked')

    def _ask_patroni(self, keys: Keys | None) -> None:
        rest = RestApi(self._settings)
        for settings, own in self._found(keys):
            cluster = Members(Cluster(settings, own), settings, self._questions, rest, not self._settings.every)
            self._clusters[cluster.path] = cluster
            self._asked += len(cluster.facts.members)
            cluster.ask()

    def _found(self, keys: Keys | None) -> Iterator[tuple[Settings, Keys | None]]:
        """Yield the clusters to ask, each with its keys."""
        if self._settings.scope is not None:
            yield self._settings, keys
        elif self._settings.every and keys:
            for (scope, group), own in sorted(_split(keys).items()):
                yield replace(self._settings, scope=scope, group=int(group) if group else None, every=False), own


def _split(keys: Keys) -> dict[tuple[str, str], Keys]:
    """Return the keys of each cluster by its name and Citus group, which is empty for others."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for name, value in keys.values.items():
        scope, _, rest = name.partition('/')
        match = _KEY.fullmatch(rest)
        if match and scope:
            group = match.group(1) or ''
            found.setdefault((scope, group), {})[rest[len(group) + 1 :] if group else rest] = value
    return {cluster: Keys(values, keys.revision, keys.agreed) for cluster, values in found.items()}
