"""Findings about the Patroni members: who leads, who is down, and releases that do not go together."""

from __future__ import annotations

from typing import Iterator, Mapping

from ...hazards import MEMBER_SLOTS, Hit, hazards
from ..facts import RUNNING, Facts, Finding, Patroni, PatroniMember
from .kinds import comma, finding
from .members import alive, ours, patroni_versions

#: States of members that are on their way, by themselves.
PASSING = (
    'starting',
    'restarting',
    'stopping',
    'creating replica',
    'initializing new cluster',
    'running custom bootstrap script',
    'starting after custom bootstrap',
)


def judge_patroni(facts: Facts) -> Iterator[Finding]:
    """Look at the Patroni cluster; nothing without a configuration."""
    patroni = facts.patroni
    if patroni is None:
        return
    place = '{0}/{1}'.format(patroni.namespace.rstrip('/'), patroni.scope)
    if patroni.error:
        if any(alive(url) for url in facts.etcd.endpoints):  # else that is said already
            there = any(url.prefixes and not url.error for url in facts.etcd.endpoints)
            yield finding(
                'patroni-unknown',
                'unknown',
                patroni.scope,
                patroni.error,
                'nothing could be told about Patroni',
                f'compare scope and namespace with those of the nodes: etcdctl get --prefix --keys-only {place}/'
                if there
                else 'first do what the findings about etcd say',
            )
        return
    if not patroni.members and not patroni.leader:
        yield finding(
            'patroni-unknown',
            'unknown',
            patroni.scope,
            f'no member below {place}',
            'nothing could be told about Patroni: it does not run, or under another scope or namespace',
            f'compare scope and namespace with those of the nodes: etcdctl get --prefix --keys-only {place}/',
        )
        return
    yield from _leader(patroni, place)
    for member in patroni.members:
        yield from _member(patroni, member)
    yield from _versions(facts, patroni)
    if patroni.paused:
        yield finding(
            'patroni-paused',
            'info',
            patroni.scope,
            'patronictl pause is on',
            'no failover while the primary fails',
            f'patronictl resume {patroni.scope}, when the maintenance is over',
        )


def _leader(patroni: Patroni, place: str) -> Iterator[Finding]:
    names = [member.name for member in patroni.members]
    if patroni.leader is None:
        yield finding(
            'patroni-no-leader',
            'warning' if patroni.paused else 'critical',
            patroni.scope,
            'the key {0}/leader is not there; members: {1}'.format(place, comma(names) or 'none'),
            'no member is the primary as far as Patroni knows'
            + ('' if not patroni.paused else ', and in pause none becomes it by itself'),
            'normal for some seconds in a failover; else look at the logs of the members, and: patronictl list '
            f'{patroni.scope}',
        )
    elif patroni.leader not in names:
        yield finding(
            'patroni-member-down',
            'warning',
            patroni.leader,
            f'holds the leader key, and has no key of its own below {place}/members/',
            'its Patroni does not report any more; the leader key ends within ttl',
            'look at Patroni on this node',
        )


def _member(patroni: Patroni, member: PatroniMember) -> Iterator[Finding]:
    leads = member.name == patroni.leader
    if not member.in_dcs:
        yield finding(
            'patroni-member-down',
            'warning',
            member.name,
            'the configuration of this node names it, and it has no key in etcd',
            'its Patroni is stopped or can not reach etcd: no candidate for a failover',
            'look at Patroni on this node: systemctl status patroni',
        )
    elif member.state is not None and member.state not in RUNNING and member.state not in PASSING:
        yield finding(
            'patroni-member-down',
            'critical' if leads else 'warning',
            member.name,
            f'state {member.state!r}',
            'its PostgreSQL does not serve' + (', and it is the leader' if leads else ': no candidate for a failover'),
            'look at the logs of Patroni and PostgreSQL there',
        )
    if member.error:
        postgres = member.postgres.error if member.postgres else None
        yield finding(
            'patroni-api-unreachable',
            'warning',
            member.name,
            '{0}: {1}{2}'.format(
                member.api_url or 'REST API', member.error, f'; PostgreSQL: {postgres}' if postgres else ''
            ),
            'load balancers take it for down, failsafe_mode does not get its consent, a failover can not ask for its '
            'position'
            if not leads
            else 'load balancers find no primary there, and failsafe_mode does not work',
            'look whether Patroni runs on this node, and at restapi.connect_address, certificates and firewall',
        )


def _versions(facts: Facts, patroni: Patroni) -> Iterator[Finding]:
    versions = {member.name: member.version for member in patroni.members}
    hits = hazards(patroni.leader, versions, patroni.config)
    for hit in hits:
        yield finding(
            hit.hazard.id,
            hit.hazard.severity,
            _where(hit),
            _seen(hit),
            hit.hazard.consequence + _cured(facts, hit),
            hit.hazard.remedy,
            hit.hazard.source,
        )
    known = patroni_versions(patroni)
    unknown = [member.name for member in patroni.members if member.name not in known]
    if unknown and len(patroni.members) > 1:
        yield finding(
            'patroni-unknown',
            'unknown',
            comma(unknown),
            'release of Patroni not known ({0})'.format(
                comma(sorted({str(versions[name] or 'not reported') for name in unknown}))
            ),
            'whether the releases go together could not be told for these members',
            'curl API_URL/patroni, or: patroni --version there',
        )
    if len(set(known.values())) > 1 and not any(hit.hazard.other for hit in hits):
        yield finding(
            'patroni-versions-differ',
            'info',
            patroni.scope,
            ', '.join(f'{name} {versions[name]}' for name in sorted(known)),
            'no hazard is known of these releases side by side',
            'finish the upgrade',
        )


def _cured(facts: Facts, hit: Hit) -> str:
    """What the package does about it on this node."""
    if hit.hazard is MEMBER_SLOTS and ours(facts) and facts.this_host.name in hit.other:
        return f'; on {facts.this_host.name} the {facts.this_host.serves} takes the positions from the members, unless member_slots is off'
    return ''


def _where(hit: Hit) -> str:
    affected = hit.other if hit.hazard.leads and hit.other else dict(hit.one, **hit.other)
    return comma(sorted(affected))


def _seen(hit: Hit) -> str:
    def members(versions: Mapping[str, str]) -> str:
        return comma(['{0} (Patroni {1})'.format(*item) for item in versions.items()])

    seen = ('leader ' if hit.hazard.leads else '') + members(hit.one)
    return seen + (f' beside {members(hit.other)}' if hit.other else '')
