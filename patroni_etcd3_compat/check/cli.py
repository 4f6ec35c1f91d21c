"""The command ``patroni-etcd3-compat``: what it takes on the command line, and what it leaves behind.

Exit status of everything: 0, 1 and 2 are about the cluster; whatever goes wrong with the command itself is 3.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from typing import Any, Callable, Sequence, TypeVar

import click

from .. import __version__
from .collect import ConfigError, collect, load_settings
from .facts import Facts, Finding
from .judge import KINDS, exit_status, judge
from .output import terminal, to_stdout, write
from .render import FORMATS, WIDTH, render
from .render.monitoring import unknown
from .render.text import one_line

PROGRAM = 'patroni-etcd3-compat'

#: Exit status where the command could not do its work.
COULD_NOT_TELL = 3

#: Seconds
_DAY = 86400

#: ``patronictl``'s variable with its configuration file, and where it looks without it.
CONFIG_VARIABLE = 'PATRONICTL_CONFIG_FILE'
CONFIG_FILE = os.path.join(click.get_app_dir('patroni'), 'patronictl.yaml')

Command = TypeVar('Command', bound=Callable[..., Any])


def _positive(ctx: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Refuse a number of seconds that is none, or more than can be meant (and slept)."""
    if value is not None and not value > 0:
        raise click.BadParameter(f'{value:g} is not above 0')
    if value is not None and value > _DAY:
        raise click.BadParameter(f'{value:g} is more than {_DAY}, a day')
    return value


def _list(ctx: click.Context, parameter: click.Parameter, value: Sequence[str]) -> tuple[str, ...]:
    """Take apart what is separated by commas, in an option that may be there several times."""
    return tuple(part.strip() for text in value for part in text.split(',') if part.strip())


def _identifiers(ctx: click.Context, parameter: click.Parameter, value: Sequence[str]) -> tuple[str, ...]:
    """The same for identifiers of findings; those that do not exist are refused."""
    names, known = _list(ctx, parameter, value), sorted({kind.id for kind in KINDS})
    strange = [name for name in names if name not in known]
    if strange:
        raise click.BadParameter('there is no {0}; there are: {1}'.format(', '.join(strange), ', '.join(known)))
    return names


def _cluster_options(command: Command) -> Command:
    """Add the options that say which cluster it is and how to reach it."""
    for decorator in reversed(
        (
            click.argument('scope', required=False),
            click.option(
                '-c',
                '--config-file',
                metavar='FILE',
                help='Configuration of Patroni or patronictl; without it that of ${0}, or else {1} if it '
                'exists. PATRONI_* variables of the environment count in any case, as they do for Patroni.'.format(
                    CONFIG_VARIABLE, '~/.config/patroni/patronictl.yaml'
                ),
            ),
            click.option(
                '--endpoints',
                multiple=True,
                callback=_list,
                metavar='HOST:PORT,...',
                help='URLs or host:port of etcd members, in place of those in the configuration; without -c '
                'no file is read, and without SCOPE etcd alone is looked at.',
            ),
            click.option(
                '--timeout',
                type=float,
                default=5,
                callback=_positive,
                metavar='SECONDS',
                help='How long each server may take to answer. All are asked at once. Default: 5.',
            ),
            click.option(
                '--slots-interval',
                type=float,
                callback=_positive,
                metavar='SECONDS',
                help='Look at the replication slots twice, so long apart: only so a slot is known to be '
                'stuck. Take twice loop_wait or more and have WAL written meanwhile.',
            ),
        )
    ):
        command = decorator(command)
    return command


_output_option = click.option(
    '-o',
    '--output',
    metavar='FILE',
    help='Write to a file, which is replaced at once and as a whole; everybody may read it.',
)


@click.group(context_settings={'max_content_width': 100})
@click.version_option(__version__, prog_name=PROGRAM, message='%(prog)s %(version)s')
def cli() -> None:
    """Look at etcd and Patroni together, before, during and after an upgrade of either.

    Reads Patroni's own configuration, works beside every Patroni from 3.0 to 4.1, needs nothing installed on the
    servers and changes nothing anywhere. No password or token gets into its output.
    """


