"""The options of the section that Patroni itself does not know: what environment and ``--validate-config`` take."""

from __future__ import annotations

from typing import Any, Callable

from .slots import parse_member_slots
from .versions import parse_version_prefix

#: Name of each option, with what raises an exception if its value is wrong.
OPTIONS: dict[str, Callable[[Any], Any]] = {'version_prefix': parse_version_prefix, 'member_slots': parse_member_slots}
