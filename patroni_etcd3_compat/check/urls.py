"""URLs as they are compared and shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def show(url: str) -> str:
    """A URL without user name and password, also where it is none."""
    return re.sub('^([^/]*//)?.*@', r'\1', url, flags=re.DOTALL)


def same(url: str) -> str:
    """A URL so that those that lead to the same place compare equal."""
    try:
        parts = urlsplit(url)
        return f'{parts.scheme}://{parts.hostname}:{parts.port}'
    except ValueError:
        return url
