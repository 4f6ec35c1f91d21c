"""Patroni and PostgreSQL as separate processes, with the installed wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest

from lab.environments import Environment, environment
from lab.node import unprivileged_user
from lab.processes import remove_folder, scratch_folder


@pytest.fixture(scope='session')
def newest() -> Environment:
    """The newest Patroni with this package, at a place where its user can reach it."""
    return environment().for_user(unprivileged_user())


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user can enter."""
    path = scratch_folder('test-')
    yield path
    remove_folder(path)
