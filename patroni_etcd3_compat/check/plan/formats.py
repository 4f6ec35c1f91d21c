"""A plan as text: Markdown for people, JSON for programs."""

from __future__ import annotations

import json
from typing import Callable, Sequence

from ..render.text import clean
from .model import Gate, Plan, Step, Variable

#: How the results of pre-checks are written.
_MARKS = {'ok': 'ok', 'manual': 'look', 'unknown': 'unknown', 'warning': '**warning**', 'failed': '**FAILED**'}


def render_plan(plan: Plan, fmt: str) -> str:
    """Return a plan as text.

    :param fmt: ``markdown`` or ``json``.

    :raises:
        :exc:`ValueError`: for another format.
    """
    if fmt not in FORMATS:
        raise ValueError(f'unknown format {fmt!r}; known are: {", ".join(FORMATS)}')
    return FORMATS[fmt](plan)


def _json(plan: Plan) -> str:
    return json.dumps(plan.as_dict(), indent=2) + '\n'


def _markdown(plan: Plan) -> str:
    blocks = [f'# Upgrade of {plan.title}']
    blocks.append(f'Made for the cluster as it was at {plan.taken}. If anything has changed since, make a new plan.')
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
    if plan.steps:
        blocks += [
            '## Variables',
            'For the commands below, in sh or bash. Fill in your own values.',
            _code([_assignment(variable) for variable in plan.variables]),
        ]
        blocks += [
            '## Steps',
            'After each step every command under "Go on when" must end with status 0. Repeat one that does not for a minute, '
            'or as long as it says, before you consider it failed. Lines under "Do" that start with # describe what to do '
            'in the way of your site.',
        ]
        for number, step in enumerate(plan.steps, 1):
            blocks += _step(number, step)
    if plan.health:
        blocks += ['## Afterwards', _code(_gates(plan.health))]
    if plan.notes:
        blocks += ['## Notes', '\n'.join('- ' + note for note in plan.notes)]
    blocks += ['## Sources', '\n'.join('- ' + source for source in plan.sources)]
    return clean('\n\n'.join(block for block in blocks if block)) + '\n'


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
            check.title,
            check.seen,
            check.remedy + (f' ({check.source})' if check.remedy and check.source else ''),
        ]
        for check in plan.prechecks
    ]
    return ['## Before you begin', verdict, _table(['result', 'requirement', 'seen', 'what to do'], rows)]


def _assignment(variable: Variable) -> str:
    text = f'{"export " if variable.export else ""}{variable.name}={_quoted(variable.value)}'
    return f'{text:<60}  # {variable.note}'


def _quoted(value: str) -> str:
    for special in ('\\', '"', '`'):
        value = value.replace(special, f'\\{special}')
    return f'"{value}"'


def _step(number: int, step: Step) -> list[str]:
    blocks = [f'### {number}. {step.title}', step.why]
    if step.notes:
        blocks.append('\n'.join('- ' + note for note in step.notes))
    blocks += [
        'Do:',
        _code(step.commands),
        'Go on when:',
        _code(_gates(step.gates)),
        f'{"Way back:" if step.reversible else "**No simple way back:**"} {step.back}',
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


FORMATS: dict[str, Callable[[Plan], str]] = {'markdown': _markdown, 'json': _json}
