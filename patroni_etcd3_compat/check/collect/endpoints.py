"""The etcd cluster, put together from what its members tell."""

from __future__ import annotations

from urllib.parse import urlsplit

from ...urls import as_key, is_loopback
from ..facts import Etcd, EtcdEndpoint, ListedMember
from .interview import Keys, Told
from .settings import Settings

#: How many URLs are asked. etcd itself advises 7 members at most, and each may advertise several.
MOST = 64


class Endpoints:
    """All URLs of the cluster: the configured ones, and those that the members advertise as soon as one lists them.

    :param settings: what to collect.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._members: dict[str, EtcdEndpoint] = {}
        self._told: list[Told] = []

    def configured(self) -> list[EtcdEndpoint]:
        """Return the members to ask first."""
        for url in self._settings.urls:
            self._members[as_key(url)] = EtcdEndpoint(url, True, tls=url.startswith('https:'))
        return [_blank(member) for member in self._members.values()]

    def add(self, told: Told) -> list[EtcdEndpoint]:
        """Add what a member told.

        :returns: members that are to be asked as well.
        """
        known = self._members[as_key(told.member.url)]
        told.member.advertised = known.advertised
        self._members[as_key(told.member.url)] = told.member
        self._told.append(told)
        more = []
        for url in [url for entry in told.listed or () for url in entry.client_urls]:
            member = self._members.get(as_key(url))
            if member is None:
                member = self._members[as_key(url)] = EtcdEndpoint(url, False, tls=url.startswith('https:'))
                member.error = _unfit(url, told.member.url)
                if not member.error and len(self._members) > MOST:
                    member.error = f'not asked: more than {MOST} URLs are advertised'
                if not member.error:
                    more.append(_blank(member))
            member.advertised = True
        return more

    def failed(self, url: str, error: str) -> None:
        """Note that a member told nothing.

        :param url: its URL.
        :param error: why.
        """
        self._members[as_key(url)].error = error

    def keys(self) -> Keys | None:
        """Return the keys of the Patroni cluster from the member that has the latest ones."""
        keys = [told.keys for told in self._told if told.keys]
        return max(keys, key=lambda each: (each.agreed, each.revision)) if keys else None

    def facts(self) -> Etcd:
        """Return what is known about the cluster."""
        listed = self._listed()
        for entry in listed or ():
            urls = {as_key(url) for url in entry.client_urls}
            for url, member in self._members.items():
                if not member.shared_by and (member.id == entry.id or member.id is None and url in urls):
                    member.id, member.name = entry.id, entry.name or None
        alarms = {alarm for told in self._told for alarm in told.alarms}
        alone = {member.id for member in self._members.values()}
        for member in self._members.values():
            member.alarms = sorted(
                {name for owner, name in alarms if (owner not in alone if member.shared_by else owner == member.id)}
            )
        settings = self._settings
        return Etcd(
            settings.urls,
            settings.use_proxies,
            settings.version_prefix,
            bool(settings.username and settings.password),
            listed,
            list(self._members.values()),
            settings.tls_files,
            settings.dcs_url,
            settings.username,
            list(settings.given),
        )

    def _listed(self) -> list[ListedMember] | None:
        """Return the member list of the leader, or else of the first that had one."""
        lists = sorted((told for told in self._told if told.listed), key=lambda told: not told.member.leader)
        # In an order that tells something: etcd's own is that of the ids, which are random.
        return sorted(lists[0].listed or (), key=lambda entry: (entry.name, entry.id)) if lists else None


def _unfit(url: str, listed_by: str) -> str | None:
    """Return why an advertised URL must not be asked, ``None`` if it may."""
    try:
        if not url.startswith(('http://', 'https://')):
            return 'neither http nor https'
        if not urlsplit(url).hostname:
            return 'a URL without a host'
        if is_loopback(url) and not is_loopback(listed_by):
            return 'a loopback address, advertised by a member on another machine'
        return None
    except ValueError:
        return 'not a URL'


def _blank(member: EtcdEndpoint) -> EtcdEndpoint:
    """Return a copy to fill in: a question that was abandoned may still change its own."""
    return EtcdEndpoint(member.url, member.configured, member.advertised, tls=member.tls)
