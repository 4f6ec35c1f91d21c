"""The way down: a plan for an older release of etcd, one minor release at a time, the leader last.

From 3.6 on etcd has commands for it: "downgrade enable" brings the data of every member into the format of the lower
line before the first of them runs it. Measured with 3.7.3, 3.6.16 and 3.5.30, with authentication on as well:

- The data follows within 5 s. "downgrade enable" a second time is "invalid downgrade target version".
- While the downgrade is enabled, a member may go back up and down again.
- "cancel" lets the cluster version rise within 5 s, once all members run the higher line. A member of 3.5 that is asked
  for it answers "context deadline exceeded" and does it all the same, so one of the higher line is asked.
- After the last member etcd ends the downgrade itself, within 10 s. If an upgrade begins before that, the downgrade
  stays enabled and the cluster version low, so the last gate of a leg waits for the end. 3.5 shows nothing of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Sequence

from ...versions import dotted
from ..cluster import EtcdMember
from ..findings.downgrade import DOWNGRADE
from ..findings.registry import ETCD_GATE, PATRONI_GATE
from . import snapshots
from .connection import ETCDCTL
from .etcd_steps import cluster_runs, in_turn, runs
from .gates import Commands, at_least, grpc_url
from .legs import Leg, to_upgrade
from .model import Gate, Step
from .releases import COMPATIBLE, DOWNGRADE_SINCE, Guide

#: Stands before a plan with a leg that was not tried here; the page belongs into it.
UNTRIED = (
    'The steps to 3.4 were not run by the authors: no etcd 3.4.32 or later was at hand. They follow the guide of etcd '
    '({0}). Try them on a copy of this cluster first.'
)


def above(leg: Leg) -> Guide:
    """Return the line that the members of a leg come from."""
    assert leg.above is not None
    return leg.above


def with_commands(leg: Leg) -> bool:
    """Return whether etcd has commands for a leg: from 3.6 down to 3.5, and later ones."""
    return above(leg).minor >= DOWNGRADE_SINCE


def down_steps(
    leg: Leg, members: Sequence[EtcdMember], leader: EtcdMember | None, commands: Commands, enabled: bool
) -> tuple[list[Step], EtcdMember | None]:
    """Return the steps of a leg, and the member that leads afterwards as far as that can be foreseen.

    :param leg: where to.
    :param members: all members of etcd.
    :param leader: the one that leads now.
    :param commands: makes the commands.
    :param enabled: this very downgrade is enabled already.
    """
    order = to_upgrade(leg, members, leader)
    steps = [_snapshot(leg, leader, commands)]
    if with_commands(leg) and not enabled:
        steps.append(_enable(leg, members, commands))
    restarts, leader = in_turn(
        order,
        members,
        leader,
        commands,
        above(leg).minor + (0,),
        lambda member: _downgrade(leg, member, order, commands),
    )
    return steps + restarts, leader


def down_health(leg: Leg, members: Sequence[EtcdMember], commands: Commands) -> list[Gate]:
    """Return what has to hold at the end.

    :param leg: the last one.
    """
    gates = [runs(leg, member, commands) for member in members]
    return gates + [commands.healthy(), *_over(leg), *_checks(commands)]


def _snapshot(leg: Leg, leader: EtcdMember | None, commands: Commands) -> Step:
    name = _before(leg)
    return Step(
        f'Take a snapshot before {leg.to}',
        {'action': 'snapshot', 'before': name},
        f'The data as {dotted(above(leg).minor)} has it, if all else fails. The leader has the latest.',
        snapshots.save(grpc_url(leader) if leader and leader.answers else commands.answering, name),
        snapshots.gates(name),
        'Nothing was changed.',
        member=leader.label if leader else None,
        url=leader.url if leader else None,
    )


def _before(leg: Leg) -> str:
    """Return the name of the snapshot: another one than on the way up, whose snapshot is from an older release."""
    return f'down-to-{leg.to}'


def _enable(leg: Leg, members: Sequence[EtcdMember], commands: Commands) -> Step:
    line = dotted(leg.guide.minor)
    return Step(
        f'Enable the downgrade to {line}',
        {'action': 'enable-downgrade', 'to': line},
        f'Every member brings its data into the format of {line} and the cluster works as {line} from here on. Without '
        f'it {line} does not start on the data of {dotted(above(leg).minor)}.',
        [f'{ETCDCTL} downgrade validate {line}', f'{ETCDCTL} downgrade enable {line}'],
        [
            Gate(
                f'the downgrade to {line} is enabled',
                f'$CHECK -f json --only {DOWNGRADE} | grep "a downgrade to {line}\\."',
                'what check says about it',
            ),
            *(_stored(leg, member, commands) for member in members),
            *(_cluster_runs(leg, member, commands) for member in members[:1]),
            commands.healthy(),
            *_checks(commands),
        ],
        f'Cancel it. Within seconds the cluster works as {dotted(above(leg).minor)} again.',
        [f'{ETCDCTL} downgrade cancel'],
        notes=[
            'Nothing is restarted in this step. Options are changed later, member by member.',
            f'The error "invalid downgrade target version" means that the cluster version is not '
            f'{dotted(above(leg).minor)}: a downgrade is enabled already, or an upgrade is not finished.',
        ],
    )


def _stored(leg: Leg, member: EtcdMember, commands: Commands) -> Gate:
    pattern = at_least(leg.guide.minor, None, False)
    return Gate(
        f'the data of {member.label} has the format of {dotted(leg.guide.minor)}',
        commands.version(member.url, 'storage', pattern),
        'its storage version',
    )


def _cluster_runs(leg: Leg, member: EtcdMember, commands: Commands) -> Gate:
    return replace(cluster_runs(leg, member, commands), expect='its version, a few seconds later')


def _checks(commands: Commands) -> list[Gate]:
    return commands.checks(ETCD_GATE, PATRONI_GATE) + commands.leads()


def _over(leg: Leg) -> list[Gate]:
    """Return the gate that waits until etcd has ended the downgrade itself. 3.5 tells only whoever cancels it."""
    if not with_commands(leg):
        return []
    line = dotted(leg.guide.minor)
    if leg.guide.minor >= DOWNGRADE_SINCE:
        return [Gate(f'the downgrade to {line} is over', f'$CHECK --only {DOWNGRADE}', 'etcd ends it by itself', 120)]
    return [
        Gate(
            f'the downgrade to {line} is over',
            f'{ETCDCTL} downgrade cancel 2>&1 | grep "no inflight downgrade job"',
            'etcd ends it by itself; with all members at the target, to cancel it does the same',
            120,
        )
    ]


def _downgrade(leg: Leg, member: EtcdMember, order: Sequence[EtcdMember], commands: Commands) -> Step:
    """Return the step for one member of those that go down in this order."""
    first, last = member is order[0], member is order[-1]
    line = dotted(leg.guide.minor)
    changes = list(above(leg).back_changes)
    but = f' but for what changes with {line}, see the first member' if changes else ''
    gates = [runs(leg, member, commands)]
    if leg.guide.minor >= DOWNGRADE_SINCE:
        gates.append(_stored(leg, member, commands))
    gates.append(commands.healthy())
    if last:
        gates.append(_cluster_runs(leg, member, commands))
    gates += _over(leg) if last else []
    action = {'action': 'downgrade', 'member': member.label, 'to': leg.to}
    if not with_commands(leg):
        action['option'] = COMPATIBLE
    step = Step(
        f'Downgrade {member.label} to {leg.install}',
        action,
        _why(leg, last, first),
        [
            f'# on {member.label}, whose URL is {member.url}:',
            '# systemctl stop etcd',
            f'# install the binaries of etcd {leg.install}: etcd, and etcdctl and etcdutl only where none is newer',
            f'# keep the data directory and the options{but}; a package may start etcd, so have these right before',
            '# systemctl start etcd',
        ],
        gates + _checks(commands),
        '',
        member=member.label,
        url=member.url,
        notes=changes if first else [],
    )
    _add_way_back(step, leg, member, order, commands)
    return step


def _why(leg: Leg, last: bool, first: bool) -> str:
    if last:
        return f'The last member: with it the whole cluster is {dotted(leg.guide.minor)}.'
    why = 'One member at a time: the others keep the quorum.'
    changes = first and above(leg).back_changes
    return f'{why} What changes with {leg.to}, for this and every other member:' if changes else why


def _add_way_back(step: Step, leg: Leg, member: EtcdMember, order: Sequence[EtcdMember], commands: Commands) -> None:
    higher = dotted(above(leg).minor)
    if member is order[-1]:
        step.reversible = False
        step.back = (
            f'Once all members run {dotted(leg.guide.minor)}, the way back is an upgrade, with all that it checks: '
            f'"patroni-etcd3-compat plan --etcd-to {higher}". All members together can be restored from the snapshot; '
            f'what was written since is lost. {snapshots.PATRONI}'
        )
        step.back_commands = commands.restore(_before(leg), above(leg).minor + (0,))
        return
    there = member.version is not None and member.version[:2] == above(leg).minor
    former = member.reported_version if there else f'the {higher} that it ran'
    step.back = f'Stop {member.label}, install {former} again, start it.'
    if with_commands(leg):
        step.back += (
            ' The downgrade stays enabled, so this member may follow later. To give the downgrade up altogether, '
            f'cancel it, and then put every member that runs {dotted(leg.guide.minor)} back to {higher} in this way:'
        )
        asked = [other for other in order if not other.learner] or order
        step.back_commands = [f'etcdctl $ETCDCTL_FLAGS --endpoints={grpc_url(asked[-1])} downgrade cancel']
    else:
        step.back += f' Take {COMPATIBLE} out before. Better add it again empty (etcd issue 13514):'
        step.back_commands = commands.rejoin(member)
