"""Values of the expected type from JSON that anybody may have written."""

from __future__ import annotations

import base64

from ..facts import JSON

#: Roles of a primary: up to Patroni 3.x it is 'master' in the DCS and in the REST API.
PRIMARY = ('master', 'primary')


def as_dict(value: object) -> dict[str, JSON]:
    """Return an object of JSON, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def as_int(value: object) -> int | None:
    """Return a number, also from text: that is how the JSON of protobuf writes 64 bits. ``None`` for anything else."""
    try:
        number = int(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
        return number if number is None or abs(number) < 2**64 else None
    except (ValueError, OverflowError):
        return None


def as_text(value: object) -> str | None:
    """Return a text, ``None`` for an empty one and for anything else."""
    return value if isinstance(value, str) and value else None


def as_texts(value: object) -> list[str]:
    """Return the texts in a list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def base64_of(text: str) -> str:
    """Return a key as the JSON of etcd has it."""
    return base64.b64encode(text.encode()).decode()


def text_of(value: object) -> str:
    """Return a key or a value as text, whatever bytes there are."""
    try:
        return base64.b64decode(value if isinstance(value, (str, bytes)) else '').decode('utf-8', 'replace')
    except (TypeError, ValueError):
        return ''
