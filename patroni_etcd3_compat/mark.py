"""The mark in the member key: what serves the member. ``dcs`` writes it, ``check`` reads it. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from . import __version__

#: Field of the JSON in the member key. Patroni ignores it.
FIELD = 'etcd3_compat'

#: Behind the release, as PEP 440 has it for local versions: the classes are part of a patched Patroni, and calls may go
#: over gRPC, which the option ``transport`` and the installed packages decide.
PATCH, GRPC = 'patch', 'grpc'

_MARK = re.compile(
    r'([0-9]{1,9}(?:\.[0-9]{1,9}){1,4}(?:\.?(?:a|b|rc|post|dev)[0-9]{1,9}){0,3})'
    rf'(?:\+({PATCH}|{GRPC}|{PATCH}\.{GRPC}))?'
)


class Mark(NamedTuple):
    """What a mark says."""

    #: release of this project
    release: str
    #: the classes are part of a patched Patroni
    patch: bool
    #: calls may go over gRPC
    grpc: bool


def mark(module: str, grpc: bool = False) -> str:
    """Return the value of the field.

    :param module: full name of the module that serves. In a patched Patroni it lies below Patroni's own package.
    :param grpc: calls may go over gRPC.
    """
    tags = [PATCH] * module.startswith('patroni.') + [GRPC] * grpc
    return '+'.join([__version__] + ['.'.join(tags)] * bool(tags))


def read_mark(value: object) -> Mark | None:
    """Return what the value of the field says; ``None`` for anything that :func:`mark` does not make."""
    match = _MARK.fullmatch(value) if isinstance(value, str) else None
    if not match:
        return None
    tags = (match.group(2) or '').split('.')
    return Mark(match.group(1), PATCH in tags, GRPC in tags)
