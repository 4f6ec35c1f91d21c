"""The man page and the completion files for packages, made from the command itself; ``tools.docs`` writes them.

click-man would be the library for it, but it escapes nothing, and fills the examples as if they were text.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Iterator

import click
from click.shell_completion import get_completion_class

from lab import ROOT
from patroni_etcd3_compat import __version__
from patroni_etcd3_compat.check.cli import cli
from patroni_etcd3_compat.check.repeat import PROGRAM

FOLDER = ROOT / 'packaging'
PAGE = FOLDER / 'man' / f'{PROGRAM}.1'
COMPLETION = {
    'bash': FOLDER / 'completion' / f'{PROGRAM}.bash',
    'zsh': FOLDER / 'completion' / f'_{PROGRAM}',
    'fish': FOLDER / 'completion' / f'{PROGRAM}.fish',
}

_ENVIRONMENT = {
    'PATRONICTL_CONFIG_FILE': 'Configuration file, if there is no option -c.',
    'DCS_URL': 'URL of the DCS, if there is no option --dcs-url.',
    'PATRONI_*': 'As for Patroni: they count before the configuration file.',
    'PATRONI_ETCD3_PASSWORD': 'Password for the user of etcd that option --user names.',
    'PATRONI_ETCD3_COMPAT': "In the environment of Patroni. With off, Patroni's own class serves section etcd3. With "
    'force, that of this package serves even if it would stand back from this Patroni.',
}


def _escaped(text: str) -> str:
    """Return text for roff: hyphens that can be copied, no line that looks like a request."""
    text = text.replace('\\', '\\e').replace('-', '\\-')
    return '\\&' + text if text[:1] in ".'" else text


def _paragraphs(text: str) -> Iterator[str]:
    """Yield the lines of a help text; a paragraph after a line with ``\\b`` keeps its lines, as in click."""
    for paragraph in re.split(r'\n\s*\n', text.strip()):
        lines = paragraph.splitlines()
        yield '.PP'
        if lines[0].strip() == '\b':
            yield '.nf'
            yield from map(_escaped, lines[1:])
            yield '.fi'
        else:
            yield from (_escaped(line.strip()) for line in lines)


def _command(command: click.Command, parent: click.Context, name: str) -> Iterator[str]:
    """Yield the section of one subcommand."""
    ctx = click.Context(command, info_name=name, parent=parent)
    usage = ' '.join(command.collect_usage_pieces(ctx))
    yield f'.SS {name}'
    yield f'\\fB{_escaped(ctx.command_path)}\\fP {_escaped(usage)}'
    yield from _paragraphs(inspect.cleandoc(command.help or ''))  # Python 3.13 has cleaned it already
    for parameter in command.params:
        record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
        if record:
            yield '.TP'
            yield f'\\fB{_escaped(record[0])}\\fP'
            yield _escaped(' '.join(record[1].split()))


def page() -> str:
    """Return the man page."""
    parent = click.Context(cli, info_name=PROGRAM, max_content_width=100)
    text = inspect.cleandoc(cli.help or '')
    first = text.partition('.')[0]
    lines = [
        f'.TH {PROGRAM.upper()} 1 "" "{PROGRAM} {__version__}" "Patroni on etcd"',
        '.SH NAME',
        f'{_escaped(PROGRAM)} \\- {_escaped(first[0].lower() + " ".join(first[1:].split()))}',
        '.SH SYNOPSIS',
        f'\\fB{_escaped(PROGRAM)}\\fP COMMAND [OPTIONS] [ARGUMENTS]',
        '.SH DESCRIPTION',
        *list(_paragraphs(text))[1:],
        '.SH COMMANDS',
    ]
    for name in cli.list_commands(parent):
        command = cli.get_command(parent, name)
        assert command
        lines += _command(command, parent, name)
    lines.append('.SH ENVIRONMENT')
    for variable, meaning in _ENVIRONMENT.items():
        lines += ['.TP', f'\\fB{_escaped(variable)}\\fP', _escaped(meaning)]
    lines += ['.SH SEE ALSO', '\\fBpatroni\\fP(1), \\fBpatronictl\\fP(1), \\fBetcdctl\\fP(1)']
    return '\n'.join(lines) + '\n'


def documents() -> dict[Path, str]:
    """Return the text of each file."""
    variable = f'_{PROGRAM.upper().replace("-", "_")}_COMPLETE'
    ret = {PAGE: page()}
    for shell, path in COMPLETION.items():
        kind = get_completion_class(shell)
        assert kind
        # Not source() of the class, which asks the shell for its version: it may not be there.
        completion = kind(cli, {}, PROGRAM, variable)
        text = completion.source_template % completion.source_vars()
        # What the command lacks must not land in the line that is being typed.
        text, count = re.subn(rf'(\$1|{PROGRAM})\)', r'\1 2>/dev/null)', text)
        assert count == 1, text
        ret[path] = '\n'.join(line.rstrip() for line in text.strip().splitlines()) + '\n'
    return ret
