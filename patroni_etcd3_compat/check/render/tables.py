"""The tables for people: etcd, Patroni and the replication slots."""

from __future__ import annotations

import textwrap
from typing import Iterator, Sequence

from ..facts import RUNNING, Etcd, EtcdEndpoint, Facts, Finding, Patroni, PatroniMember, Slot
from ..findings.quota import WARN_FROM
from ..units import lsn, number, size
from .table import Cell, Column, bad, good, or_dash, plain, table
from .text import Style, clean, one_line

#: States of a slot's WAL that are as they have to be.
_KEPT = (None, 'reserved', 'extended')


def _gateway(member: EtcdEndpoint) -> Cell:
    if member.protocol == 'grpc':
        return bad('gRPC only')
    if member.wrong_scheme:
        return bad('wrong scheme')
    return bad('off') if member.gateway is False else plain(' '.join(member.prefixes))


def _raft(member: EtcdEndpoint) -> Cell:
    if member.learner:
        return Cell('learner')
    return Cell('-') if member.leader is None else good('leader') if member.leader else Cell('follower')


def _version(member: EtcdEndpoint) -> Cell:
    if member.answers:
        return plain(member.version)
    if not member.url:
        return bad('never started')
    return bad('TLS fault' if member.tls_fault else 'no answer')


def _quota(member: EtcdEndpoint) -> Cell:
    return bad(size(member.quota), member.quota_used >= WARN_FROM)


def _rows(etcd: Etcd) -> list[EtcdEndpoint]:
    """Return the URLs, and a row for each member that was added and never started: it has none."""
    added = [entry for entry in etcd.listed or [] if not entry.client_urls]
    rows = [EtcdEndpoint('', False, True, entry.name or entry.id, entry.id, learner=entry.learner) for entry in added]
    return etcd.endpoints + rows


def _origin(member: EtcdEndpoint) -> str:
    return 'both' if member.configured and member.advertised else 'configured' if member.configured else 'advertised'


def _yes_no(value: bool | None) -> str:
    return '-' if value is None else 'on' if value else 'off'


def _without(columns: list[Column], **shown: bool) -> list[Column]:
    """Return the columns without those, by title, that would show nothing of interest."""
    return [column for column in columns if shown.get(column.title, True)]


def _etcd(etcd: Etcd) -> tuple[str, list[Column]]:
    members = _rows(etcd)
    leader = next((member.name for member in members if member.leader), None)
    seen = sorted({member.cluster_version for member in members if member.cluster_version})
    answering = sum(member.answers for member in members)
    title = (
        f'etcd: {number(len(etcd.endpoints), "URL")}, {answering} answering, '
        f'cluster version {or_dash(" or ".join(seen))}, '
        f'leader {or_dash(leader)}'
    )
    columns = [
        Column('Member', [plain(member.name) for member in members]),
        Column('URL', [plain(clean(member.url)) for member in members]),
        Column('Version', [_version(member) for member in members]),
        Column('Cluster', [plain(member.cluster_version) for member in members], 2),
        Column('Gateway', [_gateway(member) for member in members]),
        Column('Raft', [_raft(member) for member in members]),
        Column('Auth', [Cell(_yes_no(member.auth)) for member in members], 3),
        Column('Alarms', [bad(' '.join(member.alarms), bool(member.alarms)) for member in members]),
        Column('Size', [Cell(size(member.db_size)) for member in members], 2, True),
        Column('Quota', [_quota(member) for member in members], 4, True),
        Column('Storage', [plain(member.storage_version) for member in members], 4),
        Column('Downgrade', [bad(member.downgrade, bool(member.downgrade)) for member in members]),
        Column('Term', [plain(member.raft_term) for member in members], 5, True),
        Column('Index', [plain(member.raft_index) for member in members], 6, True),
        Column('Listed', [Cell(_origin(member)) for member in members], 1),
        Column(
            'Time',
            [Cell('-' if member.seconds is None else f'{member.seconds * 1000:.0f} ms') for member in members],
            4,
            True,
        ),
    ]
    return title, _without(
        columns,
        Alarms=any(member.alarms for member in members),
        Quota=any(member.quota_used >= 0.5 for member in members),
        Storage=any(member.storage_version not in (None, member.cluster_version) for member in members),
        Downgrade=any(member.downgrade for member in members),
        Listed=any(_origin(member) != 'both' for member in members),
    )


def _setting(value: object) -> str:
    return _yes_no(value) if value is None or isinstance(value, bool) else one_line(value)


def _tags(member: PatroniMember) -> str:
    return ', '.join(f'{name}: {_setting(value)}' for name, value in sorted(member.tags.items()))


def _serves(members: Sequence[PatroniMember]) -> list[str]:
    """Return what serves each member, with its release if there are several, and whether it may use gRPC."""
    several = len({member.compat for member in members if member.compat}) > 1
    return [
        or_dash(member.serves)
        + (f' {clean(member.compat)}' if several and member.compat else '')
        + (', gRPC' if member.grpc else '')
        for member in members
    ]


def _scheduled(cluster: Patroni) -> list[str]:
    """Return in words the switchover that is scheduled; nothing if none is."""
    switchover = cluster.switchover
    if switchover is None:
        return []
    to = f' to {clean(switchover.candidate)}' if switchover.candidate else ''
    return [f'switchover{to} at {clean(switchover.at)}']


def _pending(member: PatroniMember) -> bool:
    return bool(member.pending_restart)


