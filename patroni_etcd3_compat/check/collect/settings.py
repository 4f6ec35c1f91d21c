"""What to collect and from whom: Patroni's configuration, as Patroni itself reads it, or a list of etcd endpoints."""

from __future__ import annotations

import logging
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Iterator, Sequence
from urllib.parse import urlsplit

import urllib3.util.connection
import yaml
from patroni.config import Config
from patroni.dcs import etcd3
from patroni.dcs.etcd import AbstractEtcd
from patroni.exceptions import PatroniException
from patroni.utils import split_host_port, uri

from ...plugin import SECTION
from ...versions import AUTO
from ..urls import redacted
from .redaction import is_secret

_ETCD_PORT = 2379

_APART = 'write username and password as options of their own'


class ConfigError(Exception):
    """The configuration can't be used; the text says why and what to do, and holds nothing secret."""


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
    tls: dict[str, Any] = field(default_factory=dict, repr=False)
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
    rest: dict[str, Any] = field(default_factory=dict, repr=False)
    #: credentials for PostgreSQL, names as in Patroni's configuration
    postgres: dict[str, Any] = field(default_factory=dict, repr=False)

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
    """Find out what to collect and from whom.

    :param config_file: Patroni's configuration, a file or a folder of files; ``None``: the environment alone.
    :param endpoints: ``host:port`` or URLs of etcd members, each perhaps several with commas between, in the place of
                      the configured ones. Without *config_file* Patroni plays no part, unless *scope* is given.
    :param scope: the Patroni cluster, in the place of the configured one.
    :param timeout: seconds that each member has.
    :param slots_interval: seconds between two samples of the slots.

    :returns: the settings; their ``repr`` shows no secret.

    :raises:
        :exc:`ConfigError`: if the configuration is not there, can't be read or lacks something.
    """
    if timeout <= 0:
        raise ConfigError(f'the time-out is {timeout:g} seconds, it has to be more than 0')
    where = config_file or 'the environment (PATRONI_*)'
    config = _read(config_file)
    section = next((name for name in (SECTION, 'etcd3') if name in config), None)
    if section is None and not (endpoints and config_file is None):
        other = ', '.join(name for name in ('etcd', 'consul', 'zookeeper', 'kubernetes', 'raft') if name in config)
        raise ConfigError(
            '{0} has no section etcd3{1}; name the configuration file of a Patroni that uses etcd3 '
            '(-c), or etcd members (--endpoints)'.format(where, f' (but {other})' if other else '')
        )
    options = config.get(section) if section else {}
    if not isinstance(options, dict):
        raise ConfigError(f'section {section} in {where} holds no options')
    options = dict(options, retry_timeout=timeout)
    given = _endpoints(endpoints, str(options.get('protocol') or 'http'))
    if config_file is None:  # which Patroni reads only where there are other options in the environment
        for option in ('username', 'password'):
            options.setdefault(option, os.environ.get('PATRONI_ETCD3_' + option.upper()))
    if given[0]:
        for option in ('host', 'hosts', 'url', 'proxy', 'srv', 'discovery_srv', 'srv_domain', 'srv_suffix'):
            options.pop(option, None)
        options['hosts'] = ''  # something to read, the rest of the options counts
    client = _client(options, section, where)
    settings = Settings(
        given[0] or _urls(client, section, where),
        timeout,
        slots_interval,
        section,
        bool(client.options.get('use_proxies')),
        _prefix(options.get('version_prefix')),
        given[1] or client.options.get('username'),
        given[2] or client.options.get('password'),
        _tls(client.options, section, where),
    )
    _add_patroni(settings, config, scope, where if config_file or not endpoints else None)
    return settings


def _prefix(value: Any) -> str | None:
    return None if value in (None, AUTO) else str(value)


