"""What forbids an upgrade of Patroni, and what has to be right before it. Pure."""

from __future__ import annotations

from typing import Any, Mapping, NamedTuple, Sequence

from ...hazards import HAZARDS, Hit, hazards
from ...versions import NESTED_SINCE, NO_ERROR_KEY_SINCE, Minor, Version, dotted, parse_version, wants_token_for_list
from ..facts import Facts, Finding, Patroni
from ..judge.members import auth, patroni_versions
from .common_checks import from_findings, patroni_state
from .model import PreCheck, Refusal
from .releases import read_release

_NOTES = 'https://github.com/patroni/patroni/blob/master/docs/releases.rst#version-'

#: The newest line that the hazards and steps are known for.
_KNOWN_TO: Minor = (4, 1)

#: Higher than any patch release.
_NEWEST = 999

#: Identifiers of all hazards.
_KNOWN = {hazard.id for hazard in HAZARDS}

_PLAN = 'patroni-etcd3-compat plan --patroni-to {0}'


class Target(NamedTuple):
    """Where to."""

    text: str
    #: with :data:`_NEWEST` as patch level if *text* has none
    version: Version
    exact: bool


def read_target(text: str) -> Target:
    """Read the version that was asked for.

    :raises:
        :exc:`ValueError`: it is none.
    """
    version = read_release(text)
    if version is None:
        raise ValueError(f'{text!r} is no version of Patroni; it takes one such as 4.1 or 4.1.5')
    exact = text.count('.') > 1
    return Target(
        dotted(version if exact else version[:2]), version if exact else (version[0], version[1], _NEWEST), exact
    )


def _named(versions: Mapping[str, Version]) -> str:
    return ', '.join(f'{name} {dotted(version)}' for name, version in versions.items())


def refusals(patroni: Patroni, target: Target) -> list[Refusal]:
    """Tell what forbids it."""
    versions = patroni_versions(patroni)
    if target.version[:2] > _KNOWN_TO:
        return [
            Refusal(
                'target-unknown',
                f'Nothing is known here about an upgrade to Patroni {target.text}, only up to {dotted(_KNOWN_TO)}.',
                _NOTES.partition('#')[0],
                'Read its release notes, or take a newer release of patroni-etcd3-compat.',
            )
        ]
    if not versions:
        return [
            Refusal(
                'versions-unknown',
                'No member of Patroni told its version: {0}.'.format(patroni.error or 'there is none'),
                _NOTES + '400',
                'Find out with "patroni-etcd3-compat check" why, and plan again.',
            )
        ]
    above = {name: version for name, version in versions.items() if version > target.version}
    if above:
        return [
            Refusal(
                'below',
                f'{_named(above)}: newer than {target.text}, and this command plans upgrades.',
                _NOTES + '400',
                'Patroni has no procedure for it. What undoes an upgrade that is under way is the former '
                'release on each member again, in the same order; from 4.x no further back than 3.1.0, which is the first '
                'to know the role "primary", and not with synchronous_mode: quorum.',
            )
        ]
    old = {name: version for name, version in versions.items() if version < (3, 1, 0)}
    if old and target.version >= (4, 0, 0):
        return [
            Refusal(
                'before-3.1',
                f'{_named(old)}: an upgrade to 4.0.0 and later is only reliable from 3.1.0 on. Members before that do '
                'not know the role "primary", and a failover midway can go wrong.',
                _NOTES + '400',
                f'All members to the last 3.x first, and then to {target.text}.',
                [_PLAN.format('3.3'), '# follow it, then', _PLAN.format(target.text)],
            )
        ]
    return []


def midway(patroni: Patroni, target: Version, leader_first: bool) -> list[Hit]:
    """Give the hazards while the leader, or with *leader_first* everybody else, is still what it is."""
    state: dict[str, str | None] = {}
    for member in patroni.members:
        stays = (member.name == patroni.leader) != leader_first
        state[member.name] = member.version if stays else dotted(target)
    return hazards(patroni.leader, state, patroni.config)


