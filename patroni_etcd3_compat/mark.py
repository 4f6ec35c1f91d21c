"""The mark in the member key: what serves the member. ``dcs`` writes it, ``check`` reads it. Pure."""

from __future__ import annotations

from . import __version__

#: Field of the JSON in the member key. Patroni ignores it.
FIELD = 'etcd3_compat'

#: Stands behind the release if the classes are part of a patched Patroni.
PATCH = '+patch'


def mark(module: str) -> str:
    """Return the value of the field: the release, and whether it is that of the patch.

    :param module: full name of the module that serves. In a patched Patroni it lies below Patroni's own package.
    """
    return __version__ + (PATCH if module.startswith('patroni.') else '')
