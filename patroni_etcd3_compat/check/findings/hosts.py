"""Findings about the URLs of etcd: those that are configured, those that members advertise, and silent members."""

from __future__ import annotations

from typing import Iterator

from ...urls import as_key, is_loopback
from ..cluster import (
    USES_GRPC,
    EtcdMember,
    covered,
    grpc_instead,
    has_grpc,
    listed_members,
    members,
    not_the_gateway,
    section,
    unless_covered,
    who_serves,
    with_name,
    working,
)
from ..facts import EtcdEndpoint, Facts
from ..patroni_cluster import place
from ..units import comma
from .examples import both, etcd_member, etcd_runs, etcd_silent
from .raft import all_silent, has_quorum
from .registry import ETCD_DOCS, ETCD_GATE, PATRONI, Seen, Subject

SUBJECT = Subject(40, 'etcd: URLs')

_GRPC: dict[str, object] = {
    'version': None,
    'prefixes': [],
    'protocol': 'grpc',
    'error': 'this port speaks gRPC only, not HTTP/1.1',
}


@SUBJECT.finding(
    'etcd-advertised-unusable',
    'a member advertises a URL that Patroni cannot use',
    f'{PATRONI}issues/3382',
    critical='if all advertised URLs are unusable',
    warning='',
    info='if the package or the patch serves every Patroni member',
    cured=True,
    proved=['tests/check/test_consequences.py::test_advertised_port_speaks_grpc'],
    example=etcd_member(2, **_GRPC),
)
def advertised_unusable(facts: Facts) -> Iterator[Seen]:
    """Find advertised URLs that stock Patroni fails at."""
    if facts.etcd.use_proxies:
        return
    remote = any(not is_loopback(url.url) for url in working(facts))
    advertised = [(url, _unusable(facts, url, remote)) for url in facts.etcd.endpoints if url.advertised]
    good = any(url.version is not None and not reason for url, reason in advertised)
    fails = 'fails whenever it moves to this one' if good else 'has none left that works: it exits'
    proxies = f'; or set use_proxies: true in section {section(facts)}'
    for url, reason in advertised:
        if reason:
            yield Seen(
                unless_covered(facts, 'warning' if good else 'critical', 'info'),
                where=with_name(url),
                seen=reason,
                consequence=USES_GRPC
                if url.over_grpc and has_grpc(facts)
                else f'stock Patroni replaces its configured hosts with what the members advertise, and {fails}; the '
                f'package keeps using the configured URL; {who_serves(facts)}',
                remedy='start the member with an --advertise-client-urls that serves HTTP and can be reached from all '
                'nodes' + ('' if covered(facts) else proxies),
            )


def _unusable(facts: Facts, url: EtcdEndpoint, remote: bool) -> str | None:
    """Return what is wrong with an advertised URL; ``None`` if nothing is, or if its member is just down."""
    if not_the_gateway(url):
        return url.error or 'it does not speak HTTP/1.1'
    if remote and is_loopback(url.url):
        return 'a loopback address: each node reaches only itself there'
    if url.answers or url.configured:
        return None
    others = [other for other in facts.etcd.endpoints if other.id and other.id == url.id and other.answers]
    if not others:
        return None
    reached = comma([other.url for other in others])
    return f'nothing answers there ({url.error or "no answer"}), while the same member answers at {reached}'


@SUBJECT.finding(
    'etcd-configured-unusable',
    'a configured URL is answered, but not in HTTP',
    f'{PATRONI}issues/3382',
    critical='if no other configured URL works',
    warning='',
    info='if it speaks gRPC, and the calls of every Patroni member may go over it',
    cured=True,
    proved=['tests/check/test_consequences.py::test_configured_port_speaks_grpc'],
    example=etcd_member(2, advertised=False, **_GRPC),
)
def configured_unusable(facts: Facts) -> Iterator[Seen]:
    """Find configured URLs that speak something else."""
    for url in facts.etcd.endpoints:
        if url.configured and not_the_gateway(url) and not (url.wrong_scheme or url.refuses):  # those are others
            grpc = url.protocol == 'grpc'
            served = grpc and has_grpc(facts)
            yield Seen(
                'info' if served else 'warning' if working(facts) else 'critical',
                where=with_name(url),
                seen=url.error or 'it answers, but not as etcd does in HTTP/1.1',
                consequence=USES_GRPC if served else 'Patroni needs the JSON gateway of etcd, and cannot use this URL',
                remedy='nothing'
                if served
                else 'configure the URL that serves HTTP, with its scheme (--listen-client-http-urls, where gRPC has '
                f'a port of its own){grpc_instead(facts) if grpc else ""}',
            )


@SUBJECT.finding(
    'etcd-two-clusters',
    'hosts lead to more than one etcd cluster',
    f'{ETCD_DOCS}op-guide/configuration/#clustering',
    critical='',
    stops=ETCD_GATE,
    shown=['tests/check/test_outages_etcd.py::test_two_clusters'],
    example=both(
        etcd_runs('3.5.30', '3.5.30', '3.5.30', cluster_id='c1'), etcd_member(3, cluster_id='c2', id='b3', name='other')
    ),
)
def two_clusters(facts: Facts) -> Iterator[Seen]:
    """Find URLs whose members say that they belong to different clusters."""
    clusters: dict[str, list[EtcdEndpoint]] = {}
    for url in facts.etcd.endpoints:
        if url.cluster_id:
            clusters.setdefault(url.cluster_id, []).append(url)
    if len(clusters) > 1:
        yield Seen(
            'critical',
            where='etcd',
            seen='; '.join(
                f'cluster {number}: {comma([with_name(url) for url in urls])}' for number, urls in clusters.items()
            ),
            consequence='Patroni uses whichever answers first. Two nodes can each find a leader key of their own, and '
            'two primaries accept writes',
            remedy=f'see which of them has the keys: etcdctl --endpoints=URL get --prefix --keys-only {_keys(facts)}; '
            'remove the URLs of the other cluster from hosts on every node, and restart Patroni there',
        )


