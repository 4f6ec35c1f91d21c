"""Build the packages for Debian and for RPM: ``python -m tools.packages deb`` or ``rpm``, into ``dist/``.

Both are made from the source distribution of the last commit (`tools.dist`), with debian/ and packaging/rpm beside it,
and are the same files whenever they are built, but for the source RPM. dpkg-buildpackage and rpmbuild have to be there.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Callable

from lab import ROOT
from lab.environments import call
from lab.processes import LabError, remove_folder, scratch_folder

from . import dist
from .patching import version

#: What builds each, and the packages of Debian that it takes.
NEEDED = {
    'deb': ('dpkg-buildpackage', 'dpkg-dev debhelper dh-python pybuild-plugin-pyproject python3-setuptools'),
    'rpm': ('rpmbuild', 'rpm python3-pip python3-setuptools python3-wheel'),
}


class Missing(LabError):
    """What builds the package is not installed; the text says what to install."""


#: Runs one of the distribution's tools: the tool with its arguments, where it runs, SOURCE_DATE_EPOCH.
Run = Callable[[list[str], Path, str], None]


def run(argv: list[str], folder: Path, epoch: str) -> None:
    """Run one of the distribution's tools, as its own Python sees the world.

    :param argv: the tool and its arguments.
    :param folder: where it runs.
    :param epoch: for SOURCE_DATE_EPOCH.
    :raises Missing: when it, or what the package is built with, is not installed.
    :raises LabError: with the end of its output if it fails.
    """
    packages = next(names for tool, names in NEEDED.values() if tool == argv[0])
    environ = {'SOURCE_DATE_EPOCH': epoch, 'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL': 'C.UTF-8'}
    try:
        call(argv, argv[0], folder, **environ)
    except FileNotFoundError:
        raise Missing(f'{argv[0]} is missing; on Debian: apt-get install {packages}') from None
    except LabError as e:
        unmet = re.search('Unmet build dependencies:(.*)|No module named (.*)', str(e))
        if unmet:
            lacks = unmet.group(1) or unmet.group(2)
            raise Missing(f'{argv[0]} lacks{lacks}; on Debian: apt-get install {packages}') from None
        raise


def deb(source: Path, tree: Path, work: Path, run: Run) -> list[Path]:
    """Build Debian's source and binary package.

    :param source: the source distribution.
    :param tree: the files of the project, for debian/.
    :param work: an empty folder.
    :param run: runs dpkg-buildpackage or rpmbuild.
    :returns: all files of the upload.
    :raises LabError: when it fails.
    """
    shutil.copy(str(source), str(work / f'patroni-etcd3-compat_{version()}.orig.tar.gz'))
    subprocess.run(['tar', '-C', str(work), '-xf', str(source)], check=True)
    folder = work / f'patroni_etcd3_compat-{version()}'
    shutil.copytree(str(tree / 'debian'), str(folder / 'debian'))
    run(['dpkg-buildpackage', '--no-sign'], folder, dist.epoch())
    return sorted(work.glob('*patroni-etcd3-compat_*'))


def rpm(source: Path, tree: Path, work: Path, run: Run) -> list[Path]:
    """Build the source and binary RPM.

    :param source: the source distribution.
    :param tree: the files of the project, for packaging/rpm.
    :param work: an empty folder.
    :param run: runs dpkg-buildpackage or rpmbuild.
    :returns: both files.
    :raises LabError: when it fails.
    """
    (work / 'SOURCES').mkdir()
    spec = tree / 'packaging' / 'rpm' / 'patroni-etcd3-compat.spec'
    for path in (Path(shutil.copy(str(source), str(work / 'SOURCES'))), spec):  # the package keeps their times
        os.utime(str(path), (int(dist.epoch()),) * 2)
    settings = {
        '_topdir': str(work),
        '_buildhost': 'localhost',
        'use_source_date_epoch_as_buildtime': '1',
        'clamp_mtime_to_source_date_epoch': '1',
        'source_date_epoch_from_changelog': '0',
    }
    defines = [word for name, value in settings.items() for word in ('--define', f'{name} {value}')]
    # One after the other: the source package tells the folder it was built in, and the binary one, if both are built at
    # once, the digest of the source package. --nodeps: on a machine without RPM's own database.
    for kind in ('-bb', '-bs'):
        run(['rpmbuild', kind, '--nodeps', *defines, str(spec)], work, dist.epoch())
    return sorted([*work.glob('SRPMS/*.rpm'), *work.glob('RPMS/*/*.rpm')])


BUILD = {'deb': deb, 'rpm': rpm}


def build(kind: str, target: Path, run: Run = run) -> list[Path]:
    """Build one kind of package from the last commit.

    :param kind: ``deb`` or ``rpm``.
    :param target: folder for the files, made if it does not exist.
    :param run: runs the tool; everything that it needs is below one folder in that of temporary files.
    :returns: the files.
    :raises LabError: when it fails.
    """
    scratch = scratch_folder('lab-packages-')
    try:
        dist.export(scratch / 'tree')
        (scratch / kind).mkdir()
        source = dist.build(scratch / 'dist', scratch / 'tree')[1]
        files = BUILD[kind](source, scratch / 'tree', scratch / kind, run)
        target.mkdir(parents=True, exist_ok=True)
        return [Path(shutil.copy(str(path), str(target))) for path in files]
    finally:
        remove_folder(scratch)


def main() -> None:
    """Build what is asked for, and print the names."""
    parser = argparse.ArgumentParser(prog='python -m tools.packages', description=__doc__)
    parser.add_argument('kind', choices=sorted(BUILD))
    try:
        files = build(parser.parse_args().kind, ROOT / 'dist')
    except LabError as e:
        sys.exit(f'tools.packages: {e}')
    for path in files:
        print(path.relative_to(ROOT))


if __name__ == '__main__':
    main()
