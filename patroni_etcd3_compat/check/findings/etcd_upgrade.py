"""Findings about releases of etcd side by side, and about releases of etcd that an older Patroni misreads."""

from __future__ import annotations

from typing import Iterator, NamedTuple

from ...hazards import Releases
from ...versions import LINES, NO_ERROR_KEY_MAYBE_SINCE, NO_ERROR_KEY_SINCE, Version, dotted, line_of, parse_version
from ..cluster import (
    EtcdMember,
    as_text,
    authentication,
    known_members,
    line_text,
    members,
    names,
    names_with_versions,
    patroni_versions,
    uncovered,
    versions,
    who_serves,
)
from ..facts import Facts
from ..units import comma
from .downgrade import downgrade_target
from .etcd_members import crosses_auth_break
from .examples import both, etcd_member, etcd_runs, patroni_runs
from .registry import ETCD_DOCS, ETCD_GATE, ETCD_UPGRADE, PATRONI, PATRONI_UPGRADE, Seen, Subject

SUBJECT = Subject(50, 'etcd: releases and upgrades')

#: Patroni sends a token with the member list, and reads errors of either shape, in these releases
#: (``patroni/dcs/etcd3.py`` of 3.3.8 and 3.3.9, 4.0.7 and 4.0.8, 4.1.0 and 4.1.1).
READS_ALL = (Releases((3, 3, 9), (4, 0, 0)), Releases((4, 0, 8), (4, 1, 0)), Releases((4, 1, 1)))

#: The same for a text.
READS_ALL_SINCE = comma([dotted(releases.since) for releases in READS_ALL if releases.since], 'or')


class OlderPatroni(NamedTuple):
    """A Patroni member of a release that is not in :data:`READS_ALL`."""

    name: str
    version: Version
    #: stock Patroni serves it, or something unknown
    stock: bool

    def __str__(self) -> str:
        return f'{self.name} ({as_text(self.version)})'


def older_patroni(facts: Facts) -> list[OlderPatroni]:
    """Return the Patroni members that misread errors and send no token for the member list, unless something helps."""
    lacking = uncovered(facts)
    return [
        OlderPatroni(name, version, name in lacking)
        for name, version in sorted(patroni_versions(facts.patroni).items())
        if not any(version in releases for releases in READS_ALL)
    ]


@SUBJECT.finding(
    'etcd-cluster-version',
    'the cluster version is not decided, or below the version of every member',
    f'{PATRONI}discussions/3385',
    warning='',
    stops=ETCD_GATE,
    example=etcd_member(2, cluster_version='not_decided'),
)
def cluster_version(facts: Facts) -> Iterator[Seen]:
    """Find members that report a cluster version which cannot be right."""
    for member in members(facts.etcd):
        reported = member.cluster_version if member.answers else None
        if reported is not None and parse_version(reported) is None:
            yield Seen(
                'warning',
                where=str(member),
                seen=f'cluster version {reported}',
                consequence='stock Patroni cannot read it and gets no member list from this member; the package does '
                'not use it',
                remedy='normal for a moment while a cluster starts; if it stays, check whether the members reach each '
                'other',
            )
    yield from _below_every_member(facts)


def _below_every_member(facts: Facts) -> Iterator[Seen]:
    everybody = members(facts.etcd)
    lowest = min((version for _, version in known_members(facts.etcd)), default=None)
    if lowest is None or any(member.listed and not member.version for member in everybody):
        return
    if any(url.shared_by for url in facts.etcd.endpoints):  # whose versions may be those of different members
        return
    if downgrade_target(facts) is not None:  # then it is below them by design, until the downgrade ends
        return
    reported = [(member, parse_version(member.cluster_version)) for member in everybody if member.answers]
    below = [(member, cluster) for member, cluster in reported if cluster and cluster[:2] < lowest[:2]]
    if below:
        yield Seen(
            'warning',
            where=names(below),
            seen=f'cluster version {versions(below)}, while no member is older than {as_text(lowest)}',
            consequence=f'stock Patroni chooses the prefix by it ({line_text(below[0][1])}), whatever the members '
            'serve; the package does not use it',
            remedy='normal for some seconds after the last member was upgraded; if it stays, restart the leader of '
            'etcd (first: etcdctl move-leader) and check that every member is listed once and answers',
        )


@SUBJECT.finding(
    'etcd-versions-differ',
    'members of different releases that work together',
    f'{ETCD_DOCS}upgrades/upgrade_3_6/',
    info='',
    ended_by=[ETCD_UPGRADE],
    shown=['tests/check/test_states_etcd.py::test_versions_differ'],
    example=etcd_runs('3.5.30', '3.5.30', '3.6.11'),
)
def versions_differ(facts: Facts) -> Iterator[Seen]:
    """Find an upgrade that is not finished. Releases further apart are a finding of their own."""
    known = known_members(facts.etcd)
    lowest, highest = _range(known)
    if lowest == highest or _skips(lowest, highest):
        return
    yield Seen(
        'info',
        where='etcd',
        seen=names_with_versions(known),
        consequence='an upgrade that is under way looks like this'
        if lowest[:2] != highest[:2]
        else 'bugs that the later release has fixed are still there on the other members',
        remedy=f'bring all members to {as_text(highest)} or later of {line_text(highest)}',
    )


