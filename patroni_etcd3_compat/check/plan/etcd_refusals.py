"""Rules of etcd that forbid the way from the present members to a target, each with the path that works."""

from __future__ import annotations

from typing import Sequence

from ...versions import OLDEST, Version, dotted
from ..cluster import EtcdMember, authentication
from ..facts import Facts
from .down_refusals import down_refusals
from .model import Refusal
from .releases import AUTH_BREAK, GUIDES, POLICY, SKIPPED_TO, guide_to

_PLAN = 'patroni-etcd3-compat plan --etcd-to {0}'


def _named(members: Sequence[EtcdMember]) -> str:
    return ', '.join(f'{node.label} {node.reported_version}' for node in members)


def refusals(facts: Facts, members: Sequence[EtcdMember], wanted: Version, exact: bool, direct: bool) -> list[Refusal]:
    """Tell what forbids it.

    :param facts: what was collected.
    :param members: the members of etcd.
    :param wanted: the target.
    :param exact: *wanted* names a patch release.
    :param direct: minor releases in between are left out.
    """
    known = [node.version for node in members if node.version]
    if guide_to(wanted[:2]) is None:
        lines = ', '.join(dotted(guide.minor) for guide in GUIDES)
        return [
            Refusal(
                'target-unknown',
                f'A way to etcd {dotted(wanted[:2])} is unknown to this release, which knows {lines}.',
                POLICY,
                'Read the guide on etcd.io, or use a newer release of patroni-etcd3-compat.',
            )
        ]
    if not known:
        errors = '; '.join(f'{node.place}: {node.error or "no answer"}' for node in members) or 'no member is known'
        return [
            Refusal(
                'versions-unknown',
                f'No member reports its version: {errors}.',
                POLICY,
                'Find out why with "patroni-etcd3-compat check", and plan again.',
            )
        ]
    low = min(known)
    if low < OLDEST:
        oldest = _named([node for node in members if node.version == low])
        return [
            Refusal(
                'too-old',
                f'{oldest} is older than etcd {dotted(OLDEST)}, the first release that Patroni can use.',
                POLICY,
                'Start a new etcd cluster of a current release and point Patroni at it in "patronictl pause".',
            )
        ]
    if max(known)[:2] > wanted[:2]:
        return down_refusals(facts, members, wanted, exact, direct)
    found = [_auth(facts, members, low, wanted)] + _least(members, low, wanted)
    skips = [guide.minor for guide in GUIDES if low[:2] < guide.minor < wanted[:2]]
    if direct and skips and wanted[:2] > SKIPPED_TO:
        skipped = ', '.join(map(dotted, skips))
        found.append(
            Refusal(
                'direct-too-far',
                f'Skipping {skipped} on the way to {dotted(wanted[:2])}: etcd does not support it, and nothing beyond '
                f'{dotted(SKIPPED_TO)} was measured. 3.6 and later also require the newest patch release of the line '
                'before them.',
                POLICY,
                'One minor release at a time: the same without --direct.',
                [_PLAN.format(dotted(wanted[:2]))],
            )
        )
    return [refusal for refusal in found if refusal]


def _auth(facts: Facts, members: Sequence[EtcdMember], low: Version, wanted: Version) -> Refusal | None:
    """Return why not with authentication on, if the way leads across the line that changed its log entries."""
    if not low[:2] < AUTH_BREAK <= wanted[:2] or not authentication(facts):
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
    already = ' The members are mixed already: change no user, role or password.' if mixed else ''
    return Refusal(
        'auth',
        'Authentication is on, and etcd does not support a rolling upgrade from 3.4 to 3.5 with it: 3.5 writes changes '
        f'of users into the log in a form that 3.4 does not understand.{already}',
        guide.line.guide if guide else POLICY,
        'Turn authentication off during the upgrade (users and roles stay) and protect the client ports by other '
        'means. Turn it on again when every member runs 3.5 or later. Patroni keeps its credentials and continues. '
        '(Stock Patroni before 4.1.1 misreads "not enabled" of 3.5 as Debian builds it: install this package there.) '
        'Or, with an interruption: "patronictl pause", stop all members of etcd, start all of them as 3.5, '
        '"patronictl resume". No cluster is mixed then.',
        commands,
    )


def _least(members: Sequence[EtcdMember], low: Version, wanted: Version) -> list[Refusal]:
    """Return the members that need a later patch release before the next line."""
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
                    f'{_named(short)}: before {dotted(guide.minor)} every member has to run {dotted(guide.least)} or '
                    f'later, because {guide.why}.',
                    guide.why_page,
                    f'First bring all members to {dotted(guide.least)} or later, wait until the cluster is '
                    'healthy, and plan again.',
                    [
                        _PLAN.format(dotted(guide.least)) + '   # or the newest of its line',
                        '# follow it, then',
                        _PLAN.format(dotted(wanted[:2])),
                    ],
                )
            )
    return found
