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
from typing import Iterator, NamedTuple, Sequence

from prettytable import PrettyTable

from lab import ROOT, say
from lab.processes import LabError, remove_folder, scratch_folder
from lab.programs import tool
from lab.releases import NEWEST
from lab.sources import unpack

from .upstream import FILES

RELEASE = NEWEST
"""The release of Patroni that the patches are for."""

FOLDER = ROOT / 'patches' / 'upstream'
"""Where they are."""

# Patroni's settings of flake8
_LINT = ['-m', 'ruff', 'check', '--isolated', '--quiet', '--no-cache', '--line-length', '120', '--select', 'E,W,F']


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


def lint(folder: Path, paths: Sequence[str]) -> str:
    """Run the checks of flake8 with Patroni's line length.

    :param folder: the source.
    :param paths: files to check.
    :returns: the complaints; empty if there are none.
    """
    return call([sys.executable, *_LINT, *paths], folder)[1]


class Outcome(NamedTuple):
    """The outcome of some patches."""

    name: str
    remarks: list[str]  # of ``patch``: hunks at a different line
    subjects: list[str]  # in git's log after ``git am``
    passed: list[str]  # tests on the patched source
    failed: list[str]
    without: list[str]  # patched tests that fail on the unpatched source
    lint: str


def check(name: str, patches: Sequence[Path]) -> Outcome:
    """Apply patches to the source and run Patroni's tests with and without the change.

    :param name: what to call them.
    :param patches: files, in order.
    :raises LabError: when one does not apply.
    """
    with source() as folder:
        subjects = git_am(folder, patches)
    with source() as folder, source() as original:
        remarks = apply(folder, patches)
        passed, failed = run_tests(folder)
        complaints = lint(folder, sorted({path for patch in patches for path in changed_files(patch)}))
        shutil.copytree(str(folder / 'tests'), str(original / 'patched-tests'))
        shutil.rmtree(str(original / 'tests'))
        (original / 'patched-tests').rename(original / 'tests')
        return Outcome(name, remarks, subjects, passed, failed, run_tests(original)[1], complaints)


def check_all() -> list[Outcome]:
    """Check each patch alone and then the series."""
    patches = series()
    return [check(patch.name, [patch]) for patch in patches] + [check('series', patches)]


def main() -> None:
    """Print the outcome of each patch and of the series, and exit with 1 if anything failed."""
    table = PrettyTable(['Patroni ' + RELEASE, 'patch --fuzz=0', 'git am', 'tests', 'fail without it', 'lint'])
    table.align = 'l'
    good = True
    for outcome in check_all():
        say(outcome.name)
        table.add_row(
            [
                outcome.name,
                f'{len(outcome.remarks)} hunks moved' if outcome.remarks else 'clean',
                'yes',
                f'{len(outcome.passed)} passed, {len(outcome.failed)} failed',
                '\n'.join(outcome.without),
                outcome.lint or 'clean',
            ]
        )
        good = good and bool(outcome.without) and not outcome.failed and not outcome.lint
    print(table, flush=True)
    sys.exit(not good)


if __name__ == '__main__':
    main()
