"""URLs: split, classified, redacted, and normalised as keys. Pure functions."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit


def split_url(url: str) -> tuple[str, str]:
    """Split the URL of a request.

    :param url: URL as Patroni's client makes it.

    :returns: the base URL of the member, and the path with its leading slash.
    """
    scheme, _, rest = url.partition('://')
    authority, slash, path = rest.partition('/')
    return f'{scheme}://{authority}', slash + path


def is_unspecified(url: str) -> bool:
    """Return whether a URL names no machine (``0.0.0.0``, ``[::]``), as when etcd advertises what it listens on.

    :param url: URL of an etcd member.
    """
    try:
        return ip_address(urlsplit(url).hostname or '').is_unspecified
    except ValueError:  # a name, or no URL at all
        return False


def is_loopback(url: str) -> bool:
    """Return whether a URL leads to the machine that uses it.

    :param url: URL of an etcd member.
    """
    try:
        host = urlsplit(url).hostname or ''
    except ValueError:  # no URL at all
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost' or host.startswith('localhost.')


def redacted(url: str) -> str:
    """Return a URL without user name and password, even if it is malformed."""
    return re.sub('^((?:[a-z][a-z0-9+.-]*:)?//)?.*@', r'\1', url, flags=re.DOTALL | re.IGNORECASE)


def as_key(url: str) -> str:
    """Return a text that is equal for all spellings of a URL: without path and user name, the host in lower case."""
    try:
        parts = urlsplit(url)
        return f'{parts.scheme}://{parts.hostname}:{parts.port}'
    except ValueError:
        return url
