"""The command ``patroni-etcd3-compat``.

Exit status of everything: 0, 1 and 2 are about the cluster; whatever goes wrong with the command itself is 3.
"""

from __future__ import annotations

import contextlib
import os
import traceback
from typing import Sequence

import click

from .. import __version__
from . import nagios
from .arguments import Access, certificate_days_option, cluster_options, limit, listed, output_option, positive
from .choice import GROUPS, identifier, identifiers
from .collect import ConfigError
from .doctor.command import doctor
from .facts import Limit, Limits
from .findings import exit_status, kind_of, kinds
from .follow.walk import follow
from .look import find_configuration, look
from .output import terminal, to_stdout, write
from .record import record_option, recording
from .render import FORMATS, WIDTH, render
from .render.explain import explain as explained
from .render.text import clean, one_line
from .repeat import COULD_NOT_TELL, PROGRAM, repeat
from .report.command import report
from .units import comma


@click.group(context_settings={'max_content_width': 100})
@click.version_option(__version__, prog_name=PROGRAM, message='%(prog)s %(version)s')
def cli() -> None:
    """Check etcd and Patroni together, before, during and after an upgrade of either.

    Reads Patroni's own configuration and works with every Patroni from 3.0 to 4.1. Needs nothing installed on the
    servers and changes nothing. Its output never contains a password or token.

    Completion of commands and options in bash (zsh and fish have it, too; click 8 or later):

    \b
      eval "$(_PATRONI_ETCD3_COMPAT_COMPLETE=bash_source patroni-etcd3-compat)"
    """


@cli.command()
@cluster_options
@click.option(
    '-f',
    '--format',
    'fmt',
    type=click.Choice(list(FORMATS)),
    default='pretty',
    help='Output format: tables for people (the default), JSON or YAML with everything, findings as tab-separated '
    'values, the line of a Nagios plug-in, or the metrics of a node_exporter text file.',
)
@output_option
@click.option(
    '-w', '--watch', type=float, callback=positive, metavar='SECONDS', help='Repeat every SECONDS until interrupted.'
)
@click.option('-W', 'watch_2', is_flag=True, help='Same as --watch 2.')
@record_option
@click.option(
    '--only',
    multiple=True,
    callback=identifiers,
    metavar='ID,...',
    help=f'Count and show only these findings, or those of a group: {comma(GROUPS, "or")}. To notice that something '
    f'could not be determined, add {comma([kind.id for kind in kinds() if kind.id.endswith("-unknown")])}. May be '
    'repeated.',
)
@click.option(
    '--ignore',
    multiple=True,
    callback=identifiers,
    metavar='ID,...',
    help='Neither count nor show these findings. May be repeated.',
)
@click.option(
    '--members',
    multiple=True,
    callback=listed,
    metavar='N|NAME,...',
    help='How many Patroni members there have to be, or their names: one that is missing is found, however long it is '
    'gone.',
)
@certificate_days_option
@click.option(
    '--lag',
    callback=limit,
    metavar='WARN[,CRIT]',
    help='How far a replica may be behind, such as 16MB,1GB: more is a warning, or critical (patroni-lag-limit). '
    'Nagios gets both with the figures.',
)
@click.option(
    '--wal', callback=limit, metavar='WARN[,CRIT]', help='The same for the size of pg_wal (patroni-wal-limit).'
)
@click.option(
    '-v',
    '--verbose',
    is_flag=True,
    help='Show everything whole: all findings with all that is known about them, all slots, all columns.',
)
@click.option(
    '--explain', callback=identifier, metavar='ID', help='Print all that is known about a finding, with an example.'
)
@click.option('--list', 'list_kinds', is_flag=True, help='List all findings; docs/findings.md describes them.')
def check(
    scope: str | None,
    config_file: str | None,
    endpoints: tuple[str, ...],
    timeout: float,
    slots_interval: float | None,
    access: Access,
    fmt: str,
    output: str | None,
    watch: float | None,
    watch_2: bool,
    record: str | None,
    only: tuple[str, ...],
    ignore: tuple[str, ...],
    members: tuple[str, ...],
    certificate_days: tuple[float, ...],
    lag: Limit,
    wal: Limit,
    verbose: bool,
    explain: str | None,
    list_kinds: bool,
) -> int:
    """Find out what is wrong with a cluster before it hurts.

    Asks all members of etcd, the REST APIs of all Patroni members and, with the credentials of the configuration, their
    PostgreSQL. Reports what was seen where, what follows from it, and what to do. SCOPE is the name of the Patroni
    cluster if it is not the one in the configuration.

    \b
    Exit status: 0 nothing but information, 1 a warning, 2 something critical,
    3 something important could not be determined, or the command failed.

    \b
    Examples:
      patroni-etcd3-compat check -c /etc/patroni/patroni.yml
      patroni-etcd3-compat check --endpoints 10.0.0.1:2379,10.0.0.2:2379
      patroni-etcd3-compat check -c patroni.yml --watch 5 --record upgrade.jsonl
      patroni-etcd3-compat check -c patroni.yml --slots-interval 30   with a verdict on slots
      patroni-etcd3-compat check -c patroni.yml -f nagios --ignore etcd-end-of-life
      patroni-etcd3-compat check -c patroni.yml -f prometheus -o /var/lib/node_exporter/patroni.prom
    """
    if list_kinds:
        to_stdout(''.join(f'{kind.id:<32} {kind.title}\n' for kind in kinds()))
        return 0
    if explain:
        to_stdout(explained(kind_of(explain), *terminal()))
        return 0

    def once() -> int:
        facts, findings = look(
            config_file,
            endpoints,
            scope,
            timeout,
            slots_interval,
            access,
            members=members,
            certificate_days=certificate_days,
            limits=Limits(lag, wal),
        )
        findings = [finding for finding in findings if (finding.id in only or not only) and finding.id not in ignore]
        saw(facts, findings)
        text = render(fmt, facts, findings, *((WIDTH, False) if output else terminal()), verbose)
        if seconds and not output and os.environ.get('TERM') != 'dumb':
            click.clear()  # nothing but on a terminal
        _write(text, output)
        return exit_status(facts, findings)

    seconds = watch or (2 if watch_2 else None)
    try:
        with recording(record, seconds, output) as saw:
            return repeat(once, seconds) if seconds else once()
    except ConfigError as e:
        if fmt == 'nagios' and not output:
            to_stdout(nagios.line('UNKNOWN', clean(e)))
            return COULD_NOT_TELL
        raise click.ClickException(str(e)) from e


