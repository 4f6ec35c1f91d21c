"""What is known about a PostgreSQL server and its replication slots."""

from __future__ import annotations

from dataclasses import dataclass, field

#: :attr:`Postgres.error` if PostgreSQL was not asked.
NO_CREDENTIALS = 'no credentials in the configuration (postgresql.authentication.superuser)'


@dataclass
class Slot:
    """A replication slot."""

    #: its name
    name: str
    #: ``physical`` or ``logical``
    type: str
    #: a client streams from it
    active: bool
    #: position in bytes from which WAL is retained; None: it retains none, or the slot is lost
    restart_lsn: int | None = None
    #: the same at the second sample (``--slots-interval``)
    later_restart_lsn: int | None = None
    #: bytes of WAL that it retains
    retained: int | None = None
    #: oldest transaction that it holds back vacuum for
    xmin: str | None = None
    #: oldest transaction that it holds back vacuum of the catalogs for
    catalog_xmin: str | None = None
    #: as in pg_replication_slots of PostgreSQL 13 and later: ``reserved``, ``extended``, ``unreserved``, ``lost``
    wal_status: str | None = None


@dataclass
class Postgres:
    """What PostgreSQL on one Patroni member says itself."""

    #: its version, such as ``15.6``
    version: str | None = None
    #: it is a replica
    in_recovery: bool | None = None
    #: position in bytes: written (primary), or received and replayed (replica)
    position: int | None = None
    #: its replication slots
    slots: list[Slot] = field(default_factory=list)
    #: size of pg_wal in bytes
    wal_size: int | None = None
    #: setting ``max_wal_size`` in bytes
    max_wal_size: int | None = None
    #: setting ``wal_keep_size``, or ``wal_keep_segments``, in bytes
    wal_keep_size: int | None = None
    #: setting ``max_slot_wal_keep_size`` in bytes; -1: no limit
    max_slot_wal_keep_size: int | None = None
    #: free space below the data directory in bytes, if the server tells
    free_disk: int | None = None
    #: why PostgreSQL could not be asked
    error: str | None = None
    #: something answers at its address, if only to refuse; False: the connection was refused, or timed out
    answers: bool | None = None
