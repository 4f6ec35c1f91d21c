"""Findings about the Patroni members: who leads, who is down, which releases they run."""

from __future__ import annotations

from typing import Iterator

from ..cluster import patroni_versions
from ..facts import RUNNING, Facts, Patroni, PatroniMember
from ..patroni_cluster import all_gone, known, namespace, place
from ..units import comma
from .examples import both, patroni_member, patroni_runs
from .registry import PATRONI, PATRONI_DOCS, PATRONI_GATE, Seen, Subject
from .side_by_side import hits

SUBJECT = Subject(90, 'Patroni')

#: States that a member leaves by itself.
PASSING = (
    'starting',
    'restarting',
    'stopping',
    'creating replica',
    'initializing new cluster',
    'running custom bootstrap script',
    'starting after custom bootstrap',
)

#: Names of clusters that are shown.
_SHOWN = 10


def _no_leader_key(facts: Facts) -> None:
    assert facts.patroni is not None
    facts.patroni.leader = None


@SUBJECT.finding(
    'patroni-no-leader',
    'nobody holds the leader key',
    f'{PATRONI_DOCS}faq.html',
    critical='',
    warning='in pause',
    stops=PATRONI_GATE,
    proved=[
        'tests/check/test_outages_patroni.py::test_nobody_synchronous_and_failover',
        'tests/check/test_consequences_patroni.py::test_paused',
    ],
    example=_no_leader_key,
)
def no_leader(facts: Facts) -> Iterator[Seen]:
    """Find a cluster without leader key."""
    patroni = known(facts)
    if patroni is None or patroni.leader is not None or all_gone(patroni):
        return
    names = comma([member.name for member in patroni.members]) or 'none'
    yield Seen(
        'warning' if patroni.paused else 'critical',
        where=patroni.scope,
        seen=f'there is no key {place(patroni)}/leader; members: {names}',
        consequence='no member is the primary as far as Patroni knows'
        + (', and in pause no member becomes it by itself' if patroni.paused else ''),
        remedy='normal for some seconds in a failover; else read the logs of the members, and: patronictl list '
        f'{patroni.scope}',
    )


@SUBJECT.finding(
    'patroni-member-down',
    'a member is not running',
    f'{PATRONI_DOCS}patronictl.html',
    critical='for the leader',
    warning='',
    stops=PATRONI_GATE,
    shown=['tests/check/test_outages_patroni.py::test_members_gone'],
    example=patroni_member(2, state='start failed'),
)
def member_down(facts: Facts) -> Iterator[Seen]:
    """Find members whose Patroni or PostgreSQL does not run."""
    patroni = known(facts)
    if patroni is None:
        return
    if patroni.leader is not None and patroni.leader not in [member.name for member in patroni.members]:
        yield Seen(
            'warning',
            where=patroni.leader,
            seen=f'holds the leader key, and has no key of its own below {place(patroni)}/members/',
            consequence='its Patroni no longer reports; the leader key expires within ttl',
            remedy='check Patroni on this node',
        )
    for member in patroni.members:
        if not member.in_dcs:
            yield _no_key(member)
        elif member.name == patroni.leader and silent(patroni, member):
            yield _silent_leader(member)
        elif member.state is not None and member.state not in RUNNING and member.state not in PASSING:
            yield _not_running(member, member.name == patroni.leader)


def _no_key(member: PatroniMember) -> Seen:
    return Seen(
        'warning',
        where=member.name,
        seen='the configuration of this host names it, but it has no key in etcd',
        consequence='its Patroni is stopped or cannot reach etcd: it is no candidate in a failover',
        remedy='check Patroni on this node: systemctl status patroni',
    )


def silent(patroni: Patroni, member: PatroniMember) -> bool:
    """Return whether neither its REST API nor its PostgreSQL can be reached, while another member can be.

    If nobody else can be reached, it may be this machine that cannot reach them.
    """
    others = [other for other in patroni.members if other is not member]
    return _unreached(member) and (not others or any(not _unreached(other) for other in others))


def _unreached(member: PatroniMember) -> bool:
    return bool(member.error) and member.postgres is not None and member.postgres.answers is False


def _silent_leader(member: PatroniMember) -> Seen:
    postgres = member.postgres.error if member.postgres else None
    return Seen(
        'critical',
        where=member.name,
        seen=f'it holds the leader key, and neither its REST API ({member.error}) nor its PostgreSQL '
        f'({postgres or "no answer"}) answers; state {member.state or "unknown"!r} is from its key, up to ttl old',
        consequence='clients find no primary; if its Patroni is dead as well, another member can take over once the '
        'leader key has expired, ttl after it was renewed last',
        remedy='patronictl list; if the leader does not change within ttl, check that machine and its network, and '
        'whether automatic failover is paused',
    )


def _not_running(member: PatroniMember, leads: bool) -> Seen:
    return Seen(
        'critical' if leads else 'warning',
        where=member.name,
        seen=f'state {member.state!r}',
        consequence='its PostgreSQL does not accept clients'
        + (', and it is the leader' if leads else ': it is no candidate in a failover'),
        remedy='read the logs of Patroni and PostgreSQL there',
    )


