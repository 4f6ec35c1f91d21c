"""Real etcd clusters on loopback whose members run, or look like, different versions.

As soon as one member needs a facade to look like its version, every member of that cluster gets one, so that all of
them are reached and recorded in the same way.
"""
import json
import os
import shutil
import time

from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, List, Optional, Sequence, Tuple, Type

from . import say
from .facade import Facade, Recorded, Shape, real_prefix
from .member import EtcdMember, Release, b64, release, request
from .packages import line_of, version_key
from .processes import LabError, remove_folder, scratch_folder, wait_until

__all__ = ['EtcdCluster', 'EtcdMember', 'b64', 'release', 'request']


class EtcdCluster:
    """A cluster of one member per entry of `versions`, up and healthy inside a ``with``.

    :param versions: a line (``'3.4'``: the newest of it at hand) or a version (``'3.3.25'``) for each member.
    :param shapes: for each member a shape to give it instead of the one that follows from its version, or None.
    :param facade: put the members behind facades (which record, and take faults) even when no version needs it.
    :param auth: user and password to enable authentication with.
    :param extra_flags: more flags for every etcd; for a single one extend ``members[i].flags`` before its start.
    """

    def __init__(self, versions: Sequence[str], shapes: Optional[Sequence[Optional[Shape]]] = None,
                 facade: bool = False, auth: Optional[Tuple[str, str]] = None,
                 extra_flags: Optional[Sequence[str]] = None) -> None:
        self._versions = list(versions)
        self._shapes: List[Optional[Shape]] = list(shapes) if shapes is not None else [None] * len(self._versions)
        self._wants_facades = facade or any(release(version, shape).shape != Shape()
                                            for version, shape in zip(self._versions, self._shapes))
        self._wants_auth = auth
        self._extra_flags = list(extra_flags or ())
        self._folder: Optional[Path] = None
        self.auth: Optional[Tuple[str, str]] = None
        self._has_users = False
        self.members: List[EtcdMember] = []

    def __enter__(self) -> 'EtcdCluster':
        self.start()
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.stop()

    def start(self) -> None:
        """Make the members and bring them up.

        :raises LabError: when they do not get healthy.
        """
        for attempt in (1, 2, 3):
            self._folder = scratch_folder('lab-etcd-')
            self.members = [EtcdMember(name, self._folder / name, Facade(name) if self._wants_facades else None,
                                       self._extra_flags)
                            for name in ('etcd{0}'.format(i) for i in range(len(self._versions)))]
            try:
                self._bootstrap([release(version, shape) for version, shape in zip(self._versions, self._shapes)])
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
        peers = ','.join('{0.name}={0.peer_url}'.format(member) for member in self.members)
        token = 'lab-{0}-{1}'.format(os.getpid(), time.time())
        for member, its_release in zip(self.members, releases):
            member.release = its_release
            member.bootstrap = ['--initial-cluster', peers, '--initial-cluster-state', 'new',
                                '--initial-cluster-token', token]
        self._reshape()
        for member in self.members:
            member.spawn()
        for member in self.members:
            member.serve()
        self.wait_healthy()

    def _reshape(self) -> None:
        """Give every facade the shape that follows from the versions of all members."""
        lowest = min((line_of(member.version) for member in self.members), key=version_key) + '.0'
        pretends = any(member.version != member.real_version for member in self.members)
        for member in self.members:
            shape = member.release.shape
            if member.facade is not None:
                cluster_version = shape.cluster_version or (lowest if pretends else None)
                member.facade.shape = replace(shape, cluster_version=cluster_version)
            elif shape != Shape():
                raise LabError('there is no real etcd {0}, and this cluster has no facades'.format(member.version))

    @property
    def hosts(self) -> List[str]:
        """What clients are configured with: ``['127.0.0.1:PORT', ...]``."""
        return [url.partition('//')[2] for url in self.urls]

    @property
    def urls(self) -> List[str]:
        """The same as URLs."""
        return [member.url for member in self.members]

    def requests(self) -> List[Recorded]:
        """All requests that came in through the facades, by time."""
        recorded = [entry for member in self.members if member.facade for entry in member.facade.requests]
        return sorted(recorded, key=lambda entry: entry.time)

    def call(self, i: int, rpc: str, body: Dict[str, Any], token: Optional[str] = None) -> Tuple[int, Any]:
        """Send one call to a real member, around its facade: ``call(0, 'kv/range', {'key': b64('a')})``.

        :param i: index of the member.
        :param rpc: the path behind the gateway prefix.
        :param token: authentication token, see `token`.
        :returns: status and answer (the text as it is when it is no JSON).
        :raises OSError: when there is no answer within 5 seconds.
        """
        member = self.members[i]
        path = '/{0}/{1}'.format(real_prefix(member.real_version), rpc.lstrip('/'))
        return request(member.real_url, 'POST', path, json.dumps(body).encode(), token)

    def leads(self, i: int) -> bool:
        """Tell whether a member is the raft leader, by its own account.

        :raises OSError, KeyError: when it does not answer, or something else.
        """
        answer = self.call(i, 'maintenance/status', {})[1]
        return bool(answer['leader'] == answer['header']['member_id'])

    def token(self, i: int) -> Optional[str]:
        """Get a token of the cluster's user from a member, None while authentication is off.

        :raises OSError: when the member does not answer.
        :raises LabError: when it refuses.
        """
        if self.auth is None:
            return None
        name, password = self.auth
        answer = self._must(i, 'auth/authenticate', {'name': name, 'password': password})
        return str(answer['token'])

    def _must(self, i: int, rpc: str, body: Dict[str, Any], token: Optional[str] = None) -> Dict[str, Any]:
        status, answer = self.call(i, rpc, body, token)
        if status != 200 or not isinstance(answer, dict):
            raise LabError('{0}: {1} answered {2} {3}'.format(self.members[i].name, rpc, status, answer))
        return answer

    def wait_healthy(self, timeout: float = 30) -> None:
        """Wait until every running member answers a linearizable range and the cluster has decided on its version.

        :param timeout: seconds.
        :raises LabError: when one does not; the text has the end of its log.
        """
        def answers(i: int) -> bool:
            try:
                self._must(i, 'kv/range', {'key': b64('health')}, self.token(i))
                return bool(request(self.members[i].real_url, 'GET', '/version')[1]['etcdcluster'] != 'not_decided')
            except (OSError, LabError):
                return False

        deadline = time.monotonic() + timeout
        for i, member in enumerate(self.members):
            if member.running:
                try:
                    wait_until(lambda: answers(i), max(deadline - time.monotonic(), 1), repr(member) + ' to answer')
                except LabError as e:
                    raise LabError('{0}; its log ends with\n{1}'.format(e, member.log_text()[-1000:])) from e

    def enable_auth(self, user: str, password: str) -> None:
        """Turn authentication on. The user gets the role root; so does a user root, whom etcd insists on.

        Users stay when it is turned off, so the second time only turns it on.

        :raises LabError: when etcd refuses.
        """
        i = self._any_running()
        if not self._has_users:
            self._must(i, 'auth/role/add', {'name': 'root'})
            for name in sorted({'root', user}):
                self._must(i, 'auth/user/add', {'name': name, 'password': password})
                self._must(i, 'auth/user/grant', {'user': name, 'role': 'root'})
            self._has_users = True
        self._must(i, 'auth/enable', {})
        self.auth = (user, password)
        self.wait_healthy()

    def disable_auth(self) -> None:
        """Turn authentication off. Users and roles stay."""
        i = self._any_running()
        self._must(i, 'auth/disable', {}, self.token(i))
        self.auth = None

    def _any_running(self, but: Optional[EtcdMember] = None) -> int:
        for i, member in enumerate(self.members):
            if member.running and member is not but:
                return i
        raise LabError('no member of the cluster is running')

    def upgrade(self, i: int, version: str, shape: Optional[Shape] = None) -> None:
        """Stop a member and start it with another version on the same data and ports; wait until it is healthy.

        :param shape: as in `release`.

        :raises LabError: when it does not come up.
        """
        member = self.members[i]
        member.stop()
        member.release = release(version, shape)
        self._reshape()
        member.start()
        self.wait_healthy()

    def replace(self, i: int, version: str, shape: Optional[Shape] = None) -> None:
        """Remove a member from the cluster and add it again, empty, with another version on the same ports.

        :param shape: as in `release`.

        :raises LabError: when the others refuse for 30 seconds, or it does not come up.
        """
        member = self.members[i]
        helper = self._any_running(but=member)
        member.stop()

        def change(rpc: str, body: Dict[str, Any]) -> Dict[str, Any]:
            def accepted() -> Optional[Dict[str, Any]]:
                status, answer = self.call(helper, rpc, body, self.token(helper))
                if status == 200:
                    return dict(answer)
                if 'unhealthy cluster' in str(answer):  # until all members have been connected for 5 s
                    return None
                raise LabError('{0} answered {1} {2}'.format(rpc, status, answer))
            return wait_until(accepted, 30, '{0} to be accepted'.format(rpc), interval=0.5) or {}

        listed = change('cluster/member/list', {})['members']
        own = next(entry['ID'] for entry in listed if member.peer_url in entry['peerURLs'])
        change('cluster/member/remove', {'ID': own})
        shutil.rmtree(str(member.folder / 'data'))
        change('cluster/member/add', {'peerURLs': [member.peer_url]})
        member.release = release(version, shape)
        peers = ','.join('{0.name}={0.peer_url}'.format(other) for other in self.members)
        member.bootstrap = ['--initial-cluster', peers, '--initial-cluster-state', 'existing']
        self._reshape()
        member.start()
        self.wait_healthy()

    def wipe(self, versions: Sequence[str]) -> None:
        """Stop everything and come back as a new, empty cluster of these versions on the same ports, without
        authentication.

        :param versions: as many as there are members.
        :raises LabError: when it does not come up.
        """
        for member in self.members:
            member.kill()  # SIGTERM would only make the last ones look for a successor
        for member in self.members:
            shutil.rmtree(str(member.folder / 'data'))
        self.auth, self._has_users = None, False
        self._bootstrap([release(version) for version in versions])
