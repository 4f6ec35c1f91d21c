"""The plan for etcd: which minor releases to pass through, and the steps at each. Pure: facts in, plan out."""

from __future__ import annotations

from typing import Sequence

from ...versions import Minor, Version, dotted
from ..cluster import EtcdMember, members_as_configured, uncovered
from ..facts import Facts, Finding, Fleet
from ..findings.downgrade import DOWNGRADE
from ..units import number
from .connection import ETCDCTL
from .down_checks import continues, down_checks
from .etcd_checks import needs_package, prechecks
from .etcd_down import UNTRIED, above, down_health, down_steps, with_commands
from .etcd_refusals import refusals
from .etcd_steps import health, leg_steps
from .fleet import fleet_checks, package_steps
from .gates import Commands
from .legs import Leg, legs, legs_down
from .model import Plan, PreCheck
from .patroni_steps import around_patroni
from .releases import GUIDES, POLICY, RECOVERY, read_release, shared_prefixes
from .snapshots import PROGRAMS

_UNSUPPORTED = (
    'This way skips {skipped}. etcd says: one minor release at a time, anything else is not supported and likely to '
    f'fail ({POLICY}). Without --direct this command prints the way that etcd supports; take that one unless there is '
    'a reason not to.'
)

_MEASURED = (
    'This package only makes Patroni find the members of each release in such a mixed cluster. That was measured with '
    '3.2 -> 3.4, 3.2 -> 3.5 and 3.3 -> 3.5, on small databases and without authentication. It says nothing about other '
    'users of this etcd cluster, or about members that crash on the way.'
)


def plan_etcd(
    facts: Facts,
    findings: Sequence[Finding],
    target: str,
    direct: bool,
    config_file: str | None,
    fleet: Fleet | None = None,
) -> Plan:
    """Make the plan for an upgrade of etcd.

    :param facts: what was collected; about etcd alone with *fleet*.
    :param findings: what was made of it.
    :param target: a line such as ``3.5`` or a release such as ``3.5.16``.
    :param direct: leave out the minor releases in between.
    :param config_file: the configuration of Patroni, for the commands.
    :param fleet: all Patroni clusters of this etcd, if the plan is about all of them.

    :raises ValueError: if *target* is no version.
    """
    wanted = read_release(target)
    if wanted is None:
        raise ValueError(f'{target!r} is no version of etcd; it has to be one such as 3.5 or 3.5.16')
    exact = target.count('.') > 1
    members = members_as_configured(facts.etcd)
    known = [member.version for member in members if member.version]
    plan = _empty(facts, members, target, direct)
    if fleet:
        plan.title += f', under {number(len(fleet.clusters), "Patroni cluster")}'
    plan.down = bool(known) and max(known)[:2] > wanted[:2]
    plan.refusals = refusals(facts, members, wanted, exact, direct)
    if plan.refusals:
        return plan
    if plan.down:
        _go_down(plan, facts, findings, members, legs_down(known, wanted, exact), config_file, fleet)
        return plan
    way = legs(known, wanted, exact, direct)
    if not way:
        _nothing_to_do(plan, facts, findings, members, exact)
        return plan
    commands = Commands(facts, members, config_file, every=fleet.namespace if fleet else None)
    plan.variables = commands.variables()
    lines = [leg.guide.minor for leg in way]

    def checks(facts: Facts, findings: Sequence[Finding]) -> Sequence[PreCheck]:
        return prechecks(facts, findings, members, way, direct)

    plan.prechecks = fleet_checks(fleet, checks) if fleet else list(checks(facts, findings))
    _warn(plan, min(known), wanted)
    needed = needs_package(min(known), lines, direct)
    if needed and facts.patroni:
        plan.steps += around_patroni(facts.patroni, commands, uncovered(facts))
    elif needed and fleet:
        plan.steps += package_steps(fleet, members, config_file)
    _add_legs(plan, way, members, commands, min(known), needed)
    plan.health = health(way[-1], members, commands)
    plan.notes += _notes([min(known)] + [line + (0,) for line in lines], direct)
    return plan


