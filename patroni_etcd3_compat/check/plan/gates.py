"""The commands of a plan: variables of the shell, and what has to hold between the steps. Pure."""

from __future__ import annotations

import re
import shlex
from typing import Sequence

from ...mark import FIELD
from ...urls import as_key
from ...versions import Version, dotted
from ..cluster import EtcdMember, authentication
from ..facts import RUNNING, Facts
from ..findings.registry import ETCD_GATE, PACKAGE, PATRONI_GATE, at_the_end, kinds, stopping
from ..patroni_cluster import TELLS_STREAMING, place
from . import snapshots
from .connection import ETCDCTL, any_files, check_variables, etcd_files, tls, tls_variable
from .model import Gate, Variable

_PAUSED = 'Maintenance mode: on'

#: The line of a leader in ``patronictl list``; that of a standby cluster is streaming, or restores from an archive.
_RUNS = f'Leader *\\| *({"|".join(RUNNING)})'

#: The state of a replica whose WAL receiver works, or that restores from an archive.
_FOLLOWS = '\\| *(streaming|in archive recovery) *\\|'


def at_least(line: tuple[int, ...], patch: Version | None, exact: bool) -> str:
    """Return the regular expression for versions of a line.

    :param line: major and minor.
    :param patch: its lowest (or only) release that matches; ``None``: any.
    :param exact: only *patch* itself matches.
    """
    start = '\\.'.join(map(str, line)) + '\\.'
    if patch is None or not exact and patch[2] == 0:
        return start
    if exact:
        return start + str(patch[2]) + '([^0-9]|$)'
    tens, ones = divmod(patch[2], 10)
    parts = [f'{tens or ""}[{ones}-9]'] + ([f'[{tens + 1}-9][0-9]'] if tens < 9 else [])
    return f'{start}({"|".join(parts + ["[0-9]{3,}"])})'


#: What a gate is about.
_ABOUT = {ETCD_GATE: 'etcd', PATRONI_GATE: 'Patroni'}


def grpc_url(member: EtcdMember) -> str:
    """Return the URL of a member that etcdctl can use: an advertised one, and one that answers if there is any."""
    there = {as_key(url.url) for url in member.urls if url.answers}
    advertised = member.listed.client_urls if member.listed else []
    answering = [url for url in advertised if as_key(url) in there]
    answering += [url.url for url in member.urls if url.answers and not url.wrong_scheme]
    return answering[0] if answering else member.client_url


