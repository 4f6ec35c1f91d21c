"""What is known about Patroni releases running side by side, as data: each hazard a row of :data:`HAZARDS`.

No I/O here; ``hits`` finds the rows that apply to a cluster. Sources are Patroni's issues and release notes, and
measurements of real releases side by side.
"""

from __future__ import annotations

from typing import Callable, NamedTuple

from .dynamic import Config, always, failsafe, foreign_slots, member_slots, quorum, several, small_times
from .versions import Version

_RELEASES = 'https://github.com/patroni/patroni/blob/master/docs/releases.rst#version-'
_ISSUE = 'https://github.com/patroni/patroni/issues/'


class Releases(NamedTuple):
    """A range of releases; ``None`` leaves a side open."""

    #: the first one
    since: Version | None = None
    #: the first one that is no longer in it
    before: Version | None = None

    def __contains__(self, version: object) -> bool:
        """Tell whether a version lies in the range."""
        return (
            isinstance(version, tuple)
            and (self.since is None or version >= self.since)
            and (self.before is None or version < self.before)
        )


class Hazard(NamedTuple):
    """A row of the table."""

    #: identifier, also that of the finding
    id: str
    #: what it is about, in a line
    summary: str
    #: 'info', 'warning' or 'critical'
    severity: str
    #: releases of the member that the hazard comes from
    one: Releases
    #: releases of another member that has to be there as well; ``None``: none has to
    other: Releases | None
    #: ``one`` has to be the leader
    leads: bool
    #: tells by the dynamic configuration and the names of the members whether it applies
    when: Callable[[Config, list[str]], bool]
    #: what follows from it
    consequence: str
    #: what to do
    remedy: str
    #: where it comes from
    source: str
    #: tag that the member which it comes from has to have; ``None``: none
    tag: str | None = None
    #: this package ends it for the members that it serves
    cured: bool = False


#: What this package itself cures, see ``slots``.
MEMBER_SLOTS = Hazard(
    'patroni-member-slots',
    'member slots stand still on replicas with Patroni 4.0.0 - 4.0.2 under an older leader',
    'critical',
    Releases(before=(4, 0, 0)),
    Releases((4, 0, 0), (4, 0, 3)),
    True,
    member_slots,
    'the slots that these replicas keep for the other members do not move, because a leader before 4.0.0 does not '
    'publish their positions; pg_wal on the replicas grows until the disk is full',
    'upgrade these replicas to 4.0.3 or later, or the leader to 4.0.0 or later (in "patronictl pause"); until then '
    'run them with this package or set member_slots_ttl: 0',
    _ISSUE + '3171',
    cured=True,
)

