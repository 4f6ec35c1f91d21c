"""Findings about the etcd cluster as such: the quorum and the leader."""

from __future__ import annotations

from typing import Iterator

from ..cluster import members, voters
from ..facts import Facts
from ..units import comma
from .examples import etcd_runs, etcd_silent
from .registry import ETCD_DOCS, ETCD_GATE, Seen, Subject

SUBJECT = Subject(10, 'etcd: quorum, leader')


def _has_leader(facts: Facts) -> bool:
    return any(url.leader or url.has_leader for url in facts.etcd.endpoints)


def _quorum(facts: Facts) -> tuple[int, int, int]:
    """Return how many voting members answer, how many there are, and how many are needed."""
    all_of_them = voters(facts.etcd)
    count = len(all_of_them)
    return sum(member.answers for member in all_of_them), count, count // 2 + 1


def all_silent(facts: Facts) -> bool:
    """Return whether a Patroni on this host cannot reach etcd at all: no URL of its configuration is answered.

    Faults of TLS are findings of their own: the fault may be this command's, which may lack a right to read a file.
    """
    urls = facts.etcd.endpoints
    return facts.this_host.name is not None and bool(urls) and not any(url.answers or url.tls_fault for url in urls)


def has_quorum(facts: Facts) -> bool:
    """Return whether etcd can change its member list, as far as is known."""
    there, _, needed = _quorum(facts)
    return _has_leader(facts) or there >= needed


@SUBJECT.finding(
    'etcd-quorum-lost',
    'fewer members answer than the cluster needs, or none of the configured ones',
    f'{ETCD_DOCS}op-guide/failures/',
    critical='',
    stops=ETCD_GATE,
    proved=['tests/check/test_consequences.py::test_quorum_lost'],
    example=etcd_silent(2, 3),
)
def quorum_lost(facts: Facts) -> Iterator[Seen]:
    """Find a cluster that takes no writes because too many members are silent, or all of them."""
    if all_silent(facts):
        yield _nobody(facts)
        return
    there, count, needed = _quorum(facts)
    if not count or has_quorum(facts) or not any(member.answers for member in members(facts.etcd)):
        return
    silent = comma([str(member) for member in voters(facts.etcd) if not member.answers])
    yield Seen(
        'critical',
        where='etcd',
        seen=f'{there} of {count} voting members answer, {needed} are needed, and none of them knows of a leader. '
        f'Silent: {silent}',
        consequence='etcd accepts no writes, and Patroni demotes its primary. With failsafe_mode the primary stays '
        'while all Patroni members answer it',
        remedy='start the silent members again; if they are gone for good, restore from a snapshot',
    )


def _nobody(facts: Facts) -> Seen:
    reasons: dict[str, list[str]] = {}
    for url in facts.etcd.endpoints:
        reasons.setdefault(url.error or 'no answer', []).append(url.url)
    return Seen(
        'critical',
        where='etcd',
        seen='no configured member answers: '
        + '; '.join(f'{comma(urls)}: {problem}' for problem, urls in reasons.items()),
        consequence='Patroni cannot reach etcd from this host either, and demotes its primary. '
        'With failsafe_mode the primary stays while all Patroni members answer it',
        remedy=_remedy(list(reasons)),
    )


def _remedy(problems: list[str]) -> str:
    """Return what to do if nobody answers. With TLS the members may be well, and be refused by this host."""
    if all(problem.startswith('TLS: ') for problem in problems):
        return (
            'compare the certificates of the members, their end dates first, with cacert, cert and key in the '
            'configuration'
        )
    return (
        'start etcd on the majority of its members; if it runs there, check the network between this host and them, '
        'and the hosts in the configuration'
    )


@SUBJECT.finding(
    'etcd-no-leader',
    'no member is the leader',
    f'{ETCD_DOCS}op-guide/failures/',
    critical='',
    stops=ETCD_GATE,
    example=etcd_runs('3.5.30', '3.5.30', '3.5.30', has_leader=False, leader=False),
)
def no_leader(facts: Facts) -> Iterator[Seen]:
    """Find a cluster that has its quorum, and no leader."""
    there, count, needed = _quorum(facts)
    if _has_leader(facts) or there < needed:
        return
    if any(url.has_leader is False for member in voters(facts.etcd) for url in member.urls + member.shared):
        yield Seen(
            'critical',
            where='etcd',
            seen=f'{there} of {count} voting members answer, and none knows of a leader',
            consequence='etcd accepts no writes until a leader is elected, and Patroni demotes its primary',
            remedy='if this lasts for more than a few seconds, check the peer URLs (port 2380), the clocks and the '
            'disks of the members: etcdctl endpoint status --cluster -w table',
        )
