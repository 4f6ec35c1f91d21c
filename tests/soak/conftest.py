"""Real Patroni and PostgreSQL under a write load while etcd changes. It takes about an hour: ``make soak``.

The results are printed at the end of the run and kept in ``soak.json`` of the lab's cache, by test.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any, Callable, ContextManager, Iterator, Sequence

import pytest

from lab import CACHE, say
from lab.cache import keep_results
from lab.environments import Environment, environment
from lab.etcd import EtcdCluster, b64
from lab.load import WriteLoad
from lab.monitor import Monitor
from lab.node import unprivileged_user
from lab.patroni import PatroniCluster

SETTLE = 5
"""Seconds in each state: two HA loops and more."""

FILE = CACHE / 'soak.json'

_session: dict[str, dict[str, Any]] = {}


class Soak:
    """A primary and a replica on an etcd cluster, under a write load, all monitored.

    :param etcd: the etcd cluster.
    :param patroni: the Patroni cluster.
    :param monitor: the monitor, running.
    :param load: the write load, running.
    """

    def __init__(self, etcd: EtcdCluster, patroni: PatroniCluster, monitor: Monitor, load: WriteLoad) -> None:
        self.etcd, self.patroni, self.monitor, self.load = etcd, patroni, monitor, load

    @staticmethod
    def settle(seconds: float = SETTLE) -> None:
        """Wait that many seconds in the current state."""
        time.sleep(seconds)

    @property
    def failed_loops(self) -> int:
        """Count the HA loops of all nodes that have failed because of the DCS so far."""
        return sum(self.monitor.failed_loops(node) for node in self.patroni.nodes)

    def leader_lease(self) -> str:
        """Return the lease of the leader key in etcd, '' if there is no key."""
        key = f'/service/{self.patroni.scope}/leader'
        found = self.etcd.call(0, 'kv/range', {'key': b64(key)})[1].get('kvs')
        return str(found[0]['lease']) if found else ''

    def figures(self) -> dict[str, Any]:
        """Return the results so far; times in seconds."""
        monitor = self.monitor
        return {
            'longest_gap': round(self.load.longest_gap, 2),
            'demotions': monitor.demotions,
            'failed_loops': self.failed_loops,
            'leader_changes': monitor.leader_changes,
            'without_primary': round(monitor.seconds_without_primary, 1),
            'without_leader_key': round(monitor.seconds_without_leader_key, 1),
            'rows': self.load.acknowledged,
        }

    def nothing_noticed(self, without_leader_key: float = 0) -> None:
        """Check the promises: the primary stays, no HA loop fails, writes continue, the leader key exists.

        :param without_leader_key: seconds that it may be gone, where the test itself removes it.
        """
        figures = self.figures()
        assert figures['demotions'] == figures['failed_loops'] == figures['leader_changes'] == 0, figures
        assert figures['longest_gap'] <= 1, figures
        assert figures['without_leader_key'] <= without_leader_key, figures


@pytest.fixture(scope='session')
def newest() -> Environment:
    """The newest Patroni with this package, at a place where its user can reach it."""
    return environment().for_user(unprivileged_user())


@pytest.fixture
def soak(newest: Environment, request: pytest.FixtureRequest) -> Callable[..., ContextManager[Soak]]:
    """Start a `Soak`: ``with soak('what is done', versions) as run``. No acknowledged row may be lost in it."""

    @contextlib.contextmanager
    def start(what: str, versions: Sequence[str], facade: bool = False, **options: Any) -> Iterator[Soak]:
        with EtcdCluster(versions, facade=facade) as etcd, PatroniCluster(newest, etcd, **options) as patroni:
            with Monitor(patroni) as monitor, WriteLoad(patroni) as load:
                run = Soak(etcd, patroni, monitor, load)
                try:
                    yield run
                finally:
                    load.stop()
                    _session[request.node.nodeid] = dict(run.figures(), what=what)
                    say(f'{what}: {run.figures()}')
            load.verify()

    return start


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print one line per test, and keep the results together with those of earlier runs."""
    if not _session:
        return
    terminalreporter.section('what Patroni and its clients noticed')
    rows: list[list[str]] = [['gap s', 'demoted', 'failed loops', 'no primary s', 'no leader key s', 'rows', '']]
    rows += [
        [
            str(entry[name])
            for name in (
                'longest_gap',
                'demotions',
                'failed_loops',
                'without_primary',
                'without_leader_key',
                'rows',
                'what',
            )
        ]
        for entry in _session.values()
    ]
    widths = (6, 8, 13, 13, 16, 6)
    for *figures, what in rows:
        cells = [figure.rjust(width) for figure, width in zip(figures, widths)]
        terminalreporter.write_line(f'{" ".join(cells)}  {what}')
    keep_results(FILE, _session)
