"""What stock Patroni makes of an etcd cluster: a model of how it chooses its one prefix and where it goes from there.

Read in ``Etcd3Client._ensure_version_prefix``, ``_get_machines_list`` and ``_do_http_request`` of 3.0 to 4.1. The first
configured member that gives the member list decides: its view of the *cluster's* version makes the prefix for all. The
next request goes to any of the advertised URLs, and a 404 there is no reason to try another one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..versions import OLDEST, Version
from .cluster import served
from .facts import Etcd, EtcdEndpoint

#: below this version of the cluster: the prefix
_PREFIXES: tuple[tuple[Version, str], ...] = (((3, 3, 0), '/v3alpha'), ((3, 4, 0), '/v3beta'))


@dataclass
class Outlook:
    """What becomes of stock Patroni."""

    #: prefixes that it may end up with, by URL of the member that it asks first
    prefixes: dict[str, str] = field(default_factory=dict)
    #: configured members that it cannot get the member list from, and why
    refused: list[tuple[EtcdEndpoint, str]] = field(default_factory=list)
    #: members that it may move to and that do not serve a prefix of :attr:`prefixes`
    lost: list[EtcdEndpoint] = field(default_factory=list)
    #: it starts; ``None``: that depends on the members that it asks first and moves to
    starts: bool | None = True

    @property
    def fine(self) -> bool:
        """Whether stock Patroni works with every member."""
        return bool(self.starts) and not self.refused and not self.lost


def _strict(text: str | None) -> Version | None:
    """Read a version as stock Patroni does: numbers and dots, and nothing else."""
    if not text or not re.match(r'\d{1,9}(\.\d{1,9}){0,3}$', text):
        return None
    numbers = ([int(part) for part in text.split('.')] + [0, 0])[:3]
    return numbers[0], numbers[1], numbers[2]


def stock_prefix(url: EtcdEndpoint) -> tuple[str | None, str]:
    """Return the prefix that stock Patroni takes after asking this member.

    :returns: the prefix or ``None``, and in that case the reason.
    """
    version, cluster = _strict(url.version), _strict(url.cluster_version)
    if not version or not cluster:
        what, text = ('version', url.version) if not version else ('cluster version', url.cluster_version)
        return None, f'it cannot read {what} {text}' if text else f'no {what} is reported'
    if cluster < (3, 0, 0) or version < OLDEST:
        return None, 'older than 3.0.4'
    return next((prefix for before, prefix in _PREFIXES if cluster < before), '/v3'), ''


def outlook(etcd: Etcd) -> Outlook | None:
    """Work out what becomes of stock Patroni with the members that answer and have their gateway on.

    :param etcd: the facts.

    :returns: ``None`` if there is no such member among the configured ones.
    """
    usable = [url for url in etcd.endpoints if url.version is not None and served(url)]
    asked = [url for url in usable if url.configured]
    if not asked:
        return None
    targets = asked if etcd.use_proxies else [url for url in usable if url.advertised] or asked
    ret = Outlook()
    outcomes: set[bool] = set()
    for url in asked:
        prefix, reason = stock_prefix(url)
        if prefix and prefix not in served(url):
            reason = f'{prefix} is not served there'
        if not prefix or reason:
            ret.refused.append((url, reason))
            continue
        ret.prefixes[url.url] = prefix
        lost = [target for target in targets if prefix not in served(target)]
        ret.lost += [target for target in lost if target not in ret.lost]
        outcomes.update(target not in lost for target in targets)
    ret.starts = None if len(outcomes) > 1 else True in outcomes
    return ret