@cli.command()
@_cluster_options
@click.option(
    '-f',
    '--format',
    'fmt',
    type=click.Choice(list(FORMATS)),
    default='pretty',
    help='How to write it: tables for people (the default); JSON or YAML with everything; findings as '
    'tab-separated values; the line of a Nagios plug-in; the text of node_exporter.',
)
@_output_option
@click.option(
    '-w',
    '--watch',
    type=float,
    callback=_positive,
    metavar='SECONDS',
    help='Do it again and again, with a pause of so many seconds, until interrupted.',
)
@click.option('-W', 'watch_2', is_flag=True, help='The same as --watch 2.')
@click.option(
    '--only',
    multiple=True,
    callback=_identifiers,
    metavar='ID,...',
    help='Only these findings count and are shown; that something could not be told is a finding of its own '
    '(etcd-unknown, patroni-unknown, slot-unknown) and has to be named, too. May be repeated.',
)
@click.option(
    '--ignore',
    multiple=True,
    callback=_identifiers,
    metavar='ID,...',
    help='These findings neither count nor are shown. May be repeated.',
)
@click.option(
    '--list', 'list_kinds', is_flag=True, help='List all findings that there are; docs/findings.md tells more.'
)
def check(
    scope: str | None,
    config_file: str | None,
    endpoints: tuple[str, ...],
    timeout: float,
    slots_interval: float | None,
    fmt: str,
    output: str | None,
    watch: float | None,
    watch_2: bool,
    only: tuple[str, ...],
    ignore: tuple[str, ...],
    list_kinds: bool,
) -> int:
    """See what is wrong with a cluster before it hurts.

    Asks all members of etcd, the REST API of all members of Patroni and, with the credentials of the configuration,
    their PostgreSQL, and says what was found: what was seen where, what follows from it and what to do. SCOPE is the
    name of the Patroni cluster if it is not that of the configuration.

    \b
    Exit status: 0 nothing but information, 1 a warning, 2 something critical,
    3 something that matters could not be told, or the command is used wrongly.

    \b
    Examples:
      patroni-etcd3-compat check -c /etc/patroni/patroni.yml
      patroni-etcd3-compat check --endpoints 10.0.0.1:2379,10.0.0.2:2379
      patroni-etcd3-compat check -c patroni.yml --watch 5             during an upgrade
      patroni-etcd3-compat check -c patroni.yml --slots-interval 30   with a verdict on slots
      patroni-etcd3-compat check -c patroni.yml -f nagios --ignore etcd-end-of-life
      patroni-etcd3-compat check -c patroni.yml -f prometheus -o /var/lib/node_exporter/patroni.prom
    """
    if list_kinds:
        to_stdout(''.join(f'{kind.id:<32} {kind.summary}\n' for kind in KINDS))
        return 0

    def once() -> int:
        facts, findings = _look(config_file, endpoints, scope, timeout, slots_interval)
        findings = [finding for finding in findings if (finding.id in only or not only) and finding.id not in ignore]
        text = render(fmt, facts, findings, *((WIDTH, False) if output else terminal()))
        if seconds and not output and os.environ.get('TERM') != 'dumb':
            click.clear()  # nothing but on a terminal
        _write(text, output)
        return exit_status(facts, findings)

    seconds = watch or (2 if watch_2 else None)
    try:
        return _again_and_again(once, seconds) if seconds else once()
    except ConfigError as e:
        if fmt == 'nagios' and not output:
            to_stdout(unknown(e))
            return COULD_NOT_TELL
        raise click.ClickException(str(e))


