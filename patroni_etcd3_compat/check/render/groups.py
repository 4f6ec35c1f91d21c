"""Findings of the same kind put together: a line for each kind on the first screen, and its details."""

from __future__ import annotations

import itertools
import re
import textwrap
from dataclasses import dataclass
from typing import Iterator, Sequence

import click

from ..facts import Finding
from ..findings import kind_of
from .text import clean, one_line

#: Colour of a severity.
COLOURS = {'critical': 'red', 'warning': 'yellow', 'unknown': 'magenta', 'info': 'cyan'}

#: Columns that the word of a severity has.
_WORD = max(map(len, COLOURS))

#: How many places of a group the short form tells apart.
_APART = 3

#: A member of etcd in a text, which tables show with its URL; here the name is enough.
_ETCD_MEMBER = re.compile(r'\betcd (\S+) \(https?://[^\s)]+\)')


def short(text: str) -> str:
    """Return a text in one line, with the names of etcd members alone where it has their URLs as well."""
    return _ETCD_MEMBER.sub(r'\1', one_line(text))


@dataclass
class Group:
    """Findings with the same identifier and severity."""

    findings: list[Finding]

    @property
    def id(self) -> str:
        """Their identifier."""
        return self.findings[0].id

    @property
    def severity(self) -> str:
        """Their severity."""
        return self.findings[0].severity

    @property
    def where(self) -> str:
        """The places, each once."""
        places = list(dict.fromkeys(short(finding.where) for finding in self.findings))
        return ('; ' if any(',' in place for place in places) else ', ').join(places)

    @property
    def line(self) -> str:
        """Return where they are and what was seen; what they are about if that differs."""
        seen = self._distinct([_seen(finding) for finding in self.findings])
        return f'{self.where}: {seen[0] if len(seen) == 1 else kind_of(self.id).title}'

    def parts(self) -> Iterator[tuple[str, str]]:
        """Yield labels and texts of the short form. A consequence stays whole: its last words may be the worst."""
        yield 'seen', '\n'.join(self._apart([_seen(finding) for finding in self.findings]))
        yield 'means', '\n'.join(self._apart([short(finding.consequence) for finding in self.findings]))
        yield 'do', '\n'.join(self._apart([finding.remedy for finding in self.findings]))

    @staticmethod
    def _distinct(texts: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(texts))

    def _apart(self, texts: Sequence[str]) -> list[str]:
        """Return a text that all share, or the first few, each behind its place."""
        if len(set(texts)) == 1:
            return [texts[0]]
        pairs = list(dict.fromkeys((short(finding.where), text) for finding, text in zip(self.findings, texts)))
        lines = [text if where in text else f'{where}: {text}' for where, text in pairs[:_APART]]
        more = len(pairs) - _APART
        return lines + ([f'and {more} more, see -v'] if more > 0 else [])


def groups(findings: Sequence[Finding]) -> list[Group]:
    """Return findings in groups, in the order of the first of each.

    :param findings: the most severe first.
    """
    found: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        found.setdefault((finding.severity, finding.id), []).append(finding)
    return [Group(group) for group in found.values()]


def _seen(finding: Finding) -> str:
    """Return what was seen, without the place at its beginning."""
    seen = one_line(finding.seen)
    begins = re.match(r'(https?://\S+): ', seen)
    return short(seen[begins.end() :] if begins and begins.group(1) in finding.where else seen)


def _cut(text: str, width: int) -> str:
    """Return a text that fits; one that does not ends with dots behind a whole word."""
    if len(text) <= width:
        return text
    head = text[: max(width - 4, 1)]
    if text[len(head) : len(head) + 1].strip() and ' ' in head.strip():
        head = head[: head.rindex(' ')]
    return f'{head.rstrip(" ,;:")} ...'


def lines(some: Sequence[Group], width: int, colour: bool) -> str:
    """Return one line for each group: severity, identifier, where, and what was seen."""
    broad = max((len(group.id) for group in some), default=0)
    shown = []
    for group in some:
        head, word, id = '  ', group.severity.upper().ljust(_WORD), group.id.ljust(broad)
        text = _cut(group.line, width - len(head) - len(word) - broad - 3)
        if colour:
            word, id = click.style(word, fg=COLOURS[group.severity], bold=True), click.style(id, bold=True)
        shown.append(f'{head}{word} {id}  {text}')
    return '\n'.join(shown)


def _head(severity: str, id: str, colour: bool) -> str:
    word = severity.upper()
    if colour:
        return f'{click.style(word, fg=COLOURS.get(severity), bold=True)} {click.style(id, bold=True)}'
    return f'{word} {id}'


def _parts(parts: Iterator[tuple[str, str]], width: int) -> Iterator[str]:
    for label, text in parts:
        lead = f'  {label:<7}'
        for part in clean(text).split('\n') if text else ():
            # URLs and options of commands stay whole: they are there to be copied.
            yield from textwrap.wrap(
                part,
                width,
                initial_indent=lead,
                subsequent_indent=' ' * len(lead),
                break_long_words=False,
                break_on_hyphens=False,
            )
            lead = ' ' * len(lead)


def details(group: Group, width: int, colour: bool) -> str:
    """Return the short form of a group: once for all its members, with their names alone, and without the link."""
    parts = itertools.chain([('where', group.where)], group.parts())
    return '\n'.join([_head(group.severity, group.id, colour), *_parts(parts, width)])


def whole(finding: Finding, width: int, colour: bool) -> str:
    """Return everything about a finding."""
    parts = (
        ('where', finding.where),
        ('seen', finding.seen),
        ('means', finding.consequence),
        ('do', finding.remedy),
        ('more', finding.link),
    )
    return '\n'.join([_head(finding.severity, finding.id, colour), *_parts(iter(parts), width)])
