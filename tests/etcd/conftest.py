"""DCS clients on real etcd members. The end of a run names the releases that were not available."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import json
import logging
import threading
from typing import Any, Callable, Iterator, Sequence

import pytest
from patroni.dcs import AbstractDCS, get_dcs
from urllib3.exceptions import HTTPError

from lab import packages
from lab.etcd import b64
from patroni_etcd3_compat.extras import GRPC

#: Options of each section in the test run, see :func:`pytest_addoption`.
DEFAULTS: dict[str, Any] = {}

_scopes = itertools.count(1)


class Dcs:
    """A DCS as Patroni's HA loop uses it, without the differences between Patroni's releases.

    :param hosts: ``host:port`` of the etcd members, a list or separated by commas.
    :param name: name of the Patroni member.
    :param scope: name of the Patroni cluster, a new one if left out.
    :param options: further options of the section, and of the configuration where they belong there (``ttl``).
    """

    def __init__(
        self,
        hosts: Sequence[str] | str,
        name: str = 'a',
        scope: str | None = None,
        section: str = 'etcd3',
        **options: Any,
    ) -> None:
        self.name, self.scope = name, scope or f'scope{next(_scopes)}'
        general = {
            key: options.pop(key, default)
            # Patroni's own, except for loop_wait. With retry_timeout 5 a call is over, stock or not, before a busy
            # machine has elected a leader.
            for key, default in (('ttl', 30), ('loop_wait', 2), ('retry_timeout', 10), ('namespace', 'service'))
        }
        self.config: dict[str, Any] = dict(
            general,
            name=name,
            scope=self.scope,
            **{section: dict(DEFAULTS, **dict({'hosts': hosts} if hosts else {}, **options))},
        )
        self.dcs = get_dcs(self.config)

    @property
    def client(self) -> Any:
        """The etcd client."""
        return self.dcs._client

    def use(self, url: str) -> None:
        """Make *url* the member that is asked first.

        Patroni takes what that member has, which may lag behind what was written through another one. A linearizable
        read comes first, so that a key that was just made is there.
        """
        with contextlib.suppress(HTTPError, OSError):  # of a member that cannot serve
            body = json.dumps({'key': b64('health')})
            self.client.http.urlopen('POST', url + '/v3/kv/range', body=body, timeout=2, retries=0)
        self.client.set_base_uri(url)
        self.dcs.get_cluster()

    def leader(self) -> str | None:
        """Name of the leader, read as the HA loop reads it."""
        cluster = self.dcs.get_cluster()
        return cluster.leader.name if cluster.leader and cluster.leader.name else None

    def acquire(self) -> bool:
        """Take the leader key after reading the cluster, as in the HA loop.

        Without that, Patroni may read the keys for the first time just then. The late result of that read would replace
        what was noted about the key meanwhile, until the watch updates it.
        """
        self.dcs.get_cluster()
        return bool(self.dcs.attempt_to_acquire_leader())

    def update_leader(self, cluster: Any = None) -> bool:
        """Hold the leader key, as the HA loop of the leader does each time.

        :param cluster: what the loop has read, to be read now if left out.
        """
        cluster = cluster or self.dcs.get_cluster()
        if 'leader' in inspect.signature(AbstractDCS._update_leader).parameters:  # since 3.0.4
            return bool(self.dcs._update_leader(cluster.leader))
        return bool(self.dcs._update_leader())

    def touch(self, **data: Any) -> bool:
        """Write the member key."""
        return bool(self.dcs.touch_member(dict(data, state='running')))

    def loop(self) -> bool:
        """Run one HA loop of the leader: read, hold the leader key, write the member key."""
        self.count = getattr(self, 'count', 0) + 1
        return self.update_leader() and self.leader() == self.name and self.touch(count=self.count)

    def stop(self) -> None:
        """Stop the thread that watches, which Patroni never ends, and close all connections."""
        cache = getattr(self.client, '_kv_cache', None)
        if cache:
            cache._build_cache = threading.Event().wait
            cache.kill_stream()
        self.client.http.clear()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option with which all tests here run over another transport."""
    parser.addoption('--transport', help='value of the option "transport" in all tests of tests/etcd')


def pytest_configure(config: pytest.Config) -> None:
    """Apply the option."""
    if config.getoption('--transport'):
        DEFAULTS['transport'] = config.getoption('--transport')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave tests of the gateway alone out over gRPC; the summary of the run names them with their reasons."""
    for item in items:
        mark = item.get_closest_marker('gateway_only')
        if mark:
            assert mark.kwargs['reason'], f'{item.nodeid} does not say why gRPC does not concern it'
            if DEFAULTS.get('transport') == GRPC:
                item.add_marker(pytest.mark.skip(reason=f'gateway only: {mark.kwargs["reason"]}'))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many tests were left out over gRPC."""
    skipped = [report.longrepr[2] for report in terminalreporter.stats.get('skipped', ())]
    count = sum('gateway only: ' in reason for reason in skipped)
    if DEFAULTS.get('transport') == GRPC:
        terminalreporter.write_line(f'left out over gRPC, since they concern the gateway alone: {count} (see the list)')


@pytest.fixture
def connect() -> Iterator[Callable[..., Dcs]]:
    """Make :class:`Dcs` objects that end with the test."""
    made: list[Dcs] = []

    def make(*args: Any, **kwargs: Any) -> Dcs:
        dcs = Dcs(*args, **kwargs)
        made.append(dcs)
        return dcs

    yield make
    for dcs in made:
        dcs.stop()


@pytest.fixture(autouse=True)
def _levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    logging.getLogger('aiohttp').setLevel(logging.WARNING)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Fail without two different releases, the minimum for tests of mixed clusters."""
    at_hand = packages.etcd_binaries()
    if len({version.rsplit('.', 1)[0] for version in at_hand}) < 2:
        pytest.exit(
            f'fewer than two etcd releases at hand ({", ".join(sorted(at_hand)) or "none"}): no mixed clusters to test',
            returncode=1,
        )