@cli.command()
@_cluster_options
@click.option('--etcd-to', metavar='VERSION', help='Plan an upgrade of etcd to this release, such as 3.5.')
@click.option('--patroni-to', metavar='VERSION', help='Plan an upgrade of Patroni to this release, such as 4.1.5.')
@click.option(
    '--direct',
    is_flag=True,
    help='With --etcd-to: the way that skips releases of etcd, which this package '
    'makes possible for Patroni, and what etcd itself says about it.',
)
@click.option(
    '-f',
    '--format',
    'fmt',
    type=click.Choice(['markdown', 'json']),
    default='markdown',
    help='Markdown (the default) or JSON.',
)
@_output_option
def plan(
    scope: str | None,
    config_file: str | None,
    endpoints: tuple[str, ...],
    timeout: float,
    slots_interval: float | None,
    etcd_to: str | None,
    patroni_to: str | None,
    direct: bool,
    fmt: str,
    output: str | None,
) -> int:
    """Write down the upgrade of this very cluster, step by step.

    Looks at the cluster as check does and gives the checks before it, the steps in their order with the commands for
    each member, what must be right before the next step, and the way back. SCOPE is the name of the Patroni cluster if
    it is not that of the configuration.

    \b
    Exit status: 0 there is a plan, 1 something has to be put right first, 2 a rule of etcd or
    Patroni forbids it (the plan says which, and the way that works), 3 it could not be made.

    \b
    Examples:
      patroni-etcd3-compat plan -c /etc/patroni/patroni.yml --etcd-to 3.5
      patroni-etcd3-compat plan -c /etc/patroni/patroni.yml --patroni-to 4.1.5 -o upgrade.md
    """
    if bool(etcd_to) == bool(patroni_to):
        raise click.UsageError('one of --etcd-to and --patroni-to is needed')
    from .plan import make_plan, render_plan  # check, which may run every minute, does without

    try:
        facts, findings = _look(config_file, endpoints, scope, timeout, slots_interval)
        made = make_plan(facts, findings, etcd_to, patroni_to, direct, _config_file(config_file, endpoints))
    except (ConfigError, ValueError) as e:
        raise click.ClickException(str(e))
    _write(render_plan(made, fmt), output)
    return 2 if made.refusals else 1 if made.failed else 0


def _config_file(named: str | None, endpoints: tuple[str, ...]) -> str | None:
    """Choose the configuration file where none is named, as ``patronictl`` does."""
    if named or endpoints:
        return named
    return os.environ.get(CONFIG_VARIABLE) or (CONFIG_FILE if os.path.exists(CONFIG_FILE) else None)


def _look(
    config_file: str | None, endpoints: tuple[str, ...], scope: str | None, timeout: float, slots_interval: float | None
) -> tuple[Facts, list[Finding]]:
    """Collect the facts and judge them."""
    facts = collect(load_settings(_config_file(config_file, endpoints), endpoints, scope, timeout, slots_interval))
    return facts, judge(facts)


def _again_and_again(once: Callable[[], int], seconds: float) -> int:
    """Do something until it is interrupted. What fails the first time is raised; later on it may get right again.

    :returns: the last exit status.
    """
    status, worked = COULD_NOT_TELL, False
    try:
        while True:
            try:
                status, worked = once(), True
            except (ConfigError, click.ClickException) as e:
                if not worked:
                    raise
                status = COULD_NOT_TELL
                click.echo(
                    f'{PROGRAM}: {one_line(e.format_message() if isinstance(e, click.ClickException) else e)}', err=True
                )
            time.sleep(seconds)
    except KeyboardInterrupt:
        return status


def _write(text: str, output: str | None) -> None:
    try:
        write(text, output)
    except OSError as e:
        raise click.ClickException('can not write {0}: {1}'.format(output or 'the output', e.strerror or e.errno))


def run(args: Sequence[str]) -> int:
    """Run the command.

    :param args: what stands behind its name on the command line.

    :returns: the exit status.
    """
    try:
        # Not click's own way to end, in which 1 and 2 are errors of the command.
        status = cli.main(list(args) or ['--help'], prog_name=PROGRAM, standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.UsageError as e:
        where = e.ctx.command_path if e.ctx else PROGRAM
        click.echo('{0}: {1} (see {0} --help)'.format(where, one_line(e.format_message()).rstrip('.')), err=True)
    except click.ClickException as e:
        click.echo(f'{PROGRAM}: {one_line(e.format_message())}', err=True)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except SystemExit as e:  # click before 7 ends so after --help
        return COULD_NOT_TELL if e.code else 0
    except Exception as e:
        # A defect. Its text is left out, as nobody knows what is in it.
        click.echo(''.join(traceback.format_tb(e.__traceback__)), err=True, nl=False)
        click.echo(f'{PROGRAM}: defect: {type(e).__name__}, see above; please report it', err=True)
    return COULD_NOT_TELL


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


if __name__ == '__main__':
    main()