@SUBJECT.finding(
    'etcd-upgrade-skips',
    'members two or more minor versions apart',
    'https://etcd.io/docs/v3.8/upgrades/upgrading-etcd/',
    warning='',
    ended_by=[ETCD_UPGRADE],
    shown=['tests/check/test_command_etcd.py::test_mixed_with_3_2'],
    example=etcd_runs('3.3.25', '3.3.25', '3.5.30'),
)
def skips(facts: Facts) -> Iterator[Seen]:
    """Find an upgrade that left out a release."""
    known = known_members(facts.etcd)
    lowest, highest = _range(known)
    if not _skips(lowest, highest):
        return
    behind = [(member, version) for member, version in known if version[:2] == lowest[:2]]
    ahead = [(member, version) for member, version in known if version[:2] > (lowest[0], lowest[1] + 1)]
    between = [line_text(line.minor + (0,)) for line in LINES if lowest[:2] < line.minor < highest[:2]]
    low, high = line_text(lowest), line_text(highest)
    yield Seen(
        'warning',
        where='etcd',
        seen=names_with_versions(known),
        consequence=f'etcd supports upgrades of one minor version at a time. It does not test members of {low} and '
        f'{high} in one cluster, and an entry that the older ones do not know can stop them',
        remedy='take a snapshot (etcdctl snapshot save FILE). The way that etcd supports: '
        f'{names(ahead)} back to {low}, then all to {between[0] if between else high}, then on. The short one: '
        f'upgrade {names(behind)} at once',
    )


def _skips(lowest: Version, highest: Version) -> bool:
    return lowest[0] != highest[0] or highest[1] - lowest[1] > 1


def _range(known: list[tuple[EtcdMember, Version]]) -> tuple[Version, Version]:
    found = sorted(version for _, version in known) or [(0, 0, 0)]
    return found[0], found[-1]


@SUBJECT.finding(
    'etcd-upgrade-patch',
    'an upgrade that started from too old a patch release',
    f'{ETCD_DOCS}upgrades/upgrade_3_6/',
    warning='',
    ended_by=[ETCD_UPGRADE],
    example=etcd_runs('3.5.16', '3.5.16', '3.6.11'),
)
def patch(facts: Facts) -> Iterator[Seen]:
    """Find members that should have been brought to a later patch release first."""
    known = known_members(facts.etcd)
    lowest, highest = _range(known)
    line = line_of(highest)
    if lowest[:2] == highest[:2] or not line or lowest[:2] != line.upgrade_from[:2] or lowest >= line.upgrade_from:
        return
    early = [(member, version) for member, version in known if version < line.upgrade_from]
    least = as_text(line.upgrade_from)
    yield Seen(
        'warning',
        where=names(early),
        seen=f'etcd {versions(early)} beside {as_text(highest)}',
        consequence=f'a rolling upgrade to {line_text(highest)} has to start from {least} or later. From an older '
        'release the upgraded members can fail to start, or members that were removed long ago can come back',
        remedy=f'bring these members to {least} or later of {line_text(lowest)} before the upgrade goes on',
        link=line.guide,
    )


@SUBJECT.finding(
    'etcd-upgrade-auth',
    'a rolling upgrade from 3.4 or older to 3.5 or newer with authentication on',
    'https://etcd.io/docs/v3.5/upgrades/upgrade_3_5/',
    warning='',
    ended_by=[ETCD_UPGRADE],
    shown=['tests/check/test_states_etcd.py::test_versions_differ'],
    example=etcd_runs('3.4.45', '3.4.45', '3.5.30', auth=True),
)
def upgrade_auth(facts: Facts) -> Iterator[Seen]:
    """Find members on both sides of the release that changed how users are stored, with authentication on."""
    if crosses_auth_break(facts) and authentication(facts):
        yield Seen(
            'warning',
            where='etcd',
            seen=f'authentication is on, with {names_with_versions(known_members(facts.etcd))}',
            consequence='etcd does not support a rolling upgrade from 3.4 or older to 3.5 or newer with authentication '
            'on: entries about users and roles have another form',
            remedy='do not change users, roles and passwords until all members run 3.5 or later, and finish soon; or: '
            'etcdctl auth disable until then',
        )


@SUBJECT.finding(
    'etcd-error-shape',
    'errors come in a shape that older Patroni misreads',
    f'{PATRONI}issues/3525',
    warning='from etcd 3.6 on',
    info='for etcd 3.5, of which only some builds do this; or if the package or the patch serves these Patroni members',
    cured=True,
    noted=True,
    ended_by=[PATRONI_UPGRADE],
    example=both(etcd_runs('3.6.11', '3.6.11', '3.6.11'), patroni_runs('4.0.7', '4.0.7')),
)
def error_shape(facts: Facts) -> Iterator[Seen]:
    """Find members whose errors have no key ``error``, and Patroni members that need it."""
    known = known_members(facts.etcd)
    sure = [(member, version) for member, version in known if version >= NO_ERROR_KEY_SINCE]
    rows = sure or [(member, version) for member, version in known if version >= NO_ERROR_KEY_MAYBE_SINCE]
    old = older_patroni(facts)
    if not old or not rows:
        return
    builds = '' if sure else 'in the builds of some distributions '
    yield Seen(
        'warning' if sure and any(member.stock for member in old) else 'info',
        where=names(rows),
        seen=f'{builds}errors of etcd {versions(rows)} have no key "error", which these Patroni releases need: '
        f'{comma([str(member) for member in old])}',
        consequence='a stock Patroni of these releases reads no other key: it does not notice that its lease is gone, '
        f'that it has to log in again, or that authentication is off; {who_serves(facts)}',
        remedy=f'upgrade these Patroni members to {READS_ALL_SINCE} or later of their line, or install '
        'patroni-etcd3-compat there',
    )