HAZARDS: tuple[Hazard, ...] = (
    MEMBER_SLOTS,
    Hazard(
        'patroni-permanent-slots',
        'permanent physical slots stand still on replicas under a leader before 3.2.0',
        'critical',
        Releases(before=(3, 2, 0)),
        Releases((3, 2, 0)),
        True,
        foreign_slots,
        'a leader before 3.2.0 does not publish the position of permanent physical slots; those whose name is no '
        "member's stay where they are on these replicas, and pg_wal there grows until the disk is full",
        'upgrade the leader to 3.2.0 or later (in "patronictl pause"), or take those slots out of the configuration '
        'until it is done',
        _RELEASES + '320',
    ),
    Hazard(
        'patroni-quorum-commit',
        'synchronous_mode: quorum under a leader before 4.0.0: replication is asynchronous',
        'critical',
        Releases(before=(4, 0, 0)),
        None,
        True,
        quorum,
        'a leader before 4.0.0 does not know synchronous_mode: quorum and leaves synchronous_standby_names empty: '
        'replication is asynchronous, and a failover can lose commits',
        'set synchronous_mode: on until every member runs 4.0.0 or later',
        _RELEASES + '400',
    ),
    Hazard(
        'patroni-quorum-replica',
        'synchronous_mode: quorum with a replica before 4.0.0, which does not know it',
        'critical',
        Releases(before=(4, 0, 0)),
        Releases((4, 0, 0)),
        False,
        quorum,
        'a member before 4.0.0 does not know synchronous_mode: quorum; in a failover it competes as if replication '
        'were asynchronous, and can be promoted without the last commits',
        'set synchronous_mode: on, or tag these members nofailover: true, until every member runs 4.0.0 or later',
        _RELEASES + '400',
    ),
    Hazard(
        'patroni-before-3.1',
        'Patroni before 3.1.0 beside 4.x',
        'warning',
        Releases(before=(3, 1, 0)),
        Releases((4, 0, 0)),
        False,
        always,
        'an upgrade from before 3.1.0 to 4.x is not reliable if the primary fails while both run',
        'upgrade the older ones to 3.1.0 or later first (the last 3.x), all members, and then to 4.x',
        _RELEASES + '400',
    ),
    Hazard(
        'patroni-failsafe-mode',
        'failsafe_mode with members before and after 3.3.3',
        'warning',
        Releases(before=(3, 3, 3)),
        Releases((3, 3, 3)),
        False,
        failsafe,
        'failsafe_mode wants all members at one version: before 3.3.3 the positions of cascading replicas do not reach '
        'the primary while it is active, and restapi.allowlist can refuse its requests',
        'finish the upgrade soon and do not restart etcd meanwhile',
        _RELEASES + '400',
    ),
    Hazard(
        'patroni-minimum-times',
        'ttl, loop_wait and retry_timeout outside of what only some members enforce',
        'warning',
        Releases(before=(3, 2, 0)),
        Releases((3, 2, 0)),
        False,
        small_times,
        'from 3.2.0 on Patroni enforces ttl >= 20, loop_wait >= 1, retry_timeout >= 3 and loop_wait + 2 * '
        'retry_timeout <= ttl, which the configuration does not keep, so the members work with different values',
        'set ttl, loop_wait and retry_timeout so that they do before the upgrade goes on',
        _RELEASES + '320',
    ),
    Hazard(
        'patroni-quorum-bugs',
        'synchronous_mode: quorum with Patroni 4.0.0 - 4.0.5',
        'warning',
        Releases((4, 0, 0), (4, 0, 6)),
        None,
        False,
        quorum,
        'synchronous_mode: quorum has bugs in these releases: a former leader that waits for a replica that is not '
        'in sync (before 4.0.5), a switchover to a named candidate refused (before 4.0.6)',
        'upgrade these members to 4.0.6 or later',
        _RELEASES + '406',
    ),
    Hazard(
        'patroni-leader-race',
        'Patroni 3.0.3 and 3.0.4 take a running primary for a replica',
        'warning',
        Releases((3, 0, 3), (3, 1, 0)),
        None,
        False,
        several,
        'in the leader race these members take a primary that still runs for a replica, so nothing but the leader key '
        'keeps one of them from being promoted beside it',
        'upgrade these members to 3.1.0 or later, before an upgrade of etcd',
        _RELEASES + '310',
    ),
    *(
        Hazard(
            'patroni-failsafe-bugs',
            'failsafe_mode with Patroni before 3.3.8, or 4.0.0 - 4.0.6',
            'warning',
            releases,
            None,
            False,
            failsafe,
            'some errors of etcd do not lead to failsafe_mode in these releases, and stock Patroni demotes its primary '
            'in an outage of etcd',
            'upgrade these members to 3.3.8, 4.0.7 or later',
            _RELEASES + '407',
        )
        for releases in (Releases(before=(3, 3, 8)), Releases((4, 0, 0), (4, 0, 7)))
    ),
    Hazard(
        'patroni-failover-priority',
        'Patroni before 3.2.0 ignores the tag failover_priority',
        'warning',
        Releases(before=(3, 2, 0)),
        None,
        False,
        always,
        'these members ignore their tag failover_priority: one with 0 can be promoted all the same, and the order of '
        'the others does not count',
        'tag a member that must not be promoted nofailover: true, or upgrade these members to 3.2.0 or later',
        _RELEASES + '320',
        tag='failover_priority',
    ),
    *(
        Hazard(
            'patroni-stale-etcd',
            'Patroni before 3.3.7, or 4.0.0 - 4.0.5, believes a member of etcd that was cut off',
            'info',
            releases,
            None,
            False,
            always,
            'these members do not compare the raft term of answers. After a network split they may read an old state '
            'from a member of etcd that has not caught up yet, and a primary that sees another leader there demotes',
            'upgrade these members to 3.3.7, 4.0.6 or later',
            'https://github.com/patroni/patroni/pull/3318',
        )
        for releases in (Releases(before=(3, 3, 7)), Releases((4, 0, 0), (4, 0, 6)))
    ),
    *(
        Hazard(
            'patroni-canceled-watch',
            'Patroni before 3.3.8, or 4.0.0 - 4.0.6, does not notice that etcd cancelled its watch',
            'info',
            releases,
            None,
            False,
            always,
            'etcd leaves the connection open when it cancels a watch; these members wait on it and work with old data',
            'upgrade these members to 3.3.8, 4.0.7 or later, or install patroni-etcd3-compat there, which ends such a '
            'watch',
            _RELEASES + '407',
            cured=True,
        )
        for releases in (Releases(before=(3, 3, 8)), Releases((4, 0, 0), (4, 0, 7)))
    ),
    *(
        Hazard(
            'patroni-slots-hold-xmin',
            'Patroni that keeps slots with xmin on a former primary',
            'info',
            releases,
            None,
            False,
            always,
            'with hot_standby_feedback on, the slots of a former primary that is a replica now keep their xmin, and '
            'the new primary cannot clean up dead rows',
            'upgrade these members to 3.3.3, 4.0.2 or later',
            _RELEASES + '402',
        )
        for releases in (Releases((3, 2, 0), (3, 3, 3)), Releases((4, 0, 0), (4, 0, 2)))
    ),
    Hazard(
        'patroni-role-primary',
        'roles are called master by some members and primary by others',
        'info',
        Releases(before=(4, 0, 0)),
        Releases((4, 0, 0)),
        False,
        always,
        'a leader before 4.0.0 calls its role "master" in the DCS, the REST API and for callbacks, from 4.0.0 on '
        '"primary"; requests with role=master and patronictl --master are refused by the newer ones',
        'let callbacks, monitoring and scripts take both until every member runs 4.0.0 or later',
        _RELEASES + '400',
    ),
)
