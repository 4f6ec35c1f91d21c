"""The releases under test: the oldest, or with ``--all-releases`` every one that has a patch."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Iterator

import pytest

from lab.environments import Environment
from lab.processes import remove_folder, scratch_folder
from tools.patching import RELEASES, environment

#: With ``--all-releases`` only.
COSTLY = ('test_debian_packages.py', 'test_builds.py')

_notes: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--all-releases``."""
    parser.addoption('--all-releases', action='store_true', help='each release that there is a patch for')


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that takes `release` for one release after the other."""
    if 'release' in metafunc.fixturenames:
        every = metafunc.config.getoption('--all-releases', False)
        metafunc.parametrize('release', RELEASES if every else RELEASES[:1], scope='session')


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip slow tests unless all are requested."""
    if not config.getoption('--all-releases', False):
        dropped = [item for item in items if item.path.name in COSTLY]
        items[:] = [item for item in items if item not in dropped]
        _notes.append(f'only Patroni {RELEASES[0]}, and without {", ".join(COSTLY)}: make test-patches runs all')
        config.hook.pytest_deselected(items=dropped)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what was skipped, and what replaced unavailable programs."""
    for note in _notes:
        terminalreporter.write_line(note)


@pytest.fixture(scope='session')
def python37() -> str:
    """A working Python 3.7, from LAB_PYTHON37 or PATH; empty if there is none."""
    for name in (os.environ.get('LAB_PYTHON37', ''), 'python3.7'):
        path = shutil.which(name)
        if path and subprocess.run([path, '-c', ''], stderr=subprocess.DEVNULL).returncode == 0:
            _notes.append('compiled by ' + path)
            return path
    _notes.append('no Python 3.7 at hand (LAB_PYTHON37), its grammar was checked by this one')
    return ''


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user can enter."""
    path = scratch_folder('test-')
    path.chmod(0o755)
    yield path
    remove_folder(path)


@pytest.fixture(scope='session')
def patched(release: str) -> Environment:
    """The release with its patches, and without this package."""
    return environment(release)
