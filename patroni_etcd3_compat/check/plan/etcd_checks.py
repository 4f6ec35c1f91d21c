"""What has to be right before an upgrade of etcd, with its present result. Pure.

Most of it is what ``check`` finds, now and in the cluster as it will be (:mod:`.scenes`). Here is the rest.
"""

from __future__ import annotations

from typing import Sequence

from ...versions import NESTED_SINCE, Minor, Version, dotted, parse_version
from ..altered import etcd_at, readable
from ..cluster import EtcdMember, covered, known_members, uncovered, who_serves
from ..facts import Facts, Finding
from ..findings.etcd_upgrade import cluster_version
from ..findings.hosts import unreachable
from ..findings.raft import no_leader, quorum_lost
from ..findings.registry import ETCD_GATE, ETCD_UPGRADE, PATRONI_GATE
from ..units import comma
from .common_checks import patroni_runs
from .legs import Leg, to_upgrade
from .model import PreCheck
from .releases import POLICY, shared_prefixes
from .scenes import Scene, Terms, finding_checks


def needs_package(low: Version, lines: Sequence[Minor], direct: bool) -> bool:
    """Return whether stock Patroni must not run during the upgrade.

    :param low: lowest version of a member.
    :param lines: the lines to pass through.
    :param direct: some in between are left out.
    """
    if direct or low < NESTED_SINCE:
        return True
    passed = [low] + [line + (0,) for line in lines]
    return not all(shared_prefixes(one, other) for one, other in zip(passed, passed[1:]))


def prechecks(
    facts: Facts, findings: Sequence[Finding], members: Sequence[EtcdMember], way: Sequence[Leg], direct: bool
) -> list[PreCheck]:
    """Return all of them: what is special to the plan first, then what ``check`` finds, now and on the way.

    :param facts: what was collected.
    :param findings: what was made of it.
    :param members: the members of etcd.
    :param way: the legs of the plan; none if all that answer are at the target.
    :param direct: minor releases in between are left out.
    """
    low = min(member.version for member in members if member.version)
    found = about_members(facts, members)
    found += [_cluster_version(facts, members, low), *about_site(facts), *configuration_file(way), *_target(way)]
    lines = [leg.guide.minor for leg in way]
    needed = bool(way) and needs_package(low, lines, direct)
    found += about_patroni(facts)
    if needed and facts.patroni and covered(facts):
        found.append(_package_everywhere(facts))
    terms = Terms(ETCD_UPGRADE, (ETCD_GATE, PATRONI_GATE), _how_installed(facts) if needed else '')
    return [check for check in found if check] + finding_checks(findings, scenes(facts, members, way), terms)


def about_members(facts: Facts, members: Sequence[EtcdMember]) -> list[PreCheck | None]:
    """Return what has to be right about the members of etcd, whichever way they go."""
    return [_size(members), _versions(facts, members), _leader(facts, members)]


def about_site(facts: Facts) -> list[PreCheck | None]:
    """Return what has to be right about everything around them."""
    return [_room(facts), _hosts(facts)]


def about_patroni(facts: Facts) -> list[PreCheck]:
    """Return what has to be right about Patroni, as far as no finding says it."""
    return [_no_configuration()] if facts.patroni is None else patroni_runs(facts, facts.patroni)


def scenes(facts: Facts, members: Sequence[EtcdMember], way: Sequence[Leg]) -> list[Scene]:
    """Return the cluster as it will be: in each leg, up or down, with one member at its release, and with all of them.

    :param facts: what was collected.
    :param members: the members of etcd.
    :param way: the legs of the plan.
    """
    leader = next((member for member in members if member.leader), None)
    found = []
    for leg in way:
        todo = [str(member) for member in to_upgrade(leg, members, leader) if member.version]
        one = etcd_at(facts, leg.version, todo[:1])
        releases = sorted({version for _, version in known_members(one.etcd)})
        if len(todo) > 1 and len(releases) > 1:
            found.append(Scene(readable(f'while members run {" and ".join(map(dotted, releases))}'), one))
        facts = etcd_at(facts, leg.version, todo)
        found.append(Scene(f'when all members run {leg.to}', facts))
    return found


def _size(members: Sequence[EtcdMember]) -> PreCheck:
    """Whether the quorum is left while one of the members that answer restarts."""
    voting = [member for member in members if not member.learner]
    silent = [member.label for member in voting if not member.answers]
    spare = (len(voting) - 1) // 2
    left = max(spare - len(silent), 0)
    members_text = 'voting members' if len(voting) > 1 else 'voting member'
    seen = f'{len(voting)} {members_text}, {spare or "none"} may be away'
    if silent:
        seen += f'; {comma(silent)} does not answer' if len(silent) == 1 else f'; {comma(silent)} do not answer'
    if spare and not left:
        remedy = 'Start what does not answer, or replace it, before any other member restarts.'
    elif not spare:
        remedy = (
            'etcd accepts no writes while a member restarts, and Patroni demotes its primary after ttl. Turn '
            'failsafe_mode on, or use "patronictl pause" meanwhile, or add members first.'
        )
    else:
        remedy = ''
    result = 'ok' if left else 'failed' if spare else 'warning'
    return PreCheck('quorum', 'the quorum survives the restart of a member', result, seen, remedy)


