"""What is known about etcd releases, as data: the gateway prefixes they serve and what their gateway can do.

No I/O and nothing of Patroni here. Everything that depends on the version of an etcd member is looked up in this
module; the figures were measured on real servers (3.2.26, 3.3.25, 3.4.23, 3.5.16, 3.5.30) or read in etcd's
``server/embed/serve.go`` (3.6, 3.7).
"""
import re

from typing import Any, NamedTuple, Optional, Tuple

Version = Tuple[int, int, int]

#: Values of ``version_prefix`` that name a prefix, newest first.
PREFIXES: Tuple[str, ...] = ('/v3', '/v3beta', '/v3alpha')

#: Value of ``version_prefix`` that leaves the choice to the version of each member.
AUTO = 'auto'

#: The oldest member that Patroni can use (same limit as in Patroni's ``Etcd3Client._ensure_version_prefix``).
OLDEST: Version = (3, 0, 4)

#: The JSON gateway passes an authorization header on from this release.
TOKEN_SINCE: Version = (3, 3, 0)

#: The JSON gateway streams watches from this release.
WATCH_SINCE: Version = (3, 1, 0)


class Gateway(NamedTuple):
    """The JSON gateway of a range of etcd releases."""

    #: first release of the range
    since: Version
    #: the prefix to use
    prefix: str
    #: other prefixes that are served as well: a way out, never the choice
    also: Tuple[str, ...]


#: Newest first. /v3beta is neither documented nor tested by etcd after 3.4, hence never the choice there.
GATEWAYS: Tuple[Gateway, ...] = (
    Gateway((3, 4, 0), '/v3', ('/v3beta',)),
    Gateway((3, 3, 0), '/v3beta', ('/v3alpha',)),
    Gateway(OLDEST, '/v3alpha', ()),
)


def parse_version(text: Any) -> Optional[Version]:
    """Read a version as etcd reports it.

    :param text: value of ``etcdserver`` or ``etcdcluster`` in the answer to ``GET /version``, for example ``3.4.23``,
                 ``3.6.0-rc.1``, ``3.5.30+git`` or ``not_decided``.

    :returns: major, minor and patch level, suffixes left out, or ``None`` if *text* is no version.
    """
    match = re.match(r'v?(\d+)\.(\d+)(?:\.(\d+))?(?![\d.])', text) if isinstance(text, str) else None
    return (int(match.group(1)), int(match.group(2)), int(match.group(3) or 0)) if match else None


def gateway_of(version: Version) -> Optional[Gateway]:
    """Look up the gateway of an etcd release.

    :param version: version of the member itself (``etcdserver``), not that of the cluster.

    :returns: its row of :data:`GATEWAYS` or ``None`` if the release is older than :data:`OLDEST`.
    """
    return next((gateway for gateway in GATEWAYS if version >= gateway.since), None)


def parse_version_prefix(value: Any) -> Optional[str]:
    """Read the option ``version_prefix``.

    :param value: value from the configuration; ``None`` if it is not set.

    :returns: the prefix to use for every member or ``None`` if each member's version decides.

    :raises:
        :exc:`ValueError`: if the value is none of the allowed ones; the text lists them.
    """
    if value is None or value == AUTO:
        return None
    if value in PREFIXES:
        return str(value)
    raise ValueError('version_prefix is {0!r}, allowed are: {1}'.format(value, ', '.join((AUTO,) + PREFIXES)))
