"""Findings about the etcd cluster as such: who is there, who leads, what it complains about."""

from __future__ import annotations

from typing import Iterator

from ...versions import TOKEN_SINCE, line_of, parse_version
from ..facts import Facts, Finding
from ..urls import same, show
from .kinds import comma, finding
from .members import Server, alive, auth, minor, named, servers, text, wrongly_spoken


def judge_etcd(facts: Facts) -> Iterator[Finding]:
    """Look at the cluster, whatever Patroni makes of it."""
    members = servers(facts.etcd)
    listed = [member for member in members if member.listed] or members
    if not any(member.answers for member in members):
        yield finding(
            'etcd-unknown',
            'unknown',
            'etcd',
            'nobody answers at {0}'.format(', '.join(show(url.url) for url in facts.etcd.endpoints))
            if facts.etcd.endpoints
            else 'no URL to ask',
            'nothing can be told about etcd, and a Patroni on this node can not reach it either',
            'look at the network between this node and etcd, and at hosts and certificates in the configuration',
        )
    else:
        yield from _raft(listed)
    yield from _unreachable(facts, listed)
    yield from _alarms(members)
    yield from _hosts(facts, members)
    yield from _untold(facts, members)
    yield from _end_of_life(facts, members)


def _raft(listed: list[Server]) -> Iterator[Finding]:
    voters = [member for member in listed if not member.learner]
    silent = [member for member in voters if not member.answers]
    leads = any(url.leader or url.has_leader for member in voters for url in member.urls)
    there, needed = len(voters) - len(silent), len(voters) // 2 + 1
    if not leads and there < needed:
        yield finding(
            'etcd-quorum-lost',
            'critical',
            'etcd',
            f'{there} of {len(voters)} voting members answer, {needed} are needed, and none '
            f'of them tells of a leader. Silent: {comma(list(map(str, silent)))}',
            'etcd takes no writes: Patroni demotes its primary (with failsafe_mode it stays while all members answer '
            'it)',
            'start the silent members again; if they are gone for good restore from a snapshot',
        )
    elif not leads and any(url.has_leader is False for member in voters for url in member.urls):
        yield finding(
            'etcd-no-leader',
            'critical',
            'etcd',
            f'{there} of {len(voters)} voting members answer, and none knows of a leader',
            'etcd takes no writes until one is elected: Patroni demotes its primary',
            'if it lasts for more than a few seconds look at the peer URLs (port 2380), the clocks and the disks of '
            'the members: etcdctl endpoint status --cluster -w table',
        )
    for member in listed:
        if member.learner:
            yield finding(
                'etcd-learner',
                'info',
                str(member),
                'a learner',
                'it has no vote, and refuses what Patroni sends: requests that reach it fail',
                'etcdctl member promote {0}, once it has caught up'.format(member.id or 'ID'),
            )


def _unreachable(facts: Facts, listed: list[Server]) -> Iterator[Finding]:
    for member in listed:
        if member.answers or not (member.urls or member.listed):
            continue
        errors = [f'{show(url.url)}: {url.error}' for url in member.urls if url.error]
        if member.listed and not member.listed.client_urls:
            seen = 'in the member list without a client URL: it was added and never started'
        else:
            seen = '; '.join(errors) or 'no answer'
        unused = facts.etcd.use_proxies and not any(url.configured for url in member.urls)
        yield finding(
            'etcd-unreachable',
            'info' if unused else 'warning',
            str(member),
            seen,
            'Patroni does not use this URL either (use_proxies), so it may be fine behind the proxy'
            if unused
            else 'each further member that fails costs the quorum sooner; Patroni needs a time-out longer whenever it tries '
            'this one',
            'look at the member, and at the way there (network, certificates)'
            + (f'; if it is gone for good: etcdctl member remove {member.id}' if member.listed else ''),
        )


def _alarms(members: list[Server]) -> Iterator[Finding]:
    for member in members:
        for alarm in sorted({alarm for url in member.urls for alarm in url.alarms}):
            size = max((url.db_size or 0 for url in member.urls), default=0)
            if alarm == 'NOSPACE':
                consequence = 'all members refuse writes: Patroni can not renew the leader key and demotes'
                remedy = (
                    'etcdctl compact REVISION, etcdctl defrag on each member, then etcdctl alarm disarm; or '
                    'raise --quota-backend-bytes first'
                )
            else:
                consequence = 'data differs between the members, or something else that etcd stops for'
                remedy = 'remove this member, delete its data and add it again; then etcdctl alarm disarm'
            yield finding(
                'etcd-alarm',
                'critical',
                str(member),
                'alarm {0}{1}'.format(alarm, f', database of {size} bytes' if size else ''),
                consequence,
                remedy,
            )


