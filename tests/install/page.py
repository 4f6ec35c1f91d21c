"""docs/install.md as data: its code blocks, each with the mark above it.

A mark is a comment of HTML, which nobody sees on the rendered page: ``<!-- PLATFORM: ROLE -->``. The blocks of a
platform are run in their order. Roles:

- ``build``: lines that make what is installed, where it was built; the platform's test runs them.
- ``install``, ``verify``, ``back``: lines to be run. ``verify`` succeeds only where this package serves.
- ``show``: lines that only show something; they succeed with and without the package.
- ``output``: what the block before it prints.
- ``refused``: lines that the page says do not work; they must fail.
"""

from __future__ import annotations

import dataclasses
import re

from lab import ROOT

PAGE = ROOT / 'docs' / 'install.md'
ROLES = ('build', 'install', 'verify', 'back', 'show', 'output', 'refused')

_MARK = re.compile(r'<!-- ([a-z0-9-]+): ([a-z]+) -->')


@dataclasses.dataclass(frozen=True)
class Block:
    """A code block.

    :param line: the number of its first line in the page.
    :param platform: whose lines these are, from the mark; empty without a mark.
    :param role: one of ROLES; empty without a mark.
    :param language: the word after the backquotes.
    :param text: what is in it.
    """

    line: int
    platform: str
    role: str
    language: str
    text: str


def blocks(text: str | None = None) -> list[Block]:
    """Return the code blocks of a page, those of indented lines as well.

    :param text: the page, None for docs/install.md.
    """
    ret: list[Block] = []
    lines = (PAGE.read_text() if text is None else text).splitlines()
    number = 0
    while number < len(lines):
        before = _MARK.fullmatch(lines[number - 1]) if number else None
        platform, role = before.groups() if before else ('', '')
        start = number
        if lines[number].startswith('```'):
            number = lines.index('```', number + 1)
            ret.append(
                Block(
                    start + 2, platform, role, lines[start][3:], ''.join(it + '\n' for it in lines[start + 1 : number])
                )
            )
        elif lines[number].startswith('    ') and (not number or not lines[number - 1]):
            ret.append(Block(start + 1, platform, role, '', lines[number].strip() + '\n'))
        number += 1
    return ret


def platforms() -> dict[str, list[Block]]:
    """Return the blocks of each platform, in their order."""
    ret: dict[str, list[Block]] = {}
    for block in blocks():
        ret.setdefault(block.platform, []).append(block)
    return ret
