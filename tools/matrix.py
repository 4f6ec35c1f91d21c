"""The tests on real etcd under one Patroni release after the other: ``python -m tools.matrix [PATRONI[+URLLIB3] ...]``.

Without arguments all of :data:`RELEASES`. For each: the unit tests, those on real etcd, and Patroni's own etcd and
patronictl tests of that release with the classes of this project. With ``--patched`` the same but for the unit tests,
under each release with its patch from ``patches/`` in the place of the package.
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

from . import patching

#: The last release of each line, Debian's own (3.0.2 in 12, 4.0.7 in 13), the last one that needs member slots (4.0.2),
#: and both lines of urllib3 at either end.
RELEASES = (
    '3.0.2+1.26',
    '3.0.2+2',
    '3.0.4+2',
    '3.1.2+1.26',
    '3.2.2+2',
    '3.3.11+2',
    '4.0.2+2',
    '4.0.7+2',
    '4.0.11+1.26',
    '4.1.5+1.26',
    '4.1.5+2',
)


class Outcome(NamedTuple):
    """What came out of the runs under one release."""

    release: str
    urllib3: str
    tests: bool
    upstream: bool
    seconds: float


def install_test_tools(env: Environment) -> None:
    """Install what the tests need beside Patroni, as setup.cfg names it, but for the linters."""
    setup = configparser.ConfigParser()
    setup.read(str(ROOT / 'setup.cfg'))
    wanted = [
        name
        for name in setup['options.extras_require']['test'].split()
        if not name.startswith(('mypy', 'flake8', 'types-', 'virtualenv'))
    ]
    marker = env.bin.parent / 'lab-test-tools'
    if not marker.exists() or marker.read_text().split() != wanted:
        subprocess.run([str(env.python), '-m', 'pip', 'install', '--quiet', *wanted], check=True)
        marker.write_text('\n'.join(wanted))


def with_patch() -> list[str]:
    """Give those of :data:`RELEASES` that there is a patch for, with one line of urllib3 each."""
    return [next(name for name in RELEASES if name.partition('+')[0] == release) for release in patching.RELEASES]


def run(release: str, patched: bool = False) -> Outcome:
    """Run everything under one release.

    :param release: release of Patroni and line of urllib3, ``'4.1.5+2'``; without the latter 2.
    :param patched: with the patch in the place of the package, see ``tests/patches/alias``.
    :raises LabError: when the environment can't be built.
    """
    patroni, _, urllib3 = release.partition('+')
    started = time.monotonic()
    env = environment(patroni, urllib3 or '2', patched=patched)
    install_test_tools(env)
    say('Patroni {0} with urllib3 {1}{2}'.format(patroni, urllib3 or '2', ', patched' if patched else ''))
    environ, folders = clean_environ(), ['tests/unit', 'tests/etcd', 'tests/check/test_command_etcd.py']
    if patched:
        environ.update(PYTHONPATH=str(ROOT / 'tests' / 'patches' / 'alias'), PYTEST_ADDOPTS='-p patched_alias')
        folders = ['tests/etcd']
    # pytest as a program, not as a module, which would find the package in the source tree before the installed one
    tests = (
        subprocess.run(
            [str(env.python), str(env.bin / 'pytest'), '-q', '-p', 'no:cacheprovider', *folders],
            cwd=str(ROOT),
            env=environ,
        ).returncode
        == 0
    )
    upstream = subprocess.run([str(env.python), '-m', 'tools.upstream'], cwd=str(ROOT), env=environ).returncode == 0
    return Outcome(patroni, urllib3 or '2', tests, upstream, time.monotonic() - started)


def main() -> None:
    """Run the releases that were asked for, print the table, and exit with 1 if any failed."""
    parser = argparse.ArgumentParser(prog='python -m tools.matrix', description=__doc__)
    parser.add_argument('release', nargs='*', help='such as 3.0.2+1.26')
    parser.add_argument('--patched', action='store_true', help='with the patch in the place of the package')
    args = parser.parse_args()
    releases = args.release or (with_patch() if args.patched else RELEASES)
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