def _patroni(facts: Facts) -> tuple[str, list[Column]]:
    cluster = facts.patroni
    assert cluster is not None
    members = cluster.members
    config = [
        f'{name} {_setting(cluster.config[name])}'
        for name in ('ttl', 'loop_wait', 'retry_timeout', 'failsafe_mode', 'synchronous_mode', 'member_slots_ttl')
        if name in cluster.config
    ]
    title = ', '.join(
        [f'Patroni: {clean(cluster.scope)}']
        + ([] if cluster.group is None else [f'Citus group {cluster.group}'])
        + [number(len(members), 'member'), f'leader {or_dash(cluster.leader)}']
        + ['paused'] * bool(cluster.paused)
        + _scheduled(cluster)
        + config
    )
    walls = [member.postgres for member in members]
    return title, _without(
        [
            Column('Member', [Cell(clean(member.name)) for member in members]),
            Column('PostgreSQL at', [plain(member.postgres_address) for member in members], 6),
            Column('Role', [good(member.role, member.role in ('leader', 'standby_leader')) for member in members]),
            Column('State', [bad(member.state, member.state not in RUNNING) for member in members]),
            Column('Patroni', [plain(member.version) for member in members]),
            Column('Served by', [Cell(serves) for serves in _serves(members)], 2),
            Column('PostgreSQL', [plain(member.postgres_version) for member in members], 3),
            Column('TL', [plain(member.timeline) for member in members], 5, True),
            Column('Lag', [Cell(size(member.lag)) for member in members], 1, True),
            Column('Receive lag', [Cell(size(member.receive_lag)) for member in members], 6, True),
            Column('Replay lag', [Cell(size(member.replay_lag)) for member in members], 6, True),
            Column('REST API', [bad('no answer') if member.error else Cell('ok') for member in members], 5),
            Column('pg_wal', [Cell(size(wall.wal_size if wall else None)) for wall in walls], 4, True),
            Column('Restart', [Cell('pending' if _pending(member) else '-') for member in members], 1),
            Column('Tags', [plain(_tags(member)) for member in members], 7),
        ],
        **{
            'Receive lag': any(member.receive_lag is not None for member in members),
            'Replay lag': any(member.replay_lag is not None for member in members),
            'Restart': any(map(_pending, members)),
            'Tags': any(member.tags for member in members),
        },
    )


def _slots(slots: Sequence[tuple[str, Slot]]) -> list[Column]:
    return _without(
        [
            Column('Member', [Cell(clean(member)) for member, slot in slots]),
            Column('Slot', [Cell(clean(slot.name)) for member, slot in slots]),
            Column('Type', [plain(slot.type) for member, slot in slots], 2),
            Column('Active', [Cell('yes' if slot.active else 'no') for member, slot in slots], 1),
            Column('Position', [Cell(lsn(slot.restart_lsn)) for member, slot in slots]),
            Column('Later', [Cell(lsn(slot.later_restart_lsn)) for member, slot in slots]),
            Column('Retained', [Cell(size(slot.retained)) for member, slot in slots], 0, True),
            Column('xmin', [plain(slot.xmin) for member, slot in slots], 4, True),
            Column('catalog_xmin', [plain(slot.catalog_xmin) for member, slot in slots], 5, True),
            Column('WAL', [bad(slot.wal_status, slot.wal_status not in _KEPT) for member, slot in slots]),
        ],
        Later=any(slot.later_restart_lsn is not None for member, slot in slots),
        xmin=any(slot.xmin for member, slot in slots),
        catalog_xmin=any(slot.catalog_xmin for member, slot in slots),
    )


def _normal(member: str, slot: Slot, leader: str | None, findings: Sequence[Finding]) -> bool:
    """Return whether a slot is as it has to be: nothing was found about it, and on the leader somebody uses it."""
    place = f'{member}, slot {slot.name}'
    return (
        slot.wal_status in _KEPT
        and (slot.active or member != leader)
        and not any(finding.where == place and finding.severity != 'info' for finding in findings)
    )


def section(title: str, columns: list[Column], style: Style) -> str:
    """Return a table under its title, the latter alone if there is nothing to put into a table."""
    head = '\n'.join(textwrap.wrap(title, style.width))
    return head + '\n' + table(columns, style.width, style.colour, style.verbose) if columns[0].cells else head


def etcd_table(etcd: Etcd, style: Style) -> str:
    """Return the table of etcd."""
    return section(*_etcd(etcd), style)


def tables(facts: Facts, findings: Sequence[Finding], style: Style) -> Iterator[str]:
    """Yield the tables, each under its title, and a line if there is nothing to put into one.

    :param facts: what was collected.
    :param findings: the slots that they are about are shown.
    :param style: how it looks. Verbose, all slots are shown, and what there is no room for in further tables.
    """
    width, verbose = style.width, style.verbose
    yield etcd_table(facts.etcd, style)
    patroni = facts.patroni
    if patroni is None:
        return
    if patroni.error:
        yield '\n'.join(textwrap.wrap(f'Patroni: {clean(patroni.scope)}: {one_line(patroni.error)}', width))
        return
    text = section(*_patroni(facts), style)
    servers = [(member.name, member.postgres) for member in patroni.members if member.postgres]
    slots = [(name, slot) for name, postgres in servers for slot in postgres.slots]
    shown = [pair for pair in slots if verbose or not _normal(*pair, patroni.leader, findings)]
    if shown and len(shown) < len(slots):
        yield text
        yield section(f'Replication slots: {len(shown)} of {len(slots)}, the others are normal', _slots(shown), style)
    elif shown:
        yield text
        yield section(f'Replication slots: {len(slots)}', _slots(shown), style)
    elif servers:
        yield f'{text}\nReplication slots: {f"{len(slots)}, all normal" if slots else "none seen"}'
    else:
        yield text
