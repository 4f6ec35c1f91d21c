"""What to collect and from whom: Patroni's configuration, as Patroni itself reads it, or a list of etcd endpoints."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Mapping, Sequence

from ... import SECTION
from ...urls import redacted
from ...versions import AUTO
from ..facts import TlsFile
from .certificates import read_files
from .configuration import ConfigError, Options, read_configuration
from .dcs_url import read_dcs_url
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
    #: the files among them, and what is wrong with them
    tls_files: list[TlsFile] = field(default_factory=list)
    #: name of the Patroni cluster, ``None``: etcd alone, or every cluster
    scope: str | None = None
    #: all Patroni clusters below the namespace
    every: bool = False
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
    #: the configuration file, ``None``: the environment alone, or a list of endpoints
    config_file: str | None = None
    #: the URL in place of the configured DCS, without credentials
    dcs_url: str | None = None
    #: options of the command line that count before the configuration, without passwords
    given: Sequence[str] = ()
    #: names of the Patroni members that there have to be
    members: Sequence[str] = ()
    #: number of the Patroni members that there have to be
    members_number: int | None = None

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
        """The path of the Patroni cluster in the DCS, or of all, with the slash at its end; empty if there is none."""
        if self.scope is None and not self.every:
            return ''
        scope = [] if self.scope is None else [self.scope]
        parts = [self.namespace, *scope] + ([] if self.group is None else [str(self.group)])
        return re.sub('/+', '/', '/'.join([''] + parts + ['']))


def load_settings(
    config_file: str | None,
    endpoints: Sequence[str] = (),
    scope: str | None = None,
    timeout: float = 5,
    slots_interval: float | None = None,
    members: Sequence[str] = (),
    *,
    etcd: Mapping[str, str] = MappingProxyType({}),
    group: int | None = None,
    dcs_url: str | None = None,
    namespace: str | None = None,
    every: bool = False,
) -> Settings:
    """Return what to collect and from whom.

    :param config_file: Patroni's configuration, a file or a folder of files; ``None``: the environment alone.
    :param endpoints: ``host:port`` or URLs of etcd members, each perhaps several with commas between, instead of the
                      configured ones. Without *config_file* only etcd is asked, unless *scope* is given.
    :param scope: the Patroni cluster, instead of the configured one.
    :param timeout: seconds that each member has.
    :param slots_interval: seconds between two samples of the slots.
    :param members: names of the Patroni members that there have to be, or only their number.
    :param etcd: options of the command line for the section of etcd, such as ``cacert``; they count before it.
    :param group: Citus group, instead of the configured one.
    :param dcs_url: ``etcd3://HOST:PORT/NAMESPACE`` in place of the configured DCS, as ``patronictl`` takes it.
    :param namespace: path of the clusters, instead of the configured one.
    :param every: all clusters below it. Without it that is so for a configuration that names none.

    :returns: the settings; their ``repr`` shows no secret.

    :raises:
        :exc:`ConfigError`: if the configuration does not exist, cannot be read or lacks something.
    """
    if timeout <= 0:
        raise ConfigError(f'the time-out is {timeout:g} seconds; it must be greater than 0')
    where = config_file or 'the environment (PATRONI_*)'
    config = read_configuration(config_file)
    protocol = 'https' if 'cacert' in etcd or 'cert' in etcd else 'http'
    url = read_dcs_url(dcs_url) if dcs_url else None
    if url:
        config = url.replace(config, protocol)
    section = next((name for name in (SECTION, 'etcd3') if name in config), None)
    if section is None and not (endpoints and config_file is None):
        other = ', '.join(name for name in ('etcd', 'consul', 'zookeeper', 'kubernetes', 'raft') if name in config)
        instead = f' (but {other})' if other else ''
        raise ConfigError(
            f'{where} has no section etcd3{instead}; name the configuration file of a Patroni that uses etcd3 (-c), or '
            'etcd members (--endpoints)'
        )
    options = config.get(section) if section else {}
    if not isinstance(options, dict):
        raise ConfigError(f'section {section} in {where} contains no options')
    options = dict(options, retry_timeout=timeout, **etcd)
    given = read_endpoints(endpoints, str(options.get('protocol') or protocol))
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
        tls_options(client.options),
        config_file=config_file,
        dcs_url=str(url) if url else None,
        given=_given(given[0], etcd, group, namespace),
    )
    settings.tls_files = read_files(settings.tls)
    if scope and every:
        raise ConfigError(f'either one cluster ({scope}) or all of them (--all)')
    if namespace:
        config = dict(config, namespace=namespace)
    if every:
        config = {name: value for name, value in config.items() if name != 'scope'}
    settings.every = every
    _add_patroni(settings, config, scope, where if config_file or not endpoints else None)
    if members and settings.scope is None:
        raise ConfigError('--members is about Patroni: name its cluster (SCOPE), or its configuration file (-c)')
    if len(members) == 1 and re.fullmatch('[0-9]{1,4}', members[0]):
        settings.members_number = int(members[0])
    else:
        settings.members = list(members)
    if group is not None and group != settings.group:
        if settings.scope is None:
            raise ConfigError('--group is about a Citus cluster: name it (SCOPE), or its configuration file (-c)')
        settings.group, settings.name, settings.api_url = group, None, None  # the configuration is of another group
    return settings


def _given(urls: Sequence[str], etcd: Mapping[str, str], group: int | None, namespace: str | None) -> list[str]:
    """Return the options with which another call finds the same cluster; the password is not one of them."""
    values = {
        'endpoints': ','.join(urls),
        **{name: etcd.get(name) for name in ('cacert', 'cert', 'key')},
        'user': etcd.get('username'),
        'group': None if group is None else str(group),
        'namespace': namespace,
    }
    return [part for name, value in values.items() if value for part in (f'--{name}', value)]


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
        settings.scope, settings.every = None, True
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
    if settings.scope and settings.scope == config.get('scope'):
        settings.name = config.get('name')
        settings.group = section('citus').get('group')
        address = section('restapi').get('connect_address') if settings.name else None
        if address:
            scheme = 'https' if section('restapi').get('certfile') else 'http'
            settings.api_url = redacted(f'{scheme}://{address}/patroni')
