"""The steps of one leg of a plan for etcd: a snapshot, then one member after the other, the leader last."""

from __future__ import annotations

from typing import Callable, Sequence

from ...versions import Version, dotted
from ..cluster import EtcdMember
from ..findings.registry import ETCD_GATE, PATRONI_GATE
from . import snapshots
from .connection import ETCDCTL
from .gates import Commands, at_least, grpc_url
from .legs import Leg, to_upgrade
from .log_snapshots import log_snapshot, write_something
from .model import Gate, Step
from .releases import DOWNGRADE_SINCE, ZOMBIES_SINCE

_WRITTEN = (
    'The first command writes a key and deletes it. On data of 3.4 to which nobody ever wrote, 3.5.26 and later put '
    'living members among the removed ones. A member of 3.6 then makes the others exit (seen with 3.4.23 -> 3.5.30 -> '
    '3.6.16).'
)


def leg_steps(
    leg: Leg, members: Sequence[EtcdMember], leader: EtcdMember | None, commands: Commands, low: Version
) -> tuple[list[Step], EtcdMember | None]:
    """Return the steps of a leg, and the member that leads afterwards as far as that can be foreseen.

    :param leg: where to.
    :param members: all members of etcd.
    :param leader: the one that leads now.
    :param commands: makes the commands.
    :param low: the lowest version before the leg.
    """
    steps = []
    order = to_upgrade(leg, members, leader)
    if leg.guide.log and low[:2] < leg.guide.minor:
        log_steps, leader = in_turn(
            order,
            members,
            leader,
            commands,
            low,
            lambda member: log_snapshot(leg, member, member is order[0], commands),
        )
        steps += log_steps
        order = to_upgrade(leg, members, leader)
    steps.append(_snapshot(leg, leader, commands, low))
    upgrades, leader = in_turn(
        order,
        members,
        leader,
        commands,
        low,
        lambda member: _upgrade(leg, member, member is order[0], member is order[-1], commands, low),
    )
    return steps + upgrades, leader


def in_turn(
    order: Sequence[EtcdMember],
    members: Sequence[EtcdMember],
    leader: EtcdMember | None,
    commands: Commands,
    low: Version,
    step: Callable[[EtcdMember], Step],
) -> tuple[list[Step], EtcdMember | None]:
    """Return a step for each member, and the member that leads afterwards: it hands over before its own step."""
    steps = []
    for member in order:
        if member is leader:
            heir = _heir(members, order, member)
            if heir is not None and low >= (3, 3, 0):
                steps.append(_move_leader(member, heir, commands))
                leader = heir
        steps.append(step(member))
    return steps, leader


def _heir(members: Sequence[EtcdMember], order: Sequence[EtcdMember], leader: EtcdMember) -> EtcdMember | None:
    """Return the member that takes over from the leader: one that is upgraded in this leg, if there is one."""
    upgraded = [str(member) for member in order]
    heirs = [other for other in members if other is not leader and other.id and other.answers and not other.learner]
    return min(heirs, key=lambda heir: str(heir) not in upgraded, default=None)


def _snapshot(leg: Leg, leader: EtcdMember | None, commands: Commands, low: Version) -> Step:
    """Return the step that takes a snapshot, of the leader if it answers."""
    url = grpc_url(leader) if leader and leader.answers else commands.answering
    unwritten = low[:2] < ZOMBIES_SINCE == leg.guide.minor
    return Step(
        f'Take a snapshot before {leg.to}',
        {'action': 'snapshot', 'before': leg.to},
        f'It is the way back once all members run {leg.to}. The leader has the latest data.',
        ([write_something()] if unwritten else []) + snapshots.save(url, leg.to),
        ([commands.written(url)] if unwritten else []) + snapshots.gates(leg.to),
        'Nothing was changed.',
        member=leader.label if leader else None,
        url=leader.url if leader else None,
        notes=[_WRITTEN] if unwritten else [],
    )


def _move_leader(leader: EtcdMember, heir: EtcdMember, commands: Commands) -> Step:
    return Step(
        f'Move the leadership from {leader.label} to {heir.label}',
        {'action': 'move-leader', 'member': leader.label, 'to': heir.label},
        f'{leader.place} is the last one and leads the cluster. With the leadership moved, nobody waits for an '
        'election when it stops. If another member has become the leader meanwhile, this does no harm.',
        [f'{ETCDCTL} move-leader {heir.id}'],
        [commands.healthy()] + commands.checks(ETCD_GATE),
        'Any member can lead: nothing has to be undone.',
        member=leader.label,
        url=leader.url,
    )


