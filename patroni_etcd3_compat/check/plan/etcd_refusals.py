"""Rules of etcd that forbid the way from the present members to a target, each with the path that works."""

from __future__ import annotations

from typing import Sequence

from ...versions import OLDEST, Version, dotted
from ..facts import Facts
from ..judge.members import auth
from .members import Node
from .model import Refusal
from .releases import AUTH_BREAK, GUIDES, POLICY, RECOVERY, SKIPPED_TO, guide_to

_PLAN = 'patroni-etcd3-compat plan --etcd-to {0}'


def _named(members: Sequence[Node]) -> str:
    return ', '.join(f'{node.name} {node.text}' for node in members)


def refusals(facts: Facts, members: Sequence[Node], wanted: Version, exact: bool, direct: bool) -> list[Refusal]:
    """Tell what forbids it.

    :param facts: what was collected.
    :param members: the members of etcd.
    :param wanted: the target.
    :param exact: *wanted* names a patch release.
    :param direct: minor releases in between are left out.
    """
    known = [node.version for node in members if node.version]
    if guide_to(wanted[:2]) is None:
        return [
            Refusal(
                'target-unknown',
                'Nothing is known here about an upgrade to etcd {0}, only about {1}.'.format(
                    dotted(wanted[:2]), ', '.join(dotted(guide.minor) for guide in GUIDES)
                ),
                POLICY,
                'Look the guide up on etcd.io, or take a newer release of patroni-etcd3-compat.',
            )
        ]
    if not known:
        return [
            Refusal(
                'versions-unknown',
                'No member told its version: {0}.'.format(
                    '; '.join('{0}: {1}'.format(node.where, node.error or 'no answer') for node in members)
                    or 'none is known'
                ),
                POLICY,
                'Find out with "patroni-etcd3-compat check" why, and plan again.',
            )
        ]
    low = min(known)
    if low < OLDEST:
        return [
            Refusal(
                'too-old',
                f'{_named([node for node in members if node.version == low])} is older than etcd {dotted(OLDEST)}, before which Patroni cannot use it.',
                POLICY,
                'Start a new etcd cluster of a current release and point Patroni at it in "patronictl pause".',
            )
        ]
    above = [node for node in members if node.version and node.version[:2] > wanted[:2]]
    if above:
        return [_below(members, above, low, wanted)]
    found = [_auth(facts, members, low, wanted)] + _least(members, low, wanted)
    skips = [guide.minor for guide in GUIDES if low[:2] < guide.minor < wanted[:2]]
    if direct and skips and wanted[:2] > SKIPPED_TO:
        found.append(
            Refusal(
                'direct-too-far',
                'Skipping {0} on the way to {1}: etcd does not support it, and nothing beyond {2} was '
                'measured here. 3.6 and later also want the newest patch release of the line before them.'.format(
                    ', '.join(map(dotted, skips)), dotted(wanted[:2]), dotted(SKIPPED_TO)
                ),
                POLICY,
                'One minor release at a time: the same without --direct.',
                [_PLAN.format(dotted(wanted[:2]))],
            )
        )
    return [refusal for refusal in found if refusal]


def _below(members: Sequence[Node], above: Sequence[Node], low: Version, wanted: Version) -> Refusal:
    """The target lies below what there is."""
    line = max(node.version[:2] for node in above if node.version)
    guide = guide_to(line)
    reason = f'{_named(above)}: newer than {dotted(wanted[:2])}, and this command plans upgrades.'
    if low[:2] == wanted[:2]:
        return Refusal(
            'below',
            reason,
            guide.line.guide if guide else POLICY,
            'The cluster is mixed: {0} still runs {1}, so the cluster works as {1} and the newer members can go back '
            'one at a time. Stop one, install {1} again, start it; if it does not come up on its data, remove it '
            '("member remove"), empty its data directory and add it again ("member add").'.format(
                ', '.join(node.name for node in members if node.version and node.version[:2] == low[:2]),
                dotted(low[:2]),
            ),
        )
    one_back = low[:2] == line and wanted[:2] == (line[0], line[1] - 1)
    if guide and guide.back and one_back:
        return Refusal(
            'below',
            reason + f' All members run {dotted(line)}.',
            guide.back_page,
            f'etcd has a procedure for this one: {guide.back}. Take a snapshot first.',
        )
    return Refusal(
        'below',
        reason + ' Once all members have run a release there is no way back by several lines, and before 3.5 '
        'none at all.',
        RECOVERY,
        f'Restore a snapshot that was taken with {dotted(wanted[:2])} or earlier on all members (what was written since is lost), or '
        f'start a new cluster of {dotted(wanted[:2])} on other ports and point Patroni at it in "patronictl pause": Patroni writes its '
        'keys anew.',
    )


def _auth(facts: Facts, members: Sequence[Node], low: Version, wanted: Version) -> Refusal | None:
    """Authentication is on, and the way leads across the line that changed its log entries."""
    if not low[:2] < AUTH_BREAK <= wanted[:2] or not auth(facts):
        return None
    guide = guide_to(AUTH_BREAK)
    endpoints = ','.join(node.client_url for node in members)
    mixed = any(node.version and node.version[:2] >= AUTH_BREAK for node in members)
    commands = [] if low[:2] == (3, 4) or mixed else [_PLAN.format('3.4') + '   # with authentication on, as it is']
    commands += [
        '# let only the nodes of Patroni and etcd reach the client ports of etcd, then',
        f'etcdctl --endpoints={endpoints} --user root auth disable',
        _PLAN.format(dotted(wanted[:2])),
        '# follow it, then',
        f'etcdctl --endpoints={endpoints} auth enable',
    ]
    return Refusal(
        'auth',
        'Authentication is on, and a rolling upgrade from 3.4 to 3.5 is not supported with it: 3.5 writes '
        'changes of users into the log in a form that 3.4 does not understand.{0}'.format(
            ' The members are mixed already: change no user, role or password.' if mixed else ''
        ),
        guide.line.guide if guide else POLICY,
        'Turn authentication off for the time of the upgrade (users and roles stay), protect the client ports by other '
        'means meanwhile, and turn it on again when every member runs 3.5 or later. Patroni keeps its credentials and '
        'goes on (stock before 4.1.1 does not take the "not enabled" of 3.5 as Debian builds it: have this package '
        'there). Or, with an interruption: "patronictl pause", stop all members of etcd, start all of them as 3.5, '
        '"patronictl resume"; no mixed cluster, hence no rule broken.',
        commands,
    )


def _least(members: Sequence[Node], low: Version, wanted: Version) -> list[Refusal]:
    """Members that have to be at a later patch release before the next line."""
    found = []
    for guide in GUIDES:
        before = (guide.minor[0], guide.minor[1] - 1)
        if guide.least is None or not low[:2] <= before < wanted[:2]:
            continue
        short = [node for node in members if node.version and node.version[:2] == before and node.version < guide.least]
        if short:
            found.append(
                Refusal(
                    f'least-{dotted(guide.minor)}',
                    f'{_named(short)}: before {dotted(guide.minor)} every member has to run {dotted(guide.least)} or later, '
                    f'because {guide.why}.',
                    guide.why_page,
                    f'Bring all members to {dotted(guide.least)} or later first, let the cluster be healthy, and plan again.',
                    [
                        _PLAN.format(dotted(guide.least)) + '   # or the newest of its line',
                        '# follow it, then',
                        _PLAN.format(dotted(wanted[:2])),
                    ],
                )
            )
    return found
