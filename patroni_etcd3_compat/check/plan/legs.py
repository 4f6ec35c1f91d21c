"""The releases that a plan for etcd passes through."""

from __future__ import annotations

from typing import NamedTuple, Sequence

from ...versions import Version, dotted
from ..altered import newest_of
from ..cluster import EtcdMember
from .releases import GUIDES, Guide, guide_to


class Leg(NamedTuple):
    """All members to one release."""

    guide: Guide
    #: as in the target: a line or a patch release
    to: str
    #: an exact patch release, if it was asked for
    exact: Version | None
    #: at least this patch release, because the next line wants it; on the way down, because that line does
    least: Version | None
    #: on the way down: the line that the members come from
    above: Guide | None = None

    @property
    def install(self) -> str:
        """What to install, in words."""
        if self.exact:
            return self.to
        return f'{self.to} ({dotted(self.least)} or later)' if self.least else f'{self.to} (its newest patch release)'

    @property
    def version(self) -> Version:
        """What the members run afterwards, for altered facts."""
        return self.exact or newest_of(self.guide.minor)

    def reached(self, version: Version | None) -> bool:
        """Return whether a member has nothing more to do for it."""
        if version is None:
            return False
        if version[:2] != self.guide.minor:
            return (version[:2] < self.guide.minor) if self.above else (version[:2] > self.guide.minor)
        wanted = self.exact or self.least
        return wanted is None or version >= wanted


def legs(known: Sequence[Version], target: Version, exact: bool, direct: bool) -> list[Leg]:
    """Return the releases to pass through.

    :param known: versions of the members.
    :param target: the last one.
    :param exact: *target* names a patch release.
    :param direct: leave out what is in between.
    """
    lines = [guide for guide in GUIDES if min(known)[:2] <= guide.minor <= target[:2]]
    found = []
    for guide in lines[-1:] if direct else lines:
        if guide.minor == target[:2]:
            leg = Leg(guide, dotted(target if exact else guide.minor), target if exact else None, None)
        else:
            following = guide_to((guide.minor[0], guide.minor[1] + 1))
            leg = Leg(guide, dotted(guide.minor), None, following.least if following else None)
        if not all(leg.reached(version) for version in known):
            found.append(leg)
    return found


def legs_down(known: Sequence[Version], target: Version, exact: bool) -> list[Leg]:
    """Return the releases to pass through on the way down, one minor release at a time.

    :param known: versions of the members.
    :param target: the last one, of a lower line than the highest of *known*.
    :param exact: *target* names a patch release.
    """
    found = []
    for above in reversed(GUIDES):
        guide = guide_to((above.minor[0], above.minor[1] - 1))
        if guide is None or above.minor > max(known)[:2] or guide.minor < target[:2]:
            continue
        named = target if exact and guide.minor == target[:2] else None
        found.append(Leg(guide, dotted(named or guide.minor), named, above.back_least, above))
    return found


def to_upgrade(leg: Leg, members: Sequence[EtcdMember], leader: EtcdMember | None) -> list[EtcdMember]:
    """Return the members that have something to do for a leg, up or down, in that order: the leader last."""
    todo = [member for member in members if not leg.reached(member.version)]
    return sorted(todo, key=lambda member: member is leader)
