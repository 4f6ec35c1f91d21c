"""A plan as text: Markdown for people, JSON for programs."""

from __future__ import annotations

import json
from typing import Callable, Sequence

from ..render.text import clean
from ..units import number
from .model import Gate, Plan, Step, Variable

#: How the results of pre-checks are written.
_MARKS = {
    'ok': 'ok',
    'info': 'note',
    'manual': 'look',
    'unknown': '**unknown**',
    'warning': '**warning**',
    'failed': '**FAILED**',
}

#: Stands before the commands of a step that is not reversible.
_FINAL = '**Point of no return: stop and think.** After this step no single member can go back; read "Way back" first.'


def render_plan(plan: Plan, fmt: str, anyway: bool = False) -> str:
    """Return a plan as text.

    :param fmt: ``markdown`` or ``json``, which always has all of the plan.
    :param anyway: show the steps even if a pre-check has failed.

    :raises:
        :exc:`ValueError`: for another format.
    """
    if fmt not in FORMATS:
        raise ValueError(f'unknown format {fmt!r}; known are: {", ".join(FORMATS)}')
    return FORMATS[fmt](plan, anyway)


def _json(plan: Plan, _: bool) -> str:
    return json.dumps(plan.as_dict(), indent=2) + '\n'


def _markdown(plan: Plan, anyway: bool) -> str:
    shown = anyway or not plan.failed
    blocks = [f'# {"Downgrade" if plan.down else "Upgrade"} of {plan.title}', _verdict(plan)]
    seen_from = f', seen from {plan.asked_from}' if plan.asked_from else ''
    blocks.append(
        f'Made for the cluster as it was at {plan.taken}{seen_from}. If anything has changed since, make a new plan.'
    )
    blocks += ['> **Warning:** ' + text for text in plan.warnings]
    blocks.append(
        _table(
            ['member', 'URL', 'version', 'role'],
            [[member[name] or 'unknown' for name in ('name', 'url', 'version', 'role')] for member in plan.members],
        )
        if plan.members
        else ''
    )
    for refusal in plan.refusals:
        blocks += ['## Not possible', f'{refusal.reason} ({refusal.source})', '**The way that works:** ' + refusal.way]
        blocks.append(_code(refusal.commands))
    if plan.prechecks:
        blocks += _prechecks(plan)
    if plan.steps and not shown:
        blocks.append('The steps are left out until every check passes; `--anyway` shows them.')
    if plan.steps and shown:
        blocks += [
            '## Variables',
            'For the commands below, in sh or bash. Fill in your own values.',
            _code([_assignment(variable) for variable in plan.variables]),
        ]
        blocks += [
            '## Steps',
            'After each step every command under "Go on when" must end with status 0. Repeat one that does not for a '
            'minute, or as long as it says, before you consider it failed. Lines under "Do" that start with # describe '
            'what to do in the way of your site.',
        ]
        for number, step in enumerate(plan.steps, 1):
            blocks += _step(number, step)
    if plan.health and shown:
        blocks += ['## Afterwards', _code(_gates(plan.health))]
    if plan.notes:
        blocks += ['## Notes', '\n'.join('- ' + note for note in plan.notes)]
    blocks += ['## Sources', '\n'.join('- ' + source for source in plan.sources)]
    return clean('\n\n'.join(block for block in blocks if block)) + '\n'


def _verdict(plan: Plan) -> str:
    """Return whether the plan can be begun, and how much it is."""
    if plan.refusals:
        return '**Not possible:** see below for the reason and the way that works.'
    if not plan.steps:
        return ''
    manual = sum(check.result == 'manual' for check in plan.prechecks)
    size = f'{", ".join(_size(plan))}.'
    if plan.failed:
        return f'**Not ready:** {len(plan.failed)} of {len(plan.prechecks)} checks failed. The plan has {size}'
    look = f' {_count(manual, "check")} to make by hand.' if manual else ''
    return f'**Ready:** {size}{look}'


def _size(plan: Plan) -> list[str]:
    """Return the size of a plan: steps, restarts of members, points of no return."""
    actions = [step.action['action'] for step in plan.steps]
    installs = actions.count('install-package')
    restarts = {'etcd': actions.count('log-snapshot'), 'Patroni': installs}
    restarts['etcd' if plan.subject == 'etcd' else 'Patroni'] += actions.count('upgrade') + actions.count('downgrade')
    final = sum(not step.reversible for step in plan.steps)
    found = [_count(len(plan.steps), 'step')]
    found += [f'{_count(count, "restart")} of {what} members' for what, count in restarts.items() if count]
    return [*found, _count(final, 'point') + ' of no return']


def _count(count: int, what: str) -> str:
    return number(count, what) if count else f'no {what}'


def _prechecks(plan: Plan) -> list[str]:
    failed = len(plan.failed)
    verdict = (
        f'**{failed} of {len(plan.prechecks)} failed: do not begin before they pass.**'
        if failed
        else 'No check failed. Items marked "look" need a manual check.'
    )
    rows = [
        [
            _MARKS[check.result],
            f'{check.when}: {check.title}' if check.when else check.title,
            f'{check.seen}. {check.consequence}' if check.consequence else check.seen,
            f'{check.remedy} ({check.source})' if check.remedy and check.source else check.remedy,
        ]
        for check in plan.prechecks
    ]
    return ['## Before you begin', verdict, _table(['result', 'check', 'seen', 'what to do'], rows)]


def _assignment(variable: Variable) -> str:
    text = f'{"export " if variable.export else ""}{variable.name}={quoted(variable.value)}'
    return f'{text:<60}  # {variable.note}'


def quoted(value: str) -> str:
    """Return a value as the shell reads it back, in double quotes; other variables in it are filled in."""
    for special in ('\\', '"', '`'):
        value = value.replace(special, f'\\{special}')
    return f'"{value}"'


def _step(number: int, step: Step) -> list[str]:
    blocks = [f'### {number}. {step.title}', step.why]
    if step.notes:
        blocks.append('\n'.join('- ' + note for note in step.notes))
    if not step.reversible:
        blocks.append(_FINAL)
    blocks += [
        'Do:',
        _code(step.commands),
        'Go on when:',
        _code(_gates(step.gates)),
        f'Way back: {step.back}',
        _code(step.back_commands),
    ]
    return blocks


def _gates(gates: Sequence[Gate]) -> list[str]:
    lines = []
    for gate in gates:
        again = f'; allow {gate.seconds} s' if gate.seconds > 60 else ''
        expected = f' ({gate.expect})' if gate.expect else ''
        lines += [f'# {gate.title}{expected}{again}', gate.command]
    return lines


def _code(lines: Sequence[str]) -> str:
    return '\n'.join(['```sh', *lines, '```']) if lines else ''


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        escaped = [cell.replace('|', '\\|').replace('\n', ' ') for cell in cells]
        return f'| {" | ".join(escaped)} |'

    return '\n'.join([line(header), '|' + '---|' * len(header)] + [line(row) for row in rows])


FORMATS: dict[str, Callable[[Plan, bool], str]] = {'markdown': _markdown, 'json': _json}
