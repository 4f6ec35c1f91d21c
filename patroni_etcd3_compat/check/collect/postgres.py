"""What PostgreSQL itself says on one member: its replication slots, and how much WAL there is.

Read only, and written so that it runs on PostgreSQL 9.6 to 18, on a primary and on a replica. What an account that is
no superuser may not ask stays unknown.
"""

from __future__ import annotations

import json
import socket
from typing import Any, ContextManager, Mapping, Protocol, Sequence

from patroni.postgresql.misc import parse_lsn

from ..facts import JSON, Postgres, Slot
from .redaction import Redaction, is_secret
from .values import as_dict
from .web import Clock, Unanswered

#: {wal} and {lsn} are "xlog" and "location" before PostgreSQL 10. In recovery the last one received may be behind the
#: last one replayed, when WAL comes from an archive.
_POSITION = """SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery()
  THEN greatest(pg_{wal}_{lsn}_diff(pg_last_{wal}_receive_{lsn}(), '0/0'),
                pg_{wal}_{lsn}_diff(pg_last_{wal}_replay_{lsn}(), '0/0'))
  ELSE pg_{wal}_{lsn}_diff(pg_current_{wal}_{lsn}(), '0/0') END::bigint"""

#: Seconds for a connection when the time is over. What is beside it takes milliseconds to refuse or to accept one.
_LITTLE = 0.25

_SLOTS = 'SELECT to_json(s)::text FROM pg_replication_slots s ORDER BY slot_name'  # the columns differ

_WAL_SIZE = 'SELECT sum(size)::bigint FROM pg_ls_waldir()'
_WAL_SIZE_9 = "SELECT sum((pg_stat_file('pg_xlog/' || f, true)).size)::bigint FROM pg_ls_dir('pg_xlog') f"

_SETTING = "SELECT pg_size_bytes(current_setting('{0}', true))"
#: Before PostgreSQL 13.
_SEGMENTS = "SELECT current_setting('wal_keep_segments')::bigint * pg_size_bytes(current_setting('wal_segment_size'))"


def ask_postgres(arguments: Mapping[str, object], timeout: float) -> Postgres:
    """Ask one PostgreSQL.

    :param arguments: where it is, and credentials: as Patroni's ``Member.conn_kwargs`` gives them.
    :param timeout: seconds for everything.

    :returns: what it told; with the reason if it did not.
    """
    from patroni import psycopg  # fails where no driver is installed; Patroni needs one, this command does not

    facts, clock = Postgres(), Clock(timeout)
    redaction = Redaction(value for name, value in arguments.items() if is_secret(name))
    try:
        connection = psycopg.connect(**_connection_arguments(arguments, timeout))
        facts.answers = True
        try:
            _read(_Queries(connection, psycopg.Error, clock), facts, connection.server_version, redaction)
        finally:
            connection.close()
    except Unanswered as e:
        facts.error = str(e)
    except psycopg.Error as e:
        facts.error = redaction.error(' '.join(str(e).split())) or type(e).__name__
        if facts.answers is None:
            facts.answers = _is_there(arguments, clock)
    return facts


def _is_there(arguments: Mapping[str, object], clock: Clock) -> bool | None:
    """Return whether something takes connections where a log-in has failed; ``None`` if that cannot be seen.

    The text of the error does not tell: it is in the language of the server, or of this machine.
    """
    host, port = arguments.get('host'), arguments.get('port')
    if not isinstance(host, str) or host.startswith('/'):
        return None
    try:
        socket.create_connection((host, int(str(port or 5432))), _connect_timeout(clock)).close()
    except (socket.gaierror, ValueError):  # a name that is unknown on this machine says nothing about the server
        return None
    except OSError:
        return False
    return True


def _connect_timeout(clock: Clock) -> float:
    """Return seconds for one more connection, which are not in the way of anything: a fraction, if no time is left."""
    try:
        return max(min(clock.left(), 1), _LITTLE)
    except Unanswered:
        return _LITTLE


def _connection_arguments(arguments: Mapping[str, object], timeout: float) -> dict[str, object]:
    milliseconds = max(int(timeout * 1000), 1)
    ret = {name: value for name, value in arguments.items() if value is not None}
    ret.update(
        dbname=ret.get('dbname') or 'postgres',
        application_name='patroni-etcd3-compat check',
        connect_timeout=max(int(timeout), 2),  # whole seconds, and libpq takes 1 for 2
        options='-c default_transaction_read_only=on '
        f'-c statement_timeout={milliseconds} -c lock_timeout={milliseconds}',
    )
    return ret


class _Cursor(Protocol):
    def execute(self, sql: str) -> object: ...

    def fetchall(self) -> Sequence[Sequence[Any]]: ...


class _Connection(Protocol):
    """What is used of a connection of psycopg or psycopg2."""

    def cursor(self) -> ContextManager[_Cursor]: ...


class _Queries:
    """Runs queries on a connection while there is time."""

    def __init__(self, connection: _Connection, error: type[Exception], clock: Clock) -> None:
        self._connection = connection
        self._error = error
        self._clock = clock

    def rows(self, sql: str) -> list[Sequence[Any]]:
        """Return the rows of a query."""
        self._clock.left()
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def number(self, sql: str) -> int | None:
        """Return a number, ``None`` if the account may not ask for it or the release does not have it."""
        try:
            value = self.rows(sql)[0][0]
        except self._error:
            return None
        return None if value is None else int(value)


def _read(queries: _Queries, facts: Postgres, version: int, redaction: Redaction) -> None:
    names = {'wal': 'wal', 'lsn': 'lsn'} if version >= 100000 else {'wal': 'xlog', 'lsn': 'location'}
    facts.version = redaction.text(str(queries.rows("SELECT current_setting('server_version')")[0][0]).split()[0])
    facts.in_recovery, facts.position = queries.rows(_POSITION.format(**names))[0]
    facts.slots = [_slot(as_dict(redaction.json(json.loads(row[0]))), facts.position) for row in queries.rows(_SLOTS)]
    facts.wal_size = queries.number(_WAL_SIZE if version >= 100000 else _WAL_SIZE_9)
    facts.max_wal_size = queries.number(_SETTING.format('max_wal_size'))
    facts.wal_keep_size = queries.number(_SETTING.format('wal_keep_size') if version >= 130000 else _SEGMENTS)
    facts.max_slot_wal_keep_size = queries.number(_SETTING.format('max_slot_wal_keep_size'))


def _slot(row: Mapping[str, JSON], position: int | None) -> Slot:
    lsn = row.get('restart_lsn')
    restart = parse_lsn(lsn) if lsn else None
    retained = max(position - restart, 0) if position is not None and restart is not None else None
    return Slot(
        str(row['slot_name']),
        str(row['slot_type']),
        bool(row['active']),
        restart,
        None,
        retained,
        _text(row.get('xmin')),
        _text(row.get('catalog_xmin')),
        _text(row.get('wal_status')),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
