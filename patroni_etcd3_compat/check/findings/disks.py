"""Findings about the disks of etcd, and elections, which slow disks cause. The limits are those of alerts of etcd."""

from __future__ import annotations

from typing import Iterator

from ..cluster import with_name
from ..facts import EtcdEndpoint, Facts
from ..units import comma
from .examples import etcd_member
from .registry import ETCD, ETCD_DOCS, Seen, Subject

SUBJECT = Subject(73, 'etcd: disks, elections')

#: Seconds of the slowest sync of the log among a hundred: more is a warning, or critical (etcd's contrib/mixin).
SLOW, TOO_SLOW = 0.5, 1.0

#: Elections in an hour, on average since the member was started. etcd's alert is at 4 in 15 minutes; an upgrade causes
#: as many within its own time, so there have to be more than that altogether.
OFTEN = 4
LEAST = 12

_HOUR = 3600.0


@SUBJECT.finding(
    'etcd-slow-disk',
    'a disk of etcd is slow',
    f'{ETCD_DOCS}op-guide/hardware/#disks',
    critical=f'if one sync in a hundred takes more than {TOO_SLOW:g} s',
    warning=f'if it takes more than {SLOW:g} s',
    example=etcd_member(2, fsync_p99=1.024),
)
def slow_disk(facts: Facts) -> Iterator[Seen]:
    """Find members whose log takes long to get onto the disk. The figure is an average since their start."""
    slow = [(url, url.fsync_p99) for url in facts.etcd.endpoints if url.fsync_p99 and url.fsync_p99 > SLOW]
    if not slow:
        return
    yield Seen(
        'critical' if any(seconds > TOO_SLOW for _, seconds in slow) else 'warning',
        where=comma([with_name(url) for url, _ in slow]),
        seen=f'one sync of the log in a hundred takes {comma([f"{seconds:.2f} s" for _, seconds in slow])} or longer, '
        'since the start of the member',
        consequence='heartbeats come late, and etcd elects another leader; until then it takes no writes. Each write '
        f'waits for the disks of most members{_patience(facts)}',
        remedy='give etcd a disk of its own (SSD), apart from PostgreSQL and its WAL. Until then raise retry_timeout '
        'and ttl of Patroni, and --heartbeat-interval and --election-timeout of all members of etcd',
    )


def _patience(facts: Facts) -> str:
    """Return how long Patroni waits, as far as its configuration is known."""
    config = facts.patroni.config if facts.patroni else {}
    ttl, retry = config.get('ttl'), config.get('retry_timeout')
    if ttl is None or retry is None:
        return ', and Patroni gives up after retry_timeout'
    return f', and Patroni gives up after retry_timeout ({retry} s); its leader key ends after ttl ({ttl} s)'


@SUBJECT.finding(
    'etcd-elections',
    'etcd elects leaders again and again',
    f'{ETCD}blob/main/contrib/mixin/mixin.libsonnet',
    warning=f'if there were {LEAST} or more, and at least {OFTEN} per hour',
    shown=['tests/check/test_states_etcd.py::test_elections'],
    example=etcd_member(2, leader_changes=40, uptime=4 * _HOUR),
)
def elections(facts: Facts) -> Iterator[Seen]:
    """Find a cluster that does not keep its leader. Each member counts since its own start; the worst one tells."""
    counted = [(_per_hour(url), url) for url in facts.etcd.endpoints]
    rate, url = max(counted, key=lambda each: each[0], default=(0.0, None))
    if url is None or rate < OFTEN or (url.leader_changes or 0) < LEAST:
        return
    yield Seen(
        'warning',
        where='etcd',
        seen=f'{with_name(url)} has seen {url.leader_changes} changes of the leader in {(url.uptime or 0) / _HOUR:.1f} '
        f'hours; the raft term is {url.raft_term}',
        consequence='etcd takes no writes during each election. One that takes longer than what is left of ttl costs '
        'Patroni its leader',
        remedy='look for slow disks (etcd-slow-disk), a machine that is overloaded or stands still (snapshots, '
        'migration), and the network between the members: etcd_network_peer_round_trip_time_seconds in /metrics',
    )


def _per_hour(url: EtcdEndpoint) -> float:
    if not url.leader_changes or not url.uptime:
        return 0.0
    return url.leader_changes * _HOUR / url.uptime
