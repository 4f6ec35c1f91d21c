"""What the command knows about a cluster, and what it makes of it. Data only: no I/O, nothing of Patroni.

``None`` always means "unknown", never "no". These classes are also the JSON output: ``docs/check.schema.json`` is made from
them and from the comments of their fields (``python -m tools.schemas``), so a change here is a change of :data:`SCHEMA`.
No field holds a password or token: ``collect`` removes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Union

#: What a JSON document may hold.
JSON = Union[None, bool, int, float, str, List['JSON'], Dict[str, 'JSON']]

#: Version of the JSON output. It grows when a name is removed or changes its meaning, not when one is added.
SCHEMA = 2

#: Severities of findings, least first. ``unknown``: something important could not be determined.
SEVERITIES = ('info', 'unknown', 'warning', 'critical')

#: States of a Patroni member whose PostgreSQL is working, as all releases report them.
RUNNING = ('running', 'streaming', 'in archive recovery')

#: Beginning of :attr:`EtcdEndpoint.error` where http and https are mixed up.
WRONG_SCHEME = 'wrong scheme'


#: :attr:`Postgres.error` if PostgreSQL was not asked.
NO_CREDENTIALS = 'no credentials in the configuration (postgresql.authentication.superuser)'


@dataclass
class EtcdEndpoint:
    """One URL of the etcd cluster, and what the member behind it answers."""

    #: base URL that was asked, such as ``http://10.0.0.1:2379``
    url: str
    #: it is in Patroni's configuration, or was given on the command line
    configured: bool
    #: it is a client URL that a member advertises
    advertised: bool = False
    #: name of the member, from the member list
    name: str | None = None
    #: id of the member, hexadecimal
    id: str | None = None
    #: version of the member, as ``GET /version`` reports it
    version: str | None = None
    #: version of the cluster as this member sees it
    cluster_version: str | None = None
    #: gateway prefixes that are served, such as ``/v3``
    prefixes: list[str] = field(default_factory=list)
    #: the gateway is on; False: the member answers but serves no prefix
    gateway: bool | None = None
    #: what the port speaks: ``http``, or ``grpc`` (without HTTP/1.1); None if nothing answered
    protocol: str | None = field(default=None, metadata={'enum': ('http', 'grpc')})
    #: the URL is an https one
    tls: bool = False
    #: the member is the raft leader
    leader: bool | None = None
    #: the member is a learner, which has no vote
    learner: bool | None = None
    #: raft term that the member is in
    raft_term: int | None = None
    #: raft index that the member has reached
    raft_index: int | None = None
    #: size of the database in bytes
    db_size: int | None = None
    #: names of raised alarms, such as ``NOSPACE``
    alarms: list[str] = field(default_factory=list)
    #: authentication is on
    auth: bool | None = None
    #: seconds until ``GET /version`` was answered
    seconds: float | None = None
    #: why the URL could not be asked, or not for everything
    error: str | None = None
    #: the member knows of a raft leader, itself or another one
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

    #: id of the member, hexadecimal
    id: str
    #: its name; empty until it has been started
    name: str
    #: URLs that it advertises to clients
    client_urls: list[str]
    #: URLs that it advertises to other members
    peer_urls: list[str]
    #: it is a learner, which has no vote
    learner: bool = False


@dataclass
class Etcd:
    """The etcd cluster."""

    #: URLs from Patroni's configuration (or the command line), in their order
    configured: list[str] = field(default_factory=list)
    #: option ``use_proxies``: Patroni uses the configured URLs only
    use_proxies: bool = False
    #: option ``version_prefix``, None if it is not set or ``auto``
    version_prefix: str | None = None
    #: credentials are configured
    credentials: bool = False
    #: the member list that one of the members gave; None if none did
    listed: list[ListedMember] | None = None
    #: one entry for each URL, configured or advertised
    endpoints: list[EtcdEndpoint] = field(default_factory=list)


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
    #: slots (permanent_slots, permanent_replication_slots), ignore_slots, synchronous_mode, standby_cluster, and
    #: use_slots of section postgresql
    config: dict[str, Any] = field(default_factory=dict)
    #: names and positions (bytes) of slots in the key ``/status``
    published_slots: dict[str, int] = field(default_factory=dict)
    #: its members
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
    #: what serves section etcd3 in this Python: ``package``, ``patch`` or ``stock``
    serves: str | None = field(default=None, metadata={'enum': ('package', 'patch', 'stock')})
    #: release of this package, or of the modules in a patched Patroni
    compat: str | None = None
    #: version of Patroni
    patroni: str | None = None
    #: version of urllib3
    urllib3: str | None = None
    #: version of Python
    python: str | None = None


@dataclass
class Facts:
    """Everything that was collected."""

    #: time of collection, ISO 8601 with zone
    taken: str
    #: seconds that the collection took
    seconds: float
    #: the etcd cluster
    etcd: Etcd
    #: the Patroni cluster; None without a configuration of Patroni (``--endpoints``)
    patroni: Patroni | None = None
    #: this machine
    this_host: ThisHost = field(default_factory=ThisHost)
    #: seconds between the two samples of the slots, None: one sample
    slots_interval: float | None = None


@dataclass
class Finding:
    """Something to know about the cluster."""

    #: identifier, for ``--only`` and ``--ignore``
    id: str
    #: how bad it is; unknown: something important could not be determined
    severity: str = field(metadata={'enum': SEVERITIES})
    #: the member or object, such as ``etcd infra1 (http://10.0.0.1:2379)`` or ``node2``
    where: str
    #: what was seen there
    seen: str
    #: what follows from it
    consequence: str
    #: what to do
    remedy: str
    #: a page with more about it
    link: str
