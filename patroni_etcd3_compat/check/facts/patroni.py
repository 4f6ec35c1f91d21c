"""What is known about Patroni: its members, and the keys of the cluster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .etcd import TLS_FAULTS
from .postgres import Postgres

#: States of a Patroni member whose PostgreSQL is working, as all releases report them.
RUNNING = ('running', 'streaming', 'in archive recovery')

#: What can serve a Patroni member: this package, its modules as part of a patched Patroni, or Patroni's own class.
SERVES = ('package', 'patch', 'stock')

#: Where a state comes from: the REST API, or the key in the DCS.
STATE_FROM = ('api', 'key')


@dataclass
class PatroniMember:
    """One Patroni member, from the DCS and from its REST API."""

    #: its name
    name: str
    #: it has a key in the DCS
    in_dcs: bool = True
    #: ``leader``, ``standby_leader``, ``replica``, ``sync_standby`` or ``quorum_standby``
    role: str | None = None
    #: as Patroni reports it, such as ``running`` or ``streaming``
    state: str | None = None
    #: version of Patroni
    version: str | None = None
    #: version of PostgreSQL, such as ``15.6``
    postgres_version: str | None = None
    #: timeline of PostgreSQL
    timeline: int | None = None
    #: position in bytes, as the member reports it
    position: int | None = None
    #: the same at the second sample (``--slots-interval``)
    later_position: int | None = None
    #: bytes behind the leader
    lag: int | None = None
    #: its tags, such as ``nofailover``
    tags: dict[str, Any] = field(default_factory=dict)
    #: URL of its REST API
    api_url: str | None = None
    #: ``host:port`` of PostgreSQL
    postgres_address: str | None = None
    #: why the REST API did not answer; None if it did
    error: str | None = None
    #: what its PostgreSQL says; None if it was not asked
    postgres: Postgres | None = None
    #: what serves it, as its key in the DCS says: ``package``, ``patch`` (both leave a mark there), or ``stock``: the
    #: key has no mark; None: there is no key, or it cannot be read
    serves: str | None = field(default=None, metadata={'enum': SERVES})
    #: release of this package, or of its modules in a patched Patroni, from the same mark
    compat: str | None = None
    #: where its state comes from: its REST API, or its key in the DCS, which may be as old as ttl
    state_from: str | None = field(default=None, metadata={'enum': STATE_FROM})
    #: role that its REST API reports while PostgreSQL runs: ``primary``, ``standby_leader`` or ``replica``
    api_role: str | None = None
    #: settings wait for a restart of its PostgreSQL
    pending_restart: bool | None = None
    #: what kept a TLS connection to its REST API from being made; None: nothing, or it is unknown
    tls_fault: str | None = field(default=None, metadata={'enum': TLS_FAULTS})
    #: the certificate of its REST API ends then, ISO 8601
    certificate_expires: str | None = None
    #: bytes that it has to receive yet; None: Patroni before 4.1.0 does not report it
    receive_lag: int | None = None
    #: bytes that it has to replay yet, those to be received among them; None as above
    replay_lag: int | None = None
    #: its calls may go over gRPC, by the mark in its key (transport: grpc, or auto and the package h2 is installed)
    grpc: bool | None = None


@dataclass
class Synchronous:
    """The key ``/sync``: which members a failover may promote in synchronous mode."""

    #: the leader that wrote it; None: there is no such key, or no leader in it
    leader: str | None = None
    #: names of the synchronous standbys
    standbys: list[str] = field(default_factory=list)
    #: how many of them a failover needs, in quorum mode (Patroni 4.0 and later)
    quorum: int | None = None


@dataclass
class Switchover:
    """A switchover that is scheduled: the key ``/failover``."""

    #: when, as it stands there
    at: str
    #: the leader that steps down; None: whichever leads then
    leader: str | None = None
    #: the member that takes over; None: whichever is best
    candidate: str | None = None


@dataclass
class Patroni:
    """The Patroni cluster."""

    #: its name
    scope: str
    #: path in the DCS that all clusters are below
    namespace: str = '/service'
    #: name of the leader, None if there is no leader key
    leader: str | None = None
    #: ``patronictl pause`` is on
    paused: bool | None = None
    #: the relevant part of the dynamic configuration: ttl, loop_wait, retry_timeout, failsafe_mode, member_slots_ttl,
    #: slots (permanent_slots, permanent_replication_slots), ignore_slots, synchronous_mode, synchronous_mode_strict,
    #: synchronous_node_count, maximum_lag_on_failover, standby_cluster, and use_slots of section postgresql
    config: dict[str, Any] = field(default_factory=dict)
    #: names and positions (bytes) of slots in the key ``/status``
    published_slots: dict[str, int] = field(default_factory=dict)
    #: its members
    members: list[PatroniMember] = field(default_factory=list)
    #: why nothing could be read from the DCS
    error: str | None = None
    #: the key ``/initialize`` has a system identifier: the cluster was started once
    initialized: bool | None = None
    #: position in bytes that the leader has published; it may be as old as loop_wait
    position: int | None = None
    #: names of slots of members that the leader retains, from the key ``/status`` (Patroni 4.0 and later)
    retained_slots: list[str] = field(default_factory=list)
    #: the key ``/sync``
    synchronous: Synchronous | None = None
    #: the switchover that is scheduled; None: none is, or nothing could be read
    switchover: Switchover | None = None
    #: names of the members that there have to be (``--members``)
    expected: list[str] = field(default_factory=list)
    #: number of the members that there have to be (``--members``)
    expected_number: int | None = None
    #: names of the clusters below the namespace if there are no keys of this one; None: there are, or it is unknown
    scopes: list[str] | None = None
    #: the Citus group that these members are; None: it is no Citus cluster
    group: int | None = None
