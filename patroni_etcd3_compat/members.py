"""The etcd members that are known, and asking them for their versions. Independent of Patroni; needs only urllib3.

A member is asked for its version in the background, on signs of a change, so that no call waits for it.
"""

from __future__ import annotations

import logging
from threading import Lock, Thread
from typing import Callable

import urllib3
from urllib3.exceptions import HTTPError

from . import __version__, wire
from .answers import read_version
from .errors import UnexpectedAnswer, no_http
from .extras import GATEWAY, INSTALL
from .member import Member
from .versions import AUTO

logger = logging.getLogger(__name__)


class Members:
    """All members by URL; safe to use from several threads.

    :param pool: the pool manager whose connections are used.
    :param prefix: value of ``version_prefix``: the prefix to try first on every member; ``None`` if what the member
                   serves decides.
    :param transport: value of ``transport``.
    """

    def __init__(self, pool: urllib3.PoolManager, prefix: str | None = None, transport: str = GATEWAY) -> None:
        self._pool = pool
        self._explicit = prefix
        #: value of ``transport``
        self.transport = transport
        #: asks for the version over gRPC, see :meth:`.Grpc.version`; ``None``: gRPC cannot be used
        self.by_grpc: Callable[[Member, object], str | None] | None = None
        self._members: dict[str, Member] = {}
        self._lock = Lock()

    def configure(self, prefix: str | None, transport: str = GATEWAY) -> bool:
        """Apply a changed ``version_prefix`` or ``transport``; what has worked so far is forgotten.

        :param prefix: as for the constructor.
        :param transport: as for the constructor.

        :returns: whether one of them has changed.
        """
        with self._lock:
            changed = (prefix, transport) != (self._explicit, self.transport)
            self._explicit, self.transport = prefix, transport
            for member in self._members.values() if changed else ():
                member.configure(prefix, self._possible)
        return changed

    @property
    def may_use_grpc(self) -> bool:
        """Whether calls may go over gRPC, if a member needs that, or in any case."""
        return self._possible != GATEWAY

    @property
    def _possible(self) -> str:
        """The transport of a new member."""
        return self.transport if self.by_grpc else GATEWAY

    def get(self, url: str) -> Member:
        """Return what is known about a member.

        :param url: base URL of the member.
        """
        member = self._members.get(url)
        if not member:
            with self._lock:
                member = self._members.setdefault(url, Member(url, self._explicit, self._possible))
        return member

    def look_at(self, url: str, timeout: object) -> None:
        """Find out whether an advertised URL can be used.

        :param url: base URL of the member.
        :param timeout: time-out of urllib3.
        """
        member = self.get(url)
        for last in (False, True):  # a server that hangs up once may be starting
            try:
                if not self.learn(member, timeout) and not member.over_grpc:
                    raise UnexpectedAnswer(f'{url} answers, but not as etcd does')
                member.answers(None)
                return
            except (HTTPError, OSError) as e:
                member.fails(e)
                reason = no_http(e, url)
                if not reason:
                    return
                if self.speaks_grpc(member, timeout):
                    member.answers(None)
                    return
                if last:
                    member.refuse(reason)

    def speaks_grpc(self, member: Member, timeout: object) -> bool:
        """Find out whether a member that cannot be asked over HTTP/1.1 speaks gRPC, and use that if it may be used.

        :param member: the member.
        :param timeout: time-out of urllib3.
        """
        if member.transport != AUTO or not self.by_grpc or not member.may_try_grpc:
            return False
        try:
            text = self.by_grpc(member, timeout)
        except (HTTPError, OSError) as e:
            logger.debug('No gRPC at %s: %r', member.url, e)
            member.has_no_grpc()  # nor is that tried again at each call
            return False
        member.learned(text)
        return member.leaves_gateway('it speaks gRPC alone', lasting=True)

    def remedy(self) -> str | None:
        """Return the remedy for members that refuse all requests; ``None`` if no member does."""
        members = sorted(self._members.values(), key=str)
        off = [str(member) for member in members if member.gateway_off and not member.over_grpc]
        texts = []
        if off:
            texts.append(
                f'{", ".join(off)}: the gRPC gateway is off. Set "enable-grpc-gateway: true" in the configuration file '
                'of etcd or start it with --enable-grpc-gateway (with a configuration file it is off by default before '
                'etcd 3.5)'
            )
            texts += self._hint()
        texts += dict.fromkeys(member.remedy for member in members if member.remedy)
        return '. '.join(texts) or None

    def _hint(self) -> list[str]:
        """Return what would make gRPC take the place of a gateway that cannot be used."""
        if self.transport == GATEWAY:
            return ['Or set "transport: auto", so that Patroni uses gRPC itself there']
        return [] if self.by_grpc else [f'Or let Patroni use gRPC itself there: {INSTALL}']

    def learn(self, member: Member, timeout: object) -> str | None:
        """Ask a member for its version.

        :param member: the member.
        :param timeout: time-out of urllib3, for the whole request.

        :returns: the version as text, ``None`` if the answer names none.

        :raises:
            :exc:`urllib3.exceptions.HTTPError`, :exc:`OSError`: if there is no answer, or an unexpected one.
        """
        if member.over_grpc and self.by_grpc:
            text = self.by_grpc(member, timeout)
            member.learned(text)
            return text
        headers = urllib3.make_headers(user_agent='patroni-etcd3-compat/' + __version__)
        # A different maxsize makes urllib3 use another pool, so this connection is separate from those of the calls.
        pool = self._pool.connection_from_url(member.url, pool_kwargs={'maxsize': 2})
        status, body, _, _ = wire.request(pool, 'GET', '/version', None, headers, timeout) or (0, b'', 0, False)
        if status == 400 and b'HTTPS server' in body:  # Go's server says this in plain HTTP
            raise UnexpectedAnswer(f'{member.url} speaks TLS')
        text = read_version(status, body)[0]
        member.learned(text)
        return text

    def try_to_learn(self, member: Member, timeout: object) -> None:
        try:
            self.learn(member, timeout)
        except (HTTPError, OSError) as e:
            logger.debug('No version from %s: %r', member, e)

    def find_out(self, member: Member, timeout: object, changed: bool) -> None:
        """Ask a member for its version in the background. The call that noticed a sign of a change does not wait."""
        if member.claim_question(changed):
            try:
                Thread(target=self._ask, args=(member, timeout), name='etcd-version', daemon=True).start()
            except RuntimeError as e:  # no thread can be started
                logger.debug('No version from %s: %r', member, e)
                member.question_over()

    def _ask(self, member: Member, timeout: object) -> None:
        again = True
        while again:
            try:
                self.try_to_learn(member, timeout)
            finally:
                again = member.question_over()
