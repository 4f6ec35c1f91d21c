"""Tables that fit the width of a terminal: the least important columns are hidden first, then cells are wrapped."""

from __future__ import annotations

import textwrap
from typing import NamedTuple, Sequence

import click
from prettytable import PrettyTable

from .text import clean

#: No column is made narrower than this.
NARROWEST = 6


class Cell(NamedTuple):
    """One cell of a table."""

    text: str
    #: colour for a terminal
    colour: str | None = None


class Column(NamedTuple):
    """A column of a table."""

    title: str
    cells: list[Cell]
    #: 0: always shown; of the others those with the highest number are hidden first, none with a red cell
    rank: int = 0
    right: bool = False


def plain(value: object) -> Cell:
    """Return a cell without a colour."""
    return Cell(or_dash(value))


def good(text: object, when: bool = True) -> Cell:
    """Return a cell, green if *when* holds."""
    return Cell(or_dash(text), 'green' if when else None)


def bad(text: object, when: bool = True) -> Cell:
    """Return a cell, red if *when* holds."""
    return Cell(or_dash(text), 'red' if when else None)


def or_dash(value: object) -> str:
    """Return a value as safe text, and a minus if it is unknown."""
    return '-' if value is None or value == '' else clean(value)


def _draw(columns: Sequence[Column], colour: bool) -> str:
    table = PrettyTable([column.title for column in columns])
    for column in columns:
        table.align[column.title] = 'r' if column.right else 'l'
    for row in zip(*(column.cells for column in columns)):
        table.add_row(
            [
                '\n'.join(
                    click.style(line, fg=cell.colour) if colour and cell.colour else line
                    for line in cell.text.split('\n')
                )
                for cell in row
            ]
        )
    lines = str(table.get_string()).split('\n')
    return '\n'.join(lines[1:-1])  # no rule above and below: a healthy cluster has to fit a small terminal


def _width(columns: Sequence[Column]) -> int:
    return max(map(len, _draw(columns, False).splitlines()))


def _broadest(column: Column) -> int:
    return max(len(line) for cell in column.cells for line in cell.text.split('\n'))


def _longest_word(column: Column) -> int:
    return max(len(word) for cell in column.cells for word in cell.text.split() or [''])


def _wrapped(column: Column, width: int) -> Column:
    """Return a column with its cells wrapped to a number of columns of the terminal."""
    return column._replace(
        cells=[
            cell._replace(
                text='\n'.join(part for line in cell.text.split('\n') for part in textwrap.wrap(line, width) or [''])
            )
            for cell in column.cells
        ]
    )


def _hidable(column: Column) -> bool:
    return bool(column.rank) and not any(cell.colour == 'red' for cell in column.cells)


def table(columns: Sequence[Column], width: int, colour: bool, whole: bool = False) -> str:
    """Return a table as text.

    :param columns: its columns, all with as many cells, at least one.
    :param width: columns of the terminal.
    :param colour: whether to use colours.
    :param whole: put the hidden columns into a further table, behind the first column.

    :returns: the table, not wider than *width* if that is possible, and below it the titles of the hidden columns. A
              column with a red cell is never hidden.
    """
    shown, hidden = list(columns), []
    while _width(shown) > width and len(shown) > 2 and any(map(_hidable, shown)):
        least = max(filter(_hidable, shown), key=lambda column: column.rank)
        shown.remove(least)
        hidden.append(least)
    text = _draw(_narrowed(shown, width), colour)
    rest = [column for column in columns if column in hidden]
    if rest and whole:
        return f'{text}\n\n{table([columns[0], *rest], width, colour, whole)}'
    if rest:
        titles = ', '.join(column.title for column in reversed(hidden))
        text += '\n' + '\n'.join(textwrap.wrap(f'Hidden (narrow terminal): {titles}', width))
    return text


def _narrowed(columns: Sequence[Column], width: int) -> Sequence[Column]:
    """Return columns with their broadest cells wrapped until the table fits into *width*, if that is possible."""
    narrow = list(columns)
    while _width(narrow) > width and max(map(_broadest, narrow)) > NARROWEST:
        i = max(
            range(len(narrow)), key=lambda i: (_broadest(narrow[i]) > _longest_word(narrow[i]), _broadest(narrow[i]))
        )
        narrow[i] = _wrapped(columns[i], _broadest(narrow[i]) - 1)
    return narrow