class Commands:
    """Makes commands for the members of one cluster.

    :param facts: what was collected.
    :param members: the members of etcd; empty in a plan that does not touch etcd.
    :param config_file: the configuration of Patroni; ``None``: there is no file, so the environment says it all.
    :param own: identifiers of findings that the plan itself causes, which therefore keep no gate closed.
    :param every: path of all Patroni clusters if the plan is about all of them.
    """

    def __init__(
        self,
        facts: Facts,
        members: Sequence[EtcdMember],
        config_file: str | None,
        own: Sequence[str] = (),
        every: str | None = None,
    ) -> None:
        self._every = every
        self._patroni = facts.patroni
        self._facts, self._config = facts, config_file
        self._scope = shlex.quote(facts.patroni.scope) if facts.patroni else ''
        self._auth = authentication(facts)
        self._tls = tls(facts)
        self._members = members
        self._own = own
        self.endpoints = [grpc_url(member) for member in members if not member.learner]

    @property
    def answering(self) -> str:
        """The URL of a voting member that answers; of any if none does."""
        voting = [member for member in self._members if not member.learner]
        return grpc_url(next((member for member in voting if member.answers), (voting or self._members)[0]))

    def variables(self) -> list[Variable]:
        """Return the variables that the commands use."""
        found = check_variables(self._facts, self._members, self._config, self._every)
        used = ([ETCD_GATE] if self._members else []) + ([PATRONI_GATE] if self._patroni or self._every else [])
        for gate in used:
            ids = [id for id in stopping(gate) if id not in self._own]
            found.append(Variable(gate, f'$CHECK --only {",".join(ids)}', 'what stops the plan'))
        found.append(Variable('BACKUP', '/var/backups/upgrade', 'a folder for copies, closed to other users'))
        if self._members:
            return found + self._etcd_variables()
        if self._patroni:
            secure = any((member.api_url or '').startswith('https') for member in self._patroni.members)
            found.append(Variable('SLOTS_INTERVAL', '60', 'seconds between two samples of the slots'))
            found.append(tls_variable('API_FLAGS', any_files(), ' ', secure))
        return found

    def _etcd_variables(self) -> list[Variable]:
        found = [
            Variable('ENDPOINTS', ','.join(self.endpoints), 'client URLs of the members of etcd that have a vote'),
            Variable('ETCDCTL_API', '3', 'for etcdctl before 3.4', True),
            tls_variable('ETCDCTL_FLAGS', etcd_files(self._facts), '=', self._tls),
            tls_variable('CURL_FLAGS', etcd_files(self._facts), ' ', self._tls),
        ]
        if self._auth:
            found.append(Variable('ETCDCTL_USER', 'root:PASSWORD', 'a user with role root, for etcdctl', True))
        return found

    def checks(self, *gates: str) -> list[Gate]:
        """Return the gates that are open if ``check`` finds nothing that stops the plan.

        :param gates: ``ETCD_GATE``, ``PATRONI_GATE``; the latter is left out if there is no Patroni.
        """
        return [
            Gate(f'check finds nothing about {_ABOUT[gate]} that stops the plan', f'${gate}', '')
            for gate in gates
            if gate == ETCD_GATE or self._patroni or self._every
        ]

    def slots(self) -> Gate:
        """Return the gate that is open if every slot moves."""
        return Gate(
            'slots move on while something is written',
            f'$CHECK --slots-interval $SLOTS_INTERVAL --only {",".join(at_the_end())}',
            '',
        )

    def patronictl(self, command: str, *options: str) -> str:
        """Return a call of ``patronictl`` for this cluster."""
        group = self._patroni.group if self._patroni else None
        citus = () if group is None else ('--group', str(group))
        return ' '.join(('patronictl', command, self._scope, *citus) + options)

    def leads(self) -> list[Gate]:
        """Return the gate that is open if Patroni has a leader whose PostgreSQL runs; none if there is no Patroni."""
        if not self._patroni:
            return []
        return [
            Gate('Patroni has its leader', f'{self.patronictl("list")} | grep -E "{_RUNS}"', 'the line of the leader')
        ]

    def up(self, name: str, leads: bool, version: Version | None) -> Gate:
        """Return the gate that is open if a member of Patroni runs, and follows the leader if it is a replica.

        :param name: its name.
        :param leads: it has to be the leader.
        :param version: the release of Patroni that it runs then. Before 3.0.4 there is no state "streaming".
        """
        followed = version is not None and version >= TELLS_STREAMING
        state = _RUNS if leads else _FOLLOWS if followed else f'({"|".join(RUNNING)})'
        escaped = re.escape(name).replace('\\-', '-')
        title = f'{name} follows the leader' if followed and not leads else f'{name} is up'
        return Gate(title, f'{self.patronictl("list")} | grep -E "\\| {escaped} .*{state}"', 'its line', 120)

    def mark(self, name: str) -> Gate:
        """Return the gate that is open if this package, or the patch, serves a member of Patroni.

        :param name: its name.
        """
        command = f'{ETCDCTL} get --print-value-only {self._members_key(name)} | grep "{FIELD}"'
        return Gate(f'the package serves {name}', command, 'the mark in its member key', 120)

    def marks(self) -> list[Gate]:
        """Return the gate that is open if this package, or the patch, serves every member; none without Patroni."""
        if self._every:
            needed = ','.join(kind.id for kind in kinds() if kind.cured and PACKAGE in kind.ended_by)
            return [Gate('the package serves every member of every Patroni cluster', f'$CHECK --only {needed}', '')]
        if not self._patroni:
            return []
        command = f'! {ETCDCTL} get --prefix --print-value-only {self._members_key("")} | grep . | grep -v "{FIELD}"'
        return [Gate('the package serves every Patroni member', command, 'no member key without its mark')]

    def _members_key(self, name: str) -> str:
        patroni = self._patroni
        assert patroni is not None
        return shlex.quote(f'{place(patroni)}/members/{name}')

    def paused(self, on: bool) -> Gate:
        """Return the gate that is open if Patroni is paused, or if it is not."""
        found = f'{self.patronictl("list")} | grep -q "{_PAUSED}"'
        return Gate('Patroni is paused' if on else 'Patroni is not paused', found if on else f'! {found}', '')

    @staticmethod
    def version(url: str, field: str, pattern: str) -> str:
        """Return the command that compares a field of ``/version`` of a member of etcd."""
        return f'curl -fsS $CURL_FLAGS {url.rstrip("/")}/version | grep -E \'"{field}": ?"{pattern}\''

    @staticmethod
    def healthy() -> Gate:
        """Return the gate that is open if every member of etcd answers a read that needs the quorum.

        Learners refuse such a read, so they are not in ``$ENDPOINTS``.
        """
        return Gate('every voting member of etcd is healthy', f'{ETCDCTL} endpoint health', '')

    @staticmethod
    def written(url: str) -> Gate:
        """Return the gate that is open if somebody has ever written to etcd: its revision begins with 1.

        :param url: of a member, where it serves gRPC.
        """
        status = f'etcdctl $ETCDCTL_FLAGS --endpoints={url} endpoint status -w json'
        return Gate('something was written to etcd', f'{status} | grep -E \'"revision": ?([2-9]|[1-9][0-9])\'', '', 0)

    def restore(self, before: str, low: Version) -> list[str]:
        """Return the commands that restore all members from a snapshot, see :func:`.snapshots.restore`."""
        restored = snapshots.restore([member for member in self._members if not member.learner], before, low)
        return self.without_patroni(restored, ETCDCTL)

    def without_patroni(self, commands: Sequence[str], etcdctl: str) -> list[str]:
        """Return these commands with what happens to Patroni around them, see :func:`.snapshots.without_patroni`."""
        prefix = shlex.quote(f'{place(self._patroni)}/') if self._patroni else None
        pause, resume = (self.patronictl(command, '--wait') for command in ('pause', 'resume'))
        # the copies that nodes keep of the configuration may be from just before the pause
        resume = f'{self.paused(False).command} || {resume}'
        return snapshots.without_patroni(commands, etcdctl, pause, resume, prefix)

    @staticmethod
    def downgrade(low: Version) -> list[str]:
        """Return the commands that let members of a lower line in again, one after the other.

        :param low: what the members ran before.
        """
        line = dotted(low[:2])
        return [
            f'{ETCDCTL} downgrade validate {line}',
            f'{ETCDCTL} downgrade enable {line}',
            f'{ETCDCTL} endpoint status -w table  # until every member shows storage version {line}.0',
            f'# install etcd {line} again on one member after the other ("plan --etcd-to {line}" has the gates); or, '
            'from the snapshot:',
        ]

    def rejoin(self, member: EtcdMember) -> list[str]:
        """Return the commands that remove a member and add it again, empty."""
        learner = ' --learner' if member.learner else ''
        return [
            f'# stop etcd on {member.label}',
            f'{ETCDCTL} member remove {member.id or "ID"}',
            f'# empty the data directory of {member.label}',
            f'{ETCDCTL} member add {member.label}{learner} --peer-urls={snapshots.peer_url(member)}',
            f'# start etcd on {member.label} with --initial-cluster-state=existing '
            f'--initial-cluster={snapshots.peers(self._members)}',
        ]
