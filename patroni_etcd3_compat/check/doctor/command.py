"""``doctor`` among the other commands, for their help and what is made of it; it is called without click as well."""

from __future__ import annotations

import click

from ..arguments import FILE_NAME
from . import options
from .main import run


class _Command(click.Command):
    """Has the help text of :mod:`.options`."""

    def get_help(self, ctx: click.Context) -> str:
        """Return the help."""
        return options.help_text().rstrip('\n')


def _type(option: options.Option) -> object:
    if option.choices:
        return click.Choice(option.choices)
    if option.metavar in ('FILE', 'PATH'):
        return FILE_NAME
    return int if option.number else str


def _run(**values: object) -> int:
    given = [(option, values[option.names[-1].lstrip('-').replace('-', '_')]) for option in options.OPTIONS]
    return run([part for option, value in given if value is not None for part in (option.names[-1], str(value))])


doctor = _Command(
    'doctor',
    callback=_run,
    short_help=options.SUMMARY,
    help=options.paragraphs(),
    params=[
        click.Option(
            option.names, metavar=None if option.choices else option.metavar, help=option.help, type=_type(option)
        )
        for option in options.OPTIONS
    ],
)
