"""Findings about etcd and Patroni together: what stock Patroni makes of these members, and what this package cures."""

from __future__ import annotations

from typing import Iterator

from ...urls import is_loopback
from ...versions import AUTO, NESTED_SINCE, PREFIXES
from ..facts import EtcdEndpoint, Facts, Finding
from ..urls import show
from .kinds import comma, finding
from .members import alive, brief, named, ours, patroni_versions, served, servers, text, wrongly_spoken
from .stock import Outlook, outlook

#: Patroni sends transactions inside of transactions from this release on (patroni/patroni#2693).
SENDS_NESTED = (3, 0, 4)


def caveat(facts: Facts) -> str:
    """What is said where this node has no problem, and others may."""
    return (
        f'this node has the {facts.this_host.serves} and copes; other nodes can not be seen from here, one with stock Patroni does '
        'not'
    )


def judge_compat(facts: Facts) -> Iterator[Finding]:
    """Look at what depends on the class that serves etcd3."""
    yield from _nested(facts)
    yield from _prefixes(facts)
    yield from _gateway(facts)
    yield from _urls(facts)
    yield from _option(facts)


def _nested(facts: Facts) -> Iterator[Finding]:
    members = [member for member in servers(facts.etcd) if member.version]
    old = [member for member in members if member.version and member.version < NESTED_SINCE]
    new = [member for member in members if member not in old]
    known = patroni_versions(facts.patroni)
    if (
        facts.patroni
        and facts.patroni.members
        and len(known) == len(facts.patroni.members)
        and max(known.values()) < SENDS_NESTED
    ):
        return
    if old and new:
        yield finding(
            'etcd-nested-transactions',
            'warning' if ours(facts) else 'critical',
            comma(list(map(str, old))),
            'etcd {0} beside {1}'.format(
                comma(sorted({text(member.version) for member in old})),
                comma([f'{member} ({text(member.version)})' for member in new]),
            ),
            'stock Patroni from 3.0.4 on renews its leader key with a transaction inside of a transaction when ttl was '
            'edited or its lease lost; when a newer member lets one in, every member before 3.3 dies of it, and again '
            'at each restart: the cluster is lost' + ('; ' + caveat(facts) if ours(facts) else ''),
            'see that the package or the patch serves on every Patroni node before anything else, do not edit ttl '
            'meanwhile, and upgrade the members before 3.3 soon; have a snapshot: etcdctl snapshot save FILE',
        )


def _prefixes(facts: Facts) -> Iterator[Finding]:
    look = outlook(facts.etcd)
    if look is None or look.fine:
        return
    serving = [
        '{0} {1}: {2}'.format(named(url), url.version, ' '.join(served(url)))
        for url in facts.etcd.endpoints
        if url.version and served(url)
    ]
    versions = sorted({str(url.cluster_version) for url in facts.etcd.endpoints if url.cluster_version})
    harmless = look.starts and not look.lost
    yield finding(
        'etcd-prefix-mixed',
        'info' if ours(facts) else 'warning' if harmless else 'critical',
        'etcd',
        'cluster version {0}; {1}'.format(comma(versions) or 'unknown', '; '.join(serving)),
        '{0}{1}'.format(_stock(look), '. ' + caveat(facts)[:1].upper() + caveat(facts)[1:] if ours(facts) else ''),
        'install patroni-etcd3-compat on every Patroni node and restart Patroni there, one by one; or bring all '
        'members of etcd to one release',
    )


def _stock(look: Outlook) -> str:
    """What stock Patroni does here, in words."""
    parts = []
    if look.prefixes:
        parts.append('stock Patroni takes {0} for all members'.format(comma(sorted(set(look.prefixes.values())), 'or')))
    if look.refused:
        parts.append(
            'it gets no member list from {0}'.format(
                comma([f'{brief(url)} ({reason})' for url, reason in look.refused])
            )
        )
    if look.starts is None:
        parts.append('whether it starts depends on the member that it asks first and the one that it moves to')
    else:
        parts.append('it starts' if look.starts else 'it does not start')
    if look.lost:
        parts.append(
            'a running one demotes its primary as soon as it moves to {0}'.format(
                comma([brief(url) for url in look.lost], 'or')
            )
        )
    elif look.refused and look.starts:
        parts.append('on a node that has only these configured it does not')
    return '; '.join(parts)