def leader_goes_first(patroni: Patroni, target: Target) -> Hit | None:
    """Tell whether a hazard of the usual order wants the leader upgraded first: one that no later target avoids."""
    critical = [
        hit
        for hit in midway(patroni, target.version, False)
        if hit.hazard.severity == 'critical' and hit.hazard.other is not None
    ]
    best = {hit.hazard.id for hit in midway(patroni, (target.version[0], _NEWEST, _NEWEST), False)}
    other = {hit.hazard.id for hit in midway(patroni, target.version, True) if hit.hazard.severity == 'critical'}
    return next((hit for hit in critical if hit.hazard.id in best and hit.hazard.id not in other), None)


def prechecks(facts: Facts, findings: Sequence[Finding], patroni: Patroni, target: Target) -> list[PreCheck]:
    """Give all of them."""
    versions = patroni_versions(patroni)
    low = min(versions.values())
    silent = [member.name for member in patroni.members if member.name not in versions]
    found = patroni_state(patroni)
    found.append(
        PreCheck(
            'versions',
            'the version of every member is known',
            'failed' if silent else 'ok',
            ', '.join(silent) or _named(versions),
            'Find out why its REST API does not answer.' if silent else '',
        )
    )
    present = {finding.id for finding in findings if finding.severity == 'critical'}
    first = leader_goes_first(patroni, target)
    hits = [
        ('nothing is at risk while members differ', hit) for hit in midway(patroni, target.version, first is not None)
    ]
    hits += [
        ('nothing is at risk afterwards', hit)
        for hit in hazards(
            patroni.leader, {member.name: dotted(target.version) for member in patroni.members}, patroni.config
        )
    ]
    found += [
        _on_the_way(when, hit, target)
        for when, hit in hits
        if hit.hazard.id not in present and hit.hazard.id != 'patroni-role-primary'
    ]  # see "callbacks"
    found += _by_hand(patroni.config, low, target.version)
    found += _etcd(facts, target)
    ended = sorted(_KNOWN & present - {hit.hazard.id for _, hit in hits})
    return found + from_findings(findings, ('CHECK_PATRONI',), ended, found)


def _on_the_way(when: str, hit: Hit, target: Target) -> PreCheck:
    """A row of ``hazards`` that the order of the work brings about."""
    row = hit.hazard
    fixed = row.other.before if row.other else None
    remedy = row.remedy
    if row.severity == 'critical' and fixed and target.version < fixed:
        remedy = f'take {dotted(fixed)} or later as the target: "{_PLAN.format(dotted(fixed))}"'
    return PreCheck(
        row.id,
        when,
        {'critical': 'failed', 'warning': 'warning'}.get(row.severity, 'manual'),
        row.consequence,
        remedy[0].upper() + remedy[1:] + '.',
        row.source,
    )


