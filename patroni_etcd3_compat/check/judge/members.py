"""The etcd cluster as its findings look at it: URLs that lead to the same member are one member."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...versions import Version, dotted, gateway_of, parse_version
from ..facts import WRONG_SCHEME, Etcd, EtcdEndpoint, Facts, ListedMember, Patroni
from ..urls import same, show


@dataclass
class Server:
    """A member and the URLs that lead to it."""

    id: str | None
    name: str | None
    urls: list[EtcdEndpoint] = field(default_factory=list)
    listed: ListedMember | None = None

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
    def learner(self) -> bool:
        """It has no vote."""
        return bool(self.listed and self.listed.learner) or any(url.learner for url in self.urls)

    @property
    def answers(self) -> bool:
        """Somebody is there, whatever is spoken."""
        return any(alive(url) for url in self.urls)

    def __str__(self) -> str:
        urls = [show(url.url) for url in self.urls]
        if not urls and self.listed:
            urls = [show(url) for url in self.listed.client_urls]
        name = self.name or self.id
        if not name:
            return 'etcd ' + (', '.join(urls) or 'member without a name')
        return f'etcd {name}' + (' ({0})'.format(', '.join(urls)) if urls else '')


def alive(url: EtcdEndpoint) -> bool:
    """Tell whether anything answered at a URL."""
    return url.version is not None or wrongly_spoken(url)


def wrongly_spoken(url: EtcdEndpoint) -> bool:
    """Tell whether somebody is there, and HTTP/1.1 with this scheme is not what they speak, or they are not etcd."""
    return url.version is None and (url.protocol is not None or WRONG_SCHEME in (url.error or ''))


def named(url: EtcdEndpoint) -> str:
    """A URL with the name of its member."""
    return f'etcd {url.name} ({show(url.url)})' if url.name else f'etcd {show(url.url)}'


def brief(url: EtcdEndpoint) -> str:
    """The name of the member behind a URL, for a text that has named the URL already."""
    return url.name or show(url.url)


def served(url: EtcdEndpoint) -> tuple[str, ...]:
    """The prefixes that are served at a URL; by the version where they were not tried out."""
    if url.prefixes or url.gateway is False or url.protocol == 'grpc':
        return tuple(url.prefixes)
    version = parse_version(url.version)
    gateway = gateway_of(version) if version else None
    return gateway.served if gateway else ()


def servers(etcd: Etcd) -> list[Server]:
    """Put the URLs together by member: in the order of the member list, then those that are not in it.

    :param etcd: the facts. URLs of unknown members count as a member each.
    """
    by_id: dict[str, Server] = {}
    for entry in etcd.listed or []:
        by_id.setdefault(entry.id, Server(entry.id, entry.name or None, listed=entry))
    by_url = {same(url): entry.id for entry in etcd.listed or [] for url in entry.client_urls}
    others: list[Server] = []
    for url in etcd.endpoints:
        server = by_id.get(url.id or by_url.get(same(url.url), ''))
        if server is None:
            server = Server(url.id, url.name)
            if url.id:
                by_id[url.id] = server
            others.append(server)
        server.name = server.name or url.name
        server.urls.append(url)
    return [server for server in by_id.values() if server.listed] + others


def auth(facts: Facts) -> bool | None:
    """Tell whether authentication is on; ``None`` if no member told."""
    answers = {url.auth for url in facts.etcd.endpoints} - {None}
    return True in answers if answers else None


def ours(facts: Facts) -> bool:
    """Tell whether this package or the patch serves on this node."""
    return facts.this_host.serves in ('package', 'patch')


def patroni_versions(patroni: Patroni | None) -> dict[str, Version]:
    """Versions of the Patroni members, as far as known, by name."""
    found = {member.name: parse_version(member.version) for member in (patroni.members if patroni else [])}
    return {name: version for name, version in found.items() if version}


def text(version: Version | None) -> str:
    """A version as it is written."""
    return dotted(version) if version else 'unknown'


def minor(version: Version) -> str:
    """A release line as it is written."""
    return dotted(version[:2])
