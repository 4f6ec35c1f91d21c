"""Rules of etcd that forbid the way down to an older release, each with the path that works: a snapshot, in the end."""

from __future__ import annotations

from typing import Sequence

from ...versions import Minor, Version, dotted
from ..cluster import EtcdMember, authentication
from ..facts import Facts
from ..findings.downgrade import downgrade_target
from . import snapshots
from .gates import Commands, grpc_url
from .legs import Leg, legs_down
from .model import Refusal
from .releases import COMPATIBLE, DOWNGRADE_SINCE, POLICY, RECOVERY, guide_to, read_release

_PLAN = 'patroni-etcd3-compat plan --etcd-to {0}'

#: The oldest line that etcd has a way down to.
_LOWEST: Minor = (3, 4)


def down_refusals(
    facts: Facts, members: Sequence[EtcdMember], wanted: Version, exact: bool, direct: bool
) -> list[Refusal]:
    """Tell what forbids it.

    :param facts: what was collected.
    :param members: the members of etcd.
    :param wanted: the target, of a lower line than the highest member.
    :param exact: *wanted* names a patch release.
    :param direct: minor releases in between are left out.
    """
    known = [node.version for node in members if node.version]
    if guide_to(max(known)[:2]) is None:
        return [_newer(max(known))]
    mixed = _mixed(facts, members, wanted)
    if mixed:
        return [mixed]
    if wanted[:2] < _LOWEST:
        return [_no_way(facts, members, wanted)]
    way = legs_down(known, wanted, exact)
    found = [_direct(way, wanted) if direct else None, _least(facts, members, way[-1]), _auth(facts, members, way)]
    return [refusal for refusal in found if refusal]


def _named(members: Sequence[EtcdMember]) -> str:
    return ', '.join(f'{node.label} {node.reported_version}' for node in members if node.version)


def _newer(highest: Version) -> Refusal:
    line = dotted(highest[:2])
    return Refusal(
        'members-unknown',
        f'A way down from etcd {line} is unknown to this release.',
        POLICY,
        'Read the guide to downgrades on etcd.io, or use a newer release of patroni-etcd3-compat.',
    )


def _mixed(facts: Facts, members: Sequence[EtcdMember], wanted: Version) -> Refusal | None:
    """Members of several lines, which is an upgrade or a downgrade under way."""
    lines = sorted({node.version[:2] for node in members if node.version})
    if len(lines) < 2:
        return None
    low, high = lines[0], lines[-1]
    target = read_release(downgrade_target(facts) or '')
    if target is not None and target[:2] == low and high == (low[0], low[1] + 1) and wanted[:2] <= low:
        return None  # the plan goes on with it
    guide = guide_to(high)
    reason = f'The cluster is mixed: {_named(members)}. A downgrade begins when all members run one minor release.'
    oldest = ', '.join(node.label for node in members if node.version and node.version[:2] == low)
    newer = [node for node in members if node.version and node.version[:2] > low]
    if target is not None:
        way = (
            f'A downgrade to {dotted(target)} is enabled, but this is not a cluster on that way. Cancel it '
            '("etcdctl downgrade cancel"), bring all members to one release, and plan again.'
        )
    elif wanted[:2] == low:
        way = (
            f'{oldest} still runs {dotted(low)}, so the cluster works as {dotted(low)} and the newer members can go '
            f'back one at a time. Stop one, install {dotted(low)} again, start it; if it does not come up on its data, '
            'remove it ("member remove"), empty its data directory and add it again ("member add").'
        )
        if low == _LOWEST:
            way += f' If all members ran {dotted(high)} before, it has to be 3.4.32 or later with {COMPATIBLE}.'
    else:
        way = (
            f'Finish the upgrade first ("{_PLAN.format(dotted(high))}"), or take it back: {oldest} still runs '
            f'{dotted(low)}, so {_named(newer)} can go back to it one at a time. Then plan again.'
        )
    return Refusal('below', reason, guide.line.guide if guide else POLICY, way)


def _direct(way: Sequence[Leg], wanted: Version) -> Refusal | None:
    """Several lines at once. Seen on 3.7.3: "downgrade validate 3.5" is "invalid downgrade target version"."""
    if len(way) < 2:
        return None
    return Refusal(
        'direct-down',
        f'On the way down to {dotted(wanted[:2])} no minor release can be left out: etcd refuses a target that is not '
        'the release just below.',
        way[0].above.back_page if way[0].above else POLICY,
        'One minor release at a time: the same without --direct.',
        [_PLAN.format(dotted(wanted[:2]))],
    )