def _hosts(facts: Facts, members: list[Server]) -> Iterator[Finding]:
    if facts.etcd.listed is None:
        return
    in_list = {same(url) for entry in facts.etcd.listed for url in entry.client_urls}
    ids = {entry.id for entry in facts.etcd.listed}
    missing = [member for member in members if member.listed and not any(url.configured for url in member.urls)]
    silent = [member for member in missing if not member.answers]
    for url in facts.etcd.endpoints:
        if not url.configured or same(url.url) in in_list or url.id in ids:
            continue
        if url.id:
            yield finding(
                'etcd-hosts-differ',
                'warning',
                named(url),
                f'configured, and answers as member {url.id}, which is not in the member list',
                'it may belong to another cluster: Patroni sees one or the other, depending on which answers first',
                'take it out of hosts, or put it right',
            )
        elif not alive(url) and not facts.etcd.use_proxies:
            yield finding(
                'etcd-hosts-differ',
                'info' if silent else 'warning',
                named(url),
                'configured, not in the member list, and silent ({0})'.format(url.error or 'no answer'),
                'Patroni asks it in vain whenever it starts or has lost etcd',
                'it may be another name of {0}, which is silent as well: take it out of hosts only if it is not'.format(
                    comma([str(member) for member in silent], 'or')
                )
                if silent
                else 'take it out of hosts',
            )
    there = [member for member in missing if member.answers]  # who is silent may be configured by another name
    if there and len(missing) < len(facts.etcd.listed) and not facts.etcd.use_proxies:
        yield finding(
            'etcd-hosts-differ',
            'info',
            comma([str(member) for member in there]),
            'in the member list, and not among the configured hosts ({0})'.format(
                ', '.join(map(show, facts.etcd.configured))
            ),
            'Patroni learns of it when it is up; to start it needs one of the configured hosts',
            'fine where each node is configured with its own etcd; else add it to hosts',
        )


def _untold(facts: Facts, members: list[Server]) -> Iterator[Finding]:
    no_credentials = bool(auth(facts)) and not facts.etcd.credentials and facts.patroni is not None
    untold: dict[str, list[Server]] = {}
    for member in members:
        best = member.best
        if best is None or not member.answers or wrongly_spoken(best):
            continue
        problem = best.error or (
            '' if member.version else 'version {0} can not be read'.format(best.version or 'that is not told')
        )
        deaf = best.auth and member.version and member.version < TOKEN_SINCE  # a finding of its own
        if problem and not no_credentials and not deaf:
            untold.setdefault(problem, []).append(member)
    for problem, affected in untold.items():
        where = comma(list(map(str, affected)))
        if 'invalid user ID or password' in problem:
            yield finding(
                'etcd-login-failed',
                'critical',
                where,
                problem,
                'Patroni does not start with these credentials, and a running one fails as soon as its token ends',
                'put username and password right in the configuration, or: etcdctl user passwd NAME',
            )
        else:
            yield finding(
                'etcd-unknown',
                'unknown',
                where,
                problem,
                'not everything could be told about it, findings may be missing',
                f'when it lasts look at the log of etcd there; curl {show(affected[0].urls[0].url)}/version',
            )
    if no_credentials:
        yield finding(
            'etcd-auth-no-credentials',
            'critical',
            'etcd',
            'authentication is on, and the configuration has no username and password',
            'Patroni can not read or write its keys: it does not start',
            'set username and password in section {0} (the gateway takes no client certificate in their place), '
            'or: etcdctl auth disable'.format(facts.this_host.section or 'etcd3'),
        )


def _end_of_life(facts: Facts, members: list[Server]) -> Iterator[Finding]:
    lines = sorted({member.version[:2] for member in members if member.version})
    for major_minor in lines:
        line = line_of((major_minor[0], major_minor[1], 0))
        if major_minor > (3, 0) and (not line or not line.end_of_life or facts.taken[:10] < line.end_of_life):
            continue
        there = [member for member in members if member.version and member.version[:2] == major_minor]
        yield finding(
            'etcd-end-of-life',
            'info',
            comma(list(map(str, there))),
            'etcd {0}, supported until {1}'.format(
                comma(sorted({text(member.version) for member in there})),
                line.end_of_life if line and line.end_of_life else 'the beginning of 2017',
            ),
            'etcd {0}.{1} gets no fixes from its makers any more (a distribution may still care for its '
            'package)'.format(*major_minor),
            'upgrade, one minor version at a time: patroni-etcd3-compat plan --etcd-to ...',
            line.end_source if line else None,
        )


def judge_cluster_version(facts: Facts) -> Iterator[Finding]:
    """Look at the version that the members have agreed upon."""
    members = [member for member in servers(facts.etcd) if member.best and member.answers]
    silent = [member for member in servers(facts.etcd) if member.listed and not member.version]
    for member in members:
        told = member.best.cluster_version if member.best else None
        cluster = parse_version(told)
        if told is not None and cluster is None:
            yield finding(
                'etcd-cluster-version',
                'warning',
                str(member),
                f'cluster version {told}',
                'stock Patroni can not read it and gets no member list from this member; with the package it plays no '
                'part',
                'normal for a moment while a cluster starts; if it stays, look whether the members reach each other',
            )
    told_all = [(member, parse_version(member.best.cluster_version if member.best else None)) for member in members]
    lowest = min((member.version for member in members if member.version), default=None)
    below = [(member, cluster) for member, cluster in told_all if cluster and lowest and cluster[:2] < lowest[:2]]
    if below and not silent and lowest:
        yield finding(
            'etcd-cluster-version',
            'warning',
            comma([str(member) for member, _ in below]),
            f'cluster version {comma(sorted({text(cluster) for _, cluster in below}))}, while no member is older than {text(lowest)}',
            'stock Patroni takes the prefix from it ({0}), whatever the members serve; with the package it plays no '
            'part'.format(minor(below[0][1]) if below[0][1] else ''),
            'normal for some seconds after the last member was upgraded; if it stays, restart the leader of etcd '
            '(etcdctl move-leader first) and look whether all members are listed once and alive',
        )
