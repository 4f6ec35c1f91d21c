"""The plan for etcd: which minor releases to pass through, and the steps at each. Pure: facts in, plan out."""

from __future__ import annotations

from typing import NamedTuple, Sequence

from ...versions import Minor, Version, dotted
from ..facts import Facts, Finding
from ..judge.members import ours
from .etcd_checks import needs_package, prechecks
from .etcd_refusals import refusals
from .gates import Commands, at_least
from .members import Node, nodes
from .model import Gate, Plan, Step
from .patroni_steps import around_patroni
from .releases import GUIDES, POLICY, RECOVERY, Guide, guide_to, read_release, shared_prefixes

_UNSUPPORTED = (
    'This way skips {0}. etcd says: one minor release at a time, anything else is not supported and likely to fail '
    '(' + POLICY + '). Without --direct this command prints the way that etcd supports; take that one unless there is '
    'a reason not to.'
)

_MEASURED = (
    'What this package adds is that Patroni finds the members of each release in such a mixed cluster. That was '
    'measured with 3.2 -> 3.4, 3.2 -> 3.5 and 3.3 -> 3.5, on small databases and without authentication; it says '
    'nothing about what else uses this etcd cluster, and nothing about members that die on the way.'
)


class Leg(NamedTuple):
    """All members to one release."""

    guide: Guide
    #: as in the target: a line or a patch release
    to: str
    #: an exact patch release, if it was asked for
    exact: Version | None
    #: at least this patch release, because the next line wants it
    least: Version | None

    @property
    def text(self) -> str:
        """What to install, in words."""
        if self.exact:
            return self.to
        return '{0} ({1})'.format(
            self.to, f'{dotted(self.least)} or later' if self.least else 'its newest patch release'
        )

    def reached(self, version: Version | None) -> bool:
        """Whether a member has nothing more to do for it."""
        if version is None:
            return False
        if version[:2] != self.guide.minor:
            return version[:2] > self.guide.minor
        wanted = self.exact or self.least
        return wanted is None or version >= wanted


def legs(known: Sequence[Version], target: Version, exact: bool, direct: bool) -> list[Leg]:
    """Give the releases to pass through.

    :param known: versions of the members.
    :param target: where to.
    :param exact: *target* names a patch release.
    :param direct: leave out what lies between.
    """
    low = min(known)
    lines = [guide for guide in GUIDES if low[:2] <= guide.minor <= target[:2]]
    if direct:
        lines = lines[-1:]
    found = []
    for guide in lines:
        last = guide.minor == target[:2]
        following = None if last else guide_to((guide.minor[0], guide.minor[1] + 1))
        leg = Leg(
            guide,
            dotted(target) if last and exact else dotted(guide.minor),
            target if last and exact else None,
            following.least if following else None,
        )
        if not all(leg.reached(version) for version in known):
            found.append(leg)
    return found


