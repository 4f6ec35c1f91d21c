"""What has to be right before an upgrade of etcd, with its present result. Pure."""

from __future__ import annotations

from typing import Sequence

from ...versions import (
    GUARD_SINCE,
    NESTED_SINCE,
    PREFIXES,
    Minor,
    Version,
    dotted,
    gateway_of,
    line_of,
    parse_version,
    wants_token_for_list,
)
from ..facts import Facts, Finding, Patroni
from ..judge.compat import SENDS_NESTED
from ..judge.members import auth, ours, patroni_versions
from ..urls import show
from .common_checks import from_findings, patroni_state
from .members import Node
from .model import PreCheck
from .releases import AUTH_BREAK, POLICY, shared_prefixes

_GUARD = 'https://github.com/patroni/patroni/issues/3573'


#: Patroni asks for the member list with a token, and reads errors without the key "error", from here on.
_AUTH_FIXES: Version = (4, 1, 1)

#: Findings that end when all members run the target, and those that end when this package is on every node.
_ENDED = ('etcd-upgrade-skips', 'etcd-upgrade-patch')
_PREVENTED = ('etcd-nested-transactions', 'etcd-prefix-mixed')


def needs_package(low: Version, lines: Sequence[Minor], direct: bool) -> bool:
    """Tell whether stock Patroni must not be there.

    :param low: lowest version of a member.
    :param lines: the lines to pass through.
    :param direct: some in between are left out.
    """
    if direct or low < NESTED_SINCE:
        return True
    passed = [low] + [line + (0,) for line in lines]
    return not all(shared_prefixes(one, other) for one, other in zip(passed, passed[1:]))


def prechecks(
    facts: Facts,
    findings: Sequence[Finding],
    members: Sequence[Node],
    lines: Sequence[Minor],
    exact: Version | None,
    direct: bool,
) -> list[PreCheck]:
    """Give all of them, those of etcd first.

    :param facts: what was collected.
    :param findings: what was made of it.
    :param members: the members of etcd.
    :param lines: the lines to pass through.
    :param exact: the target, if it is a patch release.
    :param direct: minor releases in between are left out.
    """
    known = [node.version for node in members if node.version]
    found = [
        _answers(members),
        _size(members),
        _leader(members),
        _cluster_version(members, min(known)),
        _alarms(facts),
        _learners(members),
        _gateway(members, lines),
        _auth(facts, lines),
        _room(facts),
        _hosts(facts),
    ]
    found += _option(facts, lines)
    found += _looked_after(facts, lines)
    if exact and (3, 5, 0) <= exact < (3, 5, 3):
        found.append(
            PreCheck(
                'target-release',
                'the target is a release to have',
                'failed',
                dotted(exact) + ' can make the members differ',
                'Take 3.5.3 or later, best the newest.',
                'https://github.com/etcd-io/etcd/issues/13766',
            )
        )
    if facts.patroni is None:
        found.append(
            PreCheck(
                'patroni',
                'Patroni is fine',
                'manual',
                'no configuration of Patroni was given',
                'Give it (-c FILE), or look at "patronictl list" yourself.',
            )
        )
    else:
        found += patroni_state(facts.patroni)
        found.append(_stock(facts, min(known), lines, direct))
        found += _guard(facts, facts.patroni, lines, exact)
    ended = _ENDED + (_PREVENTED if needs_package(min(known), lines, direct) else ())
    return found + from_findings(findings, ('CHECK_ETCD', 'CHECK_PATRONI'), ended, found)


def _answers(members: Sequence[Node]) -> PreCheck:
    silent = [node for node in members if node.version is None]
    return PreCheck(
        'members',
        'every member answers',
        'failed' if silent else 'ok',
        '; '.join('{0}: {1}'.format(node.where, node.error or 'no answer') for node in silent)
        or '{0} of {0}'.format(len(members)),
        'etcd wants a healthy cluster before an upgrade: bring the member back, or remove and replace it.'
        if silent
        else '',
        POLICY,
    )


def _size(members: Sequence[Node]) -> PreCheck:
    voting = [node for node in members if not node.learner]
    spare = (len(voting) - 1) // 2
    return PreCheck(
        'quorum',
        'the quorum survives the restart of a member',
        'ok' if spare else 'warning',
        f'{len(voting)} voting members, {spare} may be away',
        ''
        if spare
        else 'etcd stands still while a member restarts, and Patroni demotes its primary after ttl: have '
        'failsafe_mode on or "patronictl pause" for the time, or add members first.',
    )


