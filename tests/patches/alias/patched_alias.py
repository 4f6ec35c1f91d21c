"""Run this project's tests on a patched Patroni: ``pytest -p patched_alias``, with this folder on the path.

The tests then import ``patroni.etcd3_compat`` as ``patroni_etcd3_compat``. If a module of the package itself was
imported nevertheless, the run fails at the end.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from typing import Any

import patroni.dcs.etcd3  # this imports the others
import pytest

NAME = 'patroni_etcd3_compat'

package = importlib.import_module('patroni.etcd3_compat')
sys.modules[NAME] = package
for module in pkgutil.iter_modules(package.__path__):
    sys.modules[f'{NAME}.{module.name}'] = importlib.import_module(f'{package.__name__}.{module.name}')


def strangers() -> list[str]:
    """Return the names of modules that do not come from the patched Patroni."""
    return sorted(
        name
        for name, module in sys.modules.items()
        if name.partition('.')[0] == NAME and not str(getattr(module, '__file__', '')).startswith(package.__path__[0])
    )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if something other than the patched Patroni was tested."""
    if strangers():
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what was tested."""
    terminalreporter.write_line(f'instead of {NAME}: {package.__name__} of {patroni.__file__}')
    if strangers():
        terminalreporter.write_line('FAILED: not from the patched Patroni: ' + ', '.join(strangers()))
