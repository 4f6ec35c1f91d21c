"""What is known about etcd: its URLs, the members behind them, and the files that TLS uses."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Beginning of :attr:`EtcdEndpoint.error` where http and https are mixed up.
WRONG_SCHEME = 'wrong scheme'

#: What keeps a TLS connection from being made: the authority of the server's certificate is unknown here, its date, its
#: names; a client certificate that is missing, or that the server refuses; files of this side that cannot be used.
TLS_FAULTS = (
    'unknown-authority',
    'expired',
    'not-yet-valid',
    'name',
    'certificate-wanted',
    'certificate-refused',
    'files',
)

#: What a member refuses in plain text: the CommonName of the client certificate, or the host name in the URL.
REFUSALS = ('common-name', 'host')


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
    #: what kept a TLS connection from being made; None: nothing, or it is unknown
    tls_fault: str | None = field(default=None, metadata={'enum': TLS_FAULTS})
    #: the server's certificate ends then, ISO 8601
    certificate_expires: str | None = None
    #: what about the requests makes the member refuse them in plain text
    refuses: str | None = field(default=None, metadata={'enum': REFUSALS})
    #: the user may not read the keys of the Patroni cluster; these are its roles, None: it may, or nothing is known
    denied_roles: list[str] | None = None
    #: seconds that its clock is at least ahead of that of this host, by the Date header; negative: behind
    clock_ahead: float | None = None
    #: bytes of the database that are in use; the rest is what defragmentation frees
    db_size_in_use: int | None = None
    #: size in bytes at which the member raises alarm NOSPACE (``--quota-backend-bytes``); negative: no limit
    quota: int | None = None
    #: revision of the store
    revision: int | None = None
    #: revision of the last compaction; 0: there was none
    compacted: int | None = None
    #: id of the cluster, hexadecimal
    cluster_id: str | None = None
    #: release line whose format the data has, such as ``3.6.0`` (etcd 3.6 and later)
    storage_version: str | None = None
    #: version that a downgrade is enabled to; empty: none is (etcd 3.6 and later)
    downgrade: str | None = None
    #: reads of the v2 store since the member was started, replay of its log included
    v2_reads: int | None = None
    #: raft snapshots that the member has saved since it was started
    raft_snapshots: int | None = None
    #: seconds within which 99 of 100 syncs of its log were done since it was started; None: unknown, or too few syncs
    fsync_p99: float | None = None
    #: leaders that it has seen since it was started
    leader_changes: int | None = None
    #: seconds since it was started
    uptime: float | None = None
    #: ids of the members that answered at this URL, if it was more than one; what belongs to one member is unknown then
    shared_by: list[str] = field(default_factory=list)
    #: a prefix was served for one request and not for the next one, so the members behind it do not all serve the same
    prefixes_vary: bool = False
    #: its gateway cannot be used, and it was asked over gRPC itself
    over_grpc: bool = False

    @property
    def quota_used(self) -> float:
        """Part of the quota that the database takes, 1 being all; 0 if that is unknown, or there is no limit."""
        limited = self.db_size is not None and self.db_size > 0 and self.quota is not None and self.quota > 0
        return (self.db_size or 0) / (self.quota or 1) if limited else 0.0

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
class TlsFile:
    """A file that the configuration names for TLS connections to etcd, as it is on this machine."""

    #: option that names it
    option: str = field(metadata={'enum': ('cacert', 'cert', 'key')})
    #: its path
    path: str
    #: its certificate ends then, ISO 8601: the first one of a chain that does, the last one of several authorities
    expires: str | None = None
    #: why it cannot be used
    error: str | None = None


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
    #: files for TLS connections
    files: list[TlsFile] = field(default_factory=list)
    #: the URL in place of the configured DCS (``--dcs-url``, ``DCS_URL``), without credentials; None: none is
    dcs_url: str | None = None
    #: user name for etcd; None: none is configured
    username: str | None = None
    #: options of the command line that count before the configuration, as they were given, without passwords
    given: list[str] = field(default_factory=list)
