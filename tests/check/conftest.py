"""Real etcd, Patroni and PostgreSQL for the command, and configurations of Patroni that lead to them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Callable

import pytest
import yaml

from lab.environments import Environment, environment
from lab.node import unprivileged_user


@pytest.fixture(scope='session')
def newest() -> Environment:
    """The newest Patroni with this package, at a place where its user can reach it."""
    return environment().for_user(unprivileged_user())


@pytest.fixture
def configuration(tmp_path: Path) -> Callable[..., str]:
    """Write a configuration of Patroni: section ``etcd3`` with these options, and further sections by name."""

    def write(etcd3: dict[str, Any], **sections: Any) -> str:
        path = tmp_path / 'patroni.yml'
        path.write_text(yaml.safe_dump(dict({'scope': 'lab', 'name': 'node1', 'etcd3': etcd3}, **sections)))
        return str(path)

    return write


@pytest.fixture(autouse=True)
def _levels() -> None:
    logging.getLogger('aiohttp').setLevel(logging.WARNING)
