"""Findings about authentication, the shape of errors and the way of an upgrade: etcd's rules against what is there."""

from __future__ import annotations

from typing import Iterator

from ...versions import (
    LINES,
    NO_ERROR_KEY_MAYBE_SINCE,
    NO_ERROR_KEY_SINCE,
    TOKEN_SINCE,
    Version,
    line_of,
    lists_for_admins_only,
    wants_token_for_list,
)
from ..facts import Facts, Finding
from .compat import caveat
from .kinds import comma, finding
from .members import Server, auth, minor, ours, patroni_versions, servers, text

#: Patroni sends a token with the member list, and reads errors of either shape, from this release on.
READS_ALL = (4, 1, 1)


def judge_upgrade(facts: Facts) -> Iterator[Finding]:
    """Look at what the releases of the members ask for."""
    members = [(member, member.version) for member in servers(facts.etcd) if member.version]
    known: list[tuple[Server, Version]] = [(member, version) for member, version in members if version]
    yield from _auth(facts, known)
    yield from _way(facts, known)
    yield from _errors(facts, known)


def _list(members: list[tuple[Server, Version]]) -> str:
    return comma([f'{member} ({text(version)})' for member, version in members])


def _names(members: list[tuple[Server, Version]]) -> str:
    return comma([str(member) for member, _ in members])


def _old_patroni(facts: Facts) -> list[str]:
    """The Patroni members before :data:`READS_ALL`, with their versions."""
    return [
        f'{name} ({text(version)})'
        for name, version in sorted(patroni_versions(facts.patroni).items())
        if version < READS_ALL
    ]


def _auth(facts: Facts, members: list[tuple[Server, Version]]) -> Iterator[Finding]:
    deaf = [row for row in members if row[1] < TOKEN_SINCE]
    guarded = [row for row in members if wants_token_for_list(row[1])]
    on, section = auth(facts), facts.this_host.section or 'etcd3'
    if on is None and (deaf or guarded or _crosses_auth(members)):
        yield finding(
            'etcd-unknown',
            'unknown',
            'etcd',
            'no member tells whether authentication is on',
            f'it matters with these releases: {_list(members)}',
            'etcdctl auth status',
        )
    if not on:
        return
    if deaf:
        all_deaf = len(deaf) == len(members)
        yield finding(
            'etcd-auth-no-token',
            'critical' if all_deaf or not ours(facts) else 'warning',
            _names(deaf),
            f'authentication is on, and the gateway of {comma(sorted({text(version) for _, version in deaf}))} takes no token',
            'no Patroni can work here'
            if all_deaf
            else 'only the members from 3.3 on can serve Patroni; '
            + (
                'the package avoids the others'
                if ours(facts)
                else 'stock Patroni does not authenticate at all while the version of the cluster is below 3.3'
            ),
            'etcdctl auth disable until all members run 3.3 or later',
        )
    old = _old_patroni(facts)
    if guarded and old:
        yield finding(
            'etcd-auth-guard',
            'info' if ours(facts) else 'critical',
            _names(guarded),
            f'etcd {comma(sorted({text(version) for _, version in guarded}))} wants a token for the member list (CVE-2026-33413), and Patroni runs on {comma(old)}',
            'stock Patroni before 4.1.1 asks for the list without a token: it does not start'
            + (', before 3.2.0 it does not keep its lease either' if not ours(facts) else '; ' + caveat(facts)),
            'upgrade these Patroni members to 4.1.1 or later, or install patroni-etcd3-compat there, before they are '
            'restarted',
        )
    admins = [row for row in guarded if lists_for_admins_only(row[1])]
    if admins:
        yield finding(
            'etcd-auth-admin-list',
            'warning',
            _names(admins),
            f'etcd {comma(sorted({text(version) for _, version in admins}))} gives the member list to users with role root '
            'only',
            'with any other user Patroni gets no member list from these members',
            'upgrade them to {0} or later of their line; until then give the user of section {1} role root'.format(
                comma(sorted({_again(version) for _, version in admins}), 'or'), section
            ),
        )


