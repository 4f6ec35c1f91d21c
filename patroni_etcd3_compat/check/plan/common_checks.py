"""Pre-checks that plans for etcd and for Patroni share."""

from __future__ import annotations

from typing import Sequence

from ..facts import RUNNING, Finding, Patroni
from .gates import STOPS
from .model import PreCheck

#: Findings that say the same as a pre-check.
_SAME = {
    'etcd-unreachable': 'members',
    'etcd-alarm': 'alarms',
    'etcd-gateway-off': 'gateway',
    'etcd-no-leader': 'leader',
    'etcd-cluster-version': 'cluster-version',
    'patroni-no-leader': 'patroni-leader',
    'patroni-member-down': 'patroni-members',
}


def from_findings(
    findings: Sequence[Finding], gates: Sequence[str], ended: Sequence[str], others: Sequence[PreCheck]
) -> list[PreCheck]:
    """What ``check`` holds for critical, or what would keep a gate from passing, has to be dealt with first.

    :param findings: all of them.
    :param gates: keys of :data:`STOPS`, those that the plan uses.
    :param ended: identifiers of findings that the plan itself puts an end to.
    :param others: the other pre-checks. Where one has failed already, nothing is said twice.
    """
    stops = {id for gate in gates for id in STOPS[gate]}
    failed = {check.id for check in others if check.result == 'failed'}
    found = []
    for finding in findings:
        if finding.severity != 'critical' and (finding.id not in stops or finding.severity == 'info'):
            continue
        if _SAME.get(finding.id) in failed:
            continue
        ends = finding.id in ended
        found.append(
            PreCheck(
                finding.id,
                'check finds nothing that is in the way',
                'warning' if ends else 'failed',
                f'{finding.where}: {finding.seen}',
                f'The plan ends it: go through it without delay. Until then: {finding.remedy}'
                if ends
                else finding.remedy,
                finding.link,
            )
        )
    return found


def patroni_state(patroni: Patroni) -> list[PreCheck]:
    """Patroni has a leader, and every member is up."""
    leader = next((member for member in patroni.members if member.name == patroni.leader), None)
    down = [member.name for member in patroni.members if member.state not in RUNNING]
    found = [
        PreCheck(
            'patroni-leader',
            'Patroni has a leader',
            'ok' if leader else 'failed',
            leader.name if leader else patroni.error or 'none',
            '' if leader else 'Bring the cluster in order first.',
        ),
        PreCheck(
            'patroni-members',
            'every member of Patroni is up',
            'failed' if down or patroni.error else 'ok',
            ', '.join(
                '{0}: {1}'.format(member.name, member.state or member.error or 'unknown')
                for member in patroni.members
                if member.name in down
            )
            or patroni.error
            or '{0} of {0}'.format(len(patroni.members)),
            'Bring them in order first, or take them out of the cluster.' if down or patroni.error else '',
        ),
    ]
    if patroni.paused:
        found.append(
            PreCheck(
                'patroni-paused',
                'Patroni is not paused',
                'warning',
                'it is',
                'Nobody is promoted when the primary fails: "patronictl resume", unless you mean it.',
            )
        )
    return found
