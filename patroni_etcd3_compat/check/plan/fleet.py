"""What a plan for etcd needs of all Patroni clusters on it: their pre-checks, the package on each node. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Iterator, Sequence

from ..cluster import EtcdMember, uncovered
from ..facts import Facts, Finding, Fleet
from ..findings import judge
from ..fleet import facts_of, name_of, some
from .gates import Commands
from .model import PreCheck, Step
from .patroni_steps import around_patroni

#: How many clusters of one pre-check are quoted.
_QUOTED = 3


def fleet_checks(fleet: Fleet, checks: Callable[[Facts, Sequence[Finding]], Sequence[PreCheck]]) -> list[PreCheck]:
    """Return the pre-checks of all clusters: what is the same for each of them once, the rest with their names.

    :param fleet: what was collected.
    :param checks: makes the pre-checks of one cluster.
    """
    same: dict[tuple[str, str, str], list[tuple[str, PreCheck]]] = {}
    for patroni in fleet.clusters:
        facts = facts_of(fleet, patroni)
        for check in checks(facts, judge(facts)):
            same.setdefault((check.when, check.id, check.result), []).append((name_of(patroni), check))
    return list(_merged(same, len(fleet.clusters)))


def _merged(same: dict[tuple[str, str, str], list[tuple[str, PreCheck]]], clusters: int) -> Iterator[PreCheck]:
    for (when, id, result), found in same.items():
        check = found[0][1]
        if len(found) == clusters and len({each.seen for _, each in found}) == 1:
            yield check
        elif result == 'ok' and any(other[:2] == (when, id) and other[2] != 'ok' for other in same):
            continue  # what is wrong elsewhere is said anyway
        else:
            names = list(dict.fromkeys(name for name, _ in found))
            quoted = '; '.join(dict.fromkeys(f'{name}: {each.seen}' for name, each in found[:_QUOTED] if each.seen))
            yield replace(check, seen=f'{some(names)}. {quoted}' if len(names) > _QUOTED else quoted)


def package_steps(fleet: Fleet, members: Sequence[EtcdMember], config_file: str | None) -> list[Step]:
    """Return the steps that put this package on exactly those Patroni nodes that lack it, cluster by cluster."""
    steps: list[Step] = []
    for patroni in fleet.clusters:
        facts = facts_of(fleet, patroni)
        names = uncovered(facts)
        if names:
            own = around_patroni(patroni, Commands(facts, members, config_file), names)
            steps += [replace(step, title=f'{name_of(patroni)}: {step.title}') for step in own]
    return steps