def _keys(facts: Facts) -> str:
    return f'{place(facts.patroni)}/' if facts.patroni else '/service/'


@SUBJECT.finding(
    'etcd-hosts-differ',
    "the configured hosts and etcd's member list do not agree",
    f'{PATRONI}issues/1283',
    warning='',
    info='if a member is just not configured, or if a silent host may be another name of a silent member',
    shown=['tests/check/test_states_etcd.py::test_hosts_differ'],
    example=etcd_member(3, url='http://10.0.0.9:2379', advertised=False, id='c9', name=None),
)
def hosts_differ(facts: Facts) -> Iterator[Seen]:
    """Find configured hosts that are no members, and members that are not configured."""
    if facts.etcd.listed is None:
        return
    listed_urls = {as_key(url) for entry in facts.etcd.listed for url in entry.client_urls}
    ids = {entry.id for entry in facts.etcd.listed}
    missing = [m for m in members(facts.etcd) if m.listed and not any(url.configured for url in m.urls + m.shared)]
    silent = [member for member in missing if not member.answers]
    for url in facts.etcd.endpoints:
        if not url.configured or as_key(url.url) in listed_urls or url.id in ids or _elsewhere(facts, url):
            continue
        if url.id:
            yield _stranger(url)
        elif not url.answers and not facts.etcd.use_proxies and not url.tls_fault:
            yield _silent_host(url, silent)
    there = [member for member in missing if member.answers]  # one that is silent may be configured by another name
    if there and len(missing) < len(facts.etcd.listed) and not facts.etcd.use_proxies:
        yield _not_configured(facts, there)


def _elsewhere(facts: Facts, url: EtcdEndpoint) -> bool:
    """Return whether a URL belongs to another cluster than the member list, which is a finding of its own."""
    ids = {entry.id for entry in facts.etcd.listed or ()}
    ours = {other.cluster_id for other in facts.etcd.endpoints if other.id in ids and other.cluster_id}
    return url.cluster_id is not None and bool(ours) and url.cluster_id not in ours


def _stranger(url: EtcdEndpoint) -> Seen:
    return Seen(
        'warning',
        where=with_name(url),
        seen=f'configured, and answers as member {url.id}, which is not in the member list',
        consequence='it may belong to another cluster: Patroni uses whichever answers first',
        remedy='remove it from hosts, or correct it',
    )


def _silent_host(url: EtcdEndpoint, silent: list[EtcdMember]) -> Seen:
    names = comma([str(member) for member in silent], 'or')
    return Seen(
        'info' if silent else 'warning',
        where=with_name(url),
        seen=f'configured, not in the member list, and silent ({url.error or "no answer"})',
        consequence='Patroni waits for it in vain whenever it starts or has lost etcd',
        remedy=f'it may be another name of {names}, which is silent as well: remove it from hosts only if it is not'
        if silent
        else 'remove it from hosts',
    )


def _not_configured(facts: Facts, there: list[EtcdMember]) -> Seen:
    return Seen(
        'info',
        where=comma([str(member) for member in there]),
        seen=f'in the member list, but not among the configured hosts ({", ".join(facts.etcd.configured)})',
        consequence='Patroni learns of it once it runs; to start, it needs one of the configured hosts',
        remedy='nothing, if each node is configured with its own etcd; else add it to hosts',
    )


@SUBJECT.finding(
    'etcd-unreachable',
    'a member does not answer',
    f'{ETCD_DOCS}op-guide/failures/',
    warning='',
    info='if Patroni does not use the URL either (use_proxies)',
    stops=ETCD_GATE,
    shown=['tests/check/test_command_etcd.py::test_dead_member'],
    example=etcd_silent(3),
)
def unreachable(facts: Facts) -> Iterator[Seen]:
    """Find members that answer at none of their URLs."""
    if all_silent(facts):  # one finding about all of them
        return
    for member in listed_members(facts.etcd):
        if member.answers or not (member.urls or member.listed) or any(url.tls_fault for url in member.urls):
            continue  # etcd-tls says the latter
        if member.listed and not member.listed.client_urls:
            yield _never_started(member, has_quorum(facts))
            continue
        unused = facts.etcd.use_proxies and not any(url.configured for url in member.urls)
        can_remove = member.listed and has_quorum(facts)  # else etcd takes no such change
        remove = f'; if it is gone for good: etcdctl member remove {member.id}' if can_remove else ''
        yield Seen(
            'info' if unused else 'warning',
            where=str(member),
            seen=_why_silent(member),
            consequence='Patroni does not use this URL either (use_proxies), so the member may be fine behind the proxy'
            if unused
            else 'the next member that fails may cost the quorum; Patroni waits for a time-out whenever it tries '
            'this one',
            remedy=f'check the member and the way to it (network, firewall){remove}',
        )


def _never_started(member: EtcdMember, can_remove: bool) -> Seen:
    return Seen(
        'warning',
        where=str(member),
        seen=f'in the member list with the peer URL {member.peer_url or "unknown"} and without a client URL: it was '
        'added and never started',
        consequence='it counts for the quorum without helping to reach it' if not member.learner else 'it does nothing',
        remedy='start it with --initial-cluster-state existing'
        + (f', or etcdctl member remove {member.id}' if can_remove else ''),
    )


def _why_silent(member: EtcdMember) -> str:
    return '; '.join(f'{url.url}: {url.error}' for url in member.urls if url.error) or 'no answer'
