"""Real etcd clusters on loopback whose members run, or look like, different versions.

If one member needs a facade to look like its version, every member of that cluster gets one. All of them are then
reached and recorded in the same way.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Sequence

from . import say
from .etcd_calls import PATIENCE, EtcdCalls
from .facade import Facade, Shape
from .member import LEAST_BESIDE, EtcdMember, Release, b64, release, request
from .packages import line_of, version_key
from .processes import LabError, remove_folder, scratch_folder, wait_until
from .service import Service

__all__ = ['EtcdCluster', 'EtcdMember', 'b64', 'release', 'request']


class EtcdCluster(EtcdCalls, Service):
    """A cluster of one member per entry of `versions`, up and healthy inside a ``with``.

    :param versions: a line (``'3.4'``: the newest available one) or a version (``'3.3.25'``) for each member.
    :param shapes: for each member a shape to give it instead of the one that follows from its version, or None.
    :param facade: put the members behind facades (which record requests and inject faults) even if no version needs
        one.
    :param auth: user and password to enable authentication with.
    :param extra_flags: more flags for every etcd; for a single member, extend ``members[i].flags`` before its start.
    """

    def __init__(
        self,
        versions: Sequence[str],
        shapes: Sequence[Shape | None] | None = None,
        facade: bool = False,
        auth: tuple[str, str] | None = None,
        extra_flags: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self._versions = list(versions)
        self._shapes: list[Shape | None] = list(shapes) if shapes is not None else [None] * len(self._versions)
        self._wants_facades = facade or any(its.shape != Shape() for its in self._releases())
        self._wants_auth = auth
        self._extra_flags = list(extra_flags or ())
        self._folder: Path | None = None
        self._began_with: list[str] = []

    def _releases(self) -> list[Release]:
        return [release(version, shape, self._versions) for version, shape in zip(self._versions, self._shapes)]

    def start(self) -> None:
        """Create the members and start them.

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
        """Stop all members and remove their data."""
        for member in self.members:
            member.kill()  # the data is not read again
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

    def _next_release(self, version: str, shape: Shape | None) -> Release:
        """Return the release that a member restarts with, once the cluster accepts it.

        :raises LabError: when the cluster version does not get that far within a minute.
        """
        new = release(version, shape, self._began_with + [member.real_version for member in self.members])
        least = LEAST_BESIDE.get(line_of(new.real_version))

        def decided() -> bool:
            member = self.members[self._any_running()]
            cluster_version = str(request(member.real_url, 'GET', '/version')[1]['etcdcluster'])
            return version_key(cluster_version) >= version_key(str(least))

        if least:  # all members may have just been upgraded
            wait_until(decided, PATIENCE, f'the cluster version {least}')
        return new

    def logs_began_anew(self) -> None:
        """Say that no log has an entry of an earlier release any more: every member has taken a snapshot of its log.

        So a newer line may run beside the present ones, see `LEAST_BESIDE`, whatever the cluster began with.
        """
        self._began_with = []

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

    def replace(self, i: int, version: str, shape: Shape | None = None, learner: bool = False) -> None:
        """Remove a member from the cluster and add it again, empty, with another version on the same ports.

        :param shape: as in `release`.
        :param learner: without a vote; nobody waits until it is healthy, since a learner refuses to say so.

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
        added = {'peerURLs': [member.peer_url], 'isLearner': learner}
        self._change(helper, 'cluster/member/add', added, 'Peer URLs already exists')
        member.release = new
        peers = ','.join(f'{other.name}={other.peer_url}' for other in self.members)
        member.bootstrap = ['--initial-cluster', peers, '--initial-cluster-state', 'existing']
        self._reshape()
        member.start()
        if not learner:
            self.wait_healthy()

    def wipe(self, versions: Sequence[str]) -> None:
        """Stop everything and start a new, empty cluster of these versions on the same ports, without authentication.

        :param versions: as many as there are members.
        :raises LabError: when it does not come up.
        """
        for member in self.members:
            member.kill()  # on SIGTERM, the last ones would only look for a successor
        for member in self.members:
            shutil.rmtree(str(member.folder / 'data'))
        self.auth, self._has_users = None, False
        self._bootstrap([release(version, beside=versions) for version in versions])
