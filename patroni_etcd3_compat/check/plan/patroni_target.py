"""The target of an upgrade of Patroni: what forbids it, and which members go first. Pure."""

from __future__ import annotations

from typing import Mapping, NamedTuple

from ...hits import Hit, hazards
from ...versions import Minor, Version, dotted
from ..altered import NEWEST, newest_of
from ..cluster import patroni_versions
from ..facts import Patroni
from .model import Refusal
from .releases import read_release

NOTES = 'https://github.com/patroni/patroni/blob/master/docs/releases.rst#version-'

#: The newest line that the hazards and steps are known for.
KNOWN_TO: Minor = (4, 1)

PLAN = 'patroni-etcd3-compat plan --patroni-to {0}'


class Target(NamedTuple):
    """Where to."""

    text: str
    #: with :data:`~..altered.NEWEST` as patch level if *text* has none
    version: Version
    exact: bool


def read_target(text: str) -> Target:
    """Read the version that was asked for.

    :raises ValueError: if it is no version.
    """
    version = read_release(text)
    if version is None:
        raise ValueError(f'{text!r} is no version of Patroni; it has to be one such as 4.1 or 4.1.5')
    exact = text.count('.') > 1
    return Target(dotted(version if exact else version[:2]), version if exact else newest_of(version), exact)


def _named(versions: Mapping[str, Version]) -> str:
    return ', '.join(f'{name} {dotted(version)}' for name, version in versions.items())


def refusals(patroni: Patroni, target: Target) -> list[Refusal]:
    """Return what forbids it."""
    versions = patroni_versions(patroni)
    if target.version[:2] > KNOWN_TO:
        return [
            Refusal(
                'target-unknown',
                f'Nothing is known here about an upgrade to Patroni {target.text}, only up to {dotted(KNOWN_TO)}.',
                NOTES.partition('#')[0],
                'Read its release notes, or use a newer release of patroni-etcd3-compat.',
            )
        ]
    if not versions:
        return [
            Refusal(
                'versions-unknown',
                f'No member of Patroni reports its version: {patroni.error or "there is none"}.',
                NOTES + '400',
                'Find out with "patroni-etcd3-compat check" why, and plan again.',
            )
        ]
    above = {name: version for name, version in versions.items() if version > target.version}
    if above:
        return [
            Refusal(
                'below',
                f'{_named(above)}: newer than {target.text}, and this command plans upgrades.',
                NOTES + '400',
                'Patroni has no procedure for it. To undo an upgrade that is under way, install the former release on '
                'each member again, in the same order. From 4.x go no further back than 3.1.0, the first to know the '
                'role "primary", and not with synchronous_mode: quorum.',
            )
        ]
    old = {name: version for name, version in versions.items() if version < (3, 1, 0)}
    if old and target.version >= (4, 0, 0):
        return [
            Refusal(
                'before-3.1',
                f'{_named(old)}: an upgrade to 4.0.0 and later is only reliable from 3.1.0 on. Members before that do '
                'not know the role "primary", and a failover midway can go wrong.',
                NOTES + '400',
                f'Upgrade all members to the last 3.x first, and then to {target.text}.',
                [PLAN.format('3.3'), '# follow it, then', PLAN.format(target.text)],
            )
        ]
    return []


def midway(patroni: Patroni, target: Version, leader_first: bool) -> list[Hit]:
    """Return the hazards while the leader, or with *leader_first* everybody else, is still what it is."""
    state: dict[str, str | None] = {}
    for member in patroni.members:
        stays = (member.name == patroni.leader) != leader_first
        state[member.name] = member.version if stays else dotted(target)
    return hazards(patroni.leader, state, patroni.config)


def leader_goes_first(patroni: Patroni, target: Target) -> Hit | None:
    """Return the hazard of the usual order because of which the leader goes first: one that no later target avoids."""
    critical = [
        hit
        for hit in midway(patroni, target.version, False)
        if hit.hazard.severity == 'critical' and hit.hazard.other is not None
    ]
    best = {hit.hazard.id for hit in midway(patroni, (target.version[0], NEWEST, NEWEST), False)}
    other = {hit.hazard.id for hit in midway(patroni, target.version, True) if hit.hazard.severity == 'critical'}
    return next((hit for hit in critical if hit.hazard.id in best and hit.hazard.id not in other), None)