def _least(facts: Facts, members: Sequence[EtcdMember], leg: Leg) -> Refusal | None:
    """The target is a patch release that must not take the place of the line above it."""
    guide = leg.above
    if guide is None or leg.exact is None or guide.back_least is None or leg.exact >= guide.back_least:
        return None
    least = dotted(guide.back_least)
    way = f'Go down to {least} or later: without a patch release the plan takes the newest. '
    return Refusal(
        'least-down',
        f'{dotted(leg.exact)} must not take the place of {dotted(guide.minor)}: it has to be {least} or later, because '
        f'{guide.back_why}.',
        guide.back_page,
        way + _snapshot_way(leg.exact),
        [_PLAN.format(dotted(leg.guide.minor)), '# or, all members together:', *_commands(facts, members, leg.exact)],
    )


def _auth(facts: Facts, members: Sequence[EtcdMember], way: Sequence[Leg]) -> Refusal | None:
    """Authentication is on, and the way leads to 3.4."""
    leg = way[-1]
    if leg.above is None or leg.above.minor >= DOWNGRADE_SINCE or not authentication(facts):
        return None
    endpoints = ','.join(node.client_url for node in members)
    to = leg.to
    first = [] if len(way) == 1 else [f'{_PLAN.format(dotted(leg.above.minor))}   # with authentication on, as it is']
    return Refusal(
        'auth-down',
        f'Authentication is on, and etcd has no way from {dotted(leg.above.minor)} to {dotted(leg.guide.minor)} with '
        'it: 3.5 writes entries about users in a form that 3.4 does not understand.',
        leg.above.back_page,
        'Turn authentication off and delete all users before, as the guide says, and protect the client ports by other '
        'means. Make the users again when every member runs 3.4. Patroni keeps its credentials and continues. (Stock '
        'Patroni before 4.1.1 misreads "not enabled" of 3.5 as Debian builds it: install this package there.)',
        [
            *first,
            '# let only the nodes of Patroni and etcd reach the client ports of etcd, then',
            f'etcdctl --endpoints={endpoints} --user root auth disable',
            f'etcdctl --endpoints={endpoints} user list   # and for each: etcdctl user delete NAME',
            _PLAN.format(to),
        ],
    )


def _no_way(facts: Facts, members: Sequence[EtcdMember], wanted: Version) -> Refusal:
    """etcd has no way down to that line."""
    highest = max(node.version[:2] for node in members if node.version)
    part = ''
    if highest > _LOWEST:
        part = f' One at a time it goes down to {dotted(_LOWEST)} ({COMPATIBLE} of 3.4.32 and later), and not further.'
    return Refusal(
        'below',
        f'{_named(members)}: etcd cannot go down to {dotted(wanted[:2])}. Once all members run a release, members of a '
        f'lower one no longer start, and before {dotted(_LOWEST)} nothing helps against it.{part}',
        RECOVERY,
        _snapshot_way(wanted),
        _commands(facts, members, wanted),
    )


def _snapshot_way(wanted: Version) -> str:
    """Return the way that always works: all members together, from a snapshot or empty."""
    line = dotted(wanted[:2])
    return (
        f'Restore a snapshot that was taken with {line} or earlier on all members; what was written since is lost. A '
        f'snapshot of a later release is none for {line}. If only Patroni uses this etcd, no snapshot is needed: with '
        f'empty data directories it is a new cluster of {line}. Either way etcd is away meanwhile. {snapshots.PATRONI}'
    )


def _commands(facts: Facts, members: Sequence[EtcdMember], wanted: Version) -> list[str]:
    voting = [member for member in members if not member.learner] or list(members)
    before = dotted((wanted[0], wanted[1] + 1))
    restored = snapshots.restore(voting, before, wanted)
    restored.insert(-1, '# or, without a snapshot: an empty NEW_FOLDER, and --initial-cluster-state=new')
    etcdctl = f'etcdctl --endpoints={grpc_url(voting[0])}'
    return Commands(facts, members, None).without_patroni(restored, etcdctl)
