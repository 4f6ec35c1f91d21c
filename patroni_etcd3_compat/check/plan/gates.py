"""The commands of a plan: variables of the shell, and what has to hold between the steps."""

from __future__ import annotations

import re
import shlex
from typing import Sequence

from ...versions import Version, dotted
from ..facts import RUNNING, Facts
from ..judge.members import auth
from .members import Node
from .model import Gate, Variable

#: Findings that must not be there before a plan goes on; those that are bound to come while members differ may be.
STOPS = {
    'CHECK_ETCD': (
        'etcd-quorum-lost',
        'etcd-no-leader',
        'etcd-alarm',
        'etcd-unreachable',
        'etcd-gateway-off',
        'etcd-login-failed',
        'etcd-cluster-version',
        'etcd-unknown',
    ),
    'CHECK_PATRONI': (
        'patroni-no-leader',
        'patroni-member-down',
        'patroni-api-unreachable',
        'slot-lost',
        'slot-stuck',
        'patroni-unknown',
    ),
}

#: Those about slots for the end.
SLOTS = ('slot-stuck', 'slot-lost', 'slot-retains-wal', 'slot-unknown')

_PAUSED = 'Maintenance mode: on'

#: The line of a leader in ``patronictl list``; that of a standby cluster is streaming, or restores from an archive.
_RUNS = 'Leader *\\| *({0})'.format('|'.join(RUNNING))


def at_least(line: tuple[int, ...], patch: Version | None, exact: bool) -> str:
    """Make the regular expression for versions of a line.

    :param line: major and minor.
    :param patch: the least (or the only) release of it; ``None`` for any.
    :param exact: only *patch* itself.
    """
    start = '\\.'.join(map(str, line)) + '\\.'
    if patch is None or not exact and patch[2] == 0:
        return start
    if exact:
        return start + str(patch[2]) + '([^0-9]|$)'
    tens, ones = divmod(patch[2], 10)
    parts = ['{0}[{1}-9]'.format(tens or '', ones)] + ([f'[{tens + 1}-9][0-9]'] if tens < 9 else [])
    return start + '({0})'.format('|'.join(parts + ['[0-9]{3,}']))


