"""The members of the etcd cluster as a plan needs them: one entry for each, however many URLs lead to it."""
from typing import List, NamedTuple, Optional

from ...versions import parse_version, Version
from ..facts import Etcd, EtcdMember, ListedMember


class Node(NamedTuple):
    """A member of the etcd cluster."""

    name: str
    #: hexadecimal
    id: Optional[str]
    #: where it answers HTTP: what Patroni uses
    url: str
    #: its client URL, what etcdctl uses
    client_url: str
    peer_url: Optional[str]
    #: as it reports it, and taken apart; None: it did not answer
    text: Optional[str]
    version: Optional[Version]
    cluster_version: Optional[str]
    leader: bool
    learner: bool
    error: Optional[str]

    @property
    def where(self) -> str:
        """Name and URL, for people."""
        return self.name if self.name == self.url else '{0} ({1})'.format(self.name, self.url)


def _best(entries: List[EtcdMember]) -> Optional[EtcdMember]:
    """The URL that says most about a member, those of the configuration first."""
    ranked = sorted(entries, key=lambda entry: (entry.version is None, not entry.gateway, not entry.configured))
    return ranked[0] if ranked else None


def _node(listed: Optional[ListedMember], entry: Optional[EtcdMember]) -> Node:
    url = entry.url if entry else listed.client_urls[0] if listed and listed.client_urls else ''
    client = listed.client_urls[0] if listed and listed.client_urls else url
    name = (listed.name if listed else None) or (entry.name if entry else None) or url
    return Node(name, listed.id if listed else entry.id if entry else None, url, client,
                listed.peer_urls[0] if listed and listed.peer_urls else None,
                entry.version if entry else None, parse_version(entry.version) if entry else None,
                entry.cluster_version if entry else None, bool(entry and entry.leader),
                bool(listed and listed.learner or entry and entry.learner),
                entry.error if entry else 'not asked')


def nodes(etcd: Etcd) -> List[Node]:
    """Give the members, in the order of the configuration as far as they stand there.

    :param etcd: what was collected. Without a member list every URL counts as a member.
    """
    if etcd.listed is None:
        seen = set()
        found = []
        for entry in etcd.members:
            key = entry.id or entry.url
            if key not in seen:
                seen.add(key)
                found.append(_node(None, entry))
        return found

    def order(node: Node) -> int:
        places = [place for place, entry in enumerate(etcd.members) if entry.url == node.url]
        return places[0] if places else len(etcd.members)

    found = []
    for listed in etcd.listed:
        urls = [url.rstrip('/') for url in listed.client_urls]
        entries = [entry for entry in etcd.members if entry.id == listed.id or entry.url.rstrip('/') in urls]
        found.append(_node(listed, _best(entries)))
    return sorted(found, key=order)
