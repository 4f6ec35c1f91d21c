"""The options of the section that Patroni itself does not know: what environment and ``--validate-config`` take.

Pure functions. Where Patroni is patched, ``patroni.config`` imports this module for every kind of DCS.
"""

from __future__ import annotations

from typing import Callable

from patroni.utils import parse_bool

from .versions import AUTO, PREFIXES


def parse_version_prefix(value: object) -> str | None:
    """Read the option ``version_prefix``.

    :param value: value from the configuration; ``None`` if it is not set.

    :returns: the prefix to use for every member or ``None`` if each member's version decides.

    :raises:
        :exc:`ValueError`: if the value is not one of the allowed ones; the text lists them.
    """
    if value is None or value == AUTO:
        return None
    if value in PREFIXES:
        return str(value)
    raise ValueError(f'version_prefix is {value!r}, allowed are: {", ".join((AUTO, *PREFIXES))}')


def parse_member_slots(value: object) -> bool:
    """Read the option ``member_slots``.

    :param value: value from the configuration; ``None`` if it is not set, which means on.

    :raises:
        :exc:`ValueError`: if it is neither on nor off.
    """
    ret = True if value is None else parse_bool(value)
    if ret is None:
        raise ValueError(f'member_slots is {value!r}, allowed are: on, off')
    return bool(ret)


#: Name of each option, with what raises an exception if its value is wrong.
OPTIONS: dict[str, Callable[[object], object]] = {
    'version_prefix': parse_version_prefix,
    'member_slots': parse_member_slots,
}