class Commands:
    """Makes commands for the members of one cluster.

    :param facts: what was collected.
    :param members: the members of etcd; empty in a plan that does not touch etcd.
    :param config_file: the configuration of Patroni; a placeholder if it is not known.
    """

    def __init__(self, facts: Facts, members: Sequence[Node], config_file: str | None) -> None:
        self._patroni = facts.patroni
        self._config = config_file or '/etc/patroni/config.yml'
        self._scope = shlex.quote(facts.patroni.scope) if facts.patroni else ''
        self._auth = auth(facts)
        self._tls = any(member.tls for member in facts.etcd.endpoints)
        self._members = members
        self.endpoints = [node.client_url for node in members]

    def variables(self) -> list[Variable]:
        """The variables that the commands use."""
        found = []
        program = 'patroni-etcd3-compat check'
        if self._patroni:
            found.append(Variable('PATRONICTL_CONFIG_FILE', self._config, 'configuration of Patroni', True))
            found.append(Variable('CHECK', f'{program} {self._scope}', 'this program'))
        else:
            found.append(
                Variable(
                    'CHECK',
                    '{0} --endpoints {1}'.format(program, ','.join(node.url for node in self._members)),
                    'this program',
                )
            )
        used = (['CHECK_ETCD'] if self._members else []) + (['CHECK_PATRONI'] if self._patroni else [])
        found += [Variable(name, '$CHECK --only ' + ','.join(STOPS[name]), 'what stops the plan') for name in used]
        found.append(Variable('BACKUP', '/var/backups/upgrade', 'a folder for copies, closed to other users'))
        if self._members:
            found += [
                Variable('ENDPOINTS', ','.join(self.endpoints), 'client URLs of all members of etcd'),
                Variable('ETCDCTL_API', '3', 'for etcdctl before 3.4', True),
                self._flags('ETCDCTL_FLAGS', '--cacert=FILE --cert=FILE --key=FILE', self._tls),
                self._flags('CURL_FLAGS', '--cacert FILE --cert FILE --key FILE', self._tls),
            ]
        if self._members and self._auth:
            found.append(Variable('ETCDCTL_USER', 'root:PASSWORD', 'a user with role root', True))
        if not self._members and self._patroni:
            found.append(Variable('SLOTS_INTERVAL', '60', 'seconds between two looks at the slots'))
            found.append(
                self._flags(
                    'API_FLAGS',
                    '--cacert FILE --cert FILE --key FILE',
                    any((member.api_url or '').startswith('https') for member in self._patroni.members),
                )
            )
        return found

    @staticmethod
    def _flags(name: str, value: str, secure: bool) -> Variable:
        return Variable(name, value if secure else '', 'for TLS' if secure else 'for TLS; none is needed here')

    def checks(self, *names: str) -> list[Gate]:
        """Nothing that stops the plan is found by ``check``.

        :param names: keys of :data:`STOPS`; those about Patroni are left out where there is none.
        """
        about = {'CHECK_ETCD': 'etcd', 'CHECK_PATRONI': 'Patroni'}
        return [
            Gate(f'check finds nothing about {about[name]} that stops the plan', '$' + name, '')
            for name in names
            if name == 'CHECK_ETCD' or self._patroni
        ]

    def slots(self) -> Gate:
        """No slot stands still."""
        return Gate(
            'slots move on while something is written',
            '$CHECK --slots-interval $SLOTS_INTERVAL --only ' + ','.join(SLOTS),
            '',
        )

    def patronictl(self, command: str, *options: str) -> str:
        """A call of ``patronictl`` for this cluster."""
        return ' '.join(('patronictl', command, self._scope) + options)

    def leads(self) -> list[Gate]:
        """Patroni has a leader, and its PostgreSQL runs."""
        if not self._patroni:
            return []
        return [
            Gate('Patroni has its leader', self.patronictl('list') + f' | grep -E "{_RUNS}"', 'the line of the leader')
        ]

    def up(self, name: str, leads: bool) -> Gate:
        """A member of Patroni is there, as what it was."""
        state = _RUNS if leads else '(streaming|running|archive recovery)'
        return Gate(
            f'{name} is up',
            self.patronictl('list') + ' | grep -E "\\| {0} .*{1}"'.format(re.escape(name).replace('\\-', '-'), state),
            'its line',
            120,
        )

    def paused(self, on: bool) -> Gate:
        """Patroni is paused, or is not."""
        return Gate(
            'Patroni is {0}paused'.format('' if on else 'not '),
            '{0}{1} | grep -q "{2}"'.format('' if on else '! ', self.patronictl('list'), _PAUSED),
            '',
        )

    @staticmethod
    def version(url: str, field: str, pattern: str) -> str:
        """Ask a member of etcd and compare a field of its ``/version``."""
        return 'curl -fsS $CURL_FLAGS {0}/version | grep -E \'"{1}": ?"{2}\''.format(url.rstrip('/'), field, pattern)

    @staticmethod
    def healthy() -> Gate:
        """Every member of etcd answers a read that needs the quorum."""
        return Gate(
            'every member of etcd is healthy', 'etcdctl $ETCDCTL_FLAGS --endpoints=$ENDPOINTS endpoint health', ''
        )

    @staticmethod
    def snapshot(before: str) -> str:
        """Name of the snapshot's file."""
        return f'$BACKUP/etcd-before-{before}.db'

    @classmethod
    def snapshot_status(cls, before: str, low: Version) -> str:
        """Look at a snapshot; the program that does it has another name from 3.6 on."""
        return '{0} snapshot status "{1}" -w table'.format(
            'etcdutl' if low >= (3, 6, 0) else 'etcdctl', cls.snapshot(before)
        )

    def restore(self, before: str, low: Version) -> list[str]:
        """All members from the snapshot."""
        tool = 'etcdutl' if low >= (3, 5, 0) else 'etcdctl'
        return (
            [f'# stop etcd on every member, install etcd {dotted(low[:2])} again, copy the snapshot to each; then on']
            + [
                '# {0}: {1} snapshot restore etcd-before-{2}.db --name {0} --initial-cluster {3} --initial-cluster-token '
                'restored-{2} --initial-advertise-peer-urls {4} --data-dir NEW_FOLDER'.format(
                    node.name, tool, before, self._peers(), node.peer_url or 'PEER_URL'
                )
                for node in self._members
            ]
            + ['# let data-dir be that folder and start etcd on every member; Patroni finds it by itself']
        )

    def rejoin(self, node: Node) -> list[str]:
        """One member out and in again, empty."""
        return [
            f'# stop etcd on {node.name}',
            'etcdctl $ETCDCTL_FLAGS --endpoints=$ENDPOINTS member remove {0}'.format(node.id or 'ID'),
            f'# empty the data directory of {node.name}',
            'etcdctl $ETCDCTL_FLAGS --endpoints=$ENDPOINTS member add {0} --peer-urls={1}'.format(
                node.name, node.peer_url or 'PEER_URL'
            ),
            f'# start etcd on {node.name} with --initial-cluster-state=existing --initial-cluster={self._peers()}',
        ]

    def _peers(self) -> str:
        return ','.join('{0}={1}'.format(node.name, node.peer_url or 'PEER_URL') for node in self._members)
