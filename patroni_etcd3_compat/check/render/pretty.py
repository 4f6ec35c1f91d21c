"""The format for people: the members of etcd and of Patroni, the slots, then the findings."""

from __future__ import annotations

import textwrap
from typing import Iterator

import click

from ..facts import RUNNING, EtcdEndpoint, Facts, Finding, PatroniMember, Slot
from ..judge import exit_status
from ..units import lsn, size
from .table import Cell, Column, bad, good, or_dash, plain, table
from .text import STATUS, clean, number, one_line, summary

#: Colour of a severity.
COLOURS = {'critical': 'red', 'warning': 'yellow', 'unknown': 'magenta', 'info': 'cyan'}


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


def _origin(member: EtcdEndpoint) -> str:
    return 'both' if member.configured and member.advertised else 'configured' if member.configured else 'advertised'


def _yes_no(value: bool | None) -> str:
    return '-' if value is None else 'on' if value else 'off'


def _without(columns: list[Column], **shown: bool) -> list[Column]:
    """Return the columns without those, by title, that would show nothing of interest."""
    return [column for column in columns if shown.get(column.title, True)]


def _etcd(facts: Facts) -> tuple[str, list[Column]]:
    members = facts.etcd.endpoints
    leader = next((member.name for member in members if member.leader), None)
    seen = sorted({member.cluster_version for member in members if member.cluster_version})
    answering = sum(member.answers for member in members)
    title = (
        f'etcd: {number(len(members), "URL")}, {answering} answering, cluster version {or_dash(" or ".join(seen))}, '
        f'leader {or_dash(leader)}'
    )
    columns = [
        Column('Member', [plain(member.name) for member in members]),
        Column('URL', [Cell(clean(member.url)) for member in members]),
        Column('Version', [plain(member.version) if member.answers else bad('no answer') for member in members]),
        Column('Cluster', [plain(member.cluster_version) for member in members], 2),
        Column('Gateway', [_gateway(member) for member in members]),
        Column('Raft', [_raft(member) for member in members]),
        Column('Auth', [Cell(_yes_no(member.auth)) for member in members], 3),
        Column('Alarms', [bad(' '.join(member.alarms), bool(member.alarms)) for member in members]),
        Column('Size', [Cell(size(member.db_size)) for member in members], 2, True),
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
        Listed=any(_origin(member) != 'both' for member in members),
    )


def _setting(value: object) -> str:
    return _yes_no(value) if value is None or isinstance(value, bool) else one_line(value)


def _tags(member: PatroniMember) -> str:
    return ', '.join(f'{name}: {_setting(value)}' for name, value in sorted(member.tags.items()))


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
        [f'Patroni: {clean(cluster.scope)}', number(len(members), 'member'), f'leader {or_dash(cluster.leader)}']
        + ['paused'] * bool(cluster.paused)
        + config
    )
    walls = [member.postgres for member in members]
    return title, _without(
        [
            Column('Member', [Cell(clean(member.name)) for member in members]),
            Column('PostgreSQL at', [plain(member.postgres_address) for member in members], 4),
            Column('Role', [good(member.role, member.role in ('leader', 'standby_leader')) for member in members]),
            Column('State', [bad(member.state, member.state not in RUNNING) for member in members]),
            Column('Patroni', [plain(member.version) for member in members]),
            Column('PostgreSQL', [plain(member.postgres_version) for member in members]),
            Column('TL', [plain(member.timeline) for member in members], 3, True),
            Column('Lag', [Cell(size(member.lag)) for member in members], 1, True),
            Column('REST API', [bad('no answer') if member.error else Cell('ok') for member in members], 5),
            Column('pg_wal', [Cell(size(wall.wal_size if wall else None)) for wall in walls], 2, True),
            Column('Tags', [plain(_tags(member)) for member in members], 6),
        ],
        Tags=any(member.tags for member in members),
    )


def _slots(slots: list[tuple[str, Slot]]) -> tuple[str, list[Column]]:
    return f'Replication slots: {len(slots)}', _without(
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
            Column('WAL', [bad(slot.wal_status, slot.wal_status == 'lost') for member, slot in slots]),
        ],
        Later=any(slot.later_restart_lsn is not None for member, slot in slots),
    )


def _tables(facts: Facts, width: int, colour: bool) -> Iterator[str]:
    """Yield the tables, each under its title, and a line if there is nothing to put into one."""

    def section(title: str, columns: list[Column]) -> str:
        head = '\n'.join(textwrap.wrap(title, width))
        return head + '\n' + table(columns, width, colour) if columns[0].cells else head

    yield section(*_etcd(facts))
    if facts.patroni is None:
        return
    if facts.patroni.error:
        yield '\n'.join(textwrap.wrap(f'Patroni: {clean(facts.patroni.scope)}: {one_line(facts.patroni.error)}', width))
        return
    yield section(*_patroni(facts))
    servers = [(member.name, member.postgres) for member in facts.patroni.members if member.postgres]
    slots = [(name, slot) for name, postgres in servers for slot in postgres.slots]
    if servers:
        yield section(*_slots(slots)) if slots else 'Replication slots: none seen'


def _finding(finding: Finding, width: int, colour: bool) -> str:
    head = f'{finding.severity.upper()} {finding.id}'
    if colour:
        severity = click.style(finding.severity.upper(), fg=COLOURS.get(finding.severity), bold=True)
        head = f'{severity} {click.style(finding.id, bold=True)}'
    lines = [head]
    for label, text in (
        ('where', finding.where),
        ('seen', finding.seen),
        ('means', finding.consequence),
        ('do', finding.remedy),
        ('more', finding.link),
    ):
        lead = f'  {label:<7}'
        for part in clean(text).split('\n') if text else ():
            # URLs and options of commands stay whole: they are there to be copied.
            lines += textwrap.wrap(
                part,
                width,
                initial_indent=lead,
                subsequent_indent=' ' * len(lead),
                break_long_words=False,
                break_on_hyphens=False,
            )
            lead = ' ' * len(lead)
    return '\n'.join(lines)


def pretty(facts: Facts, findings: list[Finding], width: int, colour: bool) -> str:
    """Return tables and findings, blocks separated by an empty line, and a last line that sums them up."""
    blocks = list(_tables(facts, width, colour))
    blocks += [_finding(finding, width, colour) for finding in findings]
    status = exit_status(facts, findings)
    last = '\n'.join(
        textwrap.wrap(
            f'{STATUS[status]}: {summary(findings)} (exit status {status}; {facts.taken}, {facts.seconds:.2f} s)', width
        )
    )
    if colour:
        word, _, rest = last.partition(':')
        last = click.style(word, fg=('green', 'yellow', 'red', 'magenta')[status], bold=True) + ':' + rest
    blocks.append(last)
    return '\n'.join(line.rstrip() for line in '\n\n'.join(blocks).split('\n')) + '\n'
