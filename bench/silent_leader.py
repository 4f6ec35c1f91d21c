"""A leader whose etcd falls silent while that of all others works: a separate process behind its own relays.

Many such leaders share one etcd cluster. Its members advertise host names, which each leader's process resolves to the
addresses of its own relays.
"""

from __future__ import annotations

import itertools
import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, Mapping, NamedTuple, Sequence

import trustme

from lab.environments import Environment
from lab.etcd import EtcdCluster
from lab.member import Release

from . import relay
from .relay import Relay
from .side import Side

DNS_SECONDS = 20
"""What a resolver waits when no server answers: two servers, two attempts, five seconds each (resolv.conf(5))."""

_numbers = itertools.count(1)


class Way(NamedTuple):
    """A way to fall silent."""

    #: what the relays do
    relay: str
    #: for people
    text: str
    #: whether members speak TLS
    tls: bool = False
    #: whether the name servers fall silent, too
    names: bool = False


WAYS: dict[str, Way] = {
    'refused': Way(relay.REFUSED, 'connections refused (members killed)'),
    'stalled': Way(relay.STALLED, 'accepts, answers nothing (SIGSTOP)'),
    'half': Way(relay.HALF, 'half an answer, then nothing'),
    'black-hole': Way(relay.BLACK_HOLE, 'black hole (no answer to SYN)'),
    'dns': Way(relay.DROPPED, 'name servers silent, connections dropped', names=True),
    'cut-off': Way(relay.BLACK_HOLE, 'black hole, name servers silent', names=True),
    'tls': Way(relay.STALLED, 'TLS handshake hangs', tls=True),
}
"""The ways to fall silent, by the names that the command takes."""


def _name(i: int) -> str:
    return f'etcd{i}.silence.invalid'


class Certificates:
    """Certificates for the names of all members.

    :param folder: where the authority's certificate is written.
    :param members: how many names.
    """

    def __init__(self, folder: Path, members: int) -> None:
        authority = trustme.CA()
        #: file with the certificate of the authority
        self.authority = folder / 'authority.pem'
        authority.cert_pem.write_to_path(str(self.authority))
        #: for the server side
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*(_name(i) for i in range(members))).configure_cert(self.context)


class NamedCluster(EtcdCluster):
    """An etcd cluster whose members advertise host names that only informed clients can resolve.

    :param members: how many.
    :param version: line or version of all of them.
    :param certificates: if the names are to be used with TLS; the members themselves speak plain HTTP.
    :param options: further options of the section of Patroni's configuration.
    """

    def __init__(
        self,
        members: int,
        version: str = '3.5',
        certificates: Certificates | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__([version] * members)
        #: what the relays use
        self.certificates = certificates
        #: further options of the section
        self.options = dict(options or {})

    def __enter__(self) -> NamedCluster:
        self.start()
        return self

    def _bootstrap(self, releases: Sequence[Release]) -> None:
        for i, member in enumerate(self.members):  # the last of two flags counts
            member.flags += [
                '--advertise-client-urls',
                f'{"https" if self.certificates else "http"}://{_name(i)}:{member.port}',
            ]
        super()._bootstrap(releases)

    @property
    def section(self) -> dict[str, Any]:
        """The section of Patroni's configuration for clients that know the names."""
        section: dict[str, Any] = {'hosts': [f'{_name(i)}:{member.port}' for i, member in enumerate(self.members)]}
        if self.certificates:
            section.update(protocol='https', cacert=str(self.certificates.authority))
        return dict(section, **self.options)


class SilentLeader:
    """A leader behind relays, inside a ``with``.

    :param environment: the environment of its Python and Patroni.
    :param cluster: its etcd.
    :param way: how the etcd will fall silent.
    :param log: file for Patroni's log.
    :param config: of Patroni: ``scope``, ``ttl``, ``loop_wait``, ``retry_timeout``.
    """

    def __init__(self, environment: Environment, cluster: NamedCluster, way: Way, log: Path, **config: Any) -> None:
        self._way = way
        self._relays: list[Relay] = []
        self._side: Side | None = None
        number = next(_numbers)
        addresses = {
            _name(i): f'127.{1 + number // 250}.{1 + number % 250}.{1 + i}' for i in range(len(cluster.members))
        }
        tls = cluster.certificates.context if cluster.certificates else None
        try:
            for i, member in enumerate(cluster.members):
                self._relays.append(Relay((addresses[_name(i)], member.port), ('127.0.0.1', member.port), tls))
            self._side = Side(
                environment,
                'silence_worker.py',
                log,
                addresses=addresses,
                dcs=dict(config, name='a', namespace='service', etcd3=cluster.section),
            )
        except BaseException:
            self._end()
            raise

    def __enter__(self) -> SilentLeader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._side is not None:
            self._side.__exit__(None, None, None)
        for it in self._relays:
            it.close()

    @property
    def side(self) -> Side:
        """The process."""
        assert self._side is not None
        return self._side

    def good(self) -> None:
        """Wait until it leads and everything works.

        :raises LabError: when that does not happen.
        """
        self.side.do('good')

    def lose_etcd(self, limit: float) -> None:
        """Let it run one more good loop, silence its etcd, and start its next loop when it is due.

        :param limit: seconds that the loop may take; `outcome` waits for its end.
        :raises LabError: when the loop before was not good.
        """
        self.side.do('last_good')
        if self._way.names:
            self.side.do('no_names', seconds=DNS_SECONDS)
        for it in self._relays:
            it.fall_silent(self._way.relay)
        self.side.ask('silent', limit=limit)

    def outcome(self) -> dict[str, Any]:
        """Wait for the end of the loop: see ``Leader.silent`` in ``silence_worker.py``."""
        outcome: dict[str, Any] = self.side.answer()
        return outcome
