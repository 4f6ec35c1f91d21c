"""Runs Patroni's own etcd tests with our classes in the place of the stock ones, see ``lab.upstream``.

The names are replaced in the test modules; in ``patroni.dcs.etcd3`` they have to stay (``super(Etcd3, self)``).
"""
from typing import Any, Dict, List

import pytest

#: Tests that can't apply, by name, with the reason.
NOT_APPLICABLE: Dict[str, str] = {
    'test__ensure_version_prefix': 'wants one prefix for the whole client by the version of the cluster; here each '
                                   'member has its own, see tests/unit/test_gateway.py',
}

_left_out: List[str] = []


def pytest_collection_modifyitems(config: pytest.Config, items: List[pytest.Item]) -> None:
    """Put our classes into the test modules, and leave out what can't apply."""
    from patroni_etcd3_compat import client, dcs

    ours: Dict[str, Any] = {'Etcd3': dcs.Etcd3, 'Etcd3Client': client.CompatClient,
                            'PatroniEtcd3Client': client.CompatClient}
    for module in {item.getparent(pytest.Module) for item in items}:
        if module and module.name.endswith('test_etcd3.py'):
            for name, cls in ours.items():
                if hasattr(module.obj, name):
                    setattr(module.obj, name, cls)

    dropped = [item for item in items if item.name in NOT_APPLICABLE]
    items[:] = [item for item in items if item not in dropped]
    _left_out.extend('{0}: {1}'.format(item.name, NOT_APPLICABLE[item.name]) for item in dropped)
    config.hook.pytest_deselected(items=dropped)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was left out and why."""
    for line in _left_out:
        terminalreporter.write_line('left out: ' + line)
