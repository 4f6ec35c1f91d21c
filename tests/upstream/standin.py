"""A stand-in for Patroni's ``tests/__init__.py``, which is missing in its source distributions.

It has what ``test_etcd.py``, ``test_etcd3.py`` and ``test_ctl.py`` import from there. It also has what the import of
``test_ha.py`` needs, from which ``test_ctl.py`` takes its clusters. It was written from how they use it.
"""

from __future__ import annotations

import json
import unittest
from types import SimpleNamespace
from typing import Any, Iterator


class SleepException(Exception):
    """Raised instead of a sleep, to leave an endless loop."""


class MockResponse:
    """An HTTP response whose status and text the test sets. It has no ``close``, which some tests rely on."""

    def __init__(self, status_code: int = 200) -> None:
        self.status_code = status_code
        self.content = '{}'
        self.headers: dict[str, str] = {}

    @property
    def status(self) -> int:
        """Status as urllib3 names it."""
        return self.status_code

    @property
    def data(self) -> bytes:
        """The whole body."""
        return self.content.encode('utf-8')

    def getheader(self, name: str, default: str = '') -> str:
        """Return one header."""
        return self.headers.get(name, default)


def requests_get(url: str, **kwargs: Any) -> MockResponse:
    """Return the answer of an etcd member's peer port that was found by its SRV record."""
    response = MockResponse()
    if url.endswith('/bad_response'):
        response.content = '{'
    elif url.startswith('http://local'):
        raise OSError('nobody listens there')
    else:
        response.content = json.dumps([{'clientURLs': ['http://localhost:2379', 'http://localhost:4001']}])
    return response


class MockCursor:
    """A cursor in a database that is not a replica, which is all that patronictl asks for itself."""

    def __init__(self, connection: MockConnect) -> None:
        self.connection = connection
        self.description: list[SimpleNamespace] = []
        self._rows: list[tuple[Any, ...]] = []

    def execute(self, sql: Any, *params: Any) -> None:
        """Run a statement, given as text or (patronictl since 3.0.4) as bytes."""
        text = sql.decode() if isinstance(sql, bytes) else sql
        assert text == 'SELECT pg_catalog.pg_is_in_recovery()', text
        self.description = [SimpleNamespace(name='pg_is_in_recovery')]
        self._rows = [(False,)]

    def fetchone(self) -> tuple[Any, ...]:
        """Return one row of the result."""
        return self._rows[0]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows of the result."""
        return self._rows

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._rows)


class MockConnect:
    """A connection to that database."""

    closed = 0
    autocommit = False

    def cursor(self) -> MockCursor:
        """Open a cursor."""
        return MockCursor(self)

    def close(self) -> None:
        """Close it."""
        self.closed = 1


def psycopg_connect(*args: Any, **kwargs: Any) -> MockConnect:
    """Connect to that database, whatever the parameters are."""
    return MockConnect()


class MockPostmaster:
    """A name for decorators of ``test_ha.py``, whose tests are not run."""


class PostgresInit(unittest.TestCase):
    """The base of the tests in ``test_ha.py``, which are not run."""