def _read(config_file: str | None) -> dict[str, Any]:
    """Read the configuration as Patroni does. The texts leave out what Patroni and YAML say about the contents."""
    if config_file and not os.path.exists(config_file):
        raise ConfigError(
            f'the configuration file {config_file} does not exist; name the one that Patroni is started with (-c)'
        )
    try:
        with _quiet():
            return dict(Config(config_file or '', validator=None).copy())
    except OSError as e:
        raise ConfigError(
            f'{e.filename or config_file} can not be read: {e.strerror}; run this as the user that Patroni runs as'
        ) from None
    except yaml.YAMLError as e:
        mark = getattr(e, 'problem_mark', None)
        place = f' (line {mark.line + 1}, column {mark.column + 1})' if mark else ''
        raise ConfigError(
            '{0} is not valid YAML{1}; "patroni --validate-config FILE" tells more'.format(
                config_file or 'PATRONI_CONFIGURATION', place
            )
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f'{config_file} is not a text file') from None
    except Exception as e:
        text = str(getattr(e, 'value', '')) if isinstance(e, PatroniException) else type(e).__name__
        raise ConfigError(
            '{0} can not be used as a configuration of Patroni ({1}); "patroni --validate-config FILE" '
            'tells more'.format(config_file or 'the environment (PATRONI_*)', text)
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Put back what Patroni changes: it takes its variables out of the environment, logs, and replaces a function."""
    environment, disabled = dict(os.environ), logging.root.manager.disable
    create_connection = urllib3.util.connection.create_connection
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(disabled)
        os.environ.clear()
        os.environ.update(environment)
        urllib3.util.connection.create_connection = create_connection


def _endpoints(values: Sequence[str], protocol: str) -> tuple[list[str], str | None, str | None]:
    """Read the endpoints of the command line: URLs, and user and password if one of them has any."""
    urls: list[str] = []
    username = password = None
    for value in (part.strip() for text in values for part in text.split(',') if part.strip()):
        # With a comma in a password a part of it is a value of its own.
        shown = 'one of the endpoints' if any('@' in text for text in values) else repr(value)
        try:
            if '://' in value:
                parts = urlsplit(value)
                if parts.scheme not in ('http', 'https') or not parts.hostname:
                    raise ValueError
                urls.append(uri(parts.scheme, (parts.hostname, parts.port or _ETCD_PORT)))
                username, password = parts.username or username, parts.password or password
            elif '@' in value:
                raise ConfigError('an endpoint without http:// has an @ in it; ' + _APART)
            else:
                host, port = split_host_port(value, _ETCD_PORT)
                if not host or not 0 < port < 65536:
                    raise ValueError
                urls.append(uri(protocol, (host, port)))
        except ValueError:
            raise ConfigError(f'{shown} is no endpoint of etcd; write host:port or http(s)://host:port') from None
    return list(dict.fromkeys(urls)), username, password


class _Client(etcd3.Etcd3Client):  # type: ignore[misc]
    """What Patroni's client takes from the configuration. It is made by Patroni, and asks nobody."""

    machines = ('',)  # Patroni looks whether there are any

    def __init__(self, config: dict[str, Any], dns_resolver: Any) -> None:
        self.http = None
        self.options = self._config = config
        self._protocol = config.get('protocol') or 'http'
        self._dns_resolver = dns_resolver
        self._read_timeout = config['retry_timeout']

    def urls(self) -> list[str]:
        """The members to start with: hosts, host, srv or url, as Patroni puts them together."""
        return list(self._get_machines_cache_from_config())


def _client(options: dict[str, Any], section: str | None, where: str) -> Any:
    try:
        with _quiet():
            return AbstractEtcd.get_etcd_client(None, options, _Client)
    except Exception:  # the text could hold a part of an URL, and that one of a password
        raise ConfigError(
            f'host, hosts, url or proxy in section {section} of {where} is none that Patroni can read; write host:port'
        ) from None


def _urls(client: Any, section: str | None, where: str) -> list[str]:
    if not any(option in client.options for option in ('srv', 'hosts', 'host')):
        raise ConfigError(f'section {section} in {where} names no etcd member: set hosts (or host, url, proxy, srv)')
    try:
        with _quiet():
            urls = client.urls()
    except Exception as e:
        raise ConfigError(
            f'section {section} in {where}: Patroni can not make out the etcd members ({type(e).__name__}); set hosts'
        ) from None
    if any('@' in url for url in urls):
        raise ConfigError(f'a host in section {section} of {where} has an @ in it; {_APART}')
    if not urls:
        raise ConfigError(
            'section {0} in {1} gives no etcd member: {2}'.format(
                section,
                where,
                'no SRV records were found for {0}'.format(client.options['srv'])
                if 'srv' in client.options
                else 'set hosts',
            )
        )
    return list(dict.fromkeys(urls)) if 'hosts' in client.options else sorted(set(urls))


def _tls(options: dict[str, Any], section: str | None, where: str) -> dict[str, Any]:
    """The certificates, as python-etcd hands them on to urllib3."""
    cert, tls = options.get('cert'), {}
    if cert:
        tls = dict(zip(('cert_file', 'key_file'), cert if isinstance(cert, tuple) else (cert,)))
    if options.get('ca_cert'):
        tls.update(ca_certs=options['ca_cert'], cert_reqs='CERT_REQUIRED')
    for name, path in tls.items():
        if name != 'cert_reqs' and not os.access(str(path), os.R_OK):
            raise ConfigError(
                f'{path}, named in section {section} of {where}, can not be read; run this as the user that Patroni '
                'runs as'
            )
    return tls


def _add_patroni(settings: Settings, config: dict[str, Any], scope: str | None, where: str | None) -> None:
    """Add what Patroni's part needs.

    :param where: the configuration is from; ``None`` without one.
    """
    settings.scope = scope or (config.get('scope') if where else None)
    for name in ('scope', 'name') if where else ():
        if config.get(name) is not None and not isinstance(config[name], str):
            raise ConfigError(f'{name} in {where} is no text; put it in quotes')
    if where and not settings.scope:
        raise ConfigError(f'{where} names no scope; name the Patroni cluster on the command line')
    settings.namespace = '/' + str(config.get('namespace') or 'service').strip('/')
    if not where:
        return

    def section(name: str) -> dict[str, Any]:
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
