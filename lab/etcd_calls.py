"""The requests of the lab itself to an etcd cluster, around its facades: calls, health, authentication."""

from __future__ import annotations

import functools
import json
import time
from typing import Any

from .facade import Recorded, real_prefix
from .member import EtcdMember, b64, request
from .packages import line_of
from .processes import LabError, wait_until

_PASSING = (
    'unhealthy cluster',  # as long as not all members have been connected for 5 s
    'request timed out',
    'no leader',
    'leader changed',
    'proposal dropped',
    'not enough started members',
    'too many requests',
    'learner is not ready',
)
"""Errors of etcd after which the same request may succeed a moment later."""

PATIENCE = 60
"""Seconds to wait for what takes one second on an idle machine."""


class EtcdCalls:
    """The members of a cluster, and calls to them."""

    def __init__(self) -> None:
        self.members: list[EtcdMember] = []
        #: user and password, None while authentication is off
        self.auth: tuple[str, str] | None = None
        self._has_users = False

    @property
    def hosts(self) -> list[str]:
        """The configuration of clients: ``['127.0.0.1:PORT', ...]``."""
        return [url.partition('//')[2] for url in self.urls]

    @property
    def urls(self) -> list[str]:
        """The same as URLs."""
        return [member.url for member in self.members]

    def requests(self) -> list[Recorded]:
        """All requests that arrived at the facades, by time."""
        recorded = [entry for member in self.members if member.facade for entry in member.facade.requests]
        return sorted(recorded, key=lambda entry: entry.time)

    def call(self, i: int, rpc: str, body: dict[str, Any], token: str | None = None) -> tuple[int, Any]:
        """Send one call to a real member, around its facade: ``call(0, 'kv/range', {'key': b64('a')})``.

        :param i: index of the member.
        :param rpc: the path behind the gateway prefix.
        :param token: authentication token, see `token`.
        :returns: status and answer (as text if it is not JSON).
        :raises OSError: when there is no answer within 5 seconds.
        """
        member = self.members[i]
        path = f'/{real_prefix(member.real_version)}/{rpc.lstrip("/")}'
        return request(member.real_url, 'POST', path, json.dumps(body).encode(), token)

    def leads(self, i: int) -> bool:
        """Return whether a member says that it is the raft leader.

        :raises OSError: when it does not answer.
        :raises KeyError: when the answer names no leader.
        """
        answer = self.call(i, 'maintenance/status', {})[1]
        return bool(answer['leader'] == answer['header']['member_id'])

    def token(self, i: int) -> str | None:
        """Return a token of the cluster's user from a member, None without authentication or if it reads no token.

        :raises OSError: when the member does not answer, or not yet.
        :raises LabError: when it refuses.
        """
        if self.auth is None or not self.members[i].takes_token:
            return None
        name, password = self.auth
        answer = self._must(i, 'auth/authenticate', {'name': name, 'password': password})
        return str(answer['token'])

    def _must(self, i: int, rpc: str, body: dict[str, Any], token: str | None = None) -> dict[str, Any]:
        """Send one call, see `call`.

        :raises OSError: when there is no answer, or one that says "not now".
        :raises LabError: when it is refused.
        """
        status, answer = self.call(i, rpc, body, token)
        if status == 200 and isinstance(answer, dict):
            return answer
        text = f'{self.members[i].name}: {rpc} answered {status} {answer}'
        raise (ConnectionError if any(words in text for words in _PASSING) else LabError)(text)

    def _change(self, i: int, rpc: str, body: dict[str, Any], done: str = '') -> dict[str, Any]:
        """Send a change to a member, and repeat it until it is carried out.

        :param done: the error which means that an earlier attempt was carried out and its answer was late.
        :returns: the answer; empty when it said *done*.
        :raises LabError: when it is refused, or not carried out within a minute.
        """

        def attempt() -> list[dict[str, Any]]:
            try:
                return [self._must(i, rpc, body, self.token(i))]
            except LabError as e:
                if done and done in str(e):
                    return [{}]
                raise

        return wait_until(attempt, PATIENCE, f'{rpc} to be accepted', interval=0.5)[0]

    def _answers(self, i: int) -> bool:
        """Return whether a member answers a linearizable range, and the cluster has decided on its version.

        :raises OSError: when it does not.
        """
        member = self.members[i]
        try:
            self._must(i, 'kv/range', {'key': b64('health')}, self.token(i))
        except LabError as e:
            # This error comes after the linearizable part, so it proves that part.
            if member.takes_token or 'user name is empty' not in str(e):
                return False
        # A new cluster may say 3.0.0 until its leader has asked all members for their versions, every 5 s.
        version = request(member.real_url, 'GET', '/version')[1]['etcdcluster']
        return version != 'not_decided' and (version != '3.0.0' or line_of(member.real_version) == '3.0')

    def wait_healthy(self, timeout: float = PATIENCE) -> None:
        """Wait until every running member answers a linearizable range and the cluster has decided on its version.

        :param timeout: seconds.
        :raises LabError: when one does not; the text has the end of its log.
        """
        deadline = time.monotonic() + timeout
        for i, member in enumerate(self.members):
            if member.running:
                try:
                    seconds = max(deadline - time.monotonic(), 1)
                    wait_until(functools.partial(self._answers, i), seconds, f'{member!r} to answer')
                except LabError as e:
                    raise LabError(f'{e}; its log ends with\n{member.log_text()[-1000:]}') from e

    def enable_auth(self, user: str, password: str) -> None:
        """Turn authentication on. The user gets the role root, and so does a user named root, which etcd requires.

        Users survive `disable_auth`, so a second call creates none.

        :raises LabError: when etcd refuses.
        """
        i = self._any_running()
        if not self._has_users:
            self._change(i, 'auth/role/add', {'name': 'root'}, 'role name already exists')
            for name in sorted({'root', user}):
                self._change(i, 'auth/user/add', {'name': name, 'password': password}, 'user name already exists')
                self._change(i, 'auth/user/grant', {'user': name, 'role': 'root'})
            self._has_users = True
        self._change(i, 'auth/enable', {}, 'user name is empty')
        self.auth = (user, password)
        self.wait_healthy()

    def disable_auth(self) -> None:
        """Turn authentication off. Users and roles stay."""
        self._change(self._any_running(), 'auth/disable', {}, 'authentication is not enabled')
        self.auth = None

    def _any_running(self, but: EtcdMember | None = None) -> int:
        """Return a running member to send calls to; while authentication is on, preferably one that reads tokens."""
        running = [i for i, member in enumerate(self.members) if member.running and member is not but]
        if not running:
            raise LabError('no member of the cluster is running')
        return max(running, key=lambda i: self.auth is not None and self.members[i].takes_token)
