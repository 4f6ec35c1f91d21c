"""What the command knows about a cluster, and what it makes of it. Data only: no I/O, nothing of Patroni.

``None`` always means "unknown", never "no". These classes are also the JSON output: ``docs/check.schema.json`` is made
from them and from the comments of their fields (``python -m tools.schemas``), so a change here is a change of
:data:`SCHEMA`. No field holds a password or token: ``collect`` removes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Union

from .etcd import REFUSALS, TLS_FAULTS, WRONG_SCHEME, Etcd, EtcdEndpoint, ListedMember, TlsFile
from .fleet import Fleet
from .limits import CERTIFICATE_DAYS, Limit, Limits
from .patroni import RUNNING, SERVES, STATE_FROM, Patroni, PatroniMember, Switchover, Synchronous
from .postgres import NO_CREDENTIALS, Postgres, Slot

__all__ = [
    'CERTIFICATE_DAYS',
    'Etcd',
    'EtcdEndpoint',
    'Facts',
    'Finding',
    'Fleet',
    'JSON',
    'Limit',
    'Limits',
    'ListedMember',
    'NO_CREDENTIALS',
    'Patroni',
    'PatroniMember',
    'Postgres',
    'REFUSALS',
    'RUNNING',
    'SCHEMA',
    'SERVES',
    'SEVERITIES',
    'STATE_FROM',
    'Slot',
    'Switchover',
    'Synchronous',
    'TLS_FAULTS',
    'ThisHost',
    'TlsFile',
    'WRONG_SCHEME',
]

#: What a JSON document may hold.
JSON = Union[None, bool, int, float, str, List['JSON'], Dict[str, 'JSON']]

#: Version of the JSON output. It grows when a name is removed or changes its meaning, not when one is added.
SCHEMA = 2

#: Severities of findings, least first. ``unknown``: something important could not be determined.
SEVERITIES = ('info', 'unknown', 'warning', 'critical')


@dataclass
class ThisHost:
    """This machine, as the Patroni member says whose configuration file was read. Nothing here is about the command."""

    #: name of the Patroni member in the configuration
    name: str | None = None
    #: section of the DCS in the configuration
    section: str | None = None
    #: what serves that member, as its key in the DCS says: ``package``, ``patch`` or ``stock``
    serves: str | None = field(default=None, metadata={'enum': SERVES})
    #: release of this package, or of its modules in a patched Patroni, from the same key
    compat: str | None = None
    #: version of Patroni that the member reports
    patroni: str | None = None
    #: version of the Python that the running Patroni is a process of, such as ``3.11``, or with the patch release
    python: str | None = None
    #: path of that Python; None if no process on this machine was seen that runs Patroni with this configuration file
    interpreter: str | None = None


@dataclass
class Facts:
    """Everything that was collected."""

    #: time of collection by the clock of the host that asked, ISO 8601 with zone
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
    #: days before the end of a certificate from which on it is a warning, and critical (``--certificate-days``)
    certificate_days: list[float] = field(default_factory=lambda: list(CERTIFICATE_DAYS))
    #: limits that the command was given
    limits: Limits = field(default_factory=Limits)
    #: name of the host that asked: another one may reach other members
    asked_from: str = ''


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
    #: the Patroni cluster that it is about if there are several (--all), with the number of a Citus group behind it
    cluster: str | None = None
