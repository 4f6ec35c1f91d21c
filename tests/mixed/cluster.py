"""Patroni clusters whose nodes run different releases of Patroni, stock or with this package, under rounds of WAL."""

from __future__ import annotations

from typing import Any, Collection, Mapping, Sequence

from lab.environments import Environment, environment
from lab.etcd import EtcdCluster
from lab.node import PatroniNode, merge, unprivileged_user
from lab.patroni import PatroniCluster
from lab.processes import LabError, wait_until

from . import wal

PACKAGE = '+package'
"""What is put behind a release, as in ``'4.0.2+package'``, when this package is installed beside it."""


def installed(release: str) -> Environment:
    """Return the environment of a Patroni release, at a place where the user that runs it can reach it.

    :param release: ``'4.0.2'`` for the stock one, ``'4.0.2+package'`` for the one with this package.
    """
    return environment(release.replace(PACKAGE, ''), plugin=release.endswith(PACKAGE)).for_user(unprivileged_user())


class MixedCluster(PatroniCluster):
    """A Patroni cluster of one node per release, the first one the primary; nodes have `tests.mixed.wal.SETTINGS`.

    :param releases: as for `installed`, one for each node.
    :param etcd: the etcd cluster.
    :param ttl: seconds; long enough by default for a stopped member to stay known for some rounds.
    :param settings: more configuration of each node, merged in section by section.
    :param options: see `PatroniCluster`.
    """

    def __init__(
        self,
        releases: Sequence[str],
        etcd: EtcdCluster,
        ttl: int = 120,
        settings: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        merged: dict[str, Any] = {}
        merge(merged, wal.SETTINGS)
        merge(merged, settings or {})
        super().__init__([installed(release) for release in releases], etcd, ttl=ttl, settings=merged, **options)
        #: the size of WAL after each round, in MB, by name of the node
        self.rounds: list[dict[str, int]] = []

    def round(
        self, follow: Sequence[PatroniNode] = (), held: Collection[str] = (), without: Sequence[PatroniNode] = ()
    ) -> dict[str, int]:
        """Write a round of WAL, see `tests.mixed.wal.write_round`.

        :param follow: replicas on which the slots of all running nodes are expected to get as far as the round went.
        :param held: names of slots that are not.
        :param without: running nodes that do not stream; they are not waited for.
        :returns: what WAL takes up on each node now, in MB, by name.
        """
        writable = self.writable()
        there = [node for node in self.nodes if node.alive and node not in without]
        names = {wal.slot_name(node.name) for node in there} - set(held)
        self.rounds.append(
            wal.write_round(
                writable,
                [node for node in there if node is not writable],
                {node: names - {wal.slot_name(node.name)} for node in follow},
            )
        )
        return self.rounds[-1]

    def writable(self) -> PatroniNode:
        """Return the node that takes writes."""
        return self.wait_primary()

    def join(self, release: str, name: str | None = None, settings: Mapping[str, Any] | None = None) -> PatroniNode:
        """Add a node and start it, and wait until it is a running replica.

        :param release: as for `installed`.
        :param name: its name, None for ``node`` and a number.
        :param settings: configuration for this node alone.
        """
        node = self.add_node(installed(release), name=name, settings=settings)
        node.start()
        self._wait(lambda: node.role() == 'replica', 60, f'{node.name} to run')
        return node

    def switchover(self, to: PatroniNode) -> None:
        """Make another node the primary, and wait until all others stream from it.

        :raises LabError: when Patroni refuses it, or it takes more than a minute.
        """
        primary = self.wait_primary()
        answer = primary.rest('POST', '/switchover', {'leader': primary.name, 'candidate': to.name}, timeout=60)
        if answer is None or answer[0] != 200:
            raise LabError(f'POST /switchover was answered with {answer}')
        self._wait(lambda: self.primary() is to, 60, f'{to.name} to be the primary')
        self.wait_replicas()

    def upgrade_in_pause(self, node: PatroniNode, release: str) -> None:
        """Switch a node to another release of Patroni while the cluster is paused. Its PostgreSQL keeps running.

        :param release: as for `installed`.
        :raises LabError: when it does not come back in its role, or its PostgreSQL was restarted.
        """
        role, postmaster = node.role(), node.postmaster_pid()
        self.edit_config(pause=True)
        self._wait(
            lambda: all((other.status() or {}).get('pause') for other in self.nodes if other.alive),
            60,
            'everyone to know of the pause',
        )
        node.stop(postgres=False)
        node.environment = installed(release)
        node.start()
        self._wait(lambda: node.role() == role, 60, f'{node.name} to be back')
        if node.postmaster_pid() != postmaster:
            raise LabError(f'PostgreSQL of {node.name} was restarted')
        self.edit_config(pause=None)

    def wait_log(self, node: PatroniNode, text: str, timeout: float = 60, start: int = 0) -> None:
        """Wait until the Patroni of a node has logged a text.

        :param start: how many characters of the log to skip.
        :raises LabError: when it does not in time; its text has the ends of the logs.
        """
        wait_until(lambda: text in node.log_text()[start:], timeout, f'{node.name} to log {text!r}', 0.2)


class StandbyCluster(MixedCluster):
    """A standby cluster, which follows another cluster; its first node is the standby leader.

    :param source: the cluster that it follows.
    :param releases: see `MixedCluster`, as is the rest.
    """

    scope = 'standby'

    def __init__(self, source: MixedCluster, releases: Sequence[str], **options: Any) -> None:
        self._source = source
        follows = {'host': '127.0.0.1', 'port': source.wait_primary().port}
        super().__init__(
            releases,
            source.etcd,
            settings={'scope': self.scope, 'bootstrap': {'dcs': {'standby_cluster': follows}}},
            **options,
        )

    def primary(self) -> PatroniNode | None:
        """Return the node that is the standby leader, by its own account."""
        return next(
            (
                node
                for node in self.nodes
                if node.alive and (node.rest('GET', '/standby-leader') or (0, None))[0] == 200
            ),
            None,
        )

    def writable(self) -> PatroniNode:
        """Return the primary of the cluster that this one follows."""
        return self._source.wait_primary()