def _leader(members: Sequence[Node]) -> PreCheck:
    leaders = [node for node in members if node.leader]
    return PreCheck(
        'leader',
        'the members have one leader',
        'ok' if len(leaders) == 1 else 'failed',
        ', '.join(node.where for node in leaders) or 'none is known',
        '' if len(leaders) == 1 else 'Look at "etcdctl endpoint status" of every member first.',
    )


def _cluster_version(members: Sequence[Node], low: Version) -> PreCheck:
    told = {node.cluster_version for node in members if node.version}
    versions = {node.version[:2] for node in members if node.version}
    line = parse_version(next(iter(told)) if len(told) == 1 else None)
    seen = 'members {0}; cluster version {1}'.format(
        ', '.join(map(dotted, sorted(versions))), ', '.join(sorted(map(str, told)))
    )
    if line is None or line[:2] != low[:2]:
        return PreCheck(
            'cluster-version',
            'the cluster version is that of the oldest member',
            'failed',
            seen,
            'Wait a minute and ask again; if it stays, restart the leader of etcd (Patroni issue 3002).',
            'https://github.com/patroni/patroni/issues/3002',
        )
    if len(versions) > 1:
        apart = max(versions)[1] - min(versions)[1]
        return PreCheck(
            'cluster-version',
            'all members run the same minor release',
            'warning',
            seen,
            'An upgrade is '
            'under way already: the plan goes on from here.'
            + (
                f' Members are {apart} minor releases apart, which etcd does not support: go on without delay.'
                if apart > 1
                else ''
            ),
            POLICY,
        )
    return PreCheck('cluster-version', 'all members run the same minor release', 'ok', seen)


def _alarms(facts: Facts) -> PreCheck:
    raised = [
        '{0}: {1}'.format(member.name or show(member.url), ', '.join(member.alarms))
        for member in facts.etcd.endpoints
        if member.alarms
    ]
    return PreCheck(
        'alarms',
        'no alarm is raised',
        'failed' if raised else 'ok',
        '; '.join(raised) or 'none',
        'Deal with its cause, then "etcdctl alarm disarm".' if raised else '',
    )


def _learners(members: Sequence[Node]) -> PreCheck:
    learners = [node.where for node in members if node.learner]
    return PreCheck(
        'learners',
        'no member is a learner',
        'warning' if learners else 'ok',
        ', '.join(learners) or 'none',
        'Promote it ("etcdctl member promote") or remove it first.' if learners else '',
    )


def _gateway(members: Sequence[Node], lines: Sequence[Minor]) -> PreCheck:
    off = [node for node in members if node.gateway is False]
    result, remedy = 'ok', ''
    if off:
        result, remedy = 'failed', 'Set enable-grpc-gateway: true on it: as it is, it is lost for Patroni.'
    elif (3, 4) in lines:
        result, remedy = (
            'manual',
            'Members that are started from a configuration file need enable-grpc-gateway: '
            'true in it before they become 3.4.',
        )
    seen = 'off: ' + ', '.join(node.where for node in off) if off else 'on everywhere'
    return PreCheck('gateway', 'the gateway is on, and stays on', result, seen, remedy)


def _auth(facts: Facts, lines: Sequence[Minor]) -> PreCheck:
    on = auth(facts)
    unknown = on is None and lines[-1] >= AUTH_BREAK
    return PreCheck(
        'auth',
        'authentication does not stand in the way',
        'unknown' if unknown else 'ok',
        'unknown' if on is None else 'on' if on else 'off',
        'Find out: with authentication on a rolling upgrade from 3.4 to 3.5 is not supported.' if unknown else '',
    )


def _room(facts: Facts) -> PreCheck:
    sizes = [member.db_size for member in facts.etcd.endpoints if member.db_size is not None]
    return PreCheck(
        'room',
        'there is room for a snapshot of each release',
        'manual',
        f'{max(max(sizes) / 1e6, 0.1):.1f} MB each' if sizes else 'size of the database unknown',
        'Look at the folder that BACKUP shall be.',
    )


