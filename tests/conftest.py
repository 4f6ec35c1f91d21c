"""Fixtures for all tests: etcd clusters that end with the test, and the versions under test at the end of a run."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from hypothesis import settings

# How many examples a property test takes, see `tests.examples`. Use --hypothesis-profile=thorough for the second
# profile.
settings.register_profile('quick', deadline=None, max_examples=10)
settings.register_profile('thorough', deadline=None, max_examples=100)
settings.load_profile('thorough' if os.environ.get('CI') else 'quick')


@pytest.fixture
def start() -> Iterator[Callable[..., Any]]:
    """Start etcd clusters (``lab.etcd.EtcdCluster``) that end with the test."""
    from lab.etcd import EtcdCluster

    with contextlib.ExitStack() as ends:

        def make(*args: Any, **kwargs: Any) -> Any:
            cluster = EtcdCluster(*args, **kwargs)
            ends.callback(cluster.stop)  # even if it did not become healthy
            return cluster.__enter__()

        yield make


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the versions of everything under test, and the releases of etcd for which no real binary was found."""
    import patroni_etcd3_compat  # not earlier: the tests may use another one, see tests/patches/alias

    versions = [f'{patroni_etcd3_compat.__name__} {patroni_etcd3_compat.__version__}']
    versions += [f'{name} {importlib.metadata.version(name)}' for name in ('patroni', 'urllib3', 'python-etcd')]
    terminalreporter.write_line('under test: ' + ', '.join(versions))
    for report in terminalreporter.stats.get('skipped', ()):
        terminalreporter.write_line(f'left out: {report.nodeid}: {report.longrepr[2]}')
    if all('unit' in Path(argument).parts for argument in config.args):
        return  # no servers
    from lab import packages

    at_hand = sorted(packages.etcd_binaries(), key=packages.version_key)
    terminalreporter.write_line('etcd at hand: ' + ', '.join(at_hand))
    missing = packages.missing()
    if missing:
        terminalreporter.write_line(
            f'no real etcd at hand for {", ".join(missing)}: a facade in front of another release stood in where '
            'a test wanted one (ETCD_BIN_DIR takes more)'
        )
