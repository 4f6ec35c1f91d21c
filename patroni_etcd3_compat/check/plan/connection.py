"""How the commands of a plan reach the cluster: variables of the shell, with placeholders where a secret belongs."""

from __future__ import annotations

import re
import shlex
from typing import Mapping, Sequence

from ..cluster import EtcdMember, authentication
from ..facts import Facts
from .model import Variable

#: Options of TLS, and what stands in for a file that is not known.
_TLS = ('cacert', 'cert', 'key')
FILE = 'FILE'

#: What can be in a variable that the shell splits at blanks.
_PLAIN = re.compile(r'[\w./:@+,=\[\]-]+')

#: etcdctl for all voting members of etcd.
ETCDCTL = 'etcdctl $ETCDCTL_FLAGS --endpoints=$ENDPOINTS'

_PROGRAM = 'patroni-etcd3-compat check'

#: What the files are, by option.
_FOR = {'cacert': 'the CA of etcd, for check', 'cert': 'a client certificate', 'key': 'its key'}


def tls(facts: Facts) -> bool:
    """Return whether etcd is reached by https."""
    return any(url.tls for url in facts.etcd.endpoints)


def tls_variable(name: str, files: Mapping[str, str], between: str, secure: bool) -> Variable:
    """Return a variable with options of TLS, which is empty without it.

    :param files: paths by option.
    :param between: what the program wants between an option and its value.
    :param secure: TLS is used.
    """
    value = ' '.join(f'--{option}{between}{path}' for option, path in files.items()) if secure else ''
    return Variable(name, value, 'for TLS' if secure else 'for TLS; not needed here')


def any_files() -> dict[str, str]:
    """Return all options of TLS with placeholders."""
    return dict.fromkeys(_TLS, FILE)


def etcd_files(facts: Facts) -> dict[str, str]:
    """Return the files with which etcd was reached, by option.

    The authority may be unknown, because Patroni does without, unlike etcdctl and curl.
    """
    known = {file.option: _plain(file.path) for file in facts.etcd.files}
    if 'cert' in known:
        known.setdefault('key', known['cert'])  # which may hold the key as well
    return {'cacert': FILE, **known}


def _plain(text: str, otherwise: str = FILE) -> str:
    """Return a text that the shell leaves alone, or else what stands in for it."""
    return text if _PLAIN.fullmatch(text) else otherwise


def check_variables(
    facts: Facts, members: Sequence[EtcdMember], config_file: str | None, every: str | None = None
) -> list[Variable]:
    """Return the variables that let ``check``, and ``patronictl``, find the same cluster.

    Without a configuration file that is the environment, which both read.

    :param facts: what was collected.
    :param members: the members of etcd; empty in a plan that does not touch etcd.
    :param config_file: the configuration of Patroni; ``None`` if there is no such file.
    :param every: path of all Patroni clusters if the plan is about all of them.
    """
    patroni = facts.patroni
    if patroni is None and every is None:
        urls = ','.join(member.url for member in members)
        return [*_access(facts), Variable('CHECK', f'{_PROGRAM} --endpoints {urls}', 'this program')]
    check = [_PROGRAM]
    if config_file:
        found = [Variable('PATRONICTL_CONFIG_FILE', config_file, 'configuration of Patroni', True)]
        check += map(_plain, facts.etcd.given)
        if facts.etcd.dcs_url:
            found.append(Variable('DCS_URL', facts.etcd.dcs_url, 'in place of the etcd of that configuration', True))
        if '--user' in facts.etcd.given:
            found += _login(facts)
    else:
        found = [Variable('PATRONI_ETCD3_HOSTS', _hosts(facts), 'members of etcd', True)]
        if tls(facts):
            found.append(Variable('PATRONI_ETCD3_PROTOCOL', 'https', 'what they speak', True))
        namespace = patroni.namespace if patroni else every
        if namespace not in ('/service', None):
            found.append(Variable('PATRONI_NAMESPACE', namespace, 'path that all clusters are below', True))
        found += _access(facts)
        check += [] if patroni is None or patroni.group is None else ['--group', str(patroni.group)]
    check.append(shlex.quote(patroni.scope) if patroni else '--all')
    return [*found, Variable('CHECK', ' '.join(check), 'this program')]


def _hosts(facts: Facts) -> str:
    """Return the configured members as Patroni reads them from the environment: the text of a list in YAML."""
    hosts = [url.partition('://')[2].partition('/')[0] for url in facts.etcd.configured]
    if any('[' in host for host in hosts):
        return '[' + ','.join(f"'{host}'" for host in hosts) + ']'
    return ','.join(hosts)


def _access(facts: Facts) -> list[Variable]:
    """Return what Patroni's configuration would say about credentials and certificates."""
    found = _login(facts) if authentication(facts) or facts.etcd.credentials else []
    return found + [
        Variable(f'PATRONI_ETCD3_{file.option.upper()}', _plain(file.path), _FOR[file.option], True)
        for file in facts.etcd.files
        if tls(facts)
    ]


def _login(facts: Facts) -> list[Variable]:
    return [
        Variable(
            'PATRONI_ETCD3_USERNAME', _plain(facts.etcd.username or '', 'USER'), 'a user of etcd, for check', True
        ),
        Variable('PATRONI_ETCD3_PASSWORD', 'PASSWORD', 'its password', True),
    ]
