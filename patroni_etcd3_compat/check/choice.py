"""Findings as they are named on the command line: by identifier, or all of a group."""

from __future__ import annotations

import difflib
from typing import NoReturn, Sequence

import click

from .arguments import listed
from .findings import kinds
from .units import comma


def _group(id: str) -> str:
    return id.partition('-')[0]


#: Groups of findings: what their identifiers begin with.
GROUPS = tuple(dict.fromkeys(_group(kind.id) for kind in kinds()))


def _refuse(names: Sequence[str], known: Sequence[str]) -> NoReturn:
    """Refuse names that are not known; say which ones are like them, or all if there is none."""
    close = [like for name in names for like in difflib.get_close_matches(name, known, 1, 0.75)]
    found = comma(list(dict.fromkeys(close)), 'or')
    hint = f'did you mean {found}?' if found else f'known are: {", ".join(sorted(known))}'
    raise click.BadParameter(f'no finding is called {", ".join(names)}; {hint}')


def identifiers(ctx: click.Context, parameter: click.Parameter, value: Sequence[str]) -> tuple[str, ...]:
    """Return the identifiers of findings that an option names, each or by group; refuse those that do not exist."""
    names, known = listed(ctx, parameter, value), [kind.id for kind in kinds()]
    wrong = [name for name in names if name not in known and name not in GROUPS]
    if wrong:
        _refuse(wrong, [*known, *GROUPS])
    return tuple(dict.fromkeys(id for name in names for id in known if name in (id, _group(id))))


def identifier(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return the identifier of one finding; refuse one that does not exist."""
    known = [kind.id for kind in kinds()]
    if value is not None and value not in known:
        _refuse([value], known)
    return value
