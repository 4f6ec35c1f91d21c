"""What the facts mean: findings, each with what was seen, what follows and what to do. Pure functions, no I/O."""

from __future__ import annotations

from typing import Callable, Iterator, Sequence

from ..facts import SEVERITIES, Facts, Finding
from .compat import judge_compat
from .etcd import judge_cluster_version, judge_etcd
from .kinds import KINDS, Kind, row_of
from .members import alive
from .node import judge_node
from .patroni import judge_patroni
from .slots import judge_slots
from .upgrade import judge_upgrade

__all__ = ['exit_status', 'judge', 'Kind', 'KINDS']

_JUDGES: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    judge_etcd,
    judge_cluster_version,
    judge_compat,
    judge_upgrade,
    judge_patroni,
    judge_slots,
)


def judge(facts: Facts) -> list[Finding]:
    """Make findings of facts.

    :param facts: as they were collected.

    :returns: the findings, most severe first, then in the order of :data:`KINDS`.
    """
    findings = [found for look in _JUDGES for found in look(facts)]
    findings += judge_node(facts, findings)
    return sorted(findings, key=lambda found: (-SEVERITIES.index(found.severity), row_of(found)))


def exit_status(facts: Facts, findings: Sequence[Finding]) -> int:
    """Tell the exit status of the command.

    :param facts: as they were collected.
    :param findings: those that count (``--only``, ``--ignore``).

    :returns: 2 if one is critical, 1 if one is a warning, 3 if something that matters could not be told or nothing
              could be read at all, else 0.
    """
    worst = {found.severity for found in findings}
    if not any(map(alive, facts.etcd.endpoints)):
        return 3
    return 2 if 'critical' in worst else 1 if 'warning' in worst else 3 if 'unknown' in worst else 0