def _versions(facts: Facts, members: Sequence[EtcdMember]) -> PreCheck:
    """Members that answer without a version, or that only ``use_proxies`` excuses; silent ones are a finding."""
    silent = {seen.where for seen in unreachable(facts) if seen.severity != 'info'}
    unknown = [member for member in members if member.version is None and str(member) not in silent]
    return PreCheck(
        'versions',
        'the version of every member is known',
        'failed' if unknown else 'ok',
        '; '.join(f'{member.place}: {member.error or "it is not reported"}' for member in unknown)
        or f'{sum(member.version is not None for member in members)} of {len(members)}',
        'Find out why with "patroni-etcd3-compat check", and plan again.' if unknown else '',
        POLICY,
    )


def _leader(facts: Facts, members: Sequence[EtcdMember]) -> PreCheck | None:
    """Which member leads; that there is no leader at all is a finding."""
    if [*no_leader(facts), *quorum_lost(facts)]:
        return None
    leaders = [member.place for member in members if member.leader]
    known = len(leaders) == 1
    return PreCheck(
        'leader',
        'it is known which member leads',
        'ok' if known else 'failed',
        ', '.join(leaders) or 'unknown',
        '' if known else 'Run "etcdctl endpoint status" for every member first.',
    )


def _cluster_version(facts: Facts, members: Sequence[EtcdMember], low: Version) -> PreCheck | None:
    """An upgrade that is under way, and a cluster version that no finding is about."""
    if list(cluster_version(facts)):
        return None
    reported = {member.cluster_version for member in members if member.version}
    versions = sorted({member.version[:2] for member in members if member.version})
    line = parse_version(next(iter(reported)) if len(reported) == 1 else None)
    seen = (
        f'members {", ".join(map(dotted, versions))}; cluster version {", ".join(sorted(map(str, reported - {None})))}'
    )
    if line is None or line[:2] != low[:2]:
        return PreCheck(
            'cluster-version',
            'the cluster version is that of the oldest member',
            'failed',
            seen if reported - {None} else f'{seen}unknown',
            'Wait a minute and plan again; if it stays, restart the leader of etcd (Patroni issue 3002).',
            'https://github.com/patroni/patroni/issues/3002',
        )
    if len(versions) > 1:
        return PreCheck(
            'cluster-version',
            'all members run the same minor release',
            'warning',
            seen,
            'An upgrade is under way already: the plan continues it.',
            POLICY,
        )
    return PreCheck('cluster-version', 'all members run the same minor release', 'ok', seen)


def _room(facts: Facts) -> PreCheck:
    sizes = [url.db_size for url in facts.etcd.endpoints if url.db_size is not None]
    return PreCheck(
        'room',
        'there is room for a snapshot of each release',
        'manual',
        f'{max(max(sizes) / 1e6, 0.1):.1f} MB each' if sizes else 'the size of the database is unknown',
        'Check the free space in the folder that BACKUP will be.',
    )


def _hosts(facts: Facts) -> PreCheck:
    count = len(facts.etcd.configured)
    few = count == 1 and len(facts.etcd.listed or ()) > 1
    return PreCheck(
        'hosts',
        'Patroni is configured with more than one member',
        'warning' if few else 'ok',
        f'{count} configured',
        'A Patroni that restarts while this one member is away does not start: add the others to hosts.' if few else '',
    )


def configuration_file(way: Sequence[Leg]) -> list[PreCheck]:
    """Return what has to be right in the configuration files of members that become 3.4."""
    if (3, 4) not in [leg.guide.minor for leg in way]:
        return []
    return [
        PreCheck(
            'gateway-in-file',
            'the gateway stays on',
            'manual',
            'etcd 3.4 has it off by default if it is started from a configuration file',
            'Set enable-grpc-gateway: true in the configuration file of each member before it becomes 3.4.',
        )
    ]


def _target(way: Sequence[Leg]) -> list[PreCheck]:
    exact = way[-1].exact if way else None
    if exact is None or not (3, 5, 0) <= exact < (3, 5, 3):
        return []
    return [
        PreCheck(
            'target-release',
            'the target has no known data corruption',
            'failed',
            f'{dotted(exact)} can make the members differ',
            'Use 3.5.3 or later, best the newest.',
            'https://github.com/etcd-io/etcd/issues/13766',
        )
    ]


def _no_configuration() -> PreCheck:
    return PreCheck(
        'patroni',
        'Patroni is healthy',
        'manual',
        'no configuration of Patroni was given',
        'Give it (-c FILE), or check "patronictl list" yourself.',
    )


def _package_everywhere(facts: Facts) -> PreCheck:
    return PreCheck('package', 'every Patroni member runs the package or the patch', 'ok', who_serves(facts))


def _how_installed(facts: Facts) -> str:
    """Return how the package gets on every node; empty if the plan cannot do it, because Patroni is not known."""
    if facts.patroni is None:
        return ''
    if covered(facts):
        return 'the package or the patch has to stay on every node'
    return f'the first steps of the plan install the package on {comma(uncovered(facts))}: leave none out'
