"""The etcd cluster as findings and plans look at it: URLs that lead to the same member are one member."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Sequence

from ..urls import as_key
from ..versions import Version, dotted, gateway_of, parse_version
from .facts import Etcd, EtcdEndpoint, Facts, ListedMember, Patroni
from .units import comma


@dataclass
class EtcdMember:
    """A member and the URLs that lead to it."""

    id: str | None
    name: str | None
    urls: list[EtcdEndpoint] = field(default_factory=list)
    listed: ListedMember | None = None
    #: URLs that it answered at, as other members did
    shared: list[EtcdEndpoint] = field(default_factory=list)

    @property
    def best(self) -> EtcdEndpoint | None:
        """The URL that told most."""
        return max(
            self.urls,
            key=lambda url: (
                url.version is not None,
                bool(url.prefixes),
                url.protocol == 'http',
                url.protocol is not None,
            ),
            default=None,
        )

    @property
    def version(self) -> Version | None:
        """Version of the member itself."""
        return parse_version(self.best.version) if self.best else None

    @property
    def reported_version(self) -> str | None:
        """The same as it reports it; ``None`` if that is no version."""
        return self.best.version if self.best and self.version else None

    @property
    def cluster_version(self) -> str | None:
        """Version of the cluster as it reports it."""
        return self.best.cluster_version if self.best else None

    @property
    def gateway(self) -> bool | None:
        """The gateway is on."""
        return self.best.gateway if self.best else None

    @property
    def leader(self) -> bool:
        """It is the raft leader."""
        return any(url.leader for url in self.urls)

    @property
    def learner(self) -> bool:
        """It has no vote."""
        return bool(self.listed and self.listed.learner) or any(url.learner for url in self.urls)

    @property
    def answers(self) -> bool:
        """Whether anything answers, whatever it speaks."""
        return bool(self.shared) or any(url.answers for url in self.urls)

    @property
    def error(self) -> str | None:
        """Why it could not be asked, or not for everything."""
        return self.best.error if self.best else 'it was not asked'

    @property
    def url(self) -> str:
        """The URL that Patroni uses."""
        return next(iter(self._urls), 'URL')

    @property
    def client_url(self) -> str:
        """The URL that etcdctl uses."""
        return self.listed.client_urls[0] if self.listed and self.listed.client_urls else self.url

    @property
    def peer_url(self) -> str | None:
        """The URL for other members."""
        return self.listed.peer_urls[0] if self.listed and self.listed.peer_urls else None

    @property
    def label(self) -> str:
        """The name, or else the URL."""
        return self.name or self.url

    @property
    def place(self) -> str:
        """Name and URL, for a plan."""
        return self.label if self.label == self.url else f'{self.label} ({self.url})'

    @property
    def _urls(self) -> list[str]:
        return ([self.best.url] if self.best else []) + (self.listed.client_urls if self.listed else [])

    def __str__(self) -> str:
        known = [url.url for url in self.urls] or (self.listed.client_urls if self.listed else [])
        urls = ', '.join(known)
        name = self.name or self.id
        if not name:
            return f'etcd {urls or "member without a name"}'
        return f'etcd {name} ({urls})' if urls else f'etcd {name}'


def not_the_gateway(url: EtcdEndpoint) -> bool:
    """Return whether something answers there, but not etcd in HTTP/1.1 under this scheme."""
    return url.version is None and url.answers


def with_name(url: EtcdEndpoint) -> str:
    """Return a URL with the name of its member."""
    return f'etcd {url.name} ({url.url})' if url.name else f'etcd {url.url}'


def short_name(url: EtcdEndpoint) -> str:
    """Return the name of the member behind a URL, for a text that has named the URL already."""
    return url.name or url.url


def served(url: EtcdEndpoint) -> tuple[str, ...]:
    """Return the prefixes that are served at a URL; by the version if they were not tried."""
    if url.prefixes or url.gateway is False or url.protocol == 'grpc':
        return tuple(url.prefixes)
    version = parse_version(url.version)
    gateway = gateway_of(version) if version else None
    return gateway.served if gateway else ()


def members(etcd: Etcd) -> list[EtcdMember]:
    """Put the URLs together by member: in the order of the member list, then those that are not in it.

    :param etcd: the facts. URLs of unknown members count as a member each, and so do those that several share.
    """
    by_id: dict[str, EtcdMember] = {}
    for entry in etcd.listed or []:
        by_id.setdefault(entry.id, EtcdMember(entry.id, entry.name or None, listed=entry))
    by_url = {as_key(url): entry.id for entry in etcd.listed or [] for url in entry.client_urls}
    others: list[EtcdMember] = []
    for url in etcd.endpoints:
        for id in url.shared_by:
            if id in by_id:
                by_id[id].shared.append(url)
        member = None if url.shared_by else by_id.get(url.id or by_url.get(as_key(url.url), ''))
        if member is None:
            member = EtcdMember(url.id, url.name)
            if url.id:
                by_id[url.id] = member
            others.append(member)
        member.name = member.name or url.name
        member.urls.append(url)
    return [member for member in by_id.values() if member.listed] + others


def members_as_configured(etcd: Etcd) -> list[EtcdMember]:
    """Return the members in the order of Patroni's configuration, those that are not in it last.

    :param etcd: the facts. Without a member list every URL counts as a member.
    """

    def place(member: EtcdMember) -> int:
        configured = [etcd.configured.index(url.url) for url in member.urls if url.url in etcd.configured]
        return min(configured) if configured else len(etcd.configured)

    found = members(etcd)
    if etcd.listed:
        found = [member for member in found if member.listed]
    return sorted(found, key=place)


def known_members(etcd: Etcd) -> list[tuple[EtcdMember, Version]]:
    """Return the members whose version is known, with it."""
    return [(member, member.version) for member in members(etcd) if member.version]


def names(known: Sequence[tuple[EtcdMember, Version]]) -> str:
    """Return the members of :func:`known_members`, or some of them, as they are read out."""
    return comma([str(member) for member, _ in known])


def versions(known: Sequence[tuple[EtcdMember, Version]]) -> str:
    """Return their versions, each once."""
    return comma(sorted({as_text(version) for _, version in known}))


def names_with_versions(known: Sequence[tuple[EtcdMember, Version]]) -> str:
    """Return the members, each with its version."""
    return comma([f'{member} ({as_text(version)})' for member, version in known])


def working(facts: Facts) -> list[EtcdEndpoint]:
    """Return the configured URLs that serve HTTP to whoever asks as Patroni does."""
    return [url for url in facts.etcd.endpoints if url.configured and url.version is not None]


def section(facts: Facts) -> str:
    """Return the section of Patroni's configuration that says how to reach etcd, as texts name it."""
    return facts.this_host.section or 'etcd3'