def _hosts(facts: Facts) -> PreCheck:
    count = len(facts.etcd.configured)
    few = count == 1 and len(facts.etcd.listed or ()) > 1
    return PreCheck(
        'hosts',
        'Patroni is told more than one member',
        'warning' if few else 'ok',
        f'{count} configured',
        'A Patroni that restarts while this one member is away does not start: list all of them.' if few else '',
    )


def _option(facts: Facts, lines: Sequence[Minor]) -> list[PreCheck]:
    prefix = facts.etcd.version_prefix
    if prefix not in PREFIXES:
        return []
    gone = [line for line in lines for gateway in [gateway_of(line + (0,))] if gateway and prefix not in gateway.served]
    return [
        PreCheck(
            'version-prefix',
            'option version_prefix',
            'failed' if gone else 'warning',
            prefix,
            f'etcd {dotted(gone[0])} does not serve it: take the option out (auto) on every node and reload Patroni.'
            if gone
            else 'Better leave it out (auto).',
        )
    ]


def _looked_after(facts: Facts, lines: Sequence[Minor]) -> list[PreCheck]:
    line = line_of(lines[-1] + (0,))
    if line is None or line.end_of_life is None or line.end_of_life > facts.taken:
        return []
    return [
        PreCheck(
            'end-of-life',
            'the target is still looked after',
            'warning',
            f'etcd {dotted(line.minor)} until {line.end_of_life}',
            'Fine as a station: plan on to a later one.',
            line.end_source,
        )
    ]


def _stock(facts: Facts, low: Version, lines: Sequence[Minor], direct: bool) -> PreCheck:
    """Whether stock Patroni may be there, and whether it is."""
    serves = facts.this_host.serves
    if not needs_package(low, lines, direct):
        return PreCheck(
            'stock-patroni',
            'Patroni finds every member on the way',
            'ok',
            'the releases share a gateway prefix, two by two; this node runs {0}'.format(serves or 'stock'),
        )
    known = patroni_versions(facts.patroni)
    nests = low < NESTED_SINCE and (not known or max(known.values()) >= SENDS_NESTED)
    danger = (
        'the first edit of ttl or lost lease makes a stock Patroni send a nested transaction, which kills every '
        'member before 3.3 for good once a newer one has taken it'
        if nests
        else 'a stock Patroni loses the members of the other release, and demotes'
    )
    if ours(facts):
        return PreCheck(
            'stock-patroni',
            'no stock Patroni is there',
            'manual',
            f'this node is served by the {serves}; other nodes cannot be seen from here',
            f'Run "patroni-etcd3-compat check" on every node of Patroni: each has to say so. Otherwise {danger}.',
        )
    return PreCheck(
        'stock-patroni',
        'no stock Patroni is there',
        'warning',
        'this node runs stock Patroni',
        f'The first steps of the plan install the package on every node. Do not leave one out: {danger}.',
    )


def _guard(facts: Facts, patroni: Patroni, lines: Sequence[Minor], exact: Version | None) -> list[PreCheck]:
    """Stock Patroni before 4.1.1 and what newer members want or say."""
    old = [
        f'{name} ({dotted(version)})' for name, version in patroni_versions(patroni).items() if version < _AUTH_FIXES
    ]
    if not old or ours(facts):
        return []
    wants = lines[-1] >= min(GUARD_SINCE) and not (exact and not wants_token_for_list(exact))
    if wants and auth(facts):
        return [
            PreCheck(
                'auth-guard',
                'Patroni can log in at the new members',
                'failed',
                ', '.join(old),
                'etcd '
                '3.4.42, 3.5.28, 3.6.9 and later want a token for the member list, which stock Patroni before '
                '4.1.1 does not send: it does not start. Install this package, or Patroni 4.1.1 or later, on '
                'every node.',
                _GUARD,
            )
        ]
    if lines[-1] >= (3, 5):
        return [
            PreCheck(
                'error-shape',
                'Patroni understands the errors of the new members',
                'warning',
                ', '.join(old),
                'etcd 3.6 and later, and 3.5 as Debian builds it, leave out a key of their errors that stock '
                'Patroni before 4.1.1 reads: a lost lease is not recognised. Install this package or Patroni '
                '4.1.1 or later.',
                'https://github.com/patroni/patroni/issues/3525',
            )
        ]
    return []
