"""What serves section etcd3 in the Python that the command runs in."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from typing import Any

import pytest
from patroni.dcs import etcd3

from patroni_etcd3_compat import __version__
from patroni_etcd3_compat.check.collect import Settings
from patroni_etcd3_compat.check.collect.this_host import this_host


def test_package() -> None:
    """It is installed here."""
    node = this_host(Settings([], section='etcd3', name='me'))
    assert (node.name, node.section, node.serves, node.compat) == ('me', 'etcd3', 'package', __version__)
    assert node.patroni and node.urllib3 and node.python == '.'.join(map(str, sys.version_info[:3]))
    assert this_host(Settings([], section='etcd3_compat')).serves == 'package'


def test_patched_patroni(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our modules below Patroni's own package, and our class in the place of its own."""
    package: Any = types.ModuleType('patroni.etcd3_compat')
    package.__version__ = '9.9'
    patched = type('Etcd3', (), {'__module__': 'patroni.etcd3_compat.dcs'})
    monkeypatch.setitem(sys.modules, 'patroni.etcd3_compat', package)
    monkeypatch.setattr(etcd3, 'ETCD3', patched)
    node = this_host(Settings([], section='etcd3'))
    assert (node.serves, node.compat) == ('patch', '9.9')


def test_stock() -> None:
    """When the package is switched off."""
    done = subprocess.run(
        [
            sys.executable,
            '-c',
            'from patroni_etcd3_compat.check.collect import Settings\n'
            'from patroni_etcd3_compat.check.collect.this_host import this_host\n'
            'node = this_host(Settings([], section="etcd3"))\nprint(node.serves, node.compat)',
        ],
        env=dict(os.environ, PATRONI_ETCD3_COMPAT='off'),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.stdout == 'stock None\n'
