"""Real etcd clusters on loopback whose members run, or look like, different versions.

If one member needs a facade to look like its version, every member of that cluster gets one. All of them are then
reached and recorded in the same way.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Sequence

from . import say
from .facade import Facade, Recorded, Shape, real_prefix
from .member import LEAST_BESIDE, EtcdMember, Release, b64, release, request
from .packages import line_of, version_key
from .processes import LabError, remove_folder, scratch_folder, wait_until
from .service import Service

__all__ = ['EtcdCluster', 'EtcdMember', 'b64', 'release', 'request']

_PASSING = (
    'unhealthy cluster',  # until all members have been connected for 5 s
    'request timed out',
    'no leader',
    'leader changed',
    'proposal dropped',
    'not enough started members',
    'too many requests',
    'learner is not ready',
)
"""Errors of etcd after which the same request may succeed a moment later."""

_PATIENCE = 60
"""Seconds to wait for what takes one second on an idle machine."""


class EtcdCluster(Service):
    """A cluster of one member per entry of `versions`, up and healthy inside a ``with``.

    :param versions: a line (``'3.4'``: the newest of it at hand) or a version (``'3.3.25'``) for each member.
    :param shapes: for each member a shape to give it instead of the one that follows from its version, or None.
    :param facade: put the members behind facades (which record, and take faults) even when no version needs it.
    :param auth: user and password to enable authentication with.
    :param extra_flags: more flags for every etcd; for a single one extend ``members[i].flags`` before its start.
    """

    def __init__(
        self,
        versions: Sequence[str],
        shapes: Sequence[Shape | None] | None = None,
        facade: bool = False,
        auth: tuple[str, str] | None = None,
        extra_flags: Sequence[str] | None = None,
    ) -> None:
        self._versions = list(versions)
        self._shapes: list[Shape | None] = list(shapes) if shapes is not None else [None] * len(self._versions)
        self._wants_facades = facade or any(its.shape != Shape() for its in self._releases())
        self._wants_auth = auth
        self._extra_flags = list(extra_flags or ())
        self._folder: Path | None = None
        self.auth: tuple[str, str] | None = None
        self._has_users = False
        self._began_with: list[str] = []
        self.members: list[EtcdMember] = []

    def _releases(self) -> list[Release]:
        return [release(version, shape, self._versions) for version, shape in zip(self._versions, self._shapes)]

    def start(self) -> None:
        """Make the members and bring them up.

        :raises LabError: when they do not become healthy.
        """
        for attempt in (1, 2, 3):
            self._folder = scratch_folder('lab-etcd-')
            self.members = [
                EtcdMember(name, self._folder / name, Facade(name) if self._wants_facades else None, self._extra_flags)
                for name in (f'etcd{i}' for i in range(len(self._versions)))
            ]
            try:
                self._bootstrap(self._releases())
                break
            except (LabError, OSError) as e:
                taken = 'address already in use' in str(e)
                self.stop()
                if attempt == 3 or not taken:
                    raise
                say('a port was taken, once more')
            except BaseException:
                self.stop()
                raise
        if self._wants_auth is not None:
            self.enable_auth(*self._wants_auth)

    def stop(self) -> None:
        """End all members and remove their data."""
        for member in self.members:
            member.kill()  # nobody reads the data again
        if self._folder is not None:
            remove_folder(self._folder)

    def _bootstrap(self, releases: Sequence[Release]) -> None:
        self._began_with = [its.real_version for its in releases]
        peers = ','.join(f'{member.name}={member.peer_url}' for member in self.members)
        token = f'lab-{os.getpid()}-{time.time()}'
        for member, its_release in zip(self.members, releases):
            member.release = its_release
            member.bootstrap = [
                '--initial-cluster',
                peers,
                '--initial-cluster-state',
                'new',
                '--initial-cluster-token',
                token,
            ]
        self._reshape()
        for member in self.members:
            member.spawn()
        for member in self.members:
            member.serve()
        self.wait_healthy()

    def _reshape(self) -> None:
        """Set the shape of every facade: it follows from the versions of all members."""
        lowest = min((line_of(member.version) for member in self.members), key=version_key) + '.0'
        pretends = any(member.version != member.real_version for member in self.members)
        for member in self.members:
            shape = member.release.shape
            if member.facade is not None:
                cluster_version = shape.cluster_version or (lowest if pretends else None)
                member.facade.shape = replace(shape, cluster_version=cluster_version)
            elif shape != Shape():
                raise LabError(
                    f'there is no real etcd {member.version} that could be here, and this cluster has no facades'
                )

    @property
    def hosts(self) -> list[str]:
        """What clients are configured with: ``['127.0.0.1:PORT', ...]``."""
        return [url.partition('//')[2] for url in self.urls]

    @property
    def urls(self) -> list[str]:
        """The same as URLs."""
        return [member.url for member in self.members]

    def requests(self) -> list[Recorded]:
        """All requests that came in through the facades, by time."""
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
        """Return whether a member is the raft leader, by its own account.

        :raises OSError: when it does not answer.
        :raises KeyError: when the answer has no leader.
        """
        answer = self.call(i, 'maintenance/status', {})[1]
        return bool(answer['leader'] == answer['header']['member_id'])

    def token(self, i: int) -> str | None:
        """Get a token of the cluster's user from a member, None while authentication is off or where none is read.

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
        """Send a member a change, and repeat it until it is carried out.

        :param done: error that means: an earlier attempt was carried out, its answer came too late.
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

        return wait_until(attempt, _PATIENCE, f'{rpc} to be accepted', interval=0.5)[0]

    def _answers(self, i: int) -> bool:
        """Return whether a member answers a linearizable range, and the cluster has decided on its version.

        :raises OSError: when it does not.
        """
        member = self.members[i]
        try:
            self._must(i, 'kv/range', {'key': b64('health')}, self.token(i))
        except LabError as e:
            # This comes after the linearizable part, and is all that one gets there.
            if member.takes_token or 'user name is empty' not in str(e):
                return False
        return bool(request(member.real_url, 'GET', '/version')[1]['etcdcluster'] != 'not_decided')

    def wait_healthy(self, timeout: float = _PATIENCE) -> None:
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
        """Turn authentication on. The user gets the role root, and so does a user root, which etcd requires.

        Users survive `disable_auth`, so a second call makes none.

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
        """Choose a running member to send calls to; while authentication is on, preferably one that reads tokens."""
        running = [i for i, member in enumerate(self.members) if member.running and member is not but]
        if not running:
            raise LabError('no member of the cluster is running')
        return max(running, key=lambda i: self.auth is not None and self.members[i].takes_token)

    def _next_release(self, version: str, shape: Shape | None) -> Release:
        """Choose the release that a member restarts with, and wait until the cluster accepts it.

        :raises LabError: when the cluster version does not get that far within a minute.
        """
        new = release(version, shape, self._began_with + [member.real_version for member in self.members])
        least = LEAST_BESIDE.get(line_of(new.real_version))

        def decided() -> bool:
            member = self.members[self._any_running()]
            cluster_version = str(request(member.real_url, 'GET', '/version')[1]['etcdcluster'])
            return version_key(cluster_version) >= version_key(str(least))

        if least:  # all members may have been upgraded a moment ago
            wait_until(decided, _PATIENCE, f'the cluster version {least}')
        return new

    def upgrade(self, i: int, version: str, shape: Shape | None = None) -> None:
        """Stop a member and start it with another version on the same data and ports; wait until it is healthy.

        :param shape: as in `release`.

        :raises LabError: when it does not come up.
        """
        member = self.members[i]
        new = self._next_release(version, shape)
        member.stop()
        member.release = new
        self._reshape()
        member.start()
        self.wait_healthy()

    def replace(self, i: int, version: str, shape: Shape | None = None) -> None:
        """Remove a member from the cluster and add it again, empty, with another version on the same ports.

        :param shape: as in `release`.

        :raises LabError: when the others refuse for a minute, or it does not come up.
        """
        member = self.members[i]
        helper = self._any_running(but=member)
        new = self._next_release(version, shape)
        member.stop()

        listed = self._change(helper, 'cluster/member/list', {})['members']
        own = next(entry['ID'] for entry in listed if member.peer_url in entry['peerURLs'])
        self._change(helper, 'cluster/member/remove', {'ID': own}, 'member not found')
        shutil.rmtree(str(member.folder / 'data'))
        self._change(helper, 'cluster/member/add', {'peerURLs': [member.peer_url]}, 'Peer URLs already exists')
        member.release = new
        peers = ','.join(f'{other.name}={other.peer_url}' for other in self.members)
        member.bootstrap = ['--initial-cluster', peers, '--initial-cluster-state', 'existing']
        self._reshape()
        member.start()
        self.wait_healthy()

    def wipe(self, versions: Sequence[str]) -> None:
        """Stop everything and start a new, empty cluster of these versions on the same ports, without authentication.

        :param versions: as many as there are members.
        :raises LabError: when it does not come up.
        """
        for member in self.members:
            member.kill()  # SIGTERM would only make the last ones look for a successor
        for member in self.members:
            shutil.rmtree(str(member.folder / 'data'))
        self.auth, self._has_users = None, False
        self._bootstrap([release(version, beside=versions) for version in versions])
