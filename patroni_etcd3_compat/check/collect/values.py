"""Values as they should be, out of JSON that anybody may have written."""

from __future__ import annotations

from typing import Any

#: Roles of a primary: up to Patroni 3.x it is 'master' in the DCS and in the REST API.
PRIMARY = ('master', 'primary')


def as_dict(value: Any) -> dict[str, Any]:
    """Give an object, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_int(value: Any) -> int | None:
    """Give a number, also from text: in the JSON of protobuf those of 64 bits are written so."""
    try:
        number = None if isinstance(value, bool) else int(value)
        return number if number is None or abs(number) < 2**64 else None
    except (TypeError, ValueError, OverflowError):
        return None


def as_text(value: Any) -> str | None:
    """Give a text, ``None`` for an empty one and for anything else."""
    return value if isinstance(value, str) and value else None


def as_texts(value: Any) -> list[str]:
    """Give the texts in a list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