def listed_members(etcd: Etcd) -> list[EtcdMember]:
    """Return the members of the member list; without a list all that are known."""
    found = members(etcd)
    return [member for member in found if member.listed] or found


def voters(etcd: Etcd) -> list[EtcdMember]:
    """Return those of :func:`listed_members` that have a vote."""
    return [member for member in listed_members(etcd) if not member.learner]


def authentication(facts: Facts) -> bool | None:
    """Return whether authentication is on; ``None`` if no member said."""
    known = {url.auth for url in facts.etcd.endpoints} - {None}
    return True in known if known else None


def uncovered(facts: Facts) -> list[str]:
    """Return the names of the Patroni members that neither this package nor the patch serves, as far as is known."""
    members = facts.patroni.members if facts.patroni else []
    return [member.name for member in members if member.serves not in ('package', 'patch')]


def covered(facts: Facts) -> bool:
    """Return whether this package or the patch serves every Patroni member, which their keys in the DCS tell.

    It decides alone about every severity and every text that depends on what serves. A member without a mark counts as
    stock, and so does a cluster about which nothing is known.
    """
    return bool(facts.patroni and facts.patroni.members) and not uncovered(facts)


def has_grpc(facts: Facts) -> bool:
    """Return whether the calls of every Patroni member may go over gRPC, so that no gateway is needed."""
    members = facts.patroni.members if facts.patroni else []
    return covered(facts) and all(member.grpc for member in members)


def grpc_instead(facts: Facts) -> str:
    """Return what lets Patroni do without the gateway, for the end of a remedy; empty if nothing has to be done."""
    members = facts.patroni.members if facts.patroni else []
    without = [member.name for member in members if not member.grpc]
    where = comma(without) if without else 'every Patroni node'
    return f"; or let Patroni use gRPC itself: pip install 'patroni-etcd3-compat[grpc]' on {where}, and restart it"


#: The consequence of a gateway that cannot be used if :func:`has_grpc`.
USES_GRPC = 'Patroni uses gRPC itself there, so it needs no gateway'


def unless_covered(facts: Facts, severity: str, otherwise: str) -> str:
    """Return *severity*, or *otherwise* if :func:`covered`."""
    return otherwise if covered(facts) else severity


def who_serves(facts: Facts) -> str:
    """Return what serves the Patroni members, for the end of a sentence: those that are not covered by name."""
    members = facts.patroni.members if facts.patroni else []
    if not members:
        return 'what serves Patroni is unknown, so it counts as stock'
    if covered(facts):
        return 'the package or the patch serves every Patroni member'
    stock = [member.name for member in members if member.serves == 'stock']
    unknown = [member.name for member in members if member.serves is None]
    parts = [f'stock Patroni serves {comma(stock)}'] if stock else []
    parts += [f'what serves {comma(unknown)} is unknown'] if unknown else []
    return ', and '.join(parts)


def install_first(facts: Facts) -> str:
    """Return what to do before anything else if not :func:`covered`: the package on each node that lacks it."""
    names = uncovered(facts)
    where = comma(names) if names else 'every Patroni node'
    return f'install patroni-etcd3-compat on {where} and restart Patroni there, one node at a time'


def patroni_versions(patroni: Patroni | None) -> dict[str, Version]:
    """Return the versions of the Patroni members by name, as far as they are known."""
    found = {member.name: parse_version(member.version) for member in (patroni.members if patroni else [])}
    return {name: version for name, version in found.items() if version}


def as_text(version: Version | None) -> str:
    """Return a version as it is written."""
    return dotted(version) if version else 'unknown'


def line_text(version: Version) -> str:
    """Return the release line of a version as it is written, such as ``3.5``."""
    return dotted(version[:2])