def _again(version: Version) -> str:
    return text((version[0], version[1], version[2] + 1))


def _crosses_auth(members: list[tuple[Server, Version]]) -> bool:
    minors = {version[:2] for _, version in members}
    return (
        any(not line.upgrade_with_auth and min(minors) < line.minor <= max(minors) for line in LINES)
        if minors
        else False
    )


def _way(facts: Facts, members: list[tuple[Server, Version]]) -> Iterator[Finding]:
    if not members:
        return
    versions = sorted(version for _, version in members)
    lowest, highest = versions[0], versions[-1]
    if lowest[:2] == highest[:2]:
        return
    behind = [row for row in members if row[1][:2] == lowest[:2]]
    ahead = [row for row in members if row[1][:2] > (lowest[0], lowest[1] + 1)]
    if lowest[0] != highest[0] or highest[1] - lowest[1] > 1:
        between = [minor(line.minor + (0,)) for line in LINES if lowest[:2] < line.minor < highest[:2]]
        yield finding(
            'etcd-upgrade-skips',
            'warning',
            'etcd',
            _list(members),
            'etcd supports upgrades of one minor version at a '
            f'time; it does not test members of {minor(lowest)} and {minor(highest)} in one cluster, and an entry that the older ones do not '
            'know can stop them',
            f'have a snapshot (etcdctl snapshot save FILE). The way that etcd supports: {_names(ahead)} back to {minor(lowest)}, then all to '
            f'{between[0] if between else minor(highest)}, then on. The short one: upgrade {_names(behind)} at once',
        )
    line = line_of(highest)
    if line and lowest[:2] == line.upgrade_from[:2] and lowest < line.upgrade_from:
        early = [row for row in behind if row[1] < line.upgrade_from]
        yield finding(
            'etcd-upgrade-patch',
            'warning',
            _names(early),
            f'etcd {comma(sorted({text(version) for _, version in early}))} beside {text(highest)}',
            f'a rolling upgrade to {minor(highest)} has to start from {text(line.upgrade_from)} or later; from before it the upgraded members can fail at '
            'their start, or members that were removed long ago can come back',
            f'bring these members to {text(line.upgrade_from)} or later of {minor(lowest)} before the upgrade goes on',
            line.guide,
        )
    if _crosses_auth(members) and auth(facts):
        yield finding(
            'etcd-upgrade-auth',
            'warning',
            'etcd',
            f'authentication is on, with {_list(members)}',
            'etcd does not support a rolling upgrade from 3.4 or older to 3.5 or newer with authentication on: entries '
            'about users and roles have another form',
            'do not touch users, roles and passwords until all members run '
            '3.5 or later, and finish soon; or: etcdctl auth disable until then',
        )


def _errors(facts: Facts, members: list[tuple[Server, Version]]) -> Iterator[Finding]:
    sure = [row for row in members if row[1] >= NO_ERROR_KEY_SINCE]
    maybe = [row for row in members if row not in sure and row[1] >= NO_ERROR_KEY_MAYBE_SINCE]
    old = _old_patroni(facts)
    if not old or not (sure or maybe):
        return
    yield finding(
        'etcd-error-shape',
        'warning' if sure and not ours(facts) else 'info',
        _names(sure or maybe),
        '{1} of etcd {0} have no key "error", and Patroni runs on {2}'.format(
            comma(sorted({text(version) for _, version in sure or maybe})),
            'errors' if sure else 'in builds of some distributions errors',
            comma(old),
        ),
        'stock Patroni before 4.1.1 reads nothing else: it does not notice that its lease is gone, that it has to '
        'authenticate anew, or that authentication is off' + ('; ' + caveat(facts) if ours(facts) else ''),
        'upgrade these Patroni members to 4.1.1 or later, or install patroni-etcd3-compat there',
    )