def plan_etcd(facts: Facts, findings: Sequence[Finding], target: str, direct: bool, config_file: str | None) -> Plan:
    """Make the plan for an upgrade of etcd.

    :param facts: what was collected.
    :param findings: what was made of it.
    :param target: a line such as ``3.5`` or a release such as ``3.5.16``.
    :param direct: leave out the minor releases in between.
    :param config_file: the configuration of Patroni, for the commands.

    :raises:
        :exc:`ValueError`: *target* is no version.
    """
    wanted = read_release(target)
    if wanted is None:
        raise ValueError(f'{target!r} is no version of etcd; it takes one such as 3.5 or 3.5.16')
    exact = target.count('.') > 1
    members = nodes(facts.etcd)
    known = [node.version for node in members if node.version]
    plan = Plan(
        'etcd {0} to {1}'.format(
            ', '.join(sorted({node.text for node in members if node.text})) or 'of unknown version', target
        ),
        'etcd',
        target,
        facts.taken,
        direct,
        sources=[POLICY, RECOVERY],
    )
    plan.members = [
        {
            'name': node.name,
            'url': node.url,
            'version': node.text,
            'role': 'leader' if node.leader else 'learner' if node.learner else 'follower',
        }
        for node in members
    ]
    plan.refusals = refusals(facts, members, wanted, exact, direct)
    if plan.refusals:
        return plan
    way = legs(known, wanted, exact, direct)
    silent = [node.where for node in members if node.version is None]
    if not way and silent:
        plan.prechecks = prechecks(facts, findings, members, [wanted[:2]], wanted if exact else None, direct)
        plan.notes.append(
            'Every member that answers runs {0} or later; not known: {1}.'.format(target, ', '.join(silent))
        )
        return plan
    if not way:
        plan.notes.append(
            'Nothing to do: every member runs {0} or later.{1}'.format(
                target, '' if exact else f' For a newer patch release name it: --etcd-to {target}.N'
            )
        )
        return plan
    commands = Commands(facts, members, config_file)
    plan.variables = commands.variables()
    lines = [leg.guide.minor for leg in way]
    plan.prechecks = prechecks(facts, findings, members, lines, wanted if exact else None, direct)
    low = min(known)
    skipped = [dotted(guide.minor) for guide in GUIDES if low[:2] < guide.minor < wanted[:2]]
    if direct and skipped:
        plan.warnings += [_UNSUPPORTED.format(', '.join(skipped)), _MEASURED]
    elif direct:
        plan.notes.append('--direct changes nothing: there is no minor release in between.')
    if needs_package(low, lines, direct) and facts.patroni and not ours(facts):
        plan.steps += around_patroni(facts.patroni, commands)
    leader = next((node for node in members if node.leader), None)
    for leg in way:
        leader = _leg_steps(plan, leg, members, leader, commands, low)
        low = max(low, leg.guide.minor + (0,))
        plan.sources += [page for page in (leg.guide.line.guide, leg.guide.why_page, leg.guide.back_page) if page]
    plan.sources = list(dict.fromkeys(plan.sources))
    plan.health = _health(way[-1], members, commands)
    plan.notes += _notes(facts, [min(known)] + [line + (0,) for line in lines], direct)
    return plan


def _order(members: Sequence[Node], leader: Node | None, leg: Leg) -> list[Node]:
    todo = [node for node in members if not leg.reached(node.version)]
    return [node for node in todo if node != leader] + [node for node in todo if node == leader]


def _leg_steps(
    plan: Plan, leg: Leg, members: Sequence[Node], leader: Node | None, commands: Commands, low: Version
) -> Node | None:
    """Add the steps of a leg.

    :returns: the member that leads afterwards, as far as it can be foreseen.
    """
    plan.steps.append(_snapshot(leg, leader, commands, low))
    order = _order(members, leader, leg)
    for node in order:
        last = node is order[-1]
        if node == leader:
            heirs = [other for other in members if other != node and other.id and not other.learner]
            heir = next((other for other in heirs if other in order), heirs[0] if heirs else None)
            if heir is not None and low >= (3, 3, 0):
                plan.steps.append(_move_leader(node, heir, commands))
                leader = heir
        plan.steps.append(_upgrade(leg, node, node is order[0], last, commands, low))
    return leader


def _snapshot(leg: Leg, leader: Node | None, commands: Commands, low: Version) -> Step:
    url = leader.client_url if leader else commands.endpoints[0]
    return Step(
        f'Take a snapshot before {leg.to}',
        {'action': 'snapshot', 'before': leg.to},
        f'It is the way back once all members run {leg.to}. The leader has the latest data.',
        [
            '(umask 077; mkdir -p "$BACKUP")',
            f'etcdctl $ETCDCTL_FLAGS --endpoints={url} snapshot save "{commands.snapshot(leg.to)}"',
        ],
        [
            Gate(
                'the snapshot is whole',
                commands.snapshot_status(leg.to, low),
                'hash, revision, keys and size of the snapshot',
                0,
            )
        ],
        'Nothing was changed.',
        member=leader.name if leader else None,
        url=leader.url if leader else None,
    )


def _move_leader(node: Node, heir: Node, commands: Commands) -> Step:
    return Step(
        f'Hand leadership from {node.name} to {heir.name}',
        {'action': 'move-leader', 'member': node.name, 'to': heir.name},
        f'{node.where} is the last one and leads the cluster. Handed over, nobody has to wait for an election when it stops. If '
        'another member has become leader meanwhile this does no harm.',
        [f'etcdctl $ETCDCTL_FLAGS --endpoints=$ENDPOINTS move-leader {heir.id}'],
        [commands.healthy()] + commands.checks('CHECK_ETCD'),
        'Any member can lead: nothing has to be undone.',
        member=node.name,
        url=node.url,
    )


