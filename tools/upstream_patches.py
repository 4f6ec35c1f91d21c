"""Apply the patches for upstream to Patroni's source and run its tests: ``python -m tools.upstream_patches``.

Each patch is tested alone, then all of them in the order of ``patches/upstream/series``. Their effect on real etcd was
measured; see ``patches/upstream/README.md``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterable, Iterator, NamedTuple, Sequence

from prettytable import PrettyTable

from lab import ROOT
from lab.processes import LabError, remove_folder, scratch_folder
from lab.programs import tool
from lab.releases import NEWEST
from lab.sources import unpack

from .upstream import FILES
from .upstream_lint import LINTERS, complaints, new

RELEASE = NEWEST
"""The release of Patroni that the patches are for."""

FOLDER = ROOT / 'patches' / 'upstream'
"""Where they are."""

PATHS = ('patroni/dcs/etcd.py', 'patroni/dcs/etcd3.py', 'tests/test_etcd3.py')
"""What patches may change."""


def series() -> list[Path]:
    """Return the patches in the order of the file ``series``."""
    return [FOLDER / name for name in (FOLDER / 'series').read_text().split()]


def changed_files(patch: Path) -> list[str]:
    """Return the paths of the files that a patch changes."""
    return re.findall(r'^\+\+\+ b/(\S+)$', patch.read_text(), re.M)


def call(argv: Sequence[object], folder: Path) -> tuple[int, str]:
    """Run a program without the environment variables of git and Patroni.

    :returns: its exit status and its output.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith(('GIT_', 'PATRONI_', 'PYTHON'))}
    environ.update(PATRONI_ETCD3_COMPAT='off', GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM='1')
    done = subprocess.run(
        [str(arg) for arg in argv],
        cwd=str(folder),
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def must(argv: Sequence[object], folder: Path) -> str:
    """Run a program that has to succeed, see `call`.

    :raises LabError: with its output when it fails.
    """
    status, output = call(argv, folder)
    if status:
        raise LabError(f'{" ".join(map(str, argv))} failed:\n{output[-3000:]}')
    return output


@contextlib.contextmanager
def source() -> Iterator[Path]:
    """Unpack Patroni's source distribution; it is removed after the ``with``.

    :raises LabError: when it cannot be downloaded.
    """
    folder = scratch_folder('upstream-patches-')
    try:
        yield unpack(RELEASE, folder)
    finally:
        remove_folder(folder)


def apply(folder: Path, patches: Sequence[Path]) -> list[str]:
    """Apply patches with ``patch -p1 --fuzz=0``.

    :param folder: the source.
    :returns: what ``patch`` said about hunks at another line.
    :raises LabError: when one does not apply.
    """
    remarks: list[str] = []
    for patch in patches:
        output = must([str(tool('patch')), '-p1', '--fuzz=0', '--no-backup-if-mismatch', '-i', patch], folder)
        remarks += [f'{patch.name}: {line}' for line in output.splitlines() if line.startswith('Hunk')]
    return remarks


def git_am(folder: Path, patches: Sequence[Path]) -> list[str]:
    """Turn the source into a git repository and apply patches with ``git am``.

    :param folder: the source.
    :returns: the subjects in git's log, the oldest first.
    :raises LabError: when one does not apply.
    """
    git = [
        'git',
        '-c',
        'user.name=lab',
        '-c',
        'user.email=lab@localhost',
        '-c',
        'commit.gpgsign=false',
        '-c',
        'core.hooksPath=' + os.devnull,
    ]
    must([*git, 'init', '-q'], folder)
    must([*git, 'add', '-A'], folder)
    must([*git, 'commit', '-q', '-m', 'Patroni ' + RELEASE], folder)
    must([*git, 'am', '-q', *patches], folder)
    must([*git, 'diff', '--quiet', 'HEAD'], folder)
    return must([*git, 'log', '--reverse', '--format=%s', f'HEAD~{len(patches)}..'], folder).splitlines()


def run_tests(folder: Path) -> tuple[list[str], list[str]]:
    """Run Patroni's own etcd tests, with the replacement for what the source distribution lacks.

    :param folder: the source.
    :returns: names of the tests that passed and of those that failed.
    :raises LabError: when pytest could not run them.
    """
    shutil.copyfile(str(ROOT / 'tests' / 'upstream' / 'standin.py'), str(folder / 'tests' / '__init__.py'))
    status, output = call(
        [
            sys.executable,
            '-m',
            'pytest',
            '-q',
            '-rA',
            '-p',
            'no:cacheprovider',
            '--tb=no',
            *('tests/' + name for name in FILES),
        ],
        folder,
    )
    passed, failed = (re.findall(rf'^{word} \S+::(\w+)', output, re.M) for word in ('PASSED', 'FAILED'))
    if status not in (0, 1) or not passed or bool(failed) != bool(status):
        raise LabError(f'pytest ended with status {status}:\n{output[-3000:]}')
    return passed, failed


class Outcome(NamedTuple):
    """The outcome of some patches."""

    name: str
    remarks: list[str]  # of ``patch``: hunks at a different line
    subjects: list[str]  # in git's log after ``git am``
    passed: list[str]  # tests on the patched source
    failed: list[str]
    without: list[str]  # patched tests that fail on the unpatched source
    lint: dict[str, list[str] | str]  # by linter: complaints that the release does not have, or why it did not run


def check(name: str, patches: Sequence[Path], known: dict[str, list[str] | str], linters: Iterable[str]) -> Outcome:
    """Apply patches to the source and run Patroni's tests with and without the change.

    :param name: what to call them.
    :param patches: files, in order.
    :param known: complaints about the release itself, see `baseline`.
    :param linters: which ones to run.
    :raises LabError: when one does not apply.
    """
    with source() as folder:
        subjects = git_am(folder, patches)
    with source() as folder, source() as original:
        remarks = apply(folder, patches)
        found = complaints(folder, PATHS, linters)
        passed, failed = run_tests(folder)
        shutil.copytree(str(folder / 'tests'), str(original / 'patched-tests'))
        shutil.rmtree(str(original / 'tests'))
        (original / 'patched-tests').rename(original / 'tests')
        without = run_tests(original)[1]
    lint = {linter: new(found[linter], known[linter]) for linter in found}
    return Outcome(name, remarks, subjects, passed, failed, without, lint)


def baseline() -> tuple[dict[str, list[str] | str], list[str], list[str]]:
    """Return what the release itself gets: complaints by linter, tests that pass, tests that fail."""
    with source() as folder:
        return (complaints(folder, PATHS, LINTERS), *run_tests(folder))


def check_all(known: dict[str, list[str] | str], quick: bool = False) -> list[Outcome]:
    """Check each patch alone and then the series, see `check`.

    :param quick: run pyright, which takes a quarter of a minute, on the series alone.
    """
    patches = series()
    each = [name for name in LINTERS if name != 'pyright' or not quick]
    return [check(patch.name, [patch], known, each) for patch in patches] + [check('series', patches, known, LINTERS)]


def _cell(found: list[str] | str) -> str:
    return found if isinstance(found, str) else '\n'.join(found) or 'nothing new'


def main() -> None:
    """Print the outcome of each patch and of the series, and exit with 1 if anything failed."""
    table = PrettyTable(['Patroni ' + RELEASE, 'patch --fuzz=0', 'git am', 'tests', 'fail without it', *LINTERS])
    table.align = 'l'
    table.max_width = 60
    known, passed, failed = baseline()
    counts = [found if isinstance(found, str) else str(len(found)) for found in known.values()]
    table.add_row(['the release', '', '', f'{len(passed)} passed, {len(failed)} failed', '', *counts])
    good = not failed
    for outcome in check_all(known):
        table.add_row(
            [
                outcome.name,
                f'{len(outcome.remarks)} hunks moved' if outcome.remarks else 'clean',
                'yes',
                f'{len(outcome.passed)} passed, {len(outcome.failed)} failed',
                '\n'.join(outcome.without),
                *map(_cell, outcome.lint.values()),
            ]
        )
        good = good and bool(outcome.without) and not outcome.failed
        good = good and not any(found for found in outcome.lint.values() if isinstance(found, list))
    print(table, flush=True)
    sys.exit(not good)


if __name__ == '__main__':
    main()