def _by_hand(config: Mapping[str, Any], low: Version, target: Version) -> list[PreCheck]:
    """What cannot be seen from here, by the releases that are crossed."""
    found = []

    def crossing(release: Version) -> bool:
        return low < release <= target

    if crossing((3, 1, 0)):
        found.append(
            PreCheck(
                'ctl-certificates',
                'client certificates of the REST API',
                'manual',
                'from 3.1.0 on restapi.certfile is no longer taken as a client certificate',
                'With restapi.verify_client: required set ctl.certfile and ctl.keyfile.',
                _NOTES + '310',
            )
        )
    if crossing((3, 2, 0)):
        ttl, loop_wait, retry_timeout = (config.get(name) for name in ('ttl', 'loop_wait', 'retry_timeout'))
        if isinstance(ttl, int) and isinstance(loop_wait, int) and isinstance(retry_timeout, int):
            fits = loop_wait + 2 * retry_timeout <= ttl
            found.append(
                PreCheck(
                    'times',
                    'loop_wait + 2 * retry_timeout <= ttl',
                    'ok' if fits else 'warning',
                    f'{loop_wait} + 2 * {retry_timeout}, {ttl}',
                    ''
                    if fits
                    else '3.2.0 and later make it '
                    'so by themselves, older members do not: set fitting values with "patronictl edit-config" first.',
                    _NOTES + '320',
                )
            )
    if crossing((4, 0, 0)):
        found += [
            PreCheck(
                'callbacks',
                'scripts know the role "primary"',
                'manual',
                'from 4.0.0 on callbacks, REST API and '
                'DCS say primary, no longer master; role=master, patronictl --master, no_master and the metric '
                'patroni_master are gone',
                'Look through callbacks, load balancers, monitoring and own scripts; '
                'let them take both until all members are upgraded.',
                _NOTES + '400',
            ),
            PreCheck(
                'bootstrap-users',
                'bootstrap.users is not needed',
                'manual',
                '4.0.0 and later ignore it',
                'For new clusters only: use bootstrap.post_bootstrap.',
                _NOTES + '400',
            ),
        ]
    if target < (3, 3, 0):
        found.append(
            PreCheck(
                'ydiff',
                'ydiff before 1.3 is installed',
                'manual',
                'patronictl before 3.3.0 does not go together with a later one',
                'pip install "ydiff<1.3", or take 3.3.0 or later.',
                _NOTES + '330',
            )
        )
    return found


def _etcd(facts: Facts, target: Target) -> list[PreCheck]:
    """The target against this etcd cluster."""
    members = [version for version in (parse_version(member.version) for member in facts.etcd.endpoints) if version]
    serves = facts.this_host.serves
    found = []
    if len({version[:2] for version in members}) > 1:
        found.append(
            PreCheck(
                'etcd-mixed',
                'etcd is not being upgraded',
                'warning',
                'its members run {0}'.format(', '.join(sorted({dotted(version[:2]) for version in members}))),
                'One thing at a time: finish that one first.',
            )
        )
    if serves == 'package':
        return found + [
            PreCheck(
                'package',
                'patroni-etcd3-compat goes along',
                'manual',
                'this node is served by it',
                'It has to be in the environment of the new Patroni, too; the first lines of its log '
                'say so. It knows Patroni 3.0 to 4.1.',
            )
        ]
    if serves == 'patch':
        return found + [
            PreCheck(
                'package',
                'the patch goes along',
                'manual',
                'this node runs a patched Patroni',
                'A new release comes without the patch: put in the one for it, or install the package.',
            )
        ]
    if auth(facts) and any(map(wants_token_for_list, members)) and target.version < (4, 1, 1):
        found.append(
            PreCheck(
                'auth-guard',
                'Patroni can log in at etcd',
                'failed',
                target.text,
                'Members of etcd want '
                'a token for the member list, which Patroni before 4.1.1 does not send: take that.',
                'https://github.com/patroni/patroni/issues/3573',
            )
        )
    if any(version >= NO_ERROR_KEY_SINCE for version in members) and target.version < (4, 1, 1):
        found.append(
            PreCheck(
                'error-shape',
                'Patroni understands the errors of etcd',
                'warning',
                target.text,
                'Before 4.1.1 it does not recognise a lost lease from etcd 3.6 and later: take 4.1.1 or later.',
                'https://github.com/patroni/patroni/issues/3525',
            )
        )
    if any(version < NESTED_SINCE for version in members) and target.version >= (3, 0, 4):
        found.append(
            PreCheck(
                'nested-transactions',
                'etcd knows nested transactions',
                'warning',
                'members before 3.3',
                'Patroni 3.0.4 and later send one when ttl was edited or the lease lost; 3.2 refuses it, '
                'and Patroni demotes. Upgrade etcd first, or install this package.',
                'https://github.com/patroni/patroni/pull/2693',
            )
        )
    return found