def runs(leg: Leg, member: EtcdMember, commands: Commands) -> Gate:
    pattern = at_least(leg.guide.minor, leg.exact or leg.least, bool(leg.exact))
    return Gate(f'{member.label} runs {leg.to}', commands.version(member.url, 'etcdserver', pattern), 'its version')


def _upgrade(leg: Leg, member: EtcdMember, first: bool, last: bool, commands: Commands, low: Version) -> Step:
    """Return the step for one member."""
    crosses = low[:2] < leg.guide.minor
    rises = last and crosses
    changes = list(leg.guide.changes) if crosses else []
    gates = [runs(leg, member, commands), commands.healthy()]
    if last:
        gates.append(cluster_runs(leg, member, commands))
    but = f' but for what changes with {leg.to}, see its first member' if changes else ''
    step = Step(
        f'Upgrade {member.label} to {leg.install}',
        {'action': 'upgrade', 'member': member.label, 'to': leg.to},
        _why(leg, rises, bool(changes) and first),
        [
            f'# on {member.label}, whose URL is {member.url}:',
            '# systemctl stop etcd',
            f'# install the binaries of etcd {leg.install}: etcd, etcdctl, etcdutl (from 3.5 on)',
            f'# keep the data directory and the options{but}; a package may start etcd, so have these right before',
            '# systemctl start etcd',
        ],
        gates + commands.checks(ETCD_GATE, PATRONI_GATE) + commands.leads(),
        '',
        member=member.label,
        url=member.url,
        notes=changes if first else [],
    )
    _add_way_back(step, leg, member, rises, commands, low)
    return step


def _why(leg: Leg, rises: bool, changes: bool) -> str:
    if rises:
        return f'The last member: with it the whole cluster becomes {dotted(leg.guide.minor)}.'
    why = 'One member at a time: the others keep the quorum, and the cluster works with the features of the oldest.'
    return f'{why} What changes with {leg.to}, for this and every other member:' if changes else why


def cluster_runs(leg: Leg, member: EtcdMember, commands: Commands) -> Gate:
    return Gate(
        f'the cluster runs {dotted(leg.guide.minor)}',
        commands.version(member.url, 'etcdcluster', at_least(leg.guide.minor, None, False)),
        'its version rises a few seconds after the last member has started',
        120,
    )


def _add_way_back(step: Step, leg: Leg, member: EtcdMember, rises: bool, commands: Commands, low: Version) -> None:
    same_line = member.version is not None and member.version[:2] == low[:2]
    former = member.reported_version if same_line else f'the {dotted(low[:2])} that it ran'
    if rises:
        line = dotted(leg.guide.minor)
        why = leg.guide.back or 'members of a lower release no longer start'
        step.reversible = False
        step.back = (
            f'Once the cluster runs {line}: {why}. All members together can be restored from the snapshot; what was '
            f'written since is lost. {snapshots.PATRONI}'
        )
        downgrade = commands.downgrade(low) if leg.guide.minor >= DOWNGRADE_SINCE else []
        step.back_commands = downgrade + commands.restore(leg.to, low)
    elif low[:2] < leg.guide.minor:
        step.back = (
            f'Stop {member.label}, install {former} again, start it: possible as long as one member still runs '
            f'{dotted(low[:2])}. {_empty_or_not(leg)}'
        )
        step.back_commands = commands.rejoin(member)
    else:
        step.back = f'Stop {member.label}, install {former} again, start it.'


def _empty_or_not(leg: Leg) -> str:
    if leg.guide.minor == (3, 5):
        return (
            'Better add it again empty, because a data directory that goes 3.5 -> 3.4 -> 3.5 can come to differ from '
            'the others (etcd issue 13514):'
        )
    return 'If it does not start on its data, add it again empty:'


def health(leg: Leg, members: Sequence[EtcdMember], commands: Commands) -> list[Gate]:
    """Return what has to hold at the end.

    :param leg: the last one.
    """
    gates = [runs(leg, member, commands) for member in members]
    return gates + [commands.healthy()] + commands.checks(ETCD_GATE, PATRONI_GATE) + commands.leads()
