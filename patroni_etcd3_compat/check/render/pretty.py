"""Output for people: the verdict, what was found, tables, and details. The first screen has what matters."""

from __future__ import annotations

import textwrap

import click

from ..facts import Facts, Finding, Fleet
from ..findings import exit_status
from .fleet import fleet_tables, with_places
from .groups import details, groups, lines, whole
from .tables import tables
from .text import STATUS, Style, clean, utc, verdict

#: Colours of the words for an exit status.
_COLOURS = ('green', 'yellow', 'red', 'magenta')


def _first_line(facts: Facts | Fleet, findings: list[Finding], width: int, colour: bool) -> str:
    """Return the verdict, and at the end of the line when it was made. What does not fit goes into a second line."""
    status = exit_status(facts, findings)
    left = f'{STATUS[status]}  {verdict(facts, findings)}'
    right = ', '.join(filter(None, (utc(facts), clean(facts.asked_from), f'{facts.seconds:.1f} s', f'exit {status}')))
    gap = ' ' * (width - len(left) - len(right))
    text = (
        f'{left}{gap}{right}'
        if len(gap) >= 2
        else '\n'.join([*textwrap.wrap(left, width, subsequent_indent='  '), right.rjust(width)])
    )
    if colour:
        word = STATUS[status]
        text = click.style(word, fg=_COLOURS[status], bold=True) + text[len(word) :]
    return text


def pretty(facts: Facts | Fleet, findings: list[Finding], style: Style) -> str:
    """Return the verdict and a line for each kind of finding, tables, and details, with an empty line between them.

    What is only for information comes last, in one line each. With ``style.verbose`` everything is whole.
    """
    width, colour = style.width, style.colour
    shown = fleet_tables(facts, findings, style) if isinstance(facts, Fleet) else tables(facts, findings, style)
    first = _first_line(facts, findings, width, colour)
    if isinstance(facts, Fleet):
        findings = with_places(findings, style.verbose)
    grouped = groups(findings)
    matter = [group for group in grouped if group.severity != 'info']
    info = [group for group in grouped if group.severity == 'info']
    blocks = ['\n'.join([first] + [lines(matter, width, colour)] * bool(matter))]
    blocks += shown
    if style.verbose:
        blocks += [whole(finding, width, colour) for finding in findings]
    else:
        blocks += [details(group, width, colour) for group in matter]
        blocks += [lines(info, width, colour)] * bool(info)
        blocks += ['More about a finding: --explain ID; everything: -v'] * bool(matter)
    return '\n'.join(line.rstrip() for line in '\n\n'.join(blocks).split('\n')) + '\n'
