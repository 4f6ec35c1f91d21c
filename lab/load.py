"""A steady write load on a Patroni cluster, which remembers the acknowledged writes."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg

from .patroni import PatroniCluster
from .processes import LabError
from .service import Service


class WriteLoad(Service):
    """Insert one row after another into the writable node, inside a ``with``.

    :param cluster: the Patroni cluster.
    :param interval: seconds between two inserts.
    """

    def __init__(self, cluster: PatroniCluster, interval: float = 0.05) -> None:
        self._cluster = cluster
        self._interval = interval
        self._ids: list[int] = []
        self._times: list[float] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = 0.0
        self._ended: float | None = None

    def start(self) -> None:
        """Start the load on an empty table.

        :raises LabError: when there is no primary within a minute.
        """
        self._cluster.wait_primary()
        with self._connect() as connection:
            connection.execute('CREATE TABLE IF NOT EXISTS load (id bigint PRIMARY KEY)')
            connection.execute('TRUNCATE load')
        self._started = time.monotonic()
        self._thread.start()

    def _connect(self) -> psycopg.Connection[Any]:
        nodes = self._cluster.nodes
        return psycopg.connect(
            host=','.join('127.0.0.1' for _ in nodes),
            port=','.join(str(node.port) for node in nodes),
            user='postgres',
            dbname='postgres',
            target_session_attrs='read-write',
            connect_timeout=2,
            options='-c statement_timeout=2000',
            autocommit=True,
        )

    def _run(self) -> None:
        connection = None
        number = 0
        while not self._done.wait(self._interval):
            number += 1
            try:
                if connection is None:
                    connection = self._connect()
                connection.execute('INSERT INTO load VALUES (%s)', (number,))
            except psycopg.Error:
                if connection is not None:
                    connection.close()
                connection = None
                continue
            self._ids.append(number)
            self._times.append(time.monotonic())
        if connection is not None:
            connection.close()

    def stop(self) -> None:
        """End the load; the measurements stay. Has no effect when it has ended."""
        if self._ended is None:
            self._ended = time.monotonic()
            self._done.set()
            self._thread.join(10)

    @property
    def acknowledged(self) -> int:
        """The number of inserts that were acknowledged so far."""
        return len(self._ids)

    @property
    def longest_gap(self) -> float:
        """The longest time without an acknowledged insert, in seconds, from the start until now or the end."""
        times = [self._started] + self._times + [self._ended if self._ended is not None else time.monotonic()]
        return max(after - before for before, after in zip(times, times[1:]))

    def verify(self) -> None:
        """Check that every acknowledged row exists.

        :raises LabError: when rows are missing, or no node takes writes within a minute.
        """
        acknowledged = set(self._ids)
        self._cluster.wait_primary()
        with self._connect() as connection:
            there = {row[0] for row in connection.execute('SELECT id FROM load')}
        lost = sorted(acknowledged - there)
        if lost:
            raise LabError(f'{len(lost)} of {len(acknowledged)} acknowledged rows are lost: {lost[:5]} ...')
