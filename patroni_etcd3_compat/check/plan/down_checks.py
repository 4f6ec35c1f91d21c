"""What has to be right before a downgrade of etcd, with its present result. Pure.

Most of it is what ``check`` finds, now and in the cluster as it will be (:mod:`.scenes`), and what an upgrade wants as
well (:mod:`.etcd_checks`). Here is the rest.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Sequence

from ...versions import dotted, parse_version
from ..cluster import EtcdMember
from ..facts import Facts, Finding
from ..findings.downgrade import DOWNGRADE, downgrade_target
from ..findings.etcd_upgrade import cluster_version
from ..findings.registry import ETCD_GATE, ETCD_UPGRADE, PATRONI_GATE
from ..units import comma
from .etcd_checks import about_members, about_patroni, about_site, configuration_file, scenes
from .etcd_down import above, with_commands
from .legs import Leg
from .model import PreCheck
from .releases import DOWNGRADE_SINCE
from .scenes import Terms, finding_checks


def continues(facts: Facts, leg: Leg) -> bool:
    """Return whether the downgrade of a leg is enabled already, so that the plan goes on with it."""
    target = parse_version(downgrade_target(facts))
    return target is not None and target[:2] == leg.guide.minor


def down_checks(
    facts: Facts, findings: Sequence[Finding], members: Sequence[EtcdMember], way: Sequence[Leg]
) -> list[PreCheck]:
    """Return all of them: what is special to the plan first, then what ``check`` finds, now and on the way.

    :param facts: what was collected.
    :param findings: what was made of it. A downgrade that the plan goes on with is not in its way.
    :param members: the members of etcd.
    :param way: the legs of the plan.
    """
    goes_on = continues(facts, way[0])
    found = about_members(facts, members)
    found += [_line(facts, members, way[0], goes_on), _storage(members, way[0], goes_on), _options(way)]
    found += [*about_site(facts), *configuration_file(way), *_users(way), *about_patroni(facts)]
    if goes_on:
        findings = [finding for finding in findings if finding.id != DOWNGRADE]
    later = deepcopy(facts)  # which does not run while the plan's own downgrade is enabled
    for url in later.etcd.endpoints:
        url.downgrade = url.downgrade and ''
    terms = Terms(ETCD_UPGRADE, (ETCD_GATE, PATRONI_GATE))
    return [check for check in found if check] + finding_checks(findings, scenes(later, members, way), terms)


def _line(facts: Facts, members: Sequence[EtcdMember], leg: Leg, goes_on: bool) -> PreCheck | None:
    """Whether the members run one line, and the cluster version is that of it, or of a downgrade that is enabled."""
    if list(cluster_version(facts)):
        return None
    expected = leg.guide.minor if goes_on else above(leg).minor
    lines = sorted({member.version[:2] for member in members if member.version})
    reported = sorted({str(member.cluster_version) for member in members if member.version})
    seen = f'members {comma(list(map(dotted, lines)))}; cluster version {comma(reported)}'
    parsed = [parse_version(version) for version in reported]
    title = 'all members run the same minor release, and the cluster as well'
    if not all(version and version[:2] == expected for version in parsed):
        remedy = 'Wait a minute and plan again: etcd refuses a downgrade of a cluster whose version is another one.'
        return PreCheck('cluster-version', title, 'failed', seen, remedy, above(leg).back_page)
    if goes_on:
        remedy = f'A downgrade to {dotted(leg.guide.minor)} is under way already: the plan continues it.'
        return PreCheck('cluster-version', title, 'warning', seen, remedy, above(leg).back_page)
    return PreCheck('cluster-version', title, 'ok', seen)


def _storage(members: Sequence[EtcdMember], leg: Leg, goes_on: bool) -> PreCheck | None:
    """Whether the data of each member has the format of its line; before 3.6 nobody tells."""
    if not with_commands(leg):
        return None
    expected = leg.guide.minor if goes_on else above(leg).minor
    stored = {
        member.label: next((url.storage_version for url in member.urls if url.storage_version), None)
        for member in members
        if member.version and member.version[:2] >= DOWNGRADE_SINCE
    }
    known = {name: parse_version(version) for name, version in stored.items()}
    wrong = [name for name, version in known.items() if version and version[:2] != expected]
    unknown = [name for name, version in known.items() if version is None]
    seen = ', '.join(f'{name} {version or "unknown"}' for name, version in stored.items())
    remedy = ''
    if wrong:
        remedy = 'Wait a minute and plan again; if it stays, the log of etcd says why the data is not brought forward.'
    elif unknown:
        remedy = 'See "etcdctl endpoint status -w table", column STORAGE VERSION.'
    result = 'failed' if wrong else 'manual' if unknown else 'ok'
    return PreCheck(
        'storage-version',
        f'the data of every member has the format of {dotted(expected)}',
        result,
        seen,
        remedy,
        above(leg).back_page if remedy else '',
    )


def _options(way: Sequence[Leg]) -> PreCheck | None:
    """What etcd does not tell: the options and features that are in use."""
    fewer = [leg for leg in way if above(leg).back_changes]
    if not fewer:
        return None
    lines = comma([f'{dotted(leg.guide.minor)} does not know all of {dotted(above(leg).minor)}' for leg in fewer])
    return PreCheck(
        'options',
        'no member needs an option or a feature that the older release lacks',
        'manual',
        lines,
        'Compare "etcd -h" of both releases with the configuration of each member; the first member of each release '
        'below has a list.',
        above(way[-1]).back_page,
    )


def _users(way: Sequence[Leg]) -> list[PreCheck]:
    return [
        PreCheck(
            'users',
            'there are no users and roles',
            'manual',
            '3.4 reads entries about them in another form than 3.5 writes them',
            'Delete all users ("etcdctl user list", "etcdctl user delete NAME"), as the guide says; they can be made '
            'again afterwards. Patroni works without them while authentication is off.',
            above(leg).back_page,
        )
        for leg in way
        if not with_commands(leg)
    ]