@SUBJECT.finding(
    'patroni-api-unreachable',
    "a member's REST API does not answer",
    f'{PATRONI_DOCS}rest_api.html',
    warning='',
    stops=PATRONI_GATE,
    shown=['tests/check/test_command_patroni.py::test_dead_node'],
    example=patroni_member(2, error='no answer within 5 s', postgres=None),
)
def api_unreachable(facts: Facts) -> Iterator[Seen]:
    """Find members whose REST API does not answer."""
    patroni = known(facts)
    for member in patroni.members if patroni else []:
        if patroni is None or not member.error or member.tls_fault:  # the latter is patroni-api-tls
            continue
        if member.name == patroni.leader and silent(patroni, member):
            continue  # the leader is down, which is a finding of its own
        postgres = f'; PostgreSQL: {member.postgres.error}' if member.postgres and member.postgres.error else ''
        yield Seen(
            'warning',
            where=member.name,
            seen=f'{member.api_url or "REST API"}: {member.error}{postgres}',
            consequence='load balancers find no primary there, and failsafe_mode does not work'
            if member.name == patroni.leader
            else 'load balancers take it for down, failsafe_mode gets no consent from it, and a failover cannot ask '
            'for its position',
            remedy='check that Patroni runs on this node, and check restapi.connect_address, certificates and firewall',
        )


@SUBJECT.finding(
    'patroni-versions-differ',
    'members run different releases, without a known hazard',
    f'{PATRONI}blob/master/docs/releases.rst',
    info='',
    shown=['tests/check/test_consequences_patroni.py::test_versions_differ'],
    example=patroni_runs('4.1.1', '4.1.5'),
)
def versions_differ(facts: Facts) -> Iterator[Seen]:
    """Find an upgrade that is not finished, if no hazard says so."""
    patroni = known(facts)
    versions = patroni_versions(patroni)
    if patroni is None or len(set(versions.values())) < 2 or any(hit.hazard.other for hit in hits(facts)):
        return
    as_reported = {member.name: member.version for member in patroni.members}
    yield Seen(
        'info',
        where=patroni.scope,
        seen=', '.join(f'{name} {as_reported[name]}' for name in sorted(versions)),
        consequence='no hazard is known of these releases side by side',
        remedy='finish the upgrade',
    )


def _pause(facts: Facts) -> None:
    assert facts.patroni is not None
    facts.patroni.paused = True


@SUBJECT.finding(
    'patroni-paused',
    'automatic failover is off',
    f'{PATRONI_DOCS}pause.html',
    info='',
    noted=True,
    proved=['tests/check/test_consequences_patroni.py::test_paused'],
    example=_pause,
)
def paused(facts: Facts) -> Iterator[Seen]:
    """Find a cluster in pause."""
    patroni = known(facts)
    if patroni and patroni.paused:
        yield Seen(
            'info',
            where=patroni.scope,
            seen='patronictl pause is on',
            consequence='nobody is promoted if the primary fails',
            remedy=f'patronictl resume {patroni.scope}, once the maintenance is over',
        )


@SUBJECT.finding(
    'patroni-unknown',
    'something about Patroni could not be determined',
    f'{PATRONI_DOCS}rest_api.html',
    unknown='',
    stops=PATRONI_GATE,
    shown=['tests/check/test_connections.py::test_wrong_scope'],
    example=both(patroni_member(2, version=None)),
)
def unknown(facts: Facts) -> Iterator[Seen]:
    """Find what is not known: the whole cluster, or the releases of members."""
    patroni = facts.patroni
    if patroni is None or all_gone(patroni):
        return
    if known(facts) is None:
        yield from _nothing(facts, patroni)
        return
    versions = patroni_versions(patroni)
    without = [member for member in patroni.members if member.name not in versions]
    if without and len(patroni.members) > 1:
        reported = comma(sorted({str(member.version or 'not reported') for member in without}))
        yield Seen(
            'unknown',
            where=comma([member.name for member in without]),
            seen=f'the release of Patroni is unknown ({reported})',
            consequence='whether these members run compatible releases is unknown',
            remedy='curl API_URL/patroni, or: patroni --version there',
        )


def _compare(patroni: Patroni) -> str:
    path = namespace(patroni)
    if patroni.scopes is None:
        return f'compare scope and namespace with those of the nodes: etcdctl get --prefix --keys-only {path}'
    if not patroni.scopes:
        return f'correct the namespace, or start the cluster: below {path} there is no cluster at all'
    more = len(patroni.scopes) - _SHOWN
    names = patroni.scopes[:_SHOWN] + ([f'{more} more'] if more > 0 else [])
    return f'correct the scope: below {path} there is {comma(names)}'


def _nothing(facts: Facts, patroni: Patroni) -> Iterator[Seen]:
    path = place(patroni)
    compare = _compare(patroni)
    if not patroni.error:
        yield Seen(
            'unknown',
            where=patroni.scope,
            seen=f'there is no member below {path}',
            consequence='nothing is known about Patroni: it does not run, or under another scope or namespace',
            remedy=compare,
        )
    elif any(url.answers for url in facts.etcd.endpoints):  # else a finding about etcd says it
        complete = any(url.prefixes and not url.error for url in facts.etcd.endpoints)
        yield Seen(
            'unknown',
            where=patroni.scope,
            seen=patroni.error,
            consequence='nothing is known about Patroni',
            remedy=compare if complete else 'first do what the findings about etcd say',
        )
