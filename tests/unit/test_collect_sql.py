"""The queries for each release of PostgreSQL, and how their rows are read. ``tests/check`` has real servers."""

from __future__ import annotations

import contextlib
import json
import socket
from typing import Any, Iterator

import pytest
from patroni import psycopg

from patroni_etcd3_compat.check.collect.postgres import ask_postgres
from patroni_etcd3_compat.check.facts import Postgres, Slot


class Server:
    """A stand-in for a connection.

    :param number: version as the protocol tells it.
    :param answers: value by a part of the query; an exception is raised.
    """

    def __init__(self, number: int, answers: dict[str, Any]) -> None:
        self.server_version = number
        self.answers = answers
        self.queries: list[str] = []
        self.rows: list[Any] = []
        self.closed = False

    @contextlib.contextmanager
    def cursor(self) -> Iterator[Server]:
        yield self

    def execute(self, sql: str) -> None:
        self.queries.append(sql)
        answer = next((answer for part, answer in self.answers.items() if part in sql), None)
        if isinstance(answer, Exception):
            raise answer
        self.rows = answer if isinstance(answer, list) else [(answer,)]

    def fetchall(self) -> list[Any]:
        return self.rows

    def close(self) -> None:
        self.closed = True


def ask(monkeypatch: pytest.MonkeyPatch, server: Any, arguments: dict[str, Any] | None = None) -> Postgres:
    """Ask it."""

    def connect(**given: Any) -> Any:
        connected.update(given)
        if isinstance(server, Exception):
            raise server
        return server

    monkeypatch.setattr(psycopg, 'connect', connect)
    connected.clear()
    return ask_postgres(arguments or {'host': 'h', 'port': 1}, 3)


connected: dict[str, Any] = {}
SLOTS = [
    {'slot_name': 'a', 'slot_type': 'physical', 'active': True, 'restart_lsn': '1/A', 'xmin': '7'},
    {
        'slot_name': 'b',
        'slot_type': 'logical',
        'active': False,
        'restart_lsn': None,
        'wal_status': 'lost',
        'catalog_xmin': '8',
        'inactive_since': 'whatever a later release adds',
    },
]


@pytest.mark.parametrize(
    'number, version, there, not_there',
    [
        (
            90624,
            '9.6.24',
            [
                'pg_xlog_location_diff(pg_current_xlog_location()',
                'pg_last_xlog_replay_location()',
                "pg_ls_dir('pg_xlog')",
                'wal_keep_segments',
            ],
            ['wal_lsn', 'pg_ls_waldir', "'wal_keep_size'"],
        ),
        (
            120020,
            '12.20',
            [
                'pg_wal_lsn_diff(pg_current_wal_lsn()',
                'pg_last_wal_receive_lsn()',
                'pg_ls_waldir()',
                'wal_keep_segments',
            ],
            ['xlog', "'wal_keep_size'"],
        ),
        (
            180001,
            '18.1 (Debian 18.1-1)',
            ['pg_wal_lsn_diff(pg_current_wal_lsn()', 'pg_ls_waldir()', "'wal_keep_size'"],
            ['xlog', 'wal_keep_segments'],
        ),
    ],
)
def test_queries_of_each_release(
    monkeypatch: pytest.MonkeyPatch, number: int, version: str, there: list[str], not_there: list[str]
) -> None:
    """Queries use the names of the release, which PostgreSQL 10 and 13 changed."""
    server = Server(
        number,
        {
            'server_version': version,
            'pg_is_in_recovery': [(False, (1 << 32) + 20)],
            'pg_replication_slots': [(json.dumps(slot),) for slot in SLOTS],
            'sum(': 48,
            'max_wal_size': 1,
            'max_slot_wal_keep_size': -1,
            'wal_keep': 2,
        },
    )
    facts = ask(monkeypatch, server)
    assert facts == Postgres(
        version.split()[0],
        False,
        (1 << 32) + 20,
        [
            Slot('a', 'physical', True, (1 << 32) + 10, None, 10, '7', None, None),
            Slot('b', 'logical', False, None, None, None, None, '8', 'lost'),
        ],
        48,
        1,
        2,
        -1,
        answers=True,
    )
    text = '\n'.join(server.queries)
    assert all(part in text for part in there) and not any(part in text for part in not_there)
    assert all(query.startswith('SELECT ') for query in server.queries) and server.closed


def test_account_without_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing rights for an optional query are not an error; a required query that fails is."""
    server = Server(
        150006,
        {
            'server_version': '15.6',
            'pg_is_in_recovery': [(True, None)],
            'pg_replication_slots': [],
            'pg_ls_waldir': psycopg.DatabaseError('permission denied'),
        },
    )
    assert ask(monkeypatch, server) == Postgres('15.6', True, answers=True)
    server.answers['pg_replication_slots'] = psycopg.DatabaseError('out of\n  luck')
    assert ask(monkeypatch, server).error == 'out of luck' and server.closed
    assert ask(monkeypatch, psycopg.OperationalError('refused\n')).error == 'refused'


def test_whether_anything_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that refuses the log-in is there; a closed port is not; a name that is unknown here says nothing."""
    refused = psycopg.OperationalError('in any language')
    with socket.create_server(('127.0.0.1', 0)) as listening:
        port = listening.getsockname()[1]
        assert ask(monkeypatch, refused, {'host': '127.0.0.1', 'port': port}).answers is True
    assert ask(monkeypatch, refused, {'host': '127.0.0.1', 'port': str(port)}).answers is False
    assert ask(monkeypatch, refused, {'host': '127.0.0.1', 'port': 'x'}).answers is None
    assert ask(monkeypatch, refused, {'host': '/run/postgresql', 'port': port}).answers is None

    def unknown(*args: object) -> None:
        raise socket.gaierror('Name or service not known')

    monkeypatch.setattr(socket, 'create_connection', unknown)
    assert ask(monkeypatch, refused, {'host': 'nobody', 'port': port}).answers is None


def test_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is read-only, with time-outs; libpq treats one second as two.

    Options that are not set are not passed.
    """
    server = Server(150006, {'server_version': '15.6', 'pg_is_in_recovery': [(True, 5)], 'pg_replication_slots': []})
    ask(
        monkeypatch,
        server,
        {'host': 'h', 'port': 1, 'dbname': None, 'user': 'u', 'password': 'p', 'sslmode': 'require'},
    )
    assert connected == {
        'host': 'h',
        'port': 1,
        'dbname': 'postgres',
        'user': 'u',
        'password': 'p',
        'sslmode': 'require',
        'connect_timeout': 3,
        'application_name': 'patroni-etcd3-compat check',
        'options': '-c default_transaction_read_only=on -c statement_timeout=3000 -c lock_timeout=3000',
    }
