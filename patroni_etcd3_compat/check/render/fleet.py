"""The tables for people about all Patroni clusters of an etcd."""

from __future__ import annotations

from dataclasses import replace
from typing import Iterator, Sequence

from ..facts import Finding, Fleet, Patroni
from ..fleet import name_of, worst_first
from ..units import comma, number
from .groups import groups
from .table import Cell, Column, bad, plain
from .tables import etcd_table, section
from .text import Style, clean

#: How many clusters are shown without -v: those with the worst findings.
ROWS = 40

#: How many places of one finding are named without -v.
_PLACES = 5


def fleet_tables(fleet: Fleet, findings: Sequence[Finding], style: Style) -> Iterator[str]:
    """Yield the table of etcd, and that of the clusters, the worst first; those without findings are only counted."""
    yield etcd_table(fleet.etcd, style)
    rows = worst_first(fleet, findings)
    matter = [row for row in rows if any(finding.severity != 'info' for finding in row[1])]
    shown = rows if style.verbose else (matter or rows)[:ROWS]
    title = f'Patroni: {number(len(rows), "cluster")} below {fleet.namespace.rstrip("/")}/'
    if len(shown) < len(rows):
        title += f', {len(shown)} of them here, {len(rows) - len(matter)} without findings (-v shows all)'
    yield section(title, _columns(shown), style)


def _columns(rows: Sequence[tuple[Patroni, list[Finding]]]) -> list[Column]:
    clusters = [patroni for patroni, _ in rows]
    return [
        Column('Cluster', [plain(name_of(patroni)) for patroni in clusters]),
        Column('Members', [Cell(_members(patroni)) for patroni in clusters], 1, True),
        Column('Leader', [bad(patroni.leader, patroni.leader is None) for patroni in clusters]),
        Column('Patroni', [plain(_all(member.version for member in patroni.members)) for patroni in clusters], 2),
        Column('Served by', [plain(_all(member.serves or '?' for member in patroni.members)) for patroni in clusters]),
        Column('Paused', [Cell('yes' if patroni.paused else '-') for patroni in clusters], 3),
        Column('Findings', [_worst(found) for _, found in rows]),
    ]


def _members(patroni: Patroni) -> str:
    answering = sum(member.error is None for member in patroni.members)
    there = len(patroni.members)
    return str(there) if answering == there else f'{answering} of {there}'


def _all(values: Iterator[str | None]) -> str:
    return comma(sorted({clean(value) for value in values if value}))


def _worst(findings: Sequence[Finding]) -> Cell:
    matter = list(dict.fromkeys(finding.id for finding in findings if finding.severity != 'info'))
    critical = any(finding.severity == 'critical' for finding in findings)
    return bad(', '.join(matter), critical) if matter else Cell('-')


def with_places(findings: Sequence[Finding], verbose: bool) -> list[Finding]:
    """Return findings whose places begin with the cluster; without *verbose* the first few of each kind.

    :param findings: all of them, the most severe first.
    :param verbose: show all.
    """
    named = [
        replace(finding, where=f'{finding.cluster}: {finding.where}' if finding.cluster else finding.where)
        for finding in findings
    ]
    if verbose:
        return named
    found: list[Finding] = []
    for group in groups(named):
        first, more = group.findings[:_PLACES], len(group.findings) - _PLACES
        if more > 0:
            first[-1] = replace(first[-1], where=f'{first[-1].where}, and {more} more')
        found += first
    return found
