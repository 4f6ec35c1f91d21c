"""The wheel that stands in for an index, and the programs that lines call."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lab.environments import clean_environ, copy_wheel_sources

from ..packages.conftest import built  # noqa: F401  # the packages of the last commit, once for all tests


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for what takes long."""
    parser.addoption('--all-platforms', action='store_true', help='lines for Debian, images and Ansible as well')


def make_environment(folder: Path, *packages: str) -> None:
    """Make a virtual environment with some packages of the index."""
    subprocess.run([sys.executable, '-m', 'virtualenv', '--quiet', str(folder)], check=True, env=clean_environ())
    if packages:
        subprocess.run(
            [str(folder / 'bin/python'), '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', *packages],
            check=True,
            env=clean_environ(),
        )


@pytest.fixture(scope='session')
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of this tree, built from a copy without the remains of earlier builds."""
    folder = tmp_path_factory.mktemp('wheels')
    folder.parent.chmod(0o755)
    source = tmp_path_factory.mktemp('source')
    copy_wheel_sources(source)
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--wheel-dir', str(folder), str(source)],
        check=True,
    )
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope='session')
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of pipx and uv."""
    folder = tmp_path_factory.mktemp('tools') / 'env'
    make_environment(folder, 'pipx', 'uv')
    links = folder.parent / 'bin'
    links.mkdir()
    for name in ('pipx', 'uv'):
        (links / name).symlink_to(folder / 'bin' / name)
    return links
