"""What is known about Patroni releases running side by side, as data: each hazard a row of :data:`HAZARDS`.

No I/O here. The DCS class warns of what it finds in the table (``warning``), the command ``check``
makes findings of it. Sources are Patroni's issues and release notes, and measurements of real releases side by side.
"""

from __future__ import annotations

from typing import Callable, Mapping, NamedTuple

from patroni.dcs import slot_name_from_member_name
from patroni.utils import parse_bool, parse_int

from .versions import Version, dotted, parse_version

#: The dynamic configuration, as Patroni keeps it in the DCS.
Config = Mapping[str, object]

_RELEASES = 'https://github.com/patroni/patroni/blob/master/docs/releases.rst#version-'
_ISSUE = 'https://github.com/patroni/patroni/issues/'


class Releases(NamedTuple):
    """A range of Patroni releases; ``None`` leaves a side open."""

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


class Hit(NamedTuple):
    """A hazard that applies to a cluster."""

    hazard: Hazard
    #: names and versions of the members in range :attr:`Hazard.one`
    one: dict[str, str]
    #: names and versions of those in range :attr:`Hazard.other`
    other: dict[str, str]


def _always(config: Config, names: list[str]) -> bool:
    return True


def _quorum(config: Config, names: list[str]) -> bool:
    return str(config.get('synchronous_mode')).lower() == 'quorum'


def _failsafe(config: Config, names: list[str]) -> bool:
    return bool(parse_bool(config.get('failsafe_mode')))


def _member_slots(config: Config, names: list[str]) -> bool:
    postgresql = config.get('postgresql')
    use_slots = parse_bool(postgresql.get('use_slots', True)) if isinstance(postgresql, dict) else True
    return bool(use_slots) and _seconds(config, 'member_slots_ttl', 1800) > 0


def _small_times(config: Config, names: list[str]) -> bool:
    ttl, loop_wait, retry_timeout = (
        _seconds(config, name, default) for name, default in (('ttl', 30), ('loop_wait', 10), ('retry_timeout', 10))
    )
    return ttl < 20 or loop_wait < 1 or retry_timeout < 3 or loop_wait + 2 * retry_timeout > ttl


def _seconds(config: Config, name: str, default: int) -> int:
    value = parse_int(config.get(name), 's')
    return default if value is None else int(value)


def _foreign_slots(config: Config, names: list[str]) -> bool:
    own = {slot_name_from_member_name(name) for name in names}
    return any(physical and name not in own for name, physical in permanent_slots(config).items())


#: What this package itself cures, see ``slots``.
MEMBER_SLOTS = Hazard(
    'patroni-member-slots',
    'member slots stand still on replicas with Patroni 4.0.0 - 4.0.2 under an older leader',
    'critical',
    Releases(before=(4, 0, 0)),
    Releases((4, 0, 0), (4, 0, 3)),
    True,
    _member_slots,
    'the slots that these replicas keep for the other members do not move, because a leader before 4.0.0 does not '
    'publish their positions; pg_wal on the replicas grows until the disk is full',
    'upgrade these replicas to 4.0.3 or later, or the leader to 4.0.0 or later (in "patronictl pause"); until then '
    'run them with this package or set member_slots_ttl: 0',
    _ISSUE + '3171',
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
        _foreign_slots,
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
        _quorum,
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
        _quorum,
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
        _always,
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
        _failsafe,
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
        _small_times,
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
        _quorum,
        'synchronous_mode: quorum has bugs in these releases: a former leader that waits for a replica that is not '
        'in sync (before 4.0.5), a switchover to a named candidate refused (before 4.0.6)',
        'upgrade these members to 4.0.6 or later',
        _RELEASES + '406',
    ),
    Hazard(
        'patroni-slots-hold-xmin',
        'Patroni that keeps slots with xmin on a former primary',
        'info',
        Releases((3, 2, 0), (3, 3, 3)),
        None,
        False,
        _always,
        'with hot_standby_feedback on, the slots of a former primary that is a replica now keep their xmin, and the '
        'new primary cannot clean up dead rows',
        'upgrade these members to 3.3.3 or later',
        _RELEASES + '333',
    ),
    Hazard(
        'patroni-slots-hold-xmin',
        'Patroni that keeps slots with xmin on a former primary',
        'info',
        Releases((4, 0, 0), (4, 0, 2)),
        None,
        False,
        _always,
        'with hot_standby_feedback on, the slots of a former primary that is a replica now keep their xmin, and the '
        'new primary cannot clean up dead rows',
        'upgrade these members to 4.0.2 or later',
        _RELEASES + '402',
    ),
    Hazard(
        'patroni-role-primary',
        'roles are called master by some members and primary by others',
        'info',
        Releases(before=(4, 0, 0)),
        Releases((4, 0, 0)),
        False,
        _always,
        'a leader before 4.0.0 calls its role "master" in the DCS, the REST API and for callbacks, from 4.0.0 on '
        '"primary"; requests with role=master and patronictl --master are refused by the newer ones',
        'let callbacks, monitoring and scripts take both until every member runs 4.0.0 or later',
        _RELEASES + '400',
    ),
)


def hazards(leader: str | None, versions: Mapping[str, str | None], config: Config) -> list[Hit]:
    """Find the hazards in a cluster. Members whose version is unknown play no part.

    :param leader: name of the leader, ``None`` if there is none.
    :param versions: version of Patroni by name of the member, as the members report it.
    :param config: the dynamic configuration.

    :returns: what applies, in the order of the table.
    """
    read = {name: parse_version(text) for name, text in versions.items()}
    known = {name: version for name, version in read.items() if version}

    def texts(names: list[str]) -> dict[str, str]:
        return {name: dotted(known[name]) for name in sorted(names)}

    hits = []
    for hazard in HAZARDS:
        one = [name for name in known if known[name] in hazard.one and (name == leader or not hazard.leads)]
        other = [name for name in known if hazard.other and known[name] in hazard.other and name not in one]
        if one and (other or hazard.other is None) and hazard.when(config, list(versions)):
            hits.append(Hit(hazard, texts(one), texts(other)))
    return hits


def permanent_slots(config: Config) -> dict[str, bool]:
    """Return the permanent slots: by name whether they are physical ones.

    :param config: the dynamic configuration.
    """
    slots = next(
        (config[key] for key in ('permanent_replication_slots', 'permanent_slots', 'slots') if config.get(key)), None
    )
    return (
        {
            name: not isinstance(value, dict)
            or value.get('type', 'logical') != 'logical'
            or not (value.get('database') and value.get('plugin'))
            for name, value in slots.items()
        }
        if isinstance(slots, dict)
        else {}
    )


def warning(hits: list[Hit]) -> str:
    """Return the text of one warning about the hazards of members that differ.

    :param hits: as :func:`hazards` gives them.

    :returns: the text; empty if none is critical, or comes from members that differ and is more than an information.
    """

    def members(versions: Mapping[str, str]) -> str:
        return ', '.join(f'{name} ({version})' for name, version in versions.items())

    parts = []
    for hit in hits:
        if hit.hazard.severity == 'critical' or hit.other and hit.hazard.severity != 'info':
            hazard = hit.hazard
            leader, beside = 'leader ' if hazard.leads else '', ' beside ' if hit.other else ''
            parts.append(
                f'{leader}{members(hit.one)}{beside}{members(hit.other)}: {hazard.consequence}. '
                f'What to do: {hazard.remedy} ({hazard.source})'
            )
    return '; '.join(parts)
