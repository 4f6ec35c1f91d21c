"""Real Patroni clusters on real etcd clusters."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence, TypeVar

from . import say
from .environments import Environment, clean_environ
from .etcd import EtcdCluster, b64
from .node import PatroniNode, merge
from .processes import LabError, remove_folder, scratch_folder, wait_until
from .service import Service

T = TypeVar('T')


class PatroniCluster(Service):
    """A Patroni cluster on an etcd cluster, with a primary and its replicas up inside a ``with``.

    :param environments: where Patroni is installed: one for all nodes, or one for each.
    :param etcd: the etcd cluster.
    :param nodes: how many nodes, when there is one environment for all.
    :param hosts: ``host:port`` of the etcd members in Patroni's configuration, None for all members.
    :param ttl: seconds, as are `loop_wait` and `retry_timeout`.
    :param section: configuration section of the DCS.
    :param settings: more configuration of each node, merged in section by section.
    :param env: more environment variables for Patroni.
    """

    scope = 'lab'

    def __init__(
        self,
        environments: Environment | Sequence[Environment],
        etcd: EtcdCluster,
        nodes: int = 2,
        hosts: Sequence[str] | None = None,
        ttl: int = 20,
        loop_wait: int = 2,
        retry_timeout: int = 5,
        section: str = 'etcd3',
        settings: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.etcd = etcd
        self.section = section
        self.nodes: list[PatroniNode] = []
        self._environments = [environments] * nodes if isinstance(environments, Environment) else list(environments)
        self._hosts = hosts
        self._settings: dict[str, Any] = {
            'bootstrap': {'dcs': {'ttl': ttl, 'loop_wait': loop_wait, 'retry_timeout': retry_timeout}}
        }
        if etcd.auth is not None:
            self._settings[section] = dict(zip(('username', 'password'), etcd.auth))
        merge(self._settings, settings or {})
        self._env = env
        self._folder: Path | None = None

    def start(self) -> None:
        """Create the nodes and start them, the first as the primary; wait until the others stream from it.

        :raises LabError: when it fails.
        """
        for attempt in (1, 2, 3):
            try:
                self._bootstrap()
                return
            except BaseException as e:
                taken = any(
                    'Address already in use' in node.log_text() + node.postgres_log_text() for node in self.nodes
                )
                self.stop()
                if attempt == 3 or not taken or not isinstance(e, LabError):
                    raise
                say('a port was taken, once more')
                self._forget()

    def _bootstrap(self) -> None:
        self.nodes.clear()
        self._folder = None
        for environment in self._environments:
            self.add_node(environment)
        self.nodes[0].start()
        self.wait_primary()
        for node in self.nodes[1:]:
            node.start()
        self.wait_replicas()

    def _forget(self) -> None:
        """Delete everything about this cluster in etcd."""
        i = next(i for i, member in enumerate(self.etcd.members) if member.running)
        prefix = f'/service/{self.scope}'
        self.etcd.call(
            i, 'kv/deleterange', {'key': b64(prefix + '/'), 'range_end': b64(prefix + '0')}, self.etcd.token(i)
        )

    def stop(self) -> None:
        """End all nodes, with their PostgreSQL, and remove their data."""
        for node in self.nodes:
            if node.process is not None:
                node.process.signal(signal.SIGTERM)  # each takes a while, so they stop in parallel
        try:
            for node in self.nodes:
                node.stop()
        finally:
            if self._folder is not None:
                remove_folder(self._folder)

    def add_node(
        self,
        environment: Environment | None = None,
        hosts: Sequence[str] | None = None,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> PatroniNode:
        """Create one more node. It is not started.

        :param environment: where its Patroni is installed, None for that of the first node.
        :param hosts: ``host:port`` of etcd members, None for those of the other nodes.
        :param name: its name, None for ``node`` and a number.
        :param settings: configuration for this node only, in addition to that for all.
        """
        if self._folder is None:
            self._folder = scratch_folder('lab-patroni-')
            self._folder.chmod(0o755)
        node = PatroniNode(
            name or f'node{len(self.nodes) + 1}',
            environment or self._environments[0],
            hosts or self._hosts or self.etcd.hosts,
            self._folder,
            self.section,
            self._settings,
            self._env,
        )
        merge(node.config, settings or {})
        self.nodes.append(node)
        return node

    def primary(self) -> PatroniNode | None:
        """Return the node that says it is the primary and holds the leader lock."""
        for node in self.nodes:
            answer = node.rest('GET', '/primary') if node.alive else None
            if answer is not None and answer[0] == 200:
                return node
        return None

    def wait_primary(self, timeout: float = 60) -> PatroniNode:
        """Wait for a primary.

        :param timeout: seconds.
        :returns: the primary.
        :raises LabError: when there is none in time, or no Patroni is running; the text has the end of the logs.
        """
        return self._wait(self.primary, timeout, 'a primary')

    def wait_replicas(self, timeout: float = 60) -> None:
        """Wait until every other running node streams from the primary.

        :param timeout: seconds.
        :raises LabError: as `wait_primary`, and when one of them has crashed.
        """

        def streaming() -> bool:
            crashed = [node.name for node in self.nodes if node.crashed]
            if crashed:
                raise LabError(f'{", ".join(crashed)} has ended')
            primary = self.primary()
            status = primary.status() if primary is not None else None
            if primary is None or status is None:
                return False
            there = {
                entry['application_name'] for entry in status.get('replication') or () if entry['state'] == 'streaming'
            }
            return there >= {node.name for node in self.nodes if node.alive and node is not primary}

        self._wait(streaming, timeout, 'all replicas to stream')

    def _wait(self, predicate: Callable[[], T | None], timeout: float, what: str) -> T:
        def step() -> T | None:
            if not any(node.alive for node in self.nodes):
                raise LabError('no Patroni runs')
            return predicate()

        try:
            found = wait_until(step, timeout, what, interval=0.2)
            assert found is not None
            return found
        except LabError as e:
            logs = [f'{node.name}: {line}' for node in self.nodes for line in node.log_text().splitlines()[-15:]]
            raise LabError('\n'.join([str(e)] + logs)) from None

    def patronictl(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run patronictl with the configuration of the first node; stderr is in stdout.

        :param args: its arguments, such as ``'list'``.
        """
        node = self.nodes[0]
        return node.environment.run(
            [str(node.environment.patronictl), '-c', str(node.config_file), *args],
            env=dict(clean_environ(), **node.env),
            cwd=str(node.folder),
            timeout=60,
        )

    def edit_config(self, **changes: Any) -> None:
        """Change the dynamic configuration: ``edit_config(ttl=30, postgresql={'parameters': {...}})``; None removes.

        :raises LabError: when there is no primary, or it refuses the change.
        """
        answer = self.wait_primary(10).rest('PATCH', '/config', changes, timeout=10)
        if answer is None or answer[0] != 200:
            raise LabError(f'PATCH /config was answered with {answer}')