def _go_down(
    plan: Plan,
    facts: Facts,
    findings: Sequence[Finding],
    members: Sequence[EtcdMember],
    way: Sequence[Leg],
    config_file: str | None,
    fleet: Fleet | None,
) -> None:
    """Fill in the plan for an older release."""
    commands = Commands(facts, members, config_file, [DOWNGRADE], fleet.namespace if fleet else None)
    plan.variables = commands.variables()

    def checks(facts: Facts, findings: Sequence[Finding]) -> Sequence[PreCheck]:
        return down_checks(facts, findings, members, way)

    plan.prechecks = fleet_checks(fleet, checks) if fleet else list(checks(facts, findings))
    leader = next((member for member in members if member.leader), None)
    for leg in way:
        steps, leader = down_steps(leg, members, leader, commands, leg is way[0] and continues(facts, leg))
        plan.steps += steps
        plan.sources.append(above(leg).back_page)
        if not with_commands(leg):
            plan.warnings.append(UNTRIED.format(above(leg).back_page))
    plan.health = down_health(way[-1], members, commands)
    plan.sources = list(dict.fromkeys(plan.sources))
    plan.notes += _notes([max(member.version for member in members if member.version)], False)
    first, last = above(way[0]).minor, way[-1].guide.minor
    plan.notes.append(
        f'Stock Patroni survives this: {dotted(first)} and {dotted(last)} serve the gateway prefix /v3, and so does '
        'everything between them (measured with 4.1.5 from 3.7 to 3.5 and back).'
    )


def _empty(facts: Facts, members: Sequence[EtcdMember], target: str, direct: bool) -> Plan:
    """Return the plan without anything to do."""
    present = ', '.join(sorted({member.reported_version for member in members if member.reported_version}))
    plan = Plan(
        f'etcd {present or "of unknown version"} to {target}',
        'etcd',
        target,
        facts.taken,
        facts.asked_from,
        direct,
        sources=[POLICY, RECOVERY],
    )  # fmt: skip
    plan.members = [
        {
            'name': member.label,
            'url': member.url,
            'version': member.reported_version,
            'role': 'leader' if member.leader else 'learner' if member.learner else 'follower',
        }
        for member in members
    ]
    return plan


def _nothing_to_do(
    plan: Plan, facts: Facts, findings: Sequence[Finding], members: Sequence[EtcdMember], exact: bool
) -> None:
    silent = [member.place for member in members if member.version is None]
    if silent:
        plan.prechecks = prechecks(facts, findings, members, [], plan.direct)
        plan.notes.append(f'Every member that answers runs {plan.target} or later; unknown: {", ".join(silent)}.')
        return
    newer = '' if exact else f' For a newer patch release, name it: --etcd-to {plan.target}.N'
    plan.notes.append(f'Nothing to do: every member runs {plan.target} or later.{newer}')


def _warn(plan: Plan, low: Version, wanted: Version) -> None:
    """Say what the direct way means."""
    skipped = [dotted(guide.minor) for guide in GUIDES if low[:2] < guide.minor < wanted[:2]]
    if plan.direct and skipped:
        plan.warnings += [_UNSUPPORTED.format(skipped=', '.join(skipped)), _MEASURED]
    elif plan.direct:
        plan.notes.append('--direct changes nothing: there is no minor release in between.')


def _add_legs(
    plan: Plan, way: Sequence[Leg], members: Sequence[EtcdMember], commands: Commands, low: Version, needed: bool
) -> None:
    """Add the steps and sources of all legs. If the package is needed, each upgrade waits for its marks as well."""
    leader = next((member for member in members if member.leader), None)
    for leg in way:
        steps, leader = leg_steps(leg, members, leader, commands, low)
        for step in steps if needed else ():
            step.gates += commands.marks() if step.action['action'] == 'upgrade' else []
        plan.steps += steps
        low = max(low, leg.guide.minor + (0,))
        plan.sources += [page for page in (leg.guide.line.guide, leg.guide.why_page, leg.guide.back_page) if page]
    plan.sources = list(dict.fromkeys(plan.sources))


def _notes(passed: Sequence[Version], direct: bool) -> list[str]:
    notes = [
        'Do not restart Patroni while etcd is mixed unless a step says so, and change nothing else meanwhile.',
        f'Before each step: "{ETCDCTL} endpoint status -w table". If another member '
        'leads than this plan says, take that one last; all else stays as it is.',
        'At the end read everything that "$CHECK" says, not only what stops the plan.',
        PROGRAMS,
    ]
    pairs: list[tuple[Minor, Minor, list[str]]] = [
        (one[:2], other[:2], shared_prefixes(one, other))
        for one, other in zip(passed, passed[1:])
        if one[:2] != other[:2]
    ]
    if pairs and not direct and all(prefixes for _, _, prefixes in pairs) and passed[0] >= (3, 3, 0):
        shared = '; '.join(
            f'{dotted(one)} and {dotted(other)} share the gateway prefix {prefixes[0]}'
            for one, other, prefixes in pairs
        )
        notes.append(
            f'Stock Patroni survives this: {shared} (measured with 4.1.5). It does not if the gateway of a member is '
            'off, or if members skip a release.'
        )
    return notes
