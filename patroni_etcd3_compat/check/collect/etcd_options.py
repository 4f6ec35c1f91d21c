"""The options that say how to reach etcd, from the configuration or the command line, as Patroni understands them."""

from __future__ import annotations

from typing import Sequence
from urllib.parse import urlsplit

from patroni.dcs import etcd3
from patroni.dcs.etcd import AbstractEtcd
from patroni.utils import split_host_port, uri

from ...urls import redacted
from .configuration import ConfigError, Options, quiet

_ETCD_PORT = 2379

_APART = 'write username and password as options of their own'


def read_endpoints(values: Sequence[str], protocol: str) -> tuple[list[str], str | None, str | None]:
    """Return the endpoints of the command line: their URLs, and user name and password if one of them has any.

    :param values: ``host:port`` or URLs, each perhaps several with commas between.
    :param protocol: of those without one.

    :raises:
        :exc:`ConfigError`: if one of them is not an endpoint.
    """
    urls: list[str] = []
    username = password = None
    for value in (part.strip() for text in values for part in text.split(',') if part.strip()):
        # A password with a comma in it is split, so a part of it may stand alone.
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
            raise ConfigError(f'{shown} is not an etcd endpoint; write host:port or http(s)://host:port') from None
    return list(dict.fromkeys(urls)), username, password


class Client(etcd3.Etcd3Client):  # type: ignore[misc]
    """What Patroni's client takes from the configuration. Patroni creates it, and it asks nobody."""

    machines = ('',)  # Patroni looks whether there are any

    def __init__(self, config: Options, dns_resolver: object) -> None:
        self.http = None
        self.options = self._config = config
        self._protocol = config.get('protocol') or 'http'
        self._dns_resolver = dns_resolver
        self._read_timeout = config['retry_timeout']

    def urls(self) -> list[str]:
        """Return the members to start with, from hosts, host, srv or url."""
        return list(self._get_machines_cache_from_config())


def make_client(options: Options, section: str | None, where: str) -> Client:
    """Return the client that Patroni makes from a section.

    :param options: the section.
    :param section: its name, for the text of errors.
    :param where: the name of the configuration, for the same.

    :raises:
        :exc:`ConfigError`: if Patroni cannot read the options.
    """
    if str(options.get('protocol', 'http')).lower() not in ('http', 'https'):
        raise ConfigError(
            f'protocol in section {section} of {where} is empty, or neither http nor https; Patroni reaches no etcd '
            'member with it: set protocol: https, or http if etcd has no certificates'
        )
    for option in ('hosts', 'host'):
        if '://' in str(options.get(option) or ''):  # Patroni takes the scheme for a part of the host's name
            scheme = 'https' if 'https://' in str(options[option]) else 'http'
            raise ConfigError(
                f'{option} in section {section} of {where} has {scheme}:// in it, with which Patroni reaches no etcd '
                f'member; write host:port there, and protocol: {scheme} as an option of its own'
            )
    try:
        with quiet():
            client: Client = AbstractEtcd.get_etcd_client(None, options, Client)
            return client
    except Exception:  # the text could hold a part of a URL, and that a part of a password
        raise ConfigError(
            f'Patroni cannot read host, hosts, url or proxy in section {section} of {where}; write host:port'
        ) from None


def urls_of(client: Client, section: str | None, where: str) -> list[str]:
    """Return the URLs of the members that are configured.

    :param client: from :func:`make_client`.
    :param section: see there.
    :param where: see there.

    :raises:
        :exc:`ConfigError`: if there are none.
    """
    if not any(option in client.options for option in ('srv', 'hosts', 'host')):
        raise ConfigError(f'section {section} in {where} names no etcd member: set hosts (or host, url, proxy, srv)')
    try:
        with quiet():
            urls = client.urls()
    except Exception as e:
        raise ConfigError(
            f'section {section} in {where}: Patroni cannot find the etcd members ({type(e).__name__}); set hosts'
        ) from None
    if any('@' in url for url in urls):
        raise ConfigError(f'a host in section {section} of {where} has an @ in it; {_APART}')
    if not urls:
        srv = client.options.get('srv')
        reason = f'no SRV records were found for {redacted(str(srv))}' if 'srv' in client.options else 'set hosts'
        raise ConfigError(f'section {section} in {where} names no etcd member: {reason}')
    return list(dict.fromkeys(urls)) if 'hosts' in client.options else sorted(set(urls))


def tls_options(options: Options) -> Options:
    """Return the certificates, as python-etcd passes them to urllib3.

    :param options: the section as the client has it.
    """
    cert, tls = options.get('cert'), {}
    if cert:
        tls = dict(zip(('cert_file', 'key_file'), cert if isinstance(cert, tuple) else (cert,)))
    if options.get('ca_cert'):
        tls.update(ca_certs=options['ca_cert'], cert_reqs='CERT_REQUIRED')
    return tls
