"""Authentication of all requests, the same under every release of Patroni.

Patroni learned step by step which of its calls need a token, and how to handle a refused one: the lease keepalive in
3.2, the member list in 4.1.1. etcd requires it for both since CVE-2026-33413 (3.4.42, 3.5.28, 3.6.9). Here every
request carries the token that is valid now. etcd refuses a token before it executes anything. The same member is then
asked for a new token, and the request is sent once more.
"""

from __future__ import annotations

import json
import logging
from threading import Lock
from typing import Any, Callable

from urllib3.exceptions import HTTPError

from . import deadline, wire
from .answers import AUTH_NOT_ENABLED, TOKEN_REFUSED, Answer, first_document
from .errors import LoginPending, TakesNoToken
from .member import Member
from .members import Members
from .router import CANONICAL
from .senders import Kwargs, PoolSender, Reply
from .urls import split_url
from .versions import PREFIXES, TOKEN_SINCE

logger = logging.getLogger(__name__)

_LOGIN = '/auth/authenticate'


class Secret(str):
    """A text that does not appear in logs; Patroni logs a refused token.

    ``str``, ``repr``, ``print`` and every way of formatting hide it. Code that converts it to bytes or JSON, or joins
    it to another text, is about to send it and gets the text itself.

    :param value: the text, or a secret, which stays the same.
    """

    def __new__(cls, value: str) -> Secret:
        # str() of a secret is "***", and Patroni passes the old token again if it got no new one.
        return value if isinstance(value, Secret) else super().__new__(cls, value)

    def __str__(self) -> str:
        return '***'

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format('***', spec)


class AuthPool:
    """A :class:`~.senders.Sender` that adds a token to each request if there are credentials.

    :param sender: sends the requests.
    :param members: the members.
    :param credentials: returns the user name and password that are configured now.
    """

    def __init__(
        self, sender: PoolSender, members: Members, credentials: Callable[[], tuple[str | None, str | None]]
    ) -> None:
        self._sender = sender
        self.members = members
        self._credentials = credentials
        self._lock = Lock()
        #: the token in use
        self.token: Secret | None = None

    @property
    def connection_pool_kw(self) -> Kwargs:
        """Arguments for new connections."""
        return self._sender.connection_pool_kw

    def clear(self) -> None:
        """Close all idle connections."""
        self._sender.clear()

    def urlopen(self, method: str, url: str, **kwargs: Any) -> Reply:
        """Send a request, see :meth:`Router.urlopen`.

        :raises:
            :exc:`TakesNoToken`: if the member requires a token but is too old to accept one.
            :exc:`LoginPending`: if another thread is getting a token, and the time is over.
        """
        token = self.token
        answer = self._send(method, url, token, kwargs)
        if not isinstance(answer, Answer) or answer.error not in TOKEN_REFUSED or not all(self._credentials()):
            return answer

        member = self.members.get(split_url(url)[0])
        if not self._takes_token(member, kwargs) and not member.cannot_take_token():
            raise TakesNoToken(f'{member} requires a token, but is too old to accept one')

        refused = self._renew(member, token, kwargs)
        return refused or self._send(method, url, self.token, kwargs)

    def _takes_token(self, member: Member, kwargs: Kwargs) -> bool:
        if member.over_grpc:
            return True
        if not member.version_text and member.prefix == PREFIXES[-1]:  # releases with other prefixes accept one
            try:
                self.members.learn(member, kwargs.get('timeout'))
            except (HTTPError, OSError):
                pass  # an unknown version counts as a new one
        return member.can(TOKEN_SINCE)

    def _send(self, method: str, url: str, token: str | None, kwargs: Kwargs) -> Reply:
        headers = {k: v for k, v in (kwargs.get('headers') or {}).items() if k != 'authorization'}
        if token and not url.endswith(_LOGIN):
            headers['authorization'] = str.__str__(token)
        return self._sender.urlopen(method, url, **dict(kwargs, headers=headers))

    def _renew(self, member: Member, old: str | None, kwargs: Kwargs) -> Reply | None:
        """Get a token from *member* to replace *old*.

        :returns: ``None``, or the answer to the attempt if it failed.

        :raises:
            :exc:`LoginPending`: if another thread is already getting one, and the time is over.
        """
        patience = min(wire.limits(kwargs.get('timeout'))[1], deadline.current().left())
        if not self._lock.acquire(timeout=patience):
            raise LoginPending(f'{member} requires a new token, and another thread is still getting it')
        try:
            if self.token != old:  # another thread has renewed it
                return None
            return self._login(member, kwargs)
        finally:
            self._lock.release()

    def _login(self, member: Member, kwargs: Kwargs) -> Reply | None:
        name, password = self._credentials()
        logger.info('Authenticating with etcd member %s', member.url)
        answer = self._send(
            'POST',
            member.url + CANONICAL + _LOGIN,
            None,
            dict(kwargs, body=json.dumps({'name': name, 'password': password})),
        )
        if answer.status < 400:
            self.token = Secret(first_document(answer.status, answer.data)['token'])
        elif isinstance(answer, Answer) and answer.error == AUTH_NOT_ENABLED:
            self.token = None
        else:
            return answer
        return None
