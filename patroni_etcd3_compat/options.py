"""The options of the section that Patroni itself does not know, for the environment and ``--validate-config``.

Pure functions. In a patched Patroni, ``patroni.config`` imports this module for every kind of DCS.
"""

from __future__ import annotations

from typing import Callable

from patroni.utils import parse_bool

from .extras import GRPC, INSTALL, TRANSPORTS, has_grpc
from .versions import AUTO, PREFIXES


def parse_version_prefix(value: object) -> str | None:
    """Parse the option ``version_prefix``.

    :param value: value from the configuration; ``None`` if it is not set.

    :returns: the prefix to use for every member, or ``None`` if each member's version decides.

    :raises:
        :exc:`ValueError`: if the value is not one of the allowed ones; the text lists them.
    """
    if value is None or value == AUTO:
        return None
    if value in PREFIXES:
        return str(value)
    raise ValueError(f'version_prefix is {value!r}, allowed are: {", ".join((AUTO, *PREFIXES))}')


def parse_transport(value: object) -> str:
    """Parse the option ``transport``.

    :param value: value from the configuration; ``None`` if it is not set, which means ``auto``.

    :returns: one of :data:`~.extras.TRANSPORTS`.

    :raises:
        :exc:`ValueError`: if the value is not one of those, or gRPC cannot be used here; the text has the remedy.
    """
    if value is None:
        return AUTO
    if value not in TRANSPORTS:
        raise ValueError(f'transport is {value!r}, allowed are: {", ".join(TRANSPORTS)}')
    if value == GRPC and not has_grpc():
        raise ValueError(f'transport is {value!r}, but the Python package h2 is missing; {INSTALL}')
    return str(value)


def parse_member_slots(value: object) -> bool:
    """Parse the option ``member_slots``.

    :param value: value from the configuration; ``None`` if it is not set, which means on.

    :raises:
        :exc:`ValueError`: if it is neither on nor off.
    """
    ret = True if value is None else parse_bool(value)
    if ret is None:
        raise ValueError(f'member_slots is {value!r}, allowed are: on, off')
    return bool(ret)


#: The name of each option, with the function that raises an exception if the value is wrong.
OPTIONS: dict[str, Callable[[object], object]] = {
    'version_prefix': parse_version_prefix,
    'transport': parse_transport,
    'member_slots': parse_member_slots,
}