def _upgrade(leg: Leg, node: Node, first: bool, last: bool, commands: Commands, low: Version) -> Step:
    """The step for one member."""
    patch = leg.exact or leg.least
    crosses = low[:2] < leg.guide.minor
    former = node.text if node.version and node.version[:2] == low[:2] else f'the {dotted(low[:2])} that it ran'
    gates = [
        Gate(
            f'{node.name} runs {leg.to}',
            commands.version(node.url, 'etcdserver', at_least(leg.guide.minor, patch, bool(leg.exact))),
            'its version',
        ),
        commands.healthy(),
    ]
    rises = last and crosses
    changes = list(leg.guide.changes) if crosses else []
    if last:
        gates.append(
            Gate(
                f'the cluster runs {dotted(leg.guide.minor)}',
                commands.version(node.url, 'etcdcluster', at_least(leg.guide.minor, None, False)),
                'it rises a few seconds after the last member has come up',
                120,
            )
        )
    gates += commands.checks('CHECK_ETCD', 'CHECK_PATRONI') + commands.leads()
    step = Step(
        f'Upgrade {node.name} to {leg.text}',
        {'action': 'upgrade', 'member': node.name, 'to': leg.to},
        f'The last member: with it the whole cluster becomes {dotted(leg.guide.minor)}.'
        if rises
        else 'One member at a time: the others keep the quorum, and the cluster works with the features of the oldest.'
        + (f' What changes with {leg.to}, for this and every other member:' if changes and first else ''),
        [
            f'# on {node.name}, whose URL is {node.url}:',
            '# systemctl stop etcd',
            f'# install etcd {leg.text}, for example: apt-get install etcd-server',
            '# (on the same data directory, with the same options{0})'.format(
                f' but for what changes with {leg.to}, see its first member' if changes else ''
            ),
            '# systemctl start etcd',
        ],
        gates,
        '',
        member=node.name,
        url=node.url,
        notes=changes if first else [],
    )
    if rises:
        step.reversible = False
        step.back = (
            'None in place once the cluster runs {0}: {1}. All members together can be restored from the '
            'snapshot; what was written since is lost. Before this step: stop and think.'.format(
                dotted(leg.guide.minor), leg.guide.back or 'members of a lower release do not start any more'
            )
        )
        step.back_commands = commands.restore(leg.to, low)
    elif crosses:
        step.back = 'Stop {0}, install {1} again, start it: possible as long as one member still runs {2}. {3}'.format(
            node.name,
            former,
            dotted(low[:2]),
            'Better put it back empty, because a data directory that goes 3.5 -> '
            '3.4 -> 3.5 can come to differ from the others (etcd issue 13514):'
            if leg.guide.minor == (3, 5)
            else 'If it does not come up on its data, put it back empty:',
        )
        step.back_commands = commands.rejoin(node)
    else:
        step.back = f'Stop {node.name}, install {former} again, start it.'
    return step


def _health(leg: Leg, members: Sequence[Node], commands: Commands) -> list[Gate]:
    gates = [
        Gate(
            f'{node.name} runs {leg.to}',
            commands.version(
                node.url, 'etcdserver', at_least(leg.guide.minor, leg.exact or leg.least, bool(leg.exact))
            ),
            'its version',
        )
        for node in members
    ]
    return gates + [commands.healthy()] + commands.checks('CHECK_ETCD', 'CHECK_PATRONI') + commands.leads()


def _notes(facts: Facts, passed: Sequence[Version], direct: bool) -> list[str]:
    notes = [
        'Do not restart Patroni while etcd is mixed unless a step says so, and change nothing else meanwhile.',
        'Before each step: "etcdctl $ETCDCTL_FLAGS --endpoints=$ENDPOINTS endpoint status -w table". If another '
        'member leads than this plan says, take that one last; the rest stays as it is.',
    ]
    notes.append('At the end read all that "$CHECK" says, not only what stops the plan.')
    pairs: list[tuple[Minor, Minor, list[str]]] = [
        (one[:2], other[:2], shared_prefixes(one, other))
        for one, other in zip(passed, passed[1:])
        if one[:2] != other[:2]
    ]
    if pairs and not direct and all(prefixes for _, _, prefixes in pairs) and passed[0] >= (3, 3, 0):
        notes.append(
            'Stock Patroni goes along with this: {0} (measured with 4.1.5). With gateway off on one member, '
            'or members that skip a release, it does not.'.format(
                '; '.join(
                    f'{dotted(one)} and {dotted(other)} share the gateway prefix {prefixes[0]}'
                    for one, other, prefixes in pairs
                )
            )
        )
    return notes
