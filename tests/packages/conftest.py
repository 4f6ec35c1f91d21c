"""The packages of the last commit, built once, and the releases of Debian that they are installed on."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from lab import ROOT
from lab.root_tree import RootTree, fault
from tools import packages

_notes: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--all-suites``."""
    parser.addoption('--all-suites', action='store_true', help='every release of Debian, upgrades, and a second build')


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that takes `suite` on one release after the other."""
    if 'suite' in metafunc.fixturenames:
        every = metafunc.config.getoption('--all-suites', False)
        metafunc.parametrize('suite', ('bookworm', 'trixie', 'sid') if every else ('bookworm',))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip slow tests unless all are requested."""
    if not config.getoption('--all-suites', False):
        dropped = [item for item in items if item.get_closest_marker('costly')]
        items[:] = [item for item in items if item not in dropped]
        _notes.append('only Debian 12: --all-suites takes the other releases, upgrades and a second build')


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line('markers', 'costly: with --all-suites only')


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was left out."""
    for note in _notes:
        terminalreporter.write_line(note)


def build(kind: str, target: Path) -> list[Path]:
    """Build a kind of package here, or in a Debian of its own if this machine lacks what builds it."""
    try:
        return packages.build(kind, target)
    except packages.Missing as e:
        if fault():
            pytest.skip(f'{e}. And {fault()}')
    with RootTree('bookworm', *packages.NEEDED[kind][1].split()) as tree:

        def run(argv: list[str], folder: Path, epoch: str) -> None:
            (base,) = (it for it in (folder, *folder.parents) if it.parent == Path(tempfile.gettempdir()))
            shutil.rmtree(str(tree.path(str(base))), ignore_errors=True)  # rpmbuild runs twice
            tree.copy_in(base, str(base))
            tree.run(*argv, LAB_CWD=str(folder), SOURCE_DATE_EPOCH=epoch)
            shutil.copytree(str(tree.path(str(base))), str(base), symlinks=True, dirs_exist_ok=True)

        return packages.build(kind, target, run)


@pytest.fixture(scope='session')
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Path]]:
    """Return the files of a kind, ``deb`` or ``rpm``, built at the first call."""
    done: dict[str, list[Path]] = {}

    def get(kind: str) -> list[Path]:
        if not (ROOT / '.git').exists():
            pytest.skip('not in a checkout: packages are made of a commit')
        if kind not in done:
            done[kind] = build(kind, tmp_path_factory.mktemp(kind))
        return done[kind]

    return get


@pytest.fixture(scope='session')
def deb(built: Callable[[str], list[Path]]) -> Path:
    """The package for Debian."""
    (found,) = (path for path in built('deb') if path.suffix == '.deb')
    return found


@pytest.fixture(scope='session')
def rpm(built: Callable[[str], list[Path]]) -> Path:
    """The RPM."""
    (found,) = (path for path in built('rpm') if path.name.endswith('.noarch.rpm'))
    return found


@pytest.fixture
def tree_of() -> Iterator[Callable[..., RootTree]]:
    """Make root trees (`lab.root_tree.RootTree`) that end with the test."""
    why_not = fault()
    if why_not:
        pytest.skip(why_not)
    open_trees: list[RootTree] = []

    def make(suite: str, *names: str) -> RootTree:
        tree = RootTree(suite, *names).__enter__()
        open_trees.append(tree)
        return tree

    yield make
    for tree in open_trees:
        tree.__exit__()
