"""Run Patroni's own tests of etcd with our classes instead of the stock ones, see ``tools.upstream``.

The tests of patronictl need no replacement: they load the package as patronictl does. The names are replaced in the
test modules; in ``patroni.dcs.etcd3`` they have to stay (``super(Etcd3, self)``).
"""

from __future__ import annotations

import os
from typing import Any

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put our classes into the test modules."""
    from patroni_etcd3_compat import client, dcs, dispatch

    transport, parse = os.environ.get('UPSTREAM_TRANSPORT'), dispatch.parse_transport
    if transport:  # what the tests leave out is no longer the default
        dispatch.parse_transport = lambda value: parse(value or transport)
    ours: dict[str, Any] = {
        'Etcd3': dcs.Etcd3,
        'Etcd3Client': client.CompatClient,
        'PatroniEtcd3Client': client.CompatClient,
    }
    for module in {item.getparent(pytest.Module) for item in items}:
        if module and module.name.endswith('test_etcd3.py'):
            for name, cls in ours.items():
                if hasattr(module.obj, name):
                    setattr(module.obj, name, cls)
