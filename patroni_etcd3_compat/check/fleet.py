"""Findings about all Patroni clusters of an etcd: those about etcd once, the others by cluster. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Iterable

from .facts import SEVERITIES, Facts, Finding, Fleet, Patroni
from .findings import judge
from .units import comma

#: How many clusters are named.
_NAMED = 5


def name_of(patroni: Patroni) -> str:
    """Return the name of a cluster, with the number of a Citus group behind it."""
    return patroni.scope if patroni.group is None else f'{patroni.scope}/{patroni.group}'


def facts_of(fleet: Fleet, patroni: Patroni | None) -> Facts:
    """Return what is known about one of the clusters, or about etcd alone."""
    return Facts(
        fleet.taken,
        fleet.seconds,
        fleet.etcd,
        patroni,
        certificate_days=fleet.certificate_days,
        limits=fleet.limits,
        asked_from=fleet.asked_from,
    )


def judge_fleet(fleet: Fleet) -> list[Finding]:
    """Make findings of the facts about all clusters.

    :param fleet: as it was collected.

    :returns: the findings, most severe first, then those about etcd, then by cluster. How severe one about etcd is may
              depend on what serves a cluster: it is there once, as severe as for the worst, and names those.
    """
    etcd: dict[tuple[str, str, str], list[tuple[str, Finding]]] = {}
    found: list[Finding] = []
    for patroni in fleet.clusters or [_nothing(fleet)]:
        for finding in judge(facts_of(fleet, patroni)):
            if finding.id.startswith('etcd-'):
                etcd.setdefault((finding.id, finding.where, finding.seen), []).append((name_of(patroni), finding))
            else:
                found.append(replace(finding, cluster=name_of(patroni) if fleet.clusters else None))
    about_etcd = [_merged(same, len(fleet.clusters)) for same in etcd.values()]
    return sorted(about_etcd + found, key=lambda finding: -SEVERITIES.index(finding.severity))


def _nothing(fleet: Fleet) -> Patroni:
    """Return what stands for the clusters if there are none."""
    error = fleet.error or (
        f'no Patroni cluster has keys below {fleet.namespace.rstrip("/")}/ in etcd; --namespace names another path'
    )
    return Patroni('all clusters', fleet.namespace, error=error)


def _merged(same: list[tuple[str, Finding]], clusters: int) -> Finding:
    worst = max(SEVERITIES.index(finding.severity) for _, finding in same)
    concerned = [(name, finding) for name, finding in same if SEVERITIES.index(finding.severity) == worst]
    finding = concerned[0][1]
    if len(concerned) == clusters:
        return finding
    return replace(finding, seen=f'{finding.seen}. This is about {some([name for name, _ in concerned])}')


def some(names: Iterable[str]) -> str:
    """Return names as they are read out: the first few, and how many more there are."""
    all_of_them = list(names)
    more = len(all_of_them) - _NAMED
    return comma(all_of_them[:_NAMED] + ([f'{more} more'] if more > 0 else []))


def worst_first(fleet: Fleet, findings: Iterable[Finding]) -> list[tuple[Patroni, list[Finding]]]:
    """Return the clusters, each with its findings: those with the most severe ones first, then by name."""
    by_name: dict[str | None, list[Finding]] = {}
    for finding in findings:
        by_name.setdefault(finding.cluster, []).append(finding)
    pairs = [(patroni, by_name.get(name_of(patroni), [])) for patroni in fleet.clusters]
    return sorted(pairs, key=lambda pair: (_rank(pair[1]), name_of(pair[0])))


def _rank(findings: list[Finding]) -> tuple[int, int]:
    worst = max((SEVERITIES.index(finding.severity) for finding in findings), default=0)
    return -worst, -sum(SEVERITIES.index(finding.severity) == worst for finding in findings) if worst else 0
