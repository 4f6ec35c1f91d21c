"""This machine: what serves section etcd3 in the Python that the command runs in."""

from __future__ import annotations

import inspect
import platform

import urllib3
from patroni.version import __version__ as patroni_version

from ... import __version__
from ...plugin import SECTION
from ..facts import ThisHost
from .settings import Settings

#: Where the class comes from. A patched Patroni has our modules below its own package.
_OURS, _PATCH = 'patroni_etcd3_compat', 'patroni.etcd3_compat'


def this_host(settings: Settings) -> ThisHost:
    """Return what is known about this machine and this Python.

    :param settings: where the configuration is named.
    """
    serves, compat = _serves(settings.section)
    return ThisHost(
        settings.name,
        settings.section,
        serves,
        compat,
        patroni_version,
        str(vars(urllib3)['__version__']),
        platform.python_version(),
    )


def _serves(section: str | None) -> tuple[str, str | None]:
    """Return what serves section etcd3. Like Patroni, take the first class of that name, whatever its case."""
    if section == SECTION:  # known to nobody else
        return 'package', __version__
    from patroni.dcs import etcd3

    module = next(
        (item.__module__ for name, item in vars(etcd3).items() if name.lower() == 'etcd3' and inspect.isclass(item)), ''
    )
    if module.startswith(_OURS + '.'):
        return 'package', __version__
    if module.startswith(_PATCH + '.'):
        from importlib import import_module

        return 'patch', getattr(import_module(_PATCH), '__version__', None)
    return 'stock', None
