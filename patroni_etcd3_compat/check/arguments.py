"""The options that ``check`` and ``plan`` share, and how their values are read."""

from __future__ import annotations

import os
from typing import Any, Callable, Sequence, TypeVar

import click

#: ``patronictl``'s variable with its configuration file, and where it looks without it.
CONFIG_VARIABLE = 'PATRONICTL_CONFIG_FILE'
CONFIG_FILE = os.path.join(click.get_app_dir('patroni'), 'patronictl.yaml')

#: Seconds
_DAY = 86400

Command = TypeVar('Command', bound=Callable[..., Any])


def positive(ctx: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Return a number of seconds; refuse one that is not positive, or longer than anybody waits."""
    if value is not None and not value > 0:
        raise click.BadParameter(f'must be greater than 0, not {value:g}')
    if value is not None and value > _DAY:
        raise click.BadParameter(f'must be at most {_DAY} (a day), not {value:g}')
    return value


def listed(ctx: click.Context, parameter: click.Parameter, value: Sequence[str]) -> tuple[str, ...]:
    """Return the values of an option that may be repeated and takes several at once, with commas between them."""
    return tuple(part.strip() for text in value for part in text.split(',') if part.strip())


_CLUSTER: tuple[Callable[[Command], Command], ...] = (
    click.argument('scope', required=False),
    click.option(
        '-c',
        '--config-file',
        metavar='FILE',
        help=f'Configuration file of Patroni or patronictl. Default: ${CONFIG_VARIABLE}, or else '
        '~/.config/patroni/patronictl.yaml if it exists. PATRONI_* environment variables apply as they do for Patroni.',
    ),
    click.option(
        '--endpoints',
        multiple=True,
        callback=listed,
        metavar='HOST:PORT,...',
        help='URLs or host:port of etcd members, instead of those in the configuration. Without -c no file is read; '
        'without SCOPE only etcd is checked.',
    ),
    click.option(
        '--timeout',
        type=float,
        default=5,
        callback=positive,
        metavar='SECONDS',
        help='How long each server may take to answer; all are asked at once. Default: 5.',
    ),
    click.option(
        '--slots-interval',
        type=float,
        callback=positive,
        metavar='SECONDS',
        help='Sample the slots twice, SECONDS apart; needed to tell whether a slot is stuck. Use at least twice loop_wait, '
        'and have WAL written meanwhile.',
    ),
)


def cluster_options(command: Command) -> Command:
    """Add the options that say which cluster it is and how to reach it."""
    for decorator in reversed(_CLUSTER):
        command = decorator(command)
    return command


output_option = click.option(
    '-o', '--output', metavar='FILE', help='Write to FILE, readable by everyone, which is replaced atomically.'
)
