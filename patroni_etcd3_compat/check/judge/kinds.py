"""Every finding that there is, as data: identifier, what it is about in one line, and where to read more."""

from __future__ import annotations

from typing import NamedTuple

from ...hazards import HAZARDS
from ..facts import Finding

_PATRONI = 'https://github.com/patroni/patroni/'
_ETCD = 'https://github.com/etcd-io/etcd/'
_DOCS = 'https://etcd.io/docs/v3.6/'
_POSTGRES = 'https://www.postgresql.org/docs/current/'


class Kind(NamedTuple):
    """A row of the table."""

    #: identifier, for ``--only`` and ``--ignore``
    id: str
    #: what it is about, one line
    summary: str
    #: a page with more about it
    link: str


def _hazards() -> tuple[Kind, ...]:
    kinds: dict[str, Kind] = {}
    for hazard in HAZARDS:
        kinds.setdefault(hazard.id, Kind(hazard.id, hazard.summary, hazard.source))
    return tuple(kinds.values())


#: The order is that of findings of one severity.
KINDS: tuple[Kind, ...] = (
    (
        Kind('etcd-quorum-lost', 'fewer members answer than the cluster needs', _DOCS + 'op-guide/failures/'),
        Kind('etcd-no-leader', 'no member is the leader', _DOCS + 'op-guide/failures/'),
        Kind('etcd-alarm', 'an alarm is raised: no space, or corrupt data', _DOCS + 'op-guide/maintenance/'),
        Kind(
            'etcd-nested-transactions',
            'members before 3.3 beside newer ones: a stock Patroni can destroy the cluster',
            _PATRONI + 'pull/2693',
        ),
        Kind(
            'etcd-prefix-mixed',
            'the prefix that stock Patroni takes for all members is not served by each',
            _PATRONI + 'issues/3279',
        ),
        Kind('etcd-gateway-off', 'a member does not serve the JSON gateway', _PATRONI + 'issues/1939'),
        Kind(
            'etcd-auth-no-credentials',
            'authentication is on and Patroni has no credentials',
            _DOCS + 'op-guide/authentication/rbac/',
        ),
        Kind(
            'etcd-login-failed', "etcd refuses Patroni's user name or password", _DOCS + 'op-guide/authentication/rbac/'
        ),
        Kind('etcd-auth-no-token', 'authentication is on and a member before 3.3 takes no token', _ETCD + 'pull/7999'),
        Kind(
            'etcd-auth-guard',
            'the member list wants a token that Patroni before 4.1.1 does not send',
            _PATRONI + 'issues/3573',
        ),
        Kind('etcd-auth-admin-list', 'the member list is for admins only', _ETCD + 'pull/21549'),
        Kind(
            'etcd-advertised-unusable', 'a member advertises a URL that Patroni can not use', _PATRONI + 'issues/3382'
        ),
        Kind('etcd-configured-unusable', 'a configured URL is answered, but not in HTTP', _PATRONI + 'issues/3382'),
        Kind('etcd-hosts-differ', "the configured hosts and etcd's member list do not agree", _PATRONI + 'issues/1283'),
        Kind('etcd-unreachable', 'a member does not answer', _DOCS + 'op-guide/failures/'),
        Kind(
            'etcd-cluster-version',
            'the version of the cluster is not decided, or below that of every member',
            _PATRONI + 'discussions/3385',
        ),
        Kind(
            'etcd-upgrade-skips',
            'members two or more minor versions apart',
            'https://etcd.io/docs/v3.8/upgrades/upgrading-etcd/',
        ),
        Kind(
            'etcd-upgrade-patch',
            'an upgrade that started from too old a patch release',
            _DOCS + 'upgrades/upgrade_3_6/',
        ),
        Kind(
            'etcd-upgrade-auth',
            'a rolling upgrade from 3.4 or older to 3.5 or newer with authentication on',
            'https://etcd.io/docs/v3.5/upgrades/upgrade_3_5/',
        ),
        Kind('etcd-error-shape', 'errors come in a shape that Patroni before 4.1.1 misreads', _PATRONI + 'issues/3525'),
        Kind(
            'etcd-prefix-option',
            'version_prefix is wrong, or names a prefix that some members do not serve',
            _PATRONI + 'pull/2729',
        ),
        Kind('etcd-learner', 'a member is a learner', 'https://etcd.io/docs/v3.5/learning/design-learner/'),
        Kind('etcd-end-of-life', 'a release that is no longer looked after', _DOCS + 'op-guide/versioning/'),
        Kind('etcd-unknown', 'something about etcd could not be told', _DOCS + 'dev-guide/api_grpc_gateway/'),
    )
    + _hazards()
    + (
        Kind('patroni-no-leader', 'nobody holds the leader key', 'https://patroni.readthedocs.io/en/latest/faq.html'),
        Kind(
            'patroni-member-down', 'a member is not running', 'https://patroni.readthedocs.io/en/latest/patronictl.html'
        ),
        Kind(
            'patroni-api-unreachable',
            "a member's REST API does not answer",
            'https://patroni.readthedocs.io/en/latest/rest_api.html',
        ),
        Kind(
            'patroni-versions-differ',
            'members on different releases, without a known hazard',
            _PATRONI + 'blob/master/docs/releases.rst',
        ),
        Kind('patroni-paused', 'automatic failover is off', 'https://patroni.readthedocs.io/en/latest/pause.html'),
        Kind(
            'patroni-unknown',
            'something about Patroni could not be told',
            'https://patroni.readthedocs.io/en/latest/rest_api.html',
        ),
        Kind('slot-stuck', 'a replication slot stands still while its member goes on', _PATRONI + 'issues/3184'),
        Kind('slot-lost', 'a replication slot has lost the WAL that it should keep', _PATRONI + 'pull/3388'),
        Kind(
            'slot-retains-wal',
            'a replication slot keeps more WAL than the server may',
            _POSTGRES + 'view-pg-replication-slots.html',
        ),
        Kind(
            'slot-holds-xmin', 'an inactive replication slot holds xmin', _POSTGRES + 'view-pg-replication-slots.html'
        ),
        Kind(
            'slot-unknown',
            'the replication slots of a member could not be told',
            _POSTGRES + 'view-pg-replication-slots.html',
        ),
        Kind('node-serves', 'what serves the section etcd3 on this node', _PATRONI + 'issues/3279'),
    )
)

_BY_ID: dict[str, tuple[int, Kind]] = {kind.id: (row, kind) for row, kind in enumerate(KINDS)}


def finding(
    id: str, severity: str, where: str, seen: str, consequence: str, remedy: str, link: str | None = None
) -> Finding:
    """Make a finding.

    :param id: one of :data:`KINDS`.
    :param link: a better one than that of the table.

    :raises:
        :exc:`KeyError`: if it is not in the table.
    """
    return Finding(id, severity, where, seen, consequence, remedy, link or _BY_ID[id][1].link)


def row_of(found: Finding) -> int:
    """The place of a finding in the table."""
    return _BY_ID[found.id][0]


def comma(items: list[str], last: str = 'and') -> str:
    """Join a list as it is read out: ``a, b and c``."""
    return f' {last} '.join(filter(None, (', '.join(items[:-1]), items[-1]))) if items else ''
