"""How the commands of a plan reach the cluster: variables of the shell, with placeholders where a secret belongs."""

from __future__ import annotations

import shlex
from typing import Sequence

from ..cluster import EtcdMember, authentication
from ..facts import Facts
from .model import Variable

#: Programs take the options of TLS in these two forms: etcdctl, curl.
TLS_FILES = {'=': '--cacert=FILE --cert=FILE --key=FILE', ' ': '--cacert FILE --cert FILE --key FILE'}

#: etcdctl for all voting members of etcd.
ETCDCTL = 'etcdctl $ETCDCTL_FLAGS --endpoints=$ENDPOINTS'

_PROGRAM = 'patroni-etcd3-compat check'


def tls(facts: Facts) -> bool:
    """Return whether etcd is reached by https."""
    return any(url.tls for url in facts.etcd.endpoints)


def tls_variable(name: str, value: str, secure: bool) -> Variable:
    """Return a variable with options of TLS, which is empty without it."""
    return Variable(name, value if secure else '', 'for TLS' if secure else 'for TLS; not needed here')


def check_variables(facts: Facts, members: Sequence[EtcdMember], config_file: str | None) -> list[Variable]:
    """Return the variables that let ``check``, and ``patronictl``, find the same cluster.

    Without a configuration file that is the environment, which both read.

    :param facts: what was collected.
    :param members: the members of etcd; empty in a plan that does not touch etcd.
    :param config_file: the configuration of Patroni; ``None`` if there is no such file.
    """
    patroni = facts.patroni
    if patroni is None:
        urls = ','.join(member.url for member in members)
        return [*_access(facts), Variable('CHECK', f'{_PROGRAM} --endpoints {urls}', 'this program')]
    if config_file:
        found = [Variable('PATRONICTL_CONFIG_FILE', config_file, 'configuration of Patroni', True)]
        if facts.etcd.dcs_url:
            found.append(Variable('DCS_URL', facts.etcd.dcs_url, 'in place of the etcd of that configuration', True))
    else:
        found = [Variable('PATRONI_ETCD3_HOSTS', _hosts(facts), 'members of etcd', True)]
        if tls(facts):
            found.append(Variable('PATRONI_ETCD3_PROTOCOL', 'https', 'what they speak', True))
        if patroni.namespace != '/service':
            found.append(Variable('PATRONI_NAMESPACE', patroni.namespace, 'path that all clusters are below', True))
        found += _access(facts)
    return [*found, Variable('CHECK', f'{_PROGRAM} {shlex.quote(patroni.scope)}', 'this program')]


def _hosts(facts: Facts) -> str:
    """Return the configured members as Patroni reads them from the environment: the text of a list in YAML."""
    hosts = [url.partition('://')[2].partition('/')[0] for url in facts.etcd.configured]
    if any('[' in host for host in hosts):
        return '[' + ','.join(f"'{host}'" for host in hosts) + ']'
    return ','.join(hosts)


def _access(facts: Facts) -> list[Variable]:
    """Return what Patroni's configuration would say about credentials and certificates."""
    found = []
    if authentication(facts) or facts.etcd.credentials:
        found += [
            Variable('PATRONI_ETCD3_USERNAME', 'USER', 'a user of etcd, for check', True),
            Variable('PATRONI_ETCD3_PASSWORD', 'PASSWORD', 'its password', True),
        ]
    if tls(facts):
        found += [
            Variable('PATRONI_ETCD3_CACERT', 'FILE', 'the CA of etcd, for check', True),
            Variable('PATRONI_ETCD3_CERT', 'FILE', 'a client certificate; empty if etcd wants none', True),
            Variable('PATRONI_ETCD3_KEY', 'FILE', 'its key; empty if etcd wants none', True),
        ]
    return found
