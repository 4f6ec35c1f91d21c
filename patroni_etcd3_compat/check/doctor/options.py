"""The command line of ``doctor``. The only text of its help, which ``cli`` shows where click is installed."""

from __future__ import annotations

import argparse
import textwrap
from typing import NamedTuple, NoReturn, Sequence

PROGRAM = 'patroni-etcd3-compat doctor'

SUMMARY = 'Say what serves section etcd3 of the Patroni on this host, and why not.'

_TEXT = """\
Finds the running Patroni, and asks its own Python, as its user: which Patroni is there, whether this package hooks in,
and which class serves section etcd3. Works from any environment, with Python alone. Changes nothing.

Root sees every process, others see those of their own user."""

_AFTER = """\
Exit status: 0 this package serves (or the patch), 1 it does, with a warning,
2 it does not serve, 3 that could not be determined, or the command failed.

Examples:
  patroni-etcd3-compat doctor
  patroni-etcd3-compat doctor -c /etc/patroni/patroni.yml -f json
  patroni-etcd3-compat doctor --python /opt/patroni/bin/python --user postgres"""


class Option(NamedTuple):
    """An option with a value."""

    #: such as ``-c`` and ``--config-file``, the long one last
    names: tuple[str, ...]
    metavar: str
    help: str
    #: the values that it may have, all if empty
    choices: tuple[str, ...] = ()
    #: the value is a number
    number: bool = False

    @property
    def shown(self) -> str:
        """How the help shows it."""
        return f'{", ".join(self.names)} {"[" + "|".join(self.choices) + "]" if self.choices else self.metavar}'


OPTIONS = (
    Option(('-c', '--config-file'), 'FILE', 'Only the Patroni that runs with this configuration file or folder.'),
    Option(('--pid',), 'PID', 'Only this process.', number=True),
    Option(('--python',), 'PATH', 'A Python that Patroni is to run in, instead of running processes.'),
    Option(('--user',), 'NAME', 'With --python: the user that Patroni is to run as. For root, who has to give it.'),
    Option(('-f', '--format'), 'FORMAT', 'Text for people (the default), or JSON.', ('text', 'json')),
)


def help_text() -> str:
    """Return the help, the same in every release of Python."""
    column = max(len(option.shown) for option in OPTIONS) + 4
    lines = [f'Usage: {PROGRAM} [OPTIONS]', '']
    for paragraph in (SUMMARY, *_TEXT.split('\n\n')):
        lines += [*textwrap.wrap(paragraph, 78, initial_indent='  ', subsequent_indent='  '), '']
    lines += [('  ' + line).rstrip() for line in _AFTER.split('\n')] + ['', 'Options:']
    for shown, text in [(option.shown, option.help) for option in OPTIONS] + [
        ('--help', 'Show this message and exit.')
    ]:
        first, *rest = textwrap.wrap(text, 80 - column)
        lines += [f'  {shown:<{column - 2}}{first}', *(' ' * column + line for line in rest)]
    return '\n'.join(lines) + '\n'


def paragraphs() -> str:
    """Return what is said before the options, for click: ``\\b`` keeps the lines of a paragraph."""
    return '\n\n'.join([SUMMARY, _TEXT, *('\b\n' + paragraph for paragraph in _AFTER.split('\n\n'))])


class UsageError(Exception):
    """The command line is wrong; the text says why."""


class _Parser(argparse.ArgumentParser):
    """Has no exit status of its own: 2 is about Patroni."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of ending."""
        raise UsageError(message)


def parse(args: Sequence[str]) -> argparse.Namespace:
    """Return the values of the options, and ``help``.

    :param args: what stands behind ``doctor`` on the command line.

    :raises UsageError: if it is wrong.
    """
    parser = _Parser(add_help=False, allow_abbrev=False, usage=argparse.SUPPRESS)
    parser.add_argument('-h', '--help', action='store_true')
    for option in OPTIONS:
        parser.add_argument(
            *option.names,
            choices=option.choices or None,
            default=option.choices[0] if option.choices else None,
            type=int if option.number else str,
        )
    options = parser.parse_args(args)
    given = [name for name in ('config_file', 'pid', 'python') if getattr(options, name) is not None]
    if len(given) > 1:
        raise UsageError('give one of -c, --pid and --python')
    if options.user is not None and options.python is None:
        raise UsageError('--user goes with --python; a process tells its user itself')
    return options
