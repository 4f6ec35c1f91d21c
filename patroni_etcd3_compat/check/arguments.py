"""The options that ``check`` and ``plan`` share, and how their values are read."""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import dataclass
from typing import Callable, Mapping, Sequence

import click

from .facts import CERTIFICATE_DAYS, Limit
from .units import bytes_of

#: ``patronictl``'s variable with its configuration file, and where it looks without it.
CONFIG_VARIABLE = 'PATRONICTL_CONFIG_FILE'
CONFIG_FILE = os.path.join(click.get_app_dir('patroni'), 'patronictl.yaml')

#: ``patronictl``'s variable with the URL of a DCS
DCS_URL_VARIABLE = 'DCS_URL'

#: Variable with the password for etcd, which Patroni reads, too.
PASSWORD_VARIABLE = 'PATRONI_ETCD3_PASSWORD'

#: Seconds
_DAY = 86400

Command = Callable[..., object]


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


def days(ctx: click.Context, parameter: click.Parameter, value: str) -> tuple[float, ...]:
    """Return the two numbers of an option; refuse what is not, or the other way round."""
    try:
        warning, critical = (float(part) for part in value.split(','))
    except ValueError:
        raise click.BadParameter(f'must be two numbers of days such as 30,3, not {value}') from None
    if not warning >= critical >= 0:
        raise click.BadParameter(f'the first number must not be the smaller one, and none negative: {value}')
    return warning, critical


certificate_days_option = click.option(
    '--certificate-days',
    callback=days,
    default=','.join(f'{number:g}' for number in CERTIFICATE_DAYS),
    metavar='WARN,CRIT',
    help='Days before the end of a certificate from which on it is a warning, and critical. Default: '
    f'{",".join(f"{number:g}" for number in CERTIFICATE_DAYS)}.',
)


def limit(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Limit:
    """Return the limit that ``WARN[,CRIT]`` sets, two sizes; refuse what is none."""
    if value is None:
        return Limit()
    try:
        sizes = [bytes_of(part) for part in value.split(',')]
    except ValueError as e:
        raise click.BadParameter(f'{e}; write one or two, such as 16MB,1GB') from None
    if len(sizes) > 2 or sizes != sorted(sizes):
        raise click.BadParameter(f'{value!r}: write one or two sizes, the larger one last, such as 16MB,1GB')
    return Limit(*sizes)


@dataclass(frozen=True)
class Access:
    """What the command line adds to the configuration, or has instead of one."""

    #: options of the section of the DCS
    etcd: Mapping[str, str]
    #: Citus group
    group: int | None = None
    #: ``etcd3://HOST:PORT/NAMESPACE`` in place of the configured DCS
    dcs_url: str | None = None
    #: path of the clusters in etcd
    namespace: str | None = None
    #: all clusters below it
    every: bool = False


def _credentials(cacert: str | None, cert: str | None, key: str | None, user: str | None) -> dict[str, str]:
    """Return what was given of certificates, user name and password."""
    if key and not cert:
        raise click.UsageError('--key needs --cert')
    name, colon, password = (user or '').partition(':')
    if user and not colon:
        password = os.environ.get(PASSWORD_VARIABLE) or ''
        if not password and sys.stdin.isatty():
            password = click.prompt(f'Password of {name}', hide_input=True, err=True)
    if user and not (name and password):
        raise click.UsageError(
            f'--user needs a name and a password: NAME:PASSWORD, or the password in ${PASSWORD_VARIABLE}'
        )
    given = {'cacert': cacert, 'cert': cert, 'key': key, 'username': name, 'password': password}
    return {option: value for option, value in given.items() if value}


#: For what is checked where it is used: a shell completes it.
FILE_NAME = click.Path(readable=False)
_FILE = click.Path(exists=True, dir_okay=False)

_CLUSTER: tuple[Callable[[Command], Command], ...] = (
    click.argument('scope', required=False),
    click.option(
        '-c',
        '--config-file',
        type=FILE_NAME,
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
        '-d',
        '--dcs-url',
        '--dcs',
        metavar='URL',
        help='etcd3://HOST:PORT/NAMESPACE, in place of section etcd3 and of the namespace in the configuration, as '
        f'patronictl takes it. Default: ${DCS_URL_VARIABLE}. --endpoints counts before the variable.',
    ),
    click.option(
        '--cacert', type=_FILE, metavar='FILE', help='Certificate of the authority that etcd is checked with.'
    ),
    click.option('--cert', type=_FILE, metavar='FILE', help='Client certificate for etcd.'),
    click.option('--key', type=_FILE, metavar='FILE', help='Its key, if the file of the certificate does not have it.'),
    click.option(
        '--user',
        metavar='NAME[:PASSWORD]',
        help=f'User of etcd. Without PASSWORD it is that in ${PASSWORD_VARIABLE}, or is asked for on a terminal. These '
        'four options count before the configuration.',
    ),
    click.option(
        '--group',
        type=click.IntRange(min=0),
        metavar='NUMBER',
        help='Citus group, instead of that in the configuration.',
    ),
    click.option(
        '--all',
        'every',
        is_flag=True,
        help='Every Patroni cluster below the namespace; so it is without SCOPE if the configuration names no cluster, '
        "like patronictl's. PostgreSQL is not asked then.",
    ),
    click.option(
        '--namespace',
        metavar='PATH',
        help='Path in etcd that the clusters are below, instead of that in the configuration. Default: /service.',
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
        help='Sample the slots twice, SECONDS apart; needed to tell whether a slot is stuck. Use at least twice '
        'loop_wait, and have WAL written meanwhile.',
    ),
)


def cluster_options(command: Command) -> Command:
    """Add the options that say which cluster it is and how to reach it. Some of them make an :class:`Access`."""

    @functools.wraps(command)
    def wrapper(
        *args: object,
        cacert: str | None,
        cert: str | None,
        key: str | None,
        user: str | None,
        group: int | None,
        dcs_url: str | None,
        namespace: str | None,
        every: bool,
        **options: object,
    ) -> object:
        if dcs_url and options.get('endpoints'):
            raise click.UsageError('give either --dcs-url or --endpoints')
        if not options.get('endpoints'):
            dcs_url = dcs_url or os.environ.get(DCS_URL_VARIABLE) or None
        access = Access(_credentials(cacert, cert, key, user), group, dcs_url, namespace, every)
        return command(*args, access=access, **options)

    wrapped: Command = wrapper
    for decorator in reversed(_CLUSTER):
        wrapped = decorator(wrapped)
    return wrapped


output_option = click.option(
    '-o',
    '--output',
    type=FILE_NAME,
    metavar='FILE',
    help='Write to FILE, readable by everyone, which is replaced atomically.',
)
