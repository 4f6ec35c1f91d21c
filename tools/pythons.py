"""Run the unit tests under each Python that setup.cfg claims: ``python -m tools.pythons [3.8 ...]``.

A Python is looked for on PATH, among pyenv's and by uv. One that is not at hand is named at the end and, if it was
asked for by name, is a failure. Each gets an environment with the newest Patroni that it can run and the wheel of this
project.
"""

from __future__ import annotations

import argparse
import configparser
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Iterator

from prettytable import PrettyTable

from lab import ROOT, say
from lab.environments import clean_environ, environment

from .matrix import install_test_tools

_CLASSIFIER = 'Programming Language :: Python :: 3.'


def claimed() -> list[str]:
    """Return the versions in the classifiers of setup.cfg, oldest first."""
    setup = configparser.ConfigParser()
    setup.read(str(ROOT / 'setup.cfg'))
    lines = setup['metadata']['classifiers'].splitlines()
    return ['3.' + line[len(_CLASSIFIER) :] for line in lines if line.startswith(_CLASSIFIER)]


def _printed(*args: str) -> str:
    """Return the output of a command, nothing if it does not exist or fails."""
    try:
        done = subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=60)
    except OSError:
        return ''
    return '' if done.returncode else done.stdout.strip()


def _candidates(version: str) -> Iterator[str]:
    yield shutil.which(f'python{version}') or ''
    pyenv = os.environ.get('PYENV_ROOT') or _printed('pyenv', 'root')
    if pyenv:
        yield from sorted(str(path) for path in Path(pyenv).glob(f'versions/{version}.*/bin/python'))
    yield _printed('uv', 'python', 'find', '--no-python-downloads', version)


def find(version: str) -> str | None:
    """Return the path of a working Python, None if there is none.

    :param version: such as ``'3.8'``.
    """
    ask = 'import sys; print(sys.executable, "%d.%d" % sys.version_info[:2])'  # a shim of pyenv may lead nowhere
    for candidate in filter(None, _candidates(version)):
        path, _, found = _printed(candidate, '-c', ask).rpartition(' ')
        if found == version:
            return path
    return None


def run(python: str) -> bool:
    """Run the unit tests under a Python, and return whether they passed.

    :param python: path of the Python.
    :raises LabError: when the environment cannot be built.
    """
    env = environment(python=python)
    install_test_tools(env)
    return (
        subprocess.run(
            [str(env.python), '-m', 'pytest', '-q', '-n', '2', '-p', 'no:cacheprovider', 'tests/unit'],
            cwd=str(ROOT),
            env=clean_environ(),
        ).returncode
        == 0
    )


def main() -> None:
    """Run the tests under the requested Pythons, print the table, and exit with 1 if any failed."""
    parser = argparse.ArgumentParser(prog='python -m tools.pythons', description=__doc__)
    parser.add_argument('version', nargs='*', help='such as 3.8; all of setup.cfg by default')
    args = parser.parse_args()
    table = PrettyTable(['Python', 'unit tests', 'seconds'])
    failed, missing = False, []
    for version in args.version or claimed():
        python = find(version)
        if python is None:
            missing.append(version)
            table.add_row([version, 'NOT RUN: not at hand', ''])
            continue
        say(f'unit tests under {python}')
        started = time.monotonic()
        passed = run(python)
        failed = failed or not passed
        table.add_row([version, 'passed' if passed else 'FAILED', round(time.monotonic() - started)])
    print(table, flush=True)
    if missing:
        say(f'NOT TESTED, since no such Python is at hand: {", ".join(missing)}')
    sys.exit(1 if failed or (missing and args.version) else 0)


if __name__ == '__main__':
    main()
