"""The members of the etcd cluster as a plan needs them: one entry for each, however many URLs lead to it."""

from __future__ import annotations

from typing import NamedTuple

from ...versions import Version, parse_version
from ..facts import Etcd
from ..judge.members import Server, servers
from ..urls import show


class Node(NamedTuple):
    """A member of the etcd cluster. No URL has a user name or password in it."""

    name: str
    #: hexadecimal
    id: str | None
    #: where it answers HTTP: what Patroni uses
    url: str
    #: its client URL, what etcdctl uses
    client_url: str
    peer_url: str | None
    #: as it reports it, and taken apart; None: it did not answer
    text: str | None
    version: Version | None
    cluster_version: str | None
    #: the gateway is on
    gateway: bool | None
    leader: bool
    learner: bool
    error: str | None

    @property
    def where(self) -> str:
        """Name and URL, for people."""
        return self.name if self.name == self.url else f'{self.name} ({self.url})'


def _node(server: Server) -> Node:
    best, listed = server.best, server.listed
    urls = ([best.url] if best else []) + (listed.client_urls if listed else [])
    url = show(urls[0]) if urls else 'URL'
    version = parse_version(best.version) if best else None
    return Node(
        server.name or url,
        server.id or None,
        url,
        show(listed.client_urls[0]) if listed and listed.client_urls else url,
        show(listed.peer_urls[0]) if listed and listed.peer_urls else None,
        best.version if best and version else None,
        version,
        best.cluster_version if best else None,
        best.gateway if best else None,
        any(url.leader for url in server.urls),
        server.learner,
        best.error if best else 'it was not asked',
    )


def nodes(etcd: Etcd) -> list[Node]:
    """Give the members, in the order of Patroni's configuration as far as they stand there.

    :param etcd: what was collected. Without a member list every URL counts as a member.
    """

    def place(server: Server) -> int:
        configured = [etcd.configured.index(url.url) for url in server.urls if url.url in etcd.configured]
        return min(configured) if configured else len(etcd.configured)

    found = servers(etcd)
    if etcd.listed:
        found = [server for server in found if server.listed]
    return [_node(server) for server in sorted(found, key=place)]
