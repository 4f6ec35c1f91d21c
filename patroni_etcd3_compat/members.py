"""The etcd members that are known, and asking them for their versions. Needs urllib3 only, nothing of Patroni.

The version of a member is asked in the background, on signs of a change, so that no call waits for it.
"""

from __future__ import annotations

import logging
from threading import Lock, Thread

import urllib3
from urllib3.exceptions import HTTPError

from . import __version__, wire
from .answers import read_version
from .errors import UnexpectedAnswer, no_http
from .member import Member

logger = logging.getLogger(__name__)


class Members:
    """All members by URL; safe to use from several threads.

    :param pool: the pool manager whose connections are used.
    :param prefix: value of ``version_prefix``: the prefix to try first on every member; ``None``: what the member
                   serves decides.
    """

    def __init__(self, pool: urllib3.PoolManager, prefix: str | None = None) -> None:
        self._pool = pool
        self._explicit = prefix
        self._members: dict[str, Member] = {}
        self._lock = Lock()

    def configure(self, prefix: str | None) -> None:
        """Apply a changed ``version_prefix``; what worked on the members so far is dropped.

        :param prefix: as for the constructor.
        """
        with self._lock:
            if prefix != self._explicit:
                self._explicit = prefix
                for member in self._members.values():
                    member.configure(prefix)

    def get(self, url: str) -> Member:
        """Return what is known about a member.

        :param url: base URL of the member.
        """
        member = self._members.get(url)
        if not member:
            with self._lock:
                member = self._members.setdefault(url, Member(url, self._explicit))
        return member

    def look_at(self, url: str, timeout: object) -> None:
        """Find out whether an advertised URL can be used.

        :param url: base URL of the member.
        :param timeout: time-out of urllib3.
        """
        member = self.get(url)
        for last in (False, True):  # who hangs up once may just be starting
            try:
                if not self.learn(member, timeout):
                    raise UnexpectedAnswer(f'{url} answers, but not as etcd does')
                member.answers(None)
                return
            except (HTTPError, OSError) as e:
                member.fails(e)
                reason = no_http(e, url)
                if not reason:
                    return
                if last:
                    member.refuse(reason)

    def remedy(self) -> str | None:
        """Return what is to be done about members that refuse all requests; ``None`` if none does."""
        members = sorted(self._members.values(), key=str)
        off = [str(member) for member in members if member.gateway_off]
        texts = []
        if off:
            texts.append(
                f'{", ".join(off)}: the gRPC gateway is off. Set "enable-grpc-gateway: true" in the configuration file of '
                'etcd or start it with --enable-grpc-gateway (with a configuration file it is off by default before '
                'etcd 3.5)'
            )
        texts += dict.fromkeys(member.remedy for member in members if member.remedy)
        return '. '.join(texts) or None

    def learn(self, member: Member, timeout: object) -> str | None:
        """Ask a member for its version.

        :param member: the member.
        :param timeout: time-out of urllib3, for all of it.

        :returns: the version as text, ``None`` if the answer names none.

        :raises:
            :exc:`urllib3.exceptions.HTTPError`, :exc:`OSError`: if there is no answer, or a strange one.
        """
        headers = urllib3.make_headers(user_agent='patroni-etcd3-compat/' + __version__)
        # Over a connection beside those of the calls, which another maxsize makes it.
        pool = self._pool.connection_from_url(member.url, pool_kwargs={'maxsize': 2})
        status, body, _, _ = wire.request(pool, 'GET', '/version', None, headers, timeout) or (0, b'', 0, False)
        if status == 400 and b'HTTPS server' in body:  # said by Go's server, in plain HTTP
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
        """Ask a member for its version in the background. The call that has seen a sign of a change does not wait."""
        if member.claim_question(changed):
            try:
                Thread(target=self._ask, args=(member, timeout), name='etcd-version', daemon=True).start()
            except RuntimeError as e:  # no more threads
                logger.debug('No version from %s: %r', member, e)
                member.question_over()

    def _ask(self, member: Member, timeout: object) -> None:
        again = True
        while again:
            try:
                self.try_to_learn(member, timeout)
            finally:
                again = member.question_over()
