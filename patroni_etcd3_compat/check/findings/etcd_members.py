"""Findings about single members of etcd: learners, their age, and what could not be determined."""

from __future__ import annotations

from typing import Iterator

from ...versions import LINES, TOKEN_SINCE, line_of, wants_token_for_list
from ..cluster import (
    EtcdMember,
    authentication,
    known_members,
    listed_members,
    members,
    names,
    names_with_versions,
    not_the_gateway,
    versions,
)
from ..facts import Facts
from ..units import comma
from .examples import etcd_member, etcd_runs
from .raft import all_silent
from .registry import ETCD_DOCS, ETCD_GATE, ETCD_UPGRADE, Seen, Subject

SUBJECT = Subject(70, 'etcd: single members')

#: etcd's answer to a wrong user name or password, which is a finding of its own.
WRONG_LOGIN = 'invalid user ID or password'


@SUBJECT.finding(
    'etcd-learner',
    'a member is a learner',
    'https://etcd.io/docs/v3.5/learning/design-learner/',
    info='',
    noted=True,
    proved=['tests/check/test_states_etcd.py::test_learner'],
    example=etcd_member(3, learner=True),
)
def learner(facts: Facts) -> Iterator[Seen]:
    """Find learners."""
    if not any(member.answers for member in members(facts.etcd)):
        return
    for member in listed_members(facts.etcd):
        if member.learner:
            yield Seen(
                'info',
                where=str(member),
                seen='a learner',
                consequence='it has no vote and refuses what Patroni sends: requests that reach it fail',
                remedy=f'etcdctl member promote {member.id or "ID"}, once it has caught up',
            )


@SUBJECT.finding(
    'etcd-end-of-life',
    'a release has reached its end of life',
    f'{ETCD_DOCS}op-guide/versioning/',
    info='',
    noted=True,
    ended_by=[ETCD_UPGRADE],
    shown=['tests/check/test_command_etcd.py::test_mixed'],
    example=etcd_runs('3.4.45', '3.4.45', '3.4.45'),
)
def end_of_life(facts: Facts) -> Iterator[Seen]:
    """Find releases that got no more fixes on the day of the facts."""
    known = known_members(facts.etcd)
    for minor in sorted({version[:2] for _, version in known}):
        line = line_of((minor[0], minor[1], 0))
        if minor > (3, 0) and (not line or not line.end_of_life or facts.taken[:10] < line.end_of_life):
            continue
        there = [(member, version) for member, version in known if version[:2] == minor]
        until = line.end_of_life if line and line.end_of_life else 'the beginning of 2017'
        yield Seen(
            'info',
            where=names(there),
            seen=f'etcd {versions(there)}, supported until {until}',
            consequence=f'the etcd project no longer fixes {minor[0]}.{minor[1]} (a distribution may still maintain '
            'its package)',
            remedy='upgrade, one minor version at a time: patroni-etcd3-compat plan --etcd-to ...',
            link=line.end_source if line else None,
        )


@SUBJECT.finding(
    'etcd-unknown',
    'something about etcd could not be determined',
    f'{ETCD_DOCS}dev-guide/api_grpc_gateway/',
    unknown='',
    stops=ETCD_GATE,
    example=etcd_member(2, error='/kv/range: etcdserver: request timed out'),
)
def unknown(facts: Facts) -> Iterator[Seen]:
    """Find what nobody answered: no member at all, one of them not everything, or whether authentication is on."""
    there = any(member.answers or any(url.tls_fault for url in member.urls) for member in members(facts.etcd))
    if not there and not all_silent(facts):  # which is critical
        yield _nobody(facts)
    yield from _incomplete(facts)
    relevant = [(member, version) for member, version in known_members(facts.etcd) if not _refuses(member)]
    if authentication(facts) is None and (
        any(version < TOKEN_SINCE or wants_token_for_list(version) for _, version in relevant)
        or crosses_auth_break(facts)
    ):
        yield Seen(
            'unknown',
            where='etcd',
            seen='no member says whether authentication is on',
            consequence=f'it matters with these releases: {names_with_versions(relevant)}',
            remedy='etcdctl auth status',
        )


def _refuses(member: EtcdMember) -> bool:
    """Return whether a member refuses all requests, which is a finding of its own."""
    return bool(member.best and member.best.refuses)


def _nobody(facts: Facts) -> Seen:
    urls = ', '.join(url.url for url in facts.etcd.endpoints)
    return Seen(
        'unknown',
        where='etcd',
        seen=f'nobody answers at {urls}' if urls else 'there is no URL to ask',
        consequence='nothing is known about etcd',
        remedy='check the network between this host and etcd, and the URLs; with a configuration of Patroni (-c) its '
        'certificates and credentials are used',
    )


def _incomplete(facts: Facts) -> Iterator[Seen]:
    for problem, affected in incomplete_answers(facts).items():
        if WRONG_LOGIN in problem:
            continue
        yield Seen(
            'unknown',
            where=comma([str(member) for member in affected]),
            seen=problem,
            consequence='something about this member is unknown, so findings may be missing',
            remedy=f'if this lasts, read the log of etcd there; curl {affected[0].urls[0].url}/version',
        )


def incomplete_answers(facts: Facts) -> dict[str, list[EtcdMember]]:
    """Return why members that answer did not answer everything, and which; what other findings say is left out."""
    found: dict[str, list[EtcdMember]] = {}
    if lacks_credentials(facts):
        return found
    for member in members(facts.etcd):
        best = member.best
        if best is None or not any(url.answers for url in member.urls) or not_the_gateway(best):
            continue
        if _refuses(member) or best.denied_roles is not None:
            continue
        unreadable = f'version {best.version} cannot be read' if best.version else 'its version is not reported'
        problem = best.error or ('' if member.version else unreadable)
        takes_no_token = best.auth and member.version and member.version < TOKEN_SINCE  # a finding of its own
        if problem and not takes_no_token:
            found.setdefault(problem, []).append(member)
    return found


def lacks_credentials(facts: Facts) -> bool:
    """Return whether authentication is on and the configuration of Patroni has no credentials."""
    return bool(authentication(facts)) and not facts.etcd.credentials and facts.patroni is not None


def crosses_auth_break(facts: Facts) -> bool:
    """Return whether members run releases on both sides of one that a rolling upgrade needs authentication off for."""
    minors = {version[:2] for _, version in known_members(facts.etcd)}
    return bool(minors) and any(
        not line.upgrade_with_auth and min(minors) < line.minor <= max(minors) for line in LINES
    )
