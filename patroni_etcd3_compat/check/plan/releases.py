"""What etcd's own guides say about going to a minor release, as far as ``versions`` does not have it. Data; no I/O.

Sources are the guides on etcd.io and etcd's blog; where something was measured here instead of read, the row says so.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ...versions import LINES, Line, Minor, Version, gateway_of, line_of, parse_version
from ..log_snapshot import OPTION

#: etcd's policy: one minor release at a time, newest patch release first.
POLICY = 'https://etcd.io/docs/v3.6/upgrades/upgrading-etcd/'

#: How a snapshot is taken and restored.
RECOVERY = 'https://etcd.io/docs/v3.5/op-guide/recovery/'


class Guide(NamedTuple):
    """Going to a minor release from the one before it."""

    minor: Minor
    #: what to look at in the configuration of a member before it starts as this release
    changes: tuple[str, ...] = ()
    #: why ``upgrade_from`` of :data:`..versions.LINES` is a certain patch release, and the page that says so
    why: str = ''
    why_page: str = ''
    #: the way back once every member runs this release
    back: str = ''
    back_page: str = ''
    #: the oldest release of the line before that may take its place; ``None``: none may
    back_least: Version | None = None
    #: why not an older one
    back_why: str = ''
    #: what to look at in the configuration of a member before it starts as the line before
    back_changes: tuple[str, ...] = ()
    #: why every member has to take a snapshot of its log before; empty: it need not
    log: str = ''
    #: when that can be left out
    unless: str = ''

    @property
    def line(self) -> Line:
        """Its row of :data:`..versions.LINES`."""
        line = line_of(self.minor + (0,))
        assert line is not None, self.minor
        return line

    @property
    def least(self) -> Version | None:
        """Every member has to run this release of the line before, or a later one; ``None``: any will do."""
        return self.line.upgrade_from if self.line.upgrade_from[2] else None


#: With this option 3.4.32 and later start on data of 3.5.
COMPATIBLE = '--next-cluster-version-compatible'

_OPTION_OUT = f'take the option {OPTION} of the steps before out again'

GUIDES: tuple[Guide, ...] = (
    Guide((3, 1)),
    Guide((3, 2)),
    Guide(
        (3, 3),
        (
            'auto-compaction-retention in a configuration file has to be a string now: "24" or "24h"',
            'with authentication on, bring every member to 3.2.31 or later first: before that leases and '
            'authentication together can make the members differ (etcd issue 11689)',
        ),
    ),
    Guide(
        (3, 4),
        (
            'a member that is started from a configuration file needs enable-grpc-gateway: true in it, or 3.4 serves '
            'no gateway and Patroni loses the member (measured on 3.4.23; 3.3 and 3.5 have it on by default)',
            'the v2 API is off by default; where something still uses it (section etcd of Patroni does, etcd3 does '
            'not): --enable-v2',
            '--ca-file and --peer-ca-file are gone: --trusted-ca-file, --peer-trusted-ca-file',
            '--log-output has become --log-outputs, a list in a configuration file; --debug is --log-level=debug now',
            '/v3alpha is no longer served',
        ),
    ),
    Guide(
        (3, 5),
        (
            '--logger=capnslog, --log-output, --debug and --log-package-levels are gone: --logger=zap, --log-outputs, '
            '--log-level',
            'take 3.5.3 or later: 3.5.0 to 3.5.2 can make the members differ (etcd issue 13766)',
        ),
        back='etcd 3.4.32 and later can take the place of 3.5, one member at a time, when it is started with '
        '--next-cluster-version-compatible and authentication is off. Below 3.4.32 there is no way back but the '
        'snapshot',
        back_page='https://etcd.io/docs/v3.5/downgrades/downgrade_3_5/',
        back_least=(3, 4, 32),
        # measured with 3.4.23 after 3.5.30, where "etcdctl downgrade enable 3.4" times out as well
        back_why='older ones end with "cluster cannot be downgraded"',
        back_changes=(
            f'add the option {COMPATIBLE}',
            'a member that is started from a configuration file needs enable-grpc-gateway: true in it, or 3.4 serves '
            'no gateway and Patroni loses the member',
            'take out what 3.4 does not know: --v2-deprecation, --socket-reuse-*, --raft-*-timeout, '
            '--self-signed-cert-validity, log rotation, tracing, --client-cert-file, --peer-client-cert-file and more; '
            '"etcd -h" of both releases side by side shows it',
            '--logger=zap --log-outputs=stderr keep the log as it is: 3.4 has capnslog by default; --pre-vote is off '
            'by default',
        ),
    ),
    Guide(
        (3, 6),
        (
            '--enable-v2, --experimental-enable-v2v3 and --proxy* are gone, etcd does not start with them',
            _OPTION_OUT,
            'data in the v2 store: while the member is stopped, "etcdutl check v2store --data-dir DIR" of 3.5.32 or '
            'later has to find none, or 3.6 does not start; before 3.5.32 it overlooks the log',
            '--experimental-* options have new names, see the guide; --snapshot-count is 10000 by default, was 100000',
        ),
        'before 3.5.26 the two records that etcd keeps of its members can differ, and 3.6 reads the other one: members '
        'that were removed long ago come back, or voting members turn into learners, and the cluster stands still',
        'https://etcd.io/blog/2025/zombie_members_upgrade/',
        '"etcdctl downgrade validate 3.5", "etcdctl downgrade enable 3.5", wait until every member shows storage '
        'version 3.5, then one member at a time',
        'https://etcd.io/docs/v3.6/downgrades/downgrade_3_6/',
        (3, 5, 26),
        'before that the two records that etcd keeps of its members can differ, and the way up again would start from '
        'it',
        (
            '--feature-gates and the options that 3.6 renamed have their names with --experimental- again; the guide '
            'lists them',
            '--discovery-token, --discovery-endpoints and the like, --log-format: 3.5 does not know them',
            '--snapshot-count is 100000 by default, was 10000',
            'leave --enable-v2 out: a request to the v2 API would keep 3.6 from starting on the way up again',
        ),
        # issues 20809, 20870 and 21849; measured with 3.4.23, 3.5.30 and 3.6.16
        'Up to 3.4 every GET /health, as load balancers and monitoring send it, puts a v2 request into the log. 3.6 '
        'does not start while one is there, and 3.5 keeps the log until its next snapshot, up to 100,000 entries.',
        'Leave these steps out only if no member ever ran 3.4 or earlier, nor 3.5 with --enable-v2. "etcdutl check '
        'v2store" proves nothing before 3.5.32: it overlooks the log (etcd issue 21849).',
    ),
    Guide(
        (3, 7),
        (
            '--experimental-* options are gone, etcd does not start with them: the guide to 3.6 has their new names',
            _OPTION_OUT,
            'the v2 store is gone with all of its options',
        ),
        'earlier 3.6 releases may not go together with 3.7 in one cluster',
        'https://etcd.io/docs/v3.7/upgrades/upgrade_3_7/',
        '"etcdctl downgrade validate 3.6", "etcdctl downgrade enable 3.6", wait until every member shows storage '
        'version 3.6, then one member at a time',
        'https://etcd.io/docs/v3.7/downgrades/downgrade_3_7/',
        (3, 6, 11),
        'earlier 3.6 releases may not go together with 3.7 in one cluster',
        (),  # "etcd -h" of 3.7.3 has no option that 3.6.16 lacks
        # measured with three members that went 3.5.30, 3.6.16, 3.7.3 in turn; the same with these steps started
        'A member of 3.7 ends with "unmarshal should never fail" if its log has an entry that a member of 3.5 put '
        'there. 3.6 keeps the log until its next snapshot, up to 10,000 entries.',
        'Leave these steps out only if no member ever ran 3.5 or earlier.',
    ),
)

#: The last line that skipping a minor release was measured with here.
SKIPPED_TO: Minor = (3, 5)

#: From this line on etcd has commands for the way back.
DOWNGRADE_SINCE: Minor = (3, 6)

#: Its later releases repair the records of members, and need data that was written to.
ZOMBIES_SINCE: Minor = (3, 5)

#: No rolling upgrade to this line or across it with authentication on.
AUTH_BREAK: Minor = next(line.minor for line in LINES if not line.upgrade_with_auth)


def guide_to(minor: Minor) -> Guide | None:
    """Look up the guide to a minor release; ``None`` if it is not known."""
    return next((guide for guide in GUIDES if guide.minor == minor), None)


def read_release(text: str) -> Version | None:
    """Read a release that somebody wants to have, stricter than ``parse_version``: a release candidate is none.

    :returns: ``None`` if *text* is neither a line such as ``3.5`` nor a release such as ``3.5.16``.
    """
    return parse_version(text) if re.fullmatch(r'v?[0-9]{1,4}(\.[0-9]{1,4}){1,2}', text) else None


def shared_prefixes(one: Version, other: Version) -> list[str]:
    """The gateway prefixes that two releases both serve."""
    first, second = gateway_of(one), gateway_of(other)
    return [prefix for prefix in first.served if prefix in second.served] if first and second else []
