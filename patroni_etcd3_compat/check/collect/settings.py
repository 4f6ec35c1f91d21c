"""What to collect and from whom: Patroni's configuration, as Patroni itself reads it, or a list of etcd endpoints."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Sequence

from ...plugin import SECTION
from ...versions import AUTO
from ..urls import redacted
from .configuration import ConfigError, Options, read_configuration
from .etcd_options import make_client, read_endpoints, tls_options, urls_of
from .redaction import is_secret


@dataclass
class Settings:
    """What to collect and from whom."""

    #: URLs of etcd members, in the order of the configuration
    urls: list[str]
    #: seconds that each member has
    timeout: float = 5
    #: seconds between two samples of the slots, ``None``: one sample
    slots_interval: float | None = None
    #: section of the DCS, ``None`` without a configuration
    section: str | None = None
    use_proxies: bool = False
    #: as it is set, ``None`` if it is not or 'auto'
    version_prefix: str | None = None
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    #: certificates for etcd, as arguments of :class:`urllib3.PoolManager`
    tls: Options = field(default_factory=dict, repr=False)
    #: name of the Patroni cluster, ``None``: etcd alone
    scope: str | None = None
    namespace: str = '/service'
    #: Citus group
    group: int | None = None
    #: name of the Patroni member that the configuration belongs to, if it is one of :attr:`scope`
    name: str | None = None
    #: URL of its REST API
    api_url: str | None = None
    #: sections ``ctl`` and ``restapi``, without credentials
    rest: Options = field(default_factory=dict, repr=False)
    #: credentials for PostgreSQL, names as in Patroni's configuration
    postgres: Options = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.urls = [redacted(url) for url in self.urls]
        self.api_url = redacted(self.api_url) if self.api_url else None

    @property
    def secrets(self) -> list[object]:
        """Everything that must not be shown."""
        options = [self.postgres, *self.rest.values()]
        found = [value for section in options for name, value in section.items() if is_secret(name)]
        return [self.password, *found]

    @property
    def path(self) -> str:
        """The path of the Patroni cluster in the DCS with the slash at its end, empty if there is none."""
        if self.scope is None:
            return ''
        parts = [self.namespace, self.scope] + ([] if self.group is None else [str(self.group)])
        return re.sub('/+', '/', '/'.join([''] + parts + ['']))


def load_settings(
    config_file: str | None,
    endpoints: Sequence[str] = (),
    scope: str | None = None,
    timeout: float = 5,
    slots_interval: float | None = None,
) -> Settings:
    """Return what to collect and from whom.

    :param config_file: Patroni's configuration, a file or a folder of files; ``None``: the environment alone.
    :param endpoints: ``host:port`` or URLs of etcd members, each perhaps several with commas between, instead of the
                      configured ones. Without *config_file* only etcd is asked, unless *scope* is given.
    :param scope: the Patroni cluster, instead of the configured one.
    :param timeout: seconds that each member has.
    :param slots_interval: seconds between two samples of the slots.

    :returns: the settings; their ``repr`` shows no secret.

    :raises:
        :exc:`ConfigError`: if the configuration does not exist, cannot be read or lacks something.
    """
    if timeout <= 0:
        raise ConfigError(f'the time-out is {timeout:g} seconds; it must be greater than 0')
    where = config_file or 'the environment (PATRONI_*)'
    config = read_configuration(config_file)
    section = next((name for name in (SECTION, 'etcd3') if name in config), None)
    if section is None and not (endpoints and config_file is None):
        other = ', '.join(name for name in ('etcd', 'consul', 'zookeeper', 'kubernetes', 'raft') if name in config)
        instead = f' (but {other})' if other else ''
        raise ConfigError(
            f'{where} has no section etcd3{instead}; name the configuration file of a Patroni that uses etcd3 (-c), or etcd '
            'members (--endpoints)'
        )
    options = config.get(section) if section else {}
    if not isinstance(options, dict):
        raise ConfigError(f'section {section} in {where} contains no options')
    options = dict(options, retry_timeout=timeout)
    given = read_endpoints(endpoints, str(options.get('protocol') or 'http'))
    if config_file is None:  # which Patroni reads only where there are other options in the environment
        for option in ('username', 'password'):
            options.setdefault(option, os.environ.get('PATRONI_ETCD3_' + option.upper()))
    if given[0]:
        for option in ('host', 'hosts', 'url', 'proxy', 'srv', 'discovery_srv', 'srv_domain', 'srv_suffix'):
            options.pop(option, None)
        options['hosts'] = ''  # something to read, the rest of the options counts
    client = make_client(options, section, where)
    settings = Settings(
        given[0] or urls_of(client, section, where),
        timeout,
        slots_interval,
        section,
        bool(client.options.get('use_proxies')),
        _prefix(options.get('version_prefix')),
        given[1] or client.options.get('username'),
        given[2] or client.options.get('password'),
        tls_options(client.options, section, where),
    )
    _add_patroni(settings, config, scope, where if config_file or not endpoints else None)
    return settings


def _prefix(value: object) -> str | None:
    return None if value in (None, AUTO) else str(value)


def _add_patroni(settings: Settings, config: Options, scope: str | None, where: str | None) -> None:
    """Add what Patroni's part needs.

    :param where: the configuration is from; ``None`` without one.
    """
    settings.scope = scope or (config.get('scope') if where else None)
    for name in ('scope', 'name') if where else ():
        if config.get(name) is not None and not isinstance(config[name], str):
            raise ConfigError(f'{name} in {where} is not a string; put it in quotes')
    if where and not settings.scope:
        raise ConfigError(f'{where} has no scope; name the Patroni cluster on the command line')
    settings.namespace = '/' + str(config.get('namespace') or 'service').strip('/')
    if not where:
        return

    def section(name: str) -> Options:
        value = config.get(name)
        return value if isinstance(value, dict) else {}

    settings.rest = {
        name: {option: value for option, value in section(name).items() if option not in ('auth', 'authentication')}
        for name in ('ctl', 'restapi')
    }
    accounts = section('postgresql').get('authentication')
    if isinstance(accounts, dict):
        settings.postgres = next(
            (
                dict(accounts[name])
                for name in ('superuser', 'rewind')
                if isinstance(accounts.get(name), dict) and accounts[name]
            ),
            {},
        )
    if not scope or scope == config.get('scope'):
        settings.name = config.get('name')
        settings.group = section('citus').get('group')
        address = section('restapi').get('connect_address') if settings.name else None
        if address:
            scheme = 'https' if section('restapi').get('certfile') else 'http'
            settings.api_url = redacted(f'{scheme}://{address}/patroni')
