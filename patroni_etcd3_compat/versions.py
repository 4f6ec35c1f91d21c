"""What is known about etcd releases, as data: the gateway prefixes they serve and what their gateway supports.

No I/O, and independent of Patroni. Everything that depends on the version of an etcd member is looked up in this
module. The data was measured on real servers (3.2.26, 3.3.25, 3.4.23, 3.5.16, 3.5.30) or read in etcd's
``server/embed/serve.go`` (3.6, 3.7).
"""

from __future__ import annotations

import re
from typing import Mapping, NamedTuple, Tuple

Version = Tuple[int, int, int]
Minor = Tuple[int, int]

#: Values of ``version_prefix`` that name a prefix, newest first.
PREFIXES: tuple[str, ...] = ('/v3', '/v3beta', '/v3alpha')

#: Value of ``version_prefix`` that leaves the choice to the version of each member.
AUTO = 'auto'

#: The oldest member that Patroni can use (the same limit as in Patroni's ``Etcd3Client._ensure_version_prefix``).
OLDEST: Version = (3, 0, 4)

#: The first release whose JSON gateway forwards an authorization header.
TOKEN_SINCE: Version = (3, 3, 0)

#: The first release whose JSON gateway streams watches.
WATCH_SINCE: Version = (3, 1, 0)


class Gateway(NamedTuple):
    """The JSON gateway of a range of etcd releases."""

    #: first release of the range
    since: Version
    #: the prefix to use
    prefix: str
    #: other prefixes that it also serves: a fallback, never the first choice
    also: tuple[str, ...]

    @property
    def served(self) -> tuple[str, ...]:
        """All prefixes, beginning with the one to use."""
        return (self.prefix,) + self.also


#: Newest first. After 3.4, etcd neither documents nor tests /v3beta, so it is never the first choice there.
GATEWAYS: tuple[Gateway, ...] = (
    Gateway((3, 4, 0), '/v3', ('/v3beta',)),
    Gateway((3, 3, 0), '/v3beta', ('/v3alpha',)),
    Gateway(OLDEST, '/v3alpha', ()),
)


class Line(NamedTuple):
    """A release line of etcd: what a rolling upgrade to it requires, and how long it is supported."""

    minor: Minor
    #: the oldest release that a rolling upgrade to this line may start from; always of the previous line
    upgrade_from: Version
    #: whether such an upgrade is allowed with authentication on
    upgrade_with_auth: bool
    #: etcd's page about it
    guide: str
    #: ISO date of the end of support; ``None`` if there was none yet
    end_of_life: str | None
    #: where that date comes from
    end_source: str


def _guide(docs: int, minor: int) -> str:
    return f'https://etcd.io/docs/v3.{docs}/upgrades/upgrade_3_{minor}/'


_ENDS = 'https://github.com/endoflife-date/endoflife.date/blob/master/products/etcd.md'
_POLICY = 'https://etcd.io/docs/v3.6/op-guide/versioning/'

#: Oldest first. Upgrades from a release before ``upgrade_from`` fail or leave wrong members behind (3.5 -> 3.6: removed
#: members come back). 3.5 is supported for a year from 3.7.0 (2026-07-08) on.
LINES: tuple[Line, ...] = (
    Line((3, 1), (3, 0, 0), True, _guide(6, 1), '2018-10-10', _ENDS),
    Line((3, 2), (3, 1, 0), True, _guide(6, 2), '2021-03-28', _ENDS),
    Line((3, 3), (3, 2, 0), True, _guide(6, 3), '2021-10-15', _ENDS),
    Line((3, 4), (3, 3, 0), True, _guide(6, 4), '2026-06-01', 'https://etcd.io/blog/2026/june-patch-release/'),
    Line((3, 5), (3, 4, 0), False, _guide(5, 5), '2027-07-08', 'https://etcd.io/blog/2026/etcd-370-beta/'),
    Line((3, 6), (3, 5, 26), True, _guide(6, 6), None, _POLICY),
    Line((3, 7), (3, 6, 11), True, _guide(7, 7), None, _POLICY),
)

#: With authentication on: the first releases of a line that require a token for the member list and the keepalive of a
#: lease (CVE-2026-33413, etcd's advisory GHSA-q8m4-xhhv-38mg). Then the first that give the list to users other than
#: admins again (etcd-io/etcd#21549 to #21551). Lines after these do both from the start.
GUARD_SINCE: Mapping[Minor, tuple[Version, Version]] = {
    (3, 4): ((3, 4, 42), (3, 4, 43)),
    (3, 5): ((3, 5, 28), (3, 5, 29)),
    (3, 6): ((3, 6, 9), (3, 6, 10)),
}

#: The first release of etcd that supports transactions inside transactions (etcd-io/etcd#7857).
NESTED_SINCE: Version = (3, 3, 0)

#: The first release whose errors have no key ``error``; builds of distributions may lack it in 3.5 already.
NO_ERROR_KEY_SINCE: Version = (3, 6, 0)
NO_ERROR_KEY_MAYBE_SINCE: Version = (3, 5, 0)


def parse_version(text: object) -> Version | None:
    """Parse a version as etcd reports it.

    :param text: value of ``etcdserver`` or ``etcdcluster`` in the answer to ``GET /version``, for example ``3.4.23``,
                 ``3.6.0-rc.1``, ``3.5.30+git`` or ``not_decided``.

    :returns: major, minor and patch level without suffixes, or ``None`` if *text* is not a version.
    """
    match = re.match(r'v?(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?(?![\d.])', text) if isinstance(text, str) else None
    return (int(match.group(1)), int(match.group(2)), int(match.group(3) or 0)) if match else None


def dotted(version: tuple[int, ...]) -> str:
    """Return a version or a release line as text: ``(3, 4)`` -> ``'3.4'``."""
    return '.'.join(map(str, version))


def gateway_of(version: Version) -> Gateway | None:
    """Return the gateway of an etcd release.

    :param version: version of the member itself (``etcdserver``), not that of the cluster.

    :returns: its row of :data:`GATEWAYS` or ``None`` if the release is older than :data:`OLDEST`.
    """
    return next((gateway for gateway in GATEWAYS if version >= gateway.since), None)


def line_of(version: Version) -> Line | None:
    """Return the release line of an etcd release.

    :param version: version of a member or of the cluster.

    :returns: its row of :data:`LINES` or ``None`` if there is none, as for 3.0 and for future lines.
    """
    return next((line for line in LINES if line.minor == version[:2]), None)


def wants_token_for_list(version: Version) -> bool:
    """Return whether a member requires a token for the member list when authentication is on.

    :param version: version of the member itself.
    """
    first, _ = GUARD_SINCE.get(version[:2], (None, None))
    return version >= first if first else version[:2] > max(GUARD_SINCE)


def lists_for_admins_only(version: Version) -> bool:
    """Return whether a member gives the member list only to admins when authentication is on.

    :param version: version of the member itself.
    """
    first, again = GUARD_SINCE.get(version[:2], (None, None))
    return first is not None and again is not None and first <= version < again
