"""Real releases of Patroni side by side; the size of WAL is printed at the end and kept in the lab's cache."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, ContextManager, Iterator, Sequence

import pytest

from lab import CACHE
from lab.cache import keep_results
from lab.etcd import EtcdCluster
from tests.mixed.cluster import MixedCluster

FILE = CACHE / 'mixed.json'

_session: dict[str, dict[str, Any]] = {}


def _note(what: str, cluster: MixedCluster, releases: Sequence[str]) -> None:
    release_of = {node.name: release for node, release in zip(cluster.nodes, releases)}
    names = list(dict.fromkeys(name for sizes in cluster.rounds for name in sizes))
    if names:
        _session[what] = {
            f'{release_of.get(name, "")} {name}'.strip(): [sizes.get(name) for sizes in cluster.rounds]
            for name in names
        }


@contextlib.contextmanager
def _run(what: str, releases: Sequence[str], etcd: Sequence[str] = ('3.5',), **options: Any) -> Iterator[MixedCluster]:
    with EtcdCluster(etcd) as members, MixedCluster(releases, members, **options) as cluster:
        yield cluster
        _note(what, cluster, releases)


@pytest.fixture(scope='session')
def mixed() -> Callable[..., ContextManager[MixedCluster]]:
    """Start a `MixedCluster`: ``with mixed('what is done', releases) as cluster``, with the same options."""
    return _run


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the size of WAL on each node, and keep it together with the results of earlier runs."""
    if not _session:
        return
    terminalreporter.section('MB of WAL after each round')
    for what, nodes in _session.items():
        terminalreporter.write_line(what)
        for name, sizes in nodes.items():
            cells: list[str] = ['-' if size is None else str(size) for size in sizes]
            terminalreporter.write_line(f'  {name:<24} {" ".join(f"{cell:>4}" for cell in cells)}')
    keep_results(FILE, _session)
