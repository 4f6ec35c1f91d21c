"""The tests on real etcd under each release of Patroni: ``python -m tools.matrix [PATRONI[+URLLIB3] ...]``.

Without arguments, all releases in `lab.releases` are tested. Each runs the unit tests, those on real etcd, and
Patroni's own etcd and patronictl tests of that release with this project's classes. With ``--patched``, a release with
its patch from ``patches/`` runs them instead of the package, without the unit tests.
"""

from __future__ import annotations

import argparse
import configparser
import subprocess
import sys
import time
from typing import NamedTuple

from prettytable import PrettyTable

from lab import ROOT, say
from lab.environments import Environment, clean_environ, environment
from lab.releases import RELEASES

from . import patching

#: Release and line of urllib3 of each run.
RUNS = tuple(f'{release.number}+{line}' for release in RELEASES for line in release.urllib3)

#: The same for patched releases, with one line of urllib3 each.
PATCHED_RUNS = tuple(f'{release.number}+{release.urllib3[0]}' for release in RELEASES if release.patched)


class Outcome(NamedTuple):
    """The results of the runs under one release."""

    release: str
    urllib3: str
    tests: bool
    upstream: bool
    seconds: float


def install_test_tools(env: Environment) -> None:
    """Install what the tests need besides Patroni: the test extra of setup.cfg without what only maintainers run.

    Patroni and what it brings stay in the releases that the environment was made for.
    """
    setup = configparser.ConfigParser()
    setup.read(str(ROOT / 'setup.cfg'))
    extras = setup['options.extras_require']
    wanted = [
        name
        for name in extras['test'].split()
        if name not in extras['patroni'].split()
        and not name.startswith(('mypy', 'ruff', 'codespell', 'types-', 'virtualenv', 'build', 'twine', 'check-wheel'))
    ]
    marker = env.bin.parent / 'lab-test-tools'
    if not marker.exists() or marker.read_text().split() != wanted:
        subprocess.run([str(env.python), '-m', 'pip', 'install', '--quiet', *wanted], check=True)
        marker.write_text('\n'.join(wanted))


def run(release: str, patched: bool = False) -> Outcome:
    """Run everything under one release.

    :param release: release of Patroni and line of urllib3, ``'4.0.7+2'``; the line is 2 if left out.
    :param patched: with the patch instead of the package, see ``tests/patches/alias``.
    :raises LabError: when the environment cannot be built.
    """
    patroni, _, urllib3 = release.partition('+')
    started = time.monotonic()
    env = environment(patroni, urllib3 or '2', patches=patching.committed(patroni) if patched else ())
    install_test_tools(env)
    say(f'Patroni {patroni} with urllib3 {urllib3 or "2"}{", patched" if patched else ""}')
    environ, folders = clean_environ(), ['tests/unit', 'tests/etcd', 'tests/check/test_command_etcd.py']
    if patched:
        environ.update(PYTHONPATH=str(ROOT / 'tests' / 'patches' / 'alias'), PYTEST_ADDOPTS='-p patched_alias')
        folders = ['tests/etcd']
    tests = (
        subprocess.run(
            [
                str(env.python),
                str(env.bin / 'pytest'),
                '-q',
                '-p',
                'no:cacheprovider',
                '-n',
                '2',
                '--dist',
                'loadfile',
                *folders,
            ],
            cwd=str(ROOT),
            env=environ,
        ).returncode
        == 0
    )
    upstream = subprocess.run([str(env.python), '-m', 'tools.upstream'], cwd=str(ROOT), env=environ).returncode == 0
    return Outcome(patroni, urllib3 or '2', tests, upstream, time.monotonic() - started)


def main() -> None:
    """Run the requested releases, print the table, and exit with 1 if any failed."""
    parser = argparse.ArgumentParser(prog='python -m tools.matrix', description=__doc__)
    parser.add_argument('release', nargs='*', help='such as 3.0.2+1.26')
    parser.add_argument('--patched', action='store_true', help='with the patch instead of the package')
    args = parser.parse_args()
    releases = args.release or (PATCHED_RUNS if args.patched else RUNS)
    outcomes: list[Outcome] = [run(release, args.patched) for release in releases]
    table = PrettyTable(
        [
            'Patroni',
            'urllib3',
            'etcd tests, patched' if args.patched else 'unit and etcd tests',
            "Patroni's own tests",
            'seconds',
        ]
    )
    for outcome in outcomes:
        table.add_row(
            [
                outcome.release,
                outcome.urllib3,
                'passed' if outcome.tests else 'FAILED',
                'passed' if outcome.upstream else 'FAILED',
                round(outcome.seconds),
            ]
        )
    print(table, flush=True)
    sys.exit(0 if all(outcome.tests and outcome.upstream for outcome in outcomes) else 1)


if __name__ == '__main__':
    main()
