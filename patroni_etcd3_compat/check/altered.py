"""Facts of a cluster that will be: some members run another release, all else is as it is now. Pure."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Collection

from ..versions import Version, dotted, gateway_of, parse_version
from .cluster import members
from .facts import EtcdEndpoint, Facts

#: Patch level of "the newest release of its line". There is no such release, so :func:`readable` can take it out again.
NEWEST = 999


def newest_of(line: tuple[int, ...]) -> Version:
    """Return what stands for the newest release of a line in altered facts."""
    return line[0], line[1], NEWEST


def readable(text: str) -> str:
    """Return a text about altered facts without the patch level that stands for the newest release."""
    return re.sub(rf'\.{NEWEST}\b', '', text)


def etcd_at(facts: Facts, version: Version, which: Collection[str] | None = None) -> Facts:
    """Return the facts with members of etcd at another release, and the cluster version that follows from it.

    :param version: the release.
    :param which: these members (as ``str`` writes them); ``None``: all. Members that do not answer stay as they are.
    """
    later = deepcopy(facts)
    for member in members(later.etcd):
        if which is None or str(member) in which:
            for url in member.urls:
                _become(url, version)
    known = [found for found in (parse_version(url.version) for url in later.etcd.endpoints) if found]
    for url in later.etcd.endpoints:
        if known and url.cluster_version is not None:
            url.cluster_version = dotted(min(known)[:2] + (0,))
    return later


def _become(url: EtcdEndpoint, version: Version) -> None:
    if url.version is None:
        return
    url.version = dotted(version)
    gateway = gateway_of(version)
    if url.prefixes:
        url.prefixes = list(gateway.served) if gateway else []


def patroni_at(facts: Facts, version: Version, which: Collection[str] | None = None) -> Facts:
    """Return the facts with members of Patroni at another release.

    :param version: the release.
    :param which: names of these members; ``None``: all.
    """
    later = deepcopy(facts)
    for member in later.patroni.members if later.patroni else []:
        if which is None or member.name in which:
            member.version = dotted(version)
    return later
