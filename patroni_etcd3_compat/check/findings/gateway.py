"""Findings about the gateway of etcd: what stock Patroni does with it here, and what this package changes."""

from __future__ import annotations

from typing import Iterator

from ...versions import NESTED_SINCE
from ..cluster import (
    USES_GRPC,
    EtcdMember,
    covered,
    grpc_instead,
    has_grpc,
    install_first,
    known_members,
    members,
    names,
    names_with_versions,
    patroni_versions,
    served,
    short_name,
    unless_covered,
    versions,
    who_serves,
    with_name,
)
from ..facts import Facts
from ..stock import Outlook, outlook
from ..units import comma
from .examples import etcd_member, etcd_runs
from .registry import ETCD_GATE, PACKAGE, PATRONI, Seen, Subject

SUBJECT = Subject(20, 'etcd: gateway and prefixes')

#: Patroni sends transactions inside transactions from this release on (patroni/patroni#2693).
SENDS_NESTED = (3, 0, 4)


@SUBJECT.finding(
    'etcd-nested-transactions',
    'members before 3.3 beside newer ones: a stock Patroni can destroy the cluster',
    f'{PATRONI}pull/2693',
    critical='',
    warning='if the package or the patch serves every Patroni member',
    cured=True,
    ended_by=[PACKAGE],
    shown=['tests/check/test_command_etcd.py::test_mixed_with_3_2'],
    example=etcd_runs('3.2.26', '3.2.26', '3.4.23'),
)
def nested_transactions(facts: Facts) -> Iterator[Seen]:
    """Find members before 3.3 beside newer ones, unless all of Patroni is too old to matter."""
    known = known_members(facts.etcd)
    old = [(member, version) for member, version in known if version < NESTED_SINCE]
    new = [(member, version) for member, version in known if version >= NESTED_SINCE]
    if not (old and new) or _never_nests(facts):
        return
    yield Seen(
        unless_covered(facts, 'critical', 'warning'),
        where=names(old),
        seen=f'etcd {versions(old)} beside {names_with_versions(new)}',
        consequence='stock Patroni 3.0.4 and later renews its leader key with a transaction inside a transaction when '
        'ttl was edited or its lease was lost. As soon as a newer member accepts one, every member before 3.3 crashes, '
        f'and crashes again at each start: the cluster is lost; {who_serves(facts)}',
        remedy=('' if covered(facts) else f'first {install_first(facts)}. Do not edit ttl until then. ')
        + 'Take a snapshot (etcdctl snapshot save FILE) and upgrade the members before 3.3 soon',
    )


def _never_nests(facts: Facts) -> bool:
    known = patroni_versions(facts.patroni)
    count = len(facts.patroni.members) if facts.patroni else 0
    return 0 < count == len(known) and max(known.values()) < SENDS_NESTED


@SUBJECT.finding(
    'etcd-prefix-mixed',
    'the prefix that stock Patroni uses for all members is not served by each of them',
    f'{PATRONI}issues/3279',
    critical='',
    warning='if stock Patroni starts and keeps its members, but not from every configured host',
    info='if the package or the patch serves every Patroni member',
    cured=True,
    ended_by=[PACKAGE],
    proved=['tests/check/test_consequences.py::test_stock_does_not_start'],
    example=etcd_runs('3.2.26', '3.2.26', '3.4.23'),
)
def prefix_mixed(facts: Facts) -> Iterator[Seen]:
    """Find members that do not serve the one prefix of stock Patroni."""
    look = outlook(facts.etcd)
    if look is None or look.fine:
        return
    serving = '; '.join(
        f'{with_name(url)} {url.version}: {" ".join(served(url))}'
        for url in facts.etcd.endpoints
        if url.version and served(url)
    )
    cluster = comma(sorted({str(url.cluster_version) for url in facts.etcd.endpoints if url.cluster_version}))
    yield Seen(
        unless_covered(facts, 'warning' if look.starts and not look.lost else 'critical', 'info'),
        where='etcd',
        seen=f'cluster version {cluster or "unknown"}; {serving}',
        consequence=f'{_stock_patroni(look)}; {who_serves(facts)}',
        remedy=('' if covered(facts) else f'{install_first(facts)}; or ') + 'bring all members of etcd to one release',
    )


def _stock_patroni(look: Outlook) -> str:
    """Return what stock Patroni does here, in words."""
    parts = []
    if look.prefixes:
        parts.append(f'stock Patroni uses {comma(sorted(set(look.prefixes.values())), "or")} for all members')
    if look.refused:
        refused = comma([f'{short_name(url)} ({reason})' for url, reason in look.refused])
        parts.append(f'it gets no member list from {refused}')
    if look.starts is None:
        parts.append('whether it starts depends on the member that it asks first and the one that it moves to')
    else:
        parts.append('it starts' if look.starts else 'it does not start')
    if look.lost:
        lost = comma([short_name(url) for url in look.lost], 'or')
        parts.append(f'a running one demotes its primary as soon as it moves to {lost}')
    elif look.refused and look.starts:
        parts.append('it does not start on a node that has only these members configured')
    return '; '.join(parts)


def _without_gateway(member: EtcdMember) -> bool:
    return not any(url.prefixes for url in member.urls) and any(url.gateway is False for url in member.urls)


@SUBJECT.finding(
    'etcd-gateway-off',
    'a member does not serve the JSON gateway',
    f'{PATRONI}issues/1939',
    critical='if it is off on all members',
    warning='',
    info='if the calls of every Patroni member may go over gRPC',
    cured=True,
    stops=ETCD_GATE,
    proved=['tests/check/test_consequences.py::test_gateway_off'],
    example=etcd_member(2, gateway=False, prefixes=[]),
)
def gateway_off(facts: Facts) -> Iterator[Seen]:
    """Find members that answer ``/version`` and serve no prefix."""
    http = [member for member in members(facts.etcd) if member.best and member.best.version]
    off = [member for member in http if _without_gateway(member)]
    every = len(off) == len(http)
    instead = (
        'the package uses the next one'
        if covered(facts)
        else 'stock Patroni takes the 404 for an answer, and demotes when it moves to this member'
    )
    grpc = has_grpc(facts)
    for member in off:
        yield Seen(
            'info' if grpc else 'critical' if every else 'warning',
            where=str(member),
            seen=f'etcd {member.best.version if member.best else ""} answers /version, and 404 under every prefix',
            consequence=USES_GRPC
            if grpc
            else 'Patroni cannot use any member'
            if every
            else f'Patroni cannot use this member; {instead}',
            remedy='nothing'
            if grpc
            else 'set enable-grpc-gateway: true in its configuration file (3.4 has it off there by default), or '
            f'start it without --enable-grpc-gateway=false; then restart it{grpc_instead(facts)}',
        )
