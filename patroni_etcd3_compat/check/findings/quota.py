"""Findings about the size of etcd's database: its quota, the history that fills it, and alarms."""

from __future__ import annotations

from typing import Iterator, NamedTuple

from ..cluster import EtcdMember, members
from ..facts import EtcdEndpoint, Facts
from ..units import comma, size
from .examples import MB, both, etcd_member, etcd_runs
from .registry import ETCD_DOCS, ETCD_GATE, Seen, Subject

SUBJECT = Subject(12, 'etcd: size of the database, alarms')

#: Shares of the quota. etcd itself says nothing before it refuses writes.
WARN_FROM, CRITICAL_FROM = 0.8, 0.95

#: Revisions that are kept without a compaction before it is worth a word: some days of a small Patroni cluster.
LONG_HISTORY = 100_000


class Filled(NamedTuple):
    """A member whose database size is known."""

    member: EtcdMember
    #: where it is known
    url: EtcdEndpoint

    def __str__(self) -> str:
        of = f' of {size(self.url.quota)} ({self.url.quota_used:.0%})' if self.url.quota_used else ''
        return f'{self.member.label} {size(self.url.db_size)}{of}'


def _filled(facts: Facts) -> list[Filled]:
    found = []
    for member in members(facts.etcd):
        url = next((url for url in member.urls if url.db_size and url.db_size > 0), None)
        if url:
            found.append(Filled(member, url))
    return found


def _revision(facts: Facts) -> str:
    """Return the revision to compact to, as far as a member told it."""
    known = [url.revision for url in facts.etcd.endpoints if url.revision and url.revision > 0]
    return str(max(known)) if known else 'REVISION'


def _make_room(facts: Facts) -> str:
    urls = ','.join(dict.fromkeys(member.client_url for member in members(facts.etcd) if member.answers))
    return (
        f'etcdctl --endpoints={urls} compact {_revision(facts)}, then etcdctl --endpoints=URL defrag for one member '
        'after the other, the leader last'
    )


def _raised(facts: Facts, name: str | None = None) -> list[tuple[EtcdMember, str]]:
    alarms = [
        (member, sorted({alarm for url in member.urls for alarm in url.alarms})) for member in members(facts.etcd)
    ]
    return [(member, alarm) for member, names in alarms for alarm in names if name in (None, alarm)]


@SUBJECT.finding(
    'etcd-alarm',
    'an alarm is raised: no space, or corrupt data',
    f'{ETCD_DOCS}op-guide/maintenance/',
    critical='',
    stops=ETCD_GATE,
    shown=['tests/check/test_outages_etcd.py::test_quota'],
    example=both(
        etcd_runs('3.6.11', '3.6.11', '3.6.11', revision=812000),
        etcd_member(2, alarms=['NOSPACE'], db_size=2048 * MB, quota=2048 * MB),
    ),
)
def alarm(facts: Facts) -> Iterator[Seen]:
    """Find alarms. What NOSPACE does to Patroni was measured on three members of 3.5.30."""
    full = [member for member, _ in _raised(facts, 'NOSPACE')]
    if full:
        yield _no_space(facts, full)
    for member, name in _raised(facts):
        if name != 'NOSPACE':
            yield Seen(
                'critical',
                where=str(member),
                seen=f'alarm {name}',
                consequence='the data of the members may differ',
                remedy='remove this member, delete its data and add it again; then etcdctl alarm disarm',
            )


def _no_space(facts: Facts, full: list[EtcdMember]) -> Seen:
    names = [str(member) for member in full]
    sizes = [str(each) for each in _filled(facts) if str(each.member) in names]
    return Seen(
        'critical',
        where=comma(names),
        seen='alarm NOSPACE' + (f', database: {comma(sizes)}' if sizes else ''),
        consequence='every member refuses writes. The primary stays, because etcd still extends its lease; but there '
        'is no failover, no switchover and no new member until this is cured',
        remedy=f'{_make_room(facts)}; then etcdctl alarm disarm. If that frees too little, restart each member with a '
        'larger --quota-backend-bytes before the alarm is disarmed',
    )


@SUBJECT.finding(
    'etcd-quota',
    'the database is close to its quota',
    f'{ETCD_DOCS}op-guide/maintenance/#space-quota',
    critical=f'from {CRITICAL_FROM:.0%} of the quota',
    warning=f'from {WARN_FROM:.0%} of the quota',
    shown=['tests/check/test_outages_etcd.py::test_quota'],
    example=etcd_member(2, db_size=1700 * MB, db_size_in_use=1600 * MB, quota=2048 * MB, revision=812000),
)
def quota(facts: Facts) -> Iterator[Seen]:
    """Find members that will soon raise the alarm NOSPACE, unless one has already."""
    near = [each for each in _filled(facts) if each.url.quota_used >= WARN_FROM]
    if not near or _raised(facts, 'NOSPACE'):
        return
    freed = [
        f'{size((each.url.db_size or 0) - each.url.db_size_in_use)} of {each.member.label}'
        for each in near
        if each.url.db_size_in_use
    ]
    frees = f' (defrag alone frees {comma(freed)})' if freed else ''
    yield Seen(
        'critical' if max(each.url.quota_used for each in near) >= CRITICAL_FROM else 'warning',
        where=comma([str(each.member) for each in near]),
        seen=f'database: {comma([str(each) for each in near])}',
        consequence='at 100 % etcd raises the alarm NOSPACE: every member refuses writes, and there is no failover, no '
        'switchover and no new member',
        remedy=f'{_make_room(facts)}{frees}; for good: --auto-compaction-retention, or a larger --quota-backend-bytes',
    )


@SUBJECT.finding(
    'etcd-no-compaction',
    'the history of the keys grows without compaction',
    f'{ETCD_DOCS}op-guide/maintenance/#history-compaction-v3-api-key-value-database',
    warning='if the database has reached half of its quota',
    info='',
    example=etcd_member(2, revision=812000, compacted=0, db_size=300 * MB, quota=2048 * MB),
)
def no_compaction(facts: Facts) -> Iterator[Seen]:
    """Find a long history. Automatic compaction is off by default, and Patroni writes a key per loop and member."""
    known = [url for url in facts.etcd.endpoints if url.revision is not None and url.compacted is not None]
    url = max(known, key=_history, default=None)
    if url is None or _history(url) < LONG_HISTORY:
        return
    since = f'the last compaction was at revision {url.compacted}' if url.compacted else 'it was never compacted'
    half = any(each.url.quota_used >= 0.5 for each in _filled(facts))
    yield Seen(
        'warning' if half else 'info',
        where='etcd',
        seen=f'the store is at revision {url.revision}, and {since}',
        consequence='the database grows with each write of Patroni until its quota is reached and etcd refuses writes',
        remedy='start each member with --auto-compaction-mode=periodic --auto-compaction-retention=1h; now: '
        + _make_room(facts),
    )


def _history(url: EtcdEndpoint) -> int:
    return (url.revision or 0) - (url.compacted or 0)