@cli.command()
@cluster_options
@click.option(
    '--etcd-to',
    metavar='VERSION',
    help='Plan an upgrade of etcd to this release, such as 3.5, or a downgrade if it is an older one.',
)
@click.option('--patroni-to', metavar='VERSION', help='Plan an upgrade of Patroni to this release, such as 4.1.5.')
@click.option(
    '--direct',
    is_flag=True,
    help='With --etcd-to: skip minor releases of etcd, which this package makes possible for Patroni. The plan quotes '
    'what etcd says about it.',
)
@click.option(
    '-f',
    '--format',
    'fmt',
    type=click.Choice(['markdown', 'json']),
    default='markdown',
    help='Markdown (the default) or JSON.',
)
@click.option(
    '--anyway', is_flag=True, help='Show the steps even if a check before them has failed. JSON always has them.'
)
@output_option
def plan(
    scope: str | None,
    config_file: str | None,
    endpoints: tuple[str, ...],
    timeout: float,
    slots_interval: float | None,
    access: Access,
    etcd_to: str | None,
    patroni_to: str | None,
    direct: bool,
    fmt: str,
    anyway: bool,
    output: str | None,
) -> int:
    """Write the procedure of an upgrade for this cluster, or of a downgrade of etcd, step by step.

    Looks at the cluster as check does. The plan has the checks before it, the steps in order with the commands
    for each member, what must hold before the next step, and the way back. SCOPE is the name of the Patroni cluster if
    it is not the one in the configuration.

    \b
    Exit status: 0 the plan is ready, 1 something must be fixed first, 2 a rule of etcd or
    Patroni forbids the upgrade (the plan says which, and a way that works), 3 no plan could be made.

    \b
    Examples:
      patroni-etcd3-compat plan -c /etc/patroni/patroni.yml --etcd-to 3.5
      patroni-etcd3-compat plan -c /etc/patroni/patroni.yml --patroni-to 4.1.5 -o upgrade.md
    """
    if bool(etcd_to) == bool(patroni_to):
        raise click.UsageError('give either --etcd-to or --patroni-to')
    from .plan import make_plan, render_plan  # check, which may run every minute, does without

    try:
        facts, findings = look(config_file, endpoints, scope, timeout, slots_interval, access)
        made = make_plan(facts, findings, etcd_to, patroni_to, direct, find_configuration(config_file, endpoints))
    except (ConfigError, ValueError) as e:
        raise click.ClickException(str(e)) from e
    _write(render_plan(made, fmt, anyway), output)
    return 2 if made.refusals else 1 if made.failed else 0


cli.add_command(doctor)
cli.add_command(follow)
cli.add_command(report)


def _write(text: str, output: str | None) -> None:
    try:
        write(text, output)
    except OSError as e:
        raise click.ClickException(f'cannot write {output or "the output"}: {e.strerror or e.errno}') from e


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
        _failed(args, f'{one_line(e.format_message()).rstrip(".")} (see {where} --help)', where)
    except click.ClickException as e:
        _failed(args, one_line(e.format_message()))
    except (click.Abort, KeyboardInterrupt):
        return 130
    except SystemExit as e:  # click before 7 ends so after --help
        return COULD_NOT_TELL if e.code else 0
    except Exception as e:
        # A bug. Its text is left out: nobody knows what is in it.
        click.echo(''.join(traceback.format_tb(e.__traceback__)), err=True, nl=False)
        _failed(args, f'internal error: {type(e).__name__}; please report it with the lines above')
    return COULD_NOT_TELL


def _failed(args: Sequence[str], reason: str, where: str = PROGRAM) -> None:
    """Say why the command could not do its work; Nagios reads that on standard output."""
    click.echo(f'{where}: {reason}', err=True)
    if nagios.wanted(args):
        with contextlib.suppress(OSError):  # perhaps that is the reason
            to_stdout(nagios.line('UNKNOWN', clean(reason)))
