"""What the command knows about a cluster, and what it makes of it. Data only: no I/O, nothing of Patroni.

``None`` everywhere means "could not be told", never "no". These classes are also the JSON output
(``docs/check.schema.json``), so a change here is a change of :data:`SCHEMA`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: Version of the JSON output. Grows when a name changes its meaning or goes; new names do not count.
SCHEMA = 2

#: Severities of findings, least first. ``unknown``: something that matters could not be told.
SEVERITIES = ('info', 'unknown', 'warning', 'critical')

#: States of a Patroni member whose PostgreSQL does its work, as all releases report them.
RUNNING = ('running', 'streaming', 'in archive recovery')

#: Beginning of :attr:`EtcdEndpoint.error` where http and https are mixed up.
WRONG_SCHEME = 'wrong scheme'


#: :attr:`Postgres.error` where nobody was asked.
NO_CREDENTIALS = 'no credentials in the configuration (postgresql.authentication.superuser)'


@dataclass
class EtcdEndpoint:
    """One URL of the etcd cluster, and the member behind it as far as it answers."""

    #: base URL that was asked, such as ``http://10.0.0.1:2379``
    url: str
    #: it stands in Patroni's configuration (or was given on the command line)
    configured: bool
    #: it is a client URL that the members advertise
    advertised: bool = False
    #: name and id (hexadecimal) from the member list
    name: str | None = None
    id: str | None = None
    #: versions as ``GET /version`` reports them: of the member, and of the cluster as this member sees it
    version: str | None = None
    cluster_version: str | None = None
    #: gateway prefixes that are served
    prefixes: list[str] = field(default_factory=list)
    #: the gateway is on; False: the member is alive and serves no prefix
    gateway: bool | None = None
    #: what is spoken there: 'http', 'grpc' (a port without HTTP/1.1), None if nobody answered
    protocol: str | None = None
    tls: bool = False
    #: role in raft
    leader: bool | None = None
    learner: bool | None = None
    raft_term: int | None = None
    raft_index: int | None = None
    #: size of the database in bytes
    db_size: int | None = None
    #: names of raised alarms, such as 'NOSPACE'
    alarms: list[str] = field(default_factory=list)
    #: authentication is on
    auth: bool | None = None
    #: seconds until ``GET /version`` was answered
    seconds: float | None = None
    #: why it could not be asked, or not everything; never with a password or token in it
    error: str | None = None
    #: it knows of a leader, itself or another one
    has_leader: bool | None = None

    @property
    def wrong_scheme(self) -> bool:
        """Whether the port speaks https and was asked in http, or the other way round."""
        return self.version is None and WRONG_SCHEME in (self.error or '')

    @property
    def answers(self) -> bool:
        """Whether anything answered: etcd, or a port that speaks gRPC only or the other scheme."""
        return self.version is not None or self.protocol is not None or self.wrong_scheme


@dataclass
class ListedMember:
    """An entry of etcd's member list."""

    id: str
    name: str
    client_urls: list[str]
    peer_urls: list[str]
    learner: bool = False


@dataclass
class Etcd:
    """The etcd cluster."""

    #: URLs of Patroni's configuration (or the command line), in its order
    configured: list[str] = field(default_factory=list)
    #: option ``use_proxies``: Patroni stays with the configured URLs
    use_proxies: bool = False
    #: option ``version_prefix``, None if not set or auto
    version_prefix: str | None = None
    #: credentials are configured
    credentials: bool = False
    #: the member list as one of the members gave it; None if none did
    listed: list[ListedMember] | None = None
    #: one entry for each URL, configured and advertised
    endpoints: list[EtcdEndpoint] = field(default_factory=list)


@dataclass
class Slot:
    """A replication slot."""

    name: str
    #: 'physical' or 'logical'
    type: str
    active: bool
    #: position in bytes, None: nothing is kept, or it was lost
    restart_lsn: int | None = None
    #: the same at the second sample (``--slots-interval``)
    later_restart_lsn: int | None = None
    #: bytes of WAL that it keeps
    retained: int | None = None
    xmin: str | None = None
    catalog_xmin: str | None = None
    #: as in pg_replication_slots, PostgreSQL 13 and later: 'reserved', 'extended', 'unreserved', 'lost'
    wal_status: str | None = None


