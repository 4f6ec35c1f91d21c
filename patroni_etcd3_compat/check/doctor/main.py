"""The command ``doctor``: with the standard library alone."""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import socket
import sys
import traceback
from pathlib import Path
from typing import Sequence

from ... import __version__
from ..output import to_stdout
from ..printable import one_line
from . import options
from .ask import Answer, Failed, ask, ask_python
from .diagnosis import Here, diagnose, failed, frozen, hidden
from .host import Host, hosts
from .model import Diagnosis, Report, worst
from .text import as_json, as_text


def run(args: Sequence[str]) -> int:
    """Run the command.

    :param args: what stands behind ``doctor`` on the command line.

    :returns: the exit status.
    """
    try:
        return _run(options.parse(args))
    except options.UsageError as e:
        return _failed(f'{e} (see {options.PROGRAM} --help)')
    except Failed as e:
        return _failed(str(e))
    except KeyboardInterrupt:
        return 130
    except Exception as e:
        # A bug, which must not end with status 1. Its text is left out: nobody knows what is in it.
        if sys.stderr:
            sys.stderr.write(''.join(traceback.format_tb(e.__traceback__)))
        return _failed(f'internal error: {type(e).__name__}; please report it with the lines above')


def _run(given: argparse.Namespace) -> int:
    if given.help:
        _print(options.help_text())
        return 0
    found = [_named(given.python, given.user)] if given.python else _running(given.pid, given.config_file)
    report = Report(socket.gethostname(), __version__, found)
    if given.format == 'json' or found:
        _print(as_json(report) if given.format == 'json' else as_text(report))
    if found:
        return report.exit_status
    raise Failed(
        f'no running Patroni is seen{_which(given.pid, given.config_file)}; name its Python with --python'
        + ('' if os.geteuid() == 0 else ', or run this as root')
    )


def _print(text: str) -> None:
    try:
        to_stdout(text)
    except OSError as e:
        raise Failed(f'cannot write the output: {e.strerror or e.errno}') from e


def _which(pid: int | None, config_file: str | None) -> str:
    return f' with PID {pid}' if pid is not None else f' with {config_file}' if config_file is not None else ''


def _failed(reason: str) -> int:
    if sys.stderr:  # there is none if it is closed
        sys.stderr.write(f'{options.PROGRAM}: {one_line(reason)}\n')
    return worst([])


def _running(pid: int | None, config_file: str | None) -> list[Diagnosis]:
    return [_process(host) for host in hosts(pid, config_file)]


def _process(host: Host) -> Diagnosis:
    if None in (host.environ, host.container, host.uid):
        return hidden(host)
    if host.process.frozen:
        return frozen(host)
    if host.container:
        return hidden(host)
    try:
        answer = ask(host)
    except Failed as e:
        return failed(host, str(e))
    return diagnose(host, answer, _here(answer, host.uid))


def _named(python: str, user: str | None) -> Diagnosis:
    found = shutil.which(python)
    if found is None:
        raise Failed(f'there is no Python {python}')
    entry = None
    if user is None and os.geteuid() == 0:  # what is installed in that Python may belong to somebody else, and is run
        raise Failed('--python runs what is installed there, so root has to say with --user who Patroni is to run as')
    if user is not None:
        try:
            entry = pwd.getpwnam(user)
        except KeyError:
            raise Failed(f'there is no user {user}') from None
        if os.geteuid() not in (0, entry.pw_uid):
            raise Failed('--user needs root')
    path = os.path.abspath(found)
    try:
        answer = ask_python(path, entry if os.geteuid() == 0 else None)
    except Failed as e:
        return failed(None, str(e), path)
    diagnosis = diagnose(None, answer, _here(answer, entry.pw_uid if entry else os.geteuid()))
    diagnosis.user = user
    return diagnosis


def _here(answer: Answer, uid: int | None) -> Here:
    """Return what this command knows about a package that Patroni's Python does not find."""
    own = Path(__file__).resolve().parents[2]
    ids = {uid, os.geteuid(), *(int(number) for number in [os.environ.get('SUDO_UID', '')] if number.isdigit())}
    homes = {os.path.expanduser('~')}
    for each in ids - {None}:
        try:
            homes.add(pwd.getpwuid(int(each or 0)).pw_dir)
        except (KeyError, OverflowError):
            pass
    release = 'python' + '.'.join(answer.version.split('.')[:2])
    sites = [Path(home, '.local', 'lib', release, 'site-packages', own.name) for home in sorted(homes)]
    return Here(sys.executable, str(own), [str(path) for path in sites if os.path.isdir(path)])
