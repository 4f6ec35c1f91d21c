"""The URL that stands in place of the configured DCS, read as ``patronictl --dcs-url`` reads it."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from ... import SECTION
from .configuration import ConfigError, Options

_PORT = 2379


class DcsUrl(NamedTuple):
    """What such a URL says. A user name or a password in it counts for nothing, so it is not kept."""

    #: ``etcd3``, or the section that names this package
    section: str
    #: ``host:port``
    host: str
    #: path that all clusters are below; empty: that of the configuration
    namespace: str

    def __str__(self) -> str:
        """Return it as a URL again."""
        return f'{self.section}://{self.host}{self.namespace}'

    def replace(self, config: Options, protocol: str) -> Options:
        """Return a configuration with this in place of its section of etcd, and of its namespace if one is named.

        :param config: as Patroni reads it.
        :param protocol: ``http`` or ``https``.
        """
        found = {name: value for name, value in config.items() if name not in (SECTION, 'etcd3')}
        found[self.section] = {'host': self.host, 'protocol': protocol}
        if self.namespace:
            found['namespace'] = self.namespace
        return found


def read_dcs_url(text: str) -> DcsUrl:
    """Read ``etcd3://HOST:PORT/NAMESPACE``; only the scheme has to be there.

    :raises:
        :exc:`ConfigError`: it is no such URL, or one of another DCS; the text holds nothing of it but the scheme.
    """
    scheme, separator, rest = text.strip().partition('://')  # urllib allows no underscore in a scheme
    scheme = scheme.lower()
    try:
        parts = urlsplit(f'//{rest}')
        name, port = parts.hostname or 'localhost', parts.port or _PORT
    except ValueError:
        raise ConfigError('--dcs-url or DCS_URL is not a URL; write etcd3://HOST:PORT/NAMESPACE') from None
    if scheme not in ('etcd3', SECTION):
        other = scheme if separator else 'none, which patronictl takes for the API v2 of etcd'
        raise ConfigError(
            f'the scheme in --dcs-url or DCS_URL is {other}; this command knows etcd3 only: etcd3://HOST:PORT/NAMESPACE'
        )
    path = parts.path.strip().rstrip('/')
    return DcsUrl(scheme, f'[{name}]:{port}' if ':' in name else f'{name}:{port}', path)
