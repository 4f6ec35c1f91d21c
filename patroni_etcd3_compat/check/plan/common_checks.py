"""Pre-checks that plans for etcd and for Patroni share, and that no finding says."""

from __future__ import annotations

from ..facts import RUNNING, Facts, Patroni
from ..findings.patroni_members import api_unreachable, member_down
from .model import PreCheck


def patroni_runs(facts: Facts, patroni: Patroni) -> list[PreCheck]:
    """Return whether every member of Patroni runs, but for those that findings name: such as one that is starting.

    :param facts: what was collected.
    :param patroni: the cluster.
    """
    named = {seen.where for check in (member_down, api_unreachable) for seen in check(facts)}
    down = [member for member in patroni.members if member.state not in RUNNING]
    rest = [member for member in down if member.name not in named]
    if down and not rest or not patroni.members:
        return []
    return [
        PreCheck(
            'patroni-running',
            'every member of Patroni is running',
            'failed' if rest else 'ok',
            ', '.join(f'{member.name}: {member.state or member.error or "unknown"}' for member in rest)
            or f'{len(patroni.members)} of {len(patroni.members)}',
            'Wait until it runs, or remove it from the cluster.' if rest else '',
        )
    ]