@dataclass
class Postgres:
    """What PostgreSQL itself tells on one Patroni member."""

    #: such as '15.6'
    version: str | None = None
    in_recovery: bool | None = None
    #: position in bytes: written (primary) or received and replayed (replica)
    position: int | None = None
    slots: list[Slot] = field(default_factory=list)
    #: bytes in pg_wal
    wal_size: int | None = None
    #: settings in bytes
    max_wal_size: int | None = None
    wal_keep_size: int | None = None
    max_slot_wal_keep_size: int | None = None
    #: bytes, where the server tells
    free_disk: int | None = None
    #: why it could not be asked
    error: str | None = None


@dataclass
class PatroniMember:
    """One Patroni member, from the DCS and from its REST API."""

    name: str
    #: it has a key in the DCS
    in_dcs: bool = True
    #: 'leader', 'standby_leader', 'replica', 'sync_standby', 'quorum_standby'
    role: str | None = None
    #: as Patroni reports it, such as 'running' or 'streaming'
    state: str | None = None
    #: version of Patroni
    version: str | None = None
    #: version of PostgreSQL, such as '15.6'
    postgres_version: str | None = None
    timeline: int | None = None
    #: position in bytes, as the member reports it, and at the second sample
    position: int | None = None
    later_position: int | None = None
    #: bytes behind the leader
    lag: int | None = None
    tags: dict[str, Any] = field(default_factory=dict)
    api_url: str | None = None
    #: ``host:port`` of PostgreSQL
    postgres_address: str | None = None
    #: why the REST API did not answer; None if it did
    error: str | None = None
    postgres: Postgres | None = None


@dataclass
class Patroni:
    """The Patroni cluster."""

    scope: str
    namespace: str = '/service'
    #: name of the leader, None if the key is not there
    leader: str | None = None
    #: ``patronictl pause`` is on
    paused: bool | None = None
    #: what matters here of the dynamic configuration: ttl, loop_wait, retry_timeout, failsafe_mode, member_slots_ttl,
    #: slots (permanent_slots, permanent_replication_slots), ignore_slots, synchronous_mode, standby_cluster,
    #: use_slots of section postgresql
    config: dict[str, Any] = field(default_factory=dict)
    #: names and positions (bytes) of slots in the key ``/status``
    published_slots: dict[str, int] = field(default_factory=dict)
    members: list[PatroniMember] = field(default_factory=list)
    #: why nothing could be read from the DCS
    error: str | None = None


@dataclass
class ThisHost:
    """This machine, and the Python that the command runs in."""

    #: name of the Patroni member in the configuration
    name: str | None = None
    #: section of the DCS in the configuration
    section: str | None = None
    #: what serves section etcd3 in this Python: 'package', 'patch' or 'stock'
    serves: str | None = None
    #: release of this package, or of the modules in a patched Patroni
    compat: str | None = None
    patroni: str | None = None
    urllib3: str | None = None
    python: str | None = None


@dataclass
class Facts:
    """Everything that was collected."""

    #: time of collection, ISO 8601 with zone
    taken: str
    #: how long it took
    seconds: float
    etcd: Etcd
    #: None without a configuration of Patroni (``--endpoints``)
    patroni: Patroni | None = None
    this_host: ThisHost = field(default_factory=ThisHost)
    #: seconds between the two samples of the slots, None: one sample
    slots_interval: float | None = None


@dataclass
class Finding:
    """Something to know about the cluster."""

    #: identifier, for ``--only`` and ``--ignore``
    id: str
    #: one of :data:`SEVERITIES`
    severity: str
    #: which member or what, such as 'etcd infra1 (http://10.0.0.1:2379)' or 'node2'
    where: str
    #: what was seen there
    seen: str
    #: what follows from it
    consequence: str
    #: what to do
    remedy: str
    #: a page with more about it
    link: str