def _gateway(facts: Facts) -> Iterator[Finding]:
    http = [member for member in servers(facts.etcd) if member.best and member.best.version]
    off = [
        member
        for member in http
        if not any(url.prefixes for url in member.urls) and any(url.gateway is False for url in member.urls)
    ]
    for member in off:
        every = len(off) == len(http)
        yield finding(
            'etcd-gateway-off',
            'critical' if every else 'warning',
            str(member),
            'etcd {0} answers /version, and 404 under every prefix'.format(member.best.version if member.best else ''),
            'Patroni can not use any member'
            if every
            else 'Patroni can not use this member; '
            + (
                'the package goes on to the next'
                if ours(facts)
                else 'stock Patroni takes the 404 for an answer and demotes when it comes here'
            ),
            'set enable-grpc-gateway: true in its configuration file (off there unless named, in 3.4), or start it '
            'without --enable-grpc-gateway=false; restart it',
        )


def _urls(facts: Facts) -> Iterator[Finding]:
    usable = [url for url in facts.etcd.endpoints if url.configured and url.version is not None]
    remote = any(not is_loopback(url.url) for url in usable)
    advertised = [url for url in facts.etcd.endpoints if url.advertised]
    unusable = [(url, reason) for url in advertised for reason in [_unusable(facts, url, remote)] if reason]
    good = [url for url in advertised if url.version is not None and url not in [bad for bad, _ in unusable]]
    if not facts.etcd.use_proxies:
        for url, reason in unusable:
            severity = 'info' if ours(facts) else 'warning' if good else 'critical'
            yield finding(
                'etcd-advertised-unusable',
                severity,
                named(url),
                reason,
                'stock Patroni replaces its configured hosts with what the members advertise, and {0}'.format(
                    'fails whenever it moves to this one' if good else 'has none left that works: it exits'
                )
                + ('. The package keeps to the configured URL here' if ours(facts) else ''),
                'start the member with an --advertise-client-urls that serves HTTP and can be reached from all nodes'
                + (
                    ''
                    if ours(facts)
                    else '; or set use_proxies: true in section {0}'.format(facts.this_host.section or 'etcd3')
                ),
            )
    bad = [url for url in facts.etcd.endpoints if url.configured and wrongly_spoken(url)]
    for url in bad:
        yield finding(
            'etcd-configured-unusable',
            'warning' if usable else 'critical',
            named(url),
            url.error or 'somebody answers, and it is not HTTP/1.1 of etcd',
            'Patroni talks to the JSON gateway of etcd, and can not use this URL',
            'configure the URL that serves HTTP, with its scheme (--listen-client-http-urls, '
            'where gRPC has a port of its own)',
        )


def _unusable(facts: Facts, url: EtcdEndpoint, remote: bool) -> str | None:
    """Tell what is wrong with an advertised URL; ``None`` if nothing is, or if its member is just down."""
    if wrongly_spoken(url):
        return url.error or 'nobody speaks HTTP/1.1 there'
    if remote and is_loopback(url.url):
        return 'a loopback address: each node finds itself there, or nobody'
    if alive(url) or url.configured:
        return None
    answering = [other for other in facts.etcd.endpoints if other.id and other.id == url.id and alive(other)]
    if answering:
        return 'nobody answers there ({0}), while the same member answers at {1}'.format(
            url.error or 'no answer', comma([show(other.url) for other in answering])
        )
    return None


def _option(facts: Facts) -> Iterator[Finding]:
    prefix = facts.etcd.version_prefix
    if prefix and prefix not in PREFIXES:
        yield finding(
            'etcd-prefix-option',
            'critical' if ours(facts) else 'warning',
            'this node',
            f'version_prefix: {prefix} is configured',
            'a Patroni with the package or the patch does not start with it; one that runs keeps the value of before',
            f'allowed are {comma([AUTO, *PREFIXES])}; or take it out',
        )
        return
    without = [url for url in facts.etcd.endpoints if url.version and served(url) and prefix not in served(url)]
    if not prefix or not without:
        return
    yield finding(
        'etcd-prefix-option',
        'warning',
        comma([named(url) for url in without]),
        'version_prefix: {0} is configured, and {1} served there'.format(
            prefix, comma(sorted({' '.join(served(url)) for url in without}), 'or')
        ),
        'the package asks for it in vain at these members first, and uses what they serve; stock Patroni does not read '
        'the option at all',
        'take version_prefix out of section {0}, or set it to auto'.format(facts.this_host.section or 'etcd3'),
    )
