"""What is known about all Patroni clusters of an etcd."""

from __future__ import annotations

from dataclasses import dataclass, field

from .etcd import Etcd
from .limits import CERTIFICATE_DAYS, Limits
from .patroni import Patroni


@dataclass
class Fleet:
    """Everything that was collected about an etcd and all Patroni clusters that use it."""

    #: time of collection by the clock of the host that asked, ISO 8601 with zone
    taken: str
    #: seconds that the collection took
    seconds: float
    #: the etcd cluster
    etcd: Etcd
    #: path in etcd that the clusters are below
    namespace: str
    #: the Patroni clusters, by name; each Citus group is one
    clusters: list[Patroni] = field(default_factory=list)
    #: why the clusters are not known
    error: str | None = None
    #: days before the end of a certificate from which on it is a warning, and critical (``--certificate-days``)
    certificate_days: list[float] = field(default_factory=lambda: list(CERTIFICATE_DAYS))
    #: limits that the command was given
    limits: Limits = field(default_factory=Limits)
    #: name of the host that asked: another one may reach other members
    asked_from: str = ''
