"""Patroni's source distributions: downloaded once, unpacked, patched."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from . import CACHE
from .cache import locked
from .processes import LabError, remove_folder, scratch_folder
from .programs import tool


def fetch(release: str) -> Path:
    """Return the source distribution of a Patroni release, downloaded on first use.

    :param release: such as ``'4.0.7'``.
    :returns: the file, kept in the cache.
    :raises LabError: when it cannot be downloaded.
    """
    target = CACHE / 'sdist' / f'patroni-{release}.tar.gz'
    with locked('sdist'):
        if not target.exists():
            _download(release, target)
    return target


def _download(release: str, target: Path) -> None:
    folder = scratch_folder('sdist-')
    # Its setup.py looks for psycopg2, so it has to be built with the packages that are installed here.
    options = ['--quiet', '--no-deps', '--no-build-isolation', '--no-binary', 'patroni', '--dest', str(folder)]
    try:
        done = subprocess.run(
            [sys.executable, '-m', 'pip', 'download', *options, f'patroni=={release}'],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        found = list(folder.glob('*.tar.gz'))
        if not found:
            raise LabError(f'no source distribution of Patroni {release}: {done.stdout[-1000:]}')
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix('.part')
        shutil.copyfile(str(found[0]), str(part))
        part.rename(target)
    finally:
        remove_folder(folder)


def unpack(release: str, folder: Path) -> Path:
    """Unpack the source distribution of a Patroni release.

    :param folder: where to.
    :returns: the tree, a folder within *folder*.
    :raises LabError: when it cannot be downloaded.
    """
    # Without the owners in the archive, which root would restore: git refuses to work in another user's folder.
    subprocess.run(['tar', '--no-same-owner', '-xzf', str(fetch(release)), '-C', str(folder)], check=True)
    return folder / f'patroni-{release}'


def apply(patch: Path, tree: Path, *options: str) -> None:
    """Apply a patch with ``patch -p1``, each hunk at its exact line and with its full context.

    :param options: more options for ``patch``.
    :raises LabError: when it applies only with fuzz or an offset, or not at all.
    """
    argv = [str(tool('patch')), '-p1', '--fuzz=0', '--batch', '-d', str(tree), '-i', str(patch), *options]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode or re.search('offset|fuzz', done.stdout):
        raise LabError(f'{patch} does not apply to {tree}:\n{done.stdout}')
