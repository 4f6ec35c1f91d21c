"""Run Patroni's own tests of etcd and patronictl with this project installed.

``python -m tools.upstream`` runs those of the installed Patroni; ``--stock`` runs them without this project, and
``--transport grpc`` over gRPC, see ``tests/upstream/conftest.py``.

The tests come from the release's source distribution, which lacks ``tests/__init__.py``. ``tests/upstream`` has a
replacement.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tarfile
import xml.etree.ElementTree
from pathlib import Path
from typing import Mapping, Sequence

from lab import ROOT, say
from lab.processes import LabError, remove_folder, scratch_folder
from lab.sources import fetch

FILES = ('test_etcd.py', 'test_etcd3.py', 'test_ctl.py')

#: Modules that these import from; their own tests are not run.
HELPERS = ('test_ha.py',)

#: Tests that are skipped under some releases since they fail with stock Patroni as well. They type one line less than
#: patronictl asks for. Up to click 8.1 that counts as an empty line; since 8.2 the input ends there. Later releases
#: type it.
FAIL_WITH_STOCK = dict.fromkeys(
    ('3.0.2', '3.0.4', '3.1.2', '3.2.2', '4.0.2'),
    ('test_ctl.py::TestCtl::test_failover', 'test_ctl.py::TestCtl::test_restart_reinit'),
)
# It counts who asks time.time() for the time. Python's logging did, up to 3.12.
if sys.version_info >= (3, 13):
    for _release in ('3.0.2', '3.0.4', '3.1.2', '3.2.2'):
        FAIL_WITH_STOCK[_release] += ('test_etcd3.py::TestEtcd3::test_attempt_to_acquire_leader',)


def run(
    release: str,
    stock: bool = False,
    python: Path | None = None,
    environ: Mapping[str, str] | None = None,
    files: Sequence[str] = FILES,
    report: Path | None = None,
    transport: str = '',
) -> int:
    """Run the tests of a release on the Patroni that is imported.

    :param release: the release.
    :param stock: run them on Patroni without this project.
    :param python: Python to run them with, this one if left out.
    :param environ: its environment variables, those of this process if left out.
    :param files: which of Patroni's test files to run.
    :param report: file for the outcomes, see :func:`outcomes`.
    :param transport: the default of the option ``transport``, if it is to be another one.
    :returns: exit status of pytest.
    :raises LabError: when the source distribution cannot be downloaded.
    """
    folder = scratch_folder('upstream-')
    try:
        tests = folder / 'tests'
        tests.mkdir()
        with tarfile.open(str(fetch(release))) as archive:
            for name in {*files, *HELPERS}:
                member = archive.extractfile(f'patroni-{release}/tests/{name}')
                if member is None:
                    raise LabError(f'{name} is not in the source distribution of Patroni {release}')
                (tests / name).write_bytes(member.read())
        here = ROOT / 'tests' / 'upstream'
        shutil.copyfile(str(here / 'standin.py'), str(tests / '__init__.py'))
        if not stock:
            shutil.copyfile(str(here / 'conftest.py'), str(folder / 'conftest.py'))
        how = 'stock' if stock else 'with this project in place' + (f', over {transport}' if transport else '')
        say(f"Patroni {release}'s own tests, {how}")
        options = ['--deselect=tests/' + test for test in FAIL_WITH_STOCK.get(release, ())]
        options += [f'--junitxml={report}'] if report else []
        return subprocess.run(
            [
                str(python or sys.executable),
                '-m',
                'pytest',
                '-q',
                '-p',
                'no:cacheprovider',
                *options,
                *('tests/' + name for name in files),
            ],
            env=dict(
                os.environ if environ is None else environ,
                PATRONI_ETCD3_COMPAT='off' if stock else 'on',
                UPSTREAM_TRANSPORT=transport,
            ),
            cwd=str(folder),
        ).returncode
    finally:
        remove_folder(folder)


def outcomes(report: Path) -> dict[str, str]:
    """Return each test's outcome from a report of :func:`run`: ``passed``, ``failure``, ``error`` or ``skipped``."""
    ret: dict[str, str] = {}
    for case in xml.etree.ElementTree.parse(str(report)).iter('testcase'):
        outcome = [child.tag for child in case if child.tag in ('failure', 'error', 'skipped')]
        ret[f'{case.get("classname")}.{case.get("name")}'] = ' '.join(outcome) or 'passed'
    return ret


def main() -> None:
    """Read the arguments, run the tests and return their exit status."""
    parser = argparse.ArgumentParser(prog='python -m tools.upstream', description=__doc__)
    parser.add_argument('--stock', action='store_true', help='without this project')
    parser.add_argument('--report', type=Path, help='file for the outcomes, as JUnit XML')
    parser.add_argument('--transport', choices=['grpc'], default='', help='over gRPC, instead of the gateway')
    args = parser.parse_args()
    report = args.report and args.report.resolve()
    sys.exit(run(importlib.metadata.version('patroni'), args.stock, report=report, transport=args.transport))


if __name__ == '__main__':
    main()
