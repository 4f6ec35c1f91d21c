"""The plan for Patroni: in which order, and the steps. Pure: facts in, plan out."""

from __future__ import annotations

from typing import Sequence

from ...versions import dotted
from ..cluster import patroni_versions
from ..facts import Facts, Finding, Patroni
from ..findings.registry import PATRONI_GATE
from .gates import Commands
from .model import Gate, Plan, Step
from .patroni_checks import prechecks
from .patroni_steps import through, upgrade, version_gate
from .patroni_target import Target, leader_goes_first, read_target, refusals

_SOURCES = [
    'https://github.com/patroni/patroni/blob/master/docs/releases.rst',
    'https://patroni.readthedocs.io/en/latest/pause.html',
]


def plan_patroni(facts: Facts, findings: Sequence[Finding], to: str, config_file: str | None) -> Plan:
    """Make the plan for an upgrade of Patroni.

    :param facts: what was collected.
    :param findings: what was made of it.
    :param to: a line such as ``4.1`` or a release such as ``4.1.5``.
    :param config_file: the configuration of Patroni, for the commands.

    :raises ValueError: if *to* is no version, or there is no Patroni in *facts*.
    """
    patroni, target = facts.patroni, read_target(to)
    if patroni is None:
        raise ValueError('a plan for Patroni needs its configuration: -c FILE')
    versions = patroni_versions(patroni)
    present = ', '.join(sorted({dotted(version) for version in versions.values()})) or 'of unknown version'
    plan = Plan(
        f'Patroni {present} to {target.text}, cluster {patroni.scope}',
        'patroni',
        to,
        facts.taken,
        facts.asked_from,
        sources=list(_SOURCES),
    )
    plan.members = [
        {'name': member.name, 'url': member.api_url, 'version': member.version, 'role': member.role}
        for member in patroni.members
    ]
    plan.refusals = refusals(patroni, target)
    if plan.refusals:
        return plan
    done = [
        name
        for name, version in versions.items()
        if (version >= target.version if target.exact else version[:2] >= target.version[:2])
    ]
    if len(done) == len(patroni.members):
        newer = '' if target.exact else f' For a newer patch release, name it: --patroni-to {target.text}.N'
        plan.notes.append(f'Nothing to do: every member runs {target.text} or later.{newer}')
        return plan
    commands = Commands(facts, [], config_file)
    plan.variables = commands.variables()
    plan.prechecks = prechecks(facts, findings, patroni, target)
    pattern = _pattern(target)
    first = leader_goes_first(patroni, target)
    work = upgrade(target.text + ('' if target.exact else ' (its newest patch release)'), pattern)
    plan.steps = [_save(commands)] + through(
        patroni,
        commands,
        work,
        done,
        f'The leader first, unlike usual. With the replicas first: {first.hazard.consequence}.' if first else '',
    )
    plan.health = _health(patroni, pattern, target, commands)
    plan.notes = _notes(patroni, target)
    return plan


def _pattern(target: Target) -> str:
    """Return the regular expression for the versions that are right afterwards."""
    escaped = target.text.replace('.', '\\.')
    return f'{escaped}"' if target.exact else f'{escaped}\\.'


def _save(commands: Commands) -> Step:
    return Step(
        'Save the dynamic configuration',
        {'action': 'save-config'},
        'It is the only thing in etcd that Patroni cannot create again by itself.',
        ['(umask 077; mkdir -p "$BACKUP")', commands.patronictl('show-config') + ' > "$BACKUP/patroni-config.yml"'],
        [Gate('the copy is not empty', 'test -s "$BACKUP/patroni-config.yml"', '', 0)],
        'Nothing was changed.',
    )


def _health(patroni: Patroni, pattern: str, target: Target, commands: Commands) -> list[Gate]:
    gates = [version_gate(member, pattern, target.text) for member in patroni.members]
    return [gate for gate in gates if gate] + commands.leads() + commands.checks(PATRONI_GATE) + [commands.slots()]


def _notes(patroni: Patroni, target: Target) -> list[str]:
    notes = [
        'Upgrade one member after the other, without long breaks: different releases side by side are meant for the '
        'time of an upgrade only.',
        'No switchover, no change of the dynamic configuration and no upgrade of etcd meanwhile.',
        'At the end read everything that "$CHECK" says, not only what stops the plan.',
    ]
    if target.version >= (4, 0, 0) and any(version < (4, 0, 0) for version in patroni_versions(patroni).values()):
        notes.append(
            'Set synchronous_mode: quorum only when every member runs 4.0.0 (better 4.0.6) or later: under an older '
            'leader it silently means no synchronous replication at all.'
        )
    if patroni.config.get('failsafe_mode'):
        notes.append('failsafe_mode is on: its members should soon run one version.')
    if patroni.paused:
        notes.append('The cluster is paused, so the plan neither pauses nor resumes it.')
    return notes
