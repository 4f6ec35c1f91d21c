"""What is known about one finding, from the register: ``--explain`` prints it, and docs/findings.md is made of it."""

from __future__ import annotations

import textwrap

from ..facts import SEVERITIES, Finding
from ..findings import Kind, judge
from ..findings.examples import healthy
from ..findings.registry import ETCD_GATE, ETCD_UPGRADE, PACKAGE, PATRONI_UPGRADE
from .groups import whole

_PLANS = {
    ETCD_UPGRADE: 'The upgrade of etcd that is planned ends it.',
    PATRONI_UPGRADE: 'The upgrade of Patroni that is planned ends it.',
    PACKAGE: 'The plan for etcd installs the package first, if it needs it.',
}


def severities_of(kind: Kind) -> list[str]:
    """Return the severities that a finding may have, the most severe first."""
    return sorted(kind.severities, key=SEVERITIES.index, reverse=True)


def conditions(kind: Kind) -> list[tuple[str, str]]:
    """Return the severities that a finding may have, each with its condition, the one without a condition last."""
    always = 'always' if len(kind.severities) == 1 else 'otherwise'
    names = sorted(severities_of(kind), key=lambda name: not kind.severities[name])
    return [(name, kind.severities[name] or always) for name in names]


def title(kind: Kind) -> str:
    """Return what a finding is about, as a sentence."""
    return f'{kind.title[0].upper()}{kind.title[1:]}.'


def cures(kind: Kind) -> str:
    """Return what cures or ends a finding; empty if nothing does by itself."""
    parts = ['This package and the patch cure it.'] if kind.cured else []
    parts += [_PLANS[way] for way in kind.ended_by]
    return ' '.join(parts)


def in_plans(kind: Kind) -> str:
    """Return what a plan makes of a finding; empty if nothing."""
    if kind.stops:
        about = 'etcd' if kind.stops == ETCD_GATE else 'Patroni'
        return f'A plan does not begin or go on while it is there (its gates about {about}).'
    if kind.noted:
        return 'A plan names it even as an information, if it is there after a step.'
    return ''


def example(kind: Kind) -> Finding:
    """Return the finding that the check makes of its own example.

    :raises ValueError: if it makes none.
    """
    facts = healthy()
    kind.example(facts)
    found = next(kind.find(facts, judge(facts) if kind.derived else ()), None)
    if found is None:
        raise ValueError(f'{kind.id}: its example does not show it')
    return found


def explain(kind: Kind, width: int, colour: bool) -> str:
    """Return all that is known about a finding, for people.

    :param kind: the finding.
    :param width: columns of a line.
    :param colour: whether to use colours.
    """

    def wrapped(text: str, then: str = '') -> str:
        return textwrap.fill(text, width, subsequent_indent=then, break_long_words=False, break_on_hyphens=False)

    blocks = [
        wrapped(f'{kind.id}: {kind.title}'),
        '\n'.join(wrapped(f'{name}: {condition}', '  ') for name, condition in conditions(kind)),
        wrapped(' '.join(filter(None, (cures(kind), in_plans(kind))))),
        f'More: {kind.link}',
        'For example:',
        whole(example(kind), width, colour),
    ]
    return '\n\n'.join(block for block in blocks if block) + '\n'
