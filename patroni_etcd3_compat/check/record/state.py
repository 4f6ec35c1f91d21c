"""What the record follows of a look, as one flat mapping. Pure.

``None``, or no entry, means "unknown", as in the facts. A version that is unknown for now stays what it was, and so do
the findings about what cannot be seen: an outage of etcd cures nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Dict, Iterator, Mapping, NamedTuple

from ...versions import parse_version
from ..cluster import EtcdMember, members
from ..facts import SEVERITIES, Etcd, Facts, Finding, Fleet, Patroni, PatroniMember
from ..fleet import name_of

#: What a key is about.
ETCD, PATRONI, FINDING = 'etcd', 'patroni', 'finding'

#: What it is: of a member, of a cluster, or of both.
STATE, VERSION, LEADER, CLUSTER_VERSION, URL = 'state', 'version', 'leader', 'cluster-version', 'url'
SERVES, POSTGRES, PAUSED = 'serves', 'postgres', 'paused'

#: States of a member: it answers, it does not, it is in no list and has no key any more. A cluster can be up or silent
#: (its keys cannot be read), or gone.
UP, SILENT, GONE = 'up', 'silent', 'gone'

#: The leader if there is none, which was seen.
NOBODY = ''


#: What stands between members where a finding names several.
_AND = re.compile(', | and ')
_ETCD_MEMBERS = re.compile('(?:, | and )(?=etcd )')


class Key(NamedTuple):
    """One thing that has a value at each moment."""

    #: ``etcd``, ``patroni`` or ``finding``
    about: str
    #: the Patroni cluster; empty for etcd, and for findings if there is but one cluster
    cluster: str
    #: the member, empty for the cluster itself; for a finding, where it is
    name: str
    #: what it is; for a finding, its identifier
    what: str


#: What is known at a moment.
State = Dict[Key, str]


def state_of(facts: Facts | Fleet, findings: list[Finding], before: Mapping[Key, str] | None = None) -> State:
    """Return what the record follows of a look.

    :param facts: as they were collected.
    :param findings: those that count.
    :param before: the state at the last look, for what is unknown in this one.
    """
    before = before or {}
    state: State = {}
    state.update(_etcd(facts.etcd, before))
    clusters = facts.clusters if isinstance(facts, Fleet) else [facts.patroni] if facts.patroni else []
    for patroni in clusters:
        state.update(_cluster(patroni, before))
    unknown = bool(facts.error) if isinstance(facts, Fleet) else False
    names = {name_of(patroni) for patroni in clusters}
    for cluster in {key.cluster for key in before if key.about == PATRONI} - names:
        state.update(_missing(cluster, before, SILENT if unknown else GONE))
    state.update(_findings(findings, state))
    hidden = _Hidden(facts, state)
    for key, value in before.items():
        if key.about == FINDING and (key.cluster, key.what.startswith(ETCD), key.name) in hidden:
            state.setdefault(key, value)
    return state


class _Hidden:
    """Places where nothing can be seen now, so that findings about them stay what they were."""

    def __init__(self, facts: Facts | Fleet, state: State) -> None:
        silent = [key for key, value in state.items() if key.what == STATE and value == SILENT]
        self._several = isinstance(facts, Fleet)
        self._etcd = not any(url.answers for url in facts.etcd.endpoints)
        self._members = {key.name for key in silent if key.about == ETCD}
        self._clusters = {key.cluster for key in silent if not key.name}
        self._nodes = {(key.cluster if self._several else '', key.name) for key in silent if key.about == PATRONI}

    def __contains__(self, place: tuple[str, bool, str]) -> bool:
        cluster, of_etcd, name = place
        if of_etcd:
            return self._etcd or name.startswith('etcd ') and name.split(' ')[1] in self._members
        unseen = cluster in self._clusters if self._several else bool(self._clusters)
        return unseen or (cluster, name) in self._nodes


def _etcd(etcd: Etcd, before: Mapping[Key, str]) -> Iterator[tuple[Key, str]]:
    found = members(etcd)
    by_url = _by_url(before)
    twice = Counter(member.name for member in found)
    state: State = {}
    leaders: list[tuple[int, str]] = []
    for member in found:
        name = _name(member, by_url, twice[member.name] > 1)
        answers = member.answers
        if state.get(Key(ETCD, '', name, STATE)) != UP:
            state[Key(ETCD, '', name, STATE)] = UP if answers else SILENT
        if member.reported_version:
            state[Key(ETCD, '', name, VERSION)] = member.reported_version
        leaders += [(url.raft_term or 0, name) for url in member.urls if url.leader]
        known = {url.url for url in member.urls} | set(before.get(Key(ETCD, '', name, URL), '').split())
        known |= set(state.get(Key(ETCD, '', name, URL), '').split())
        state[Key(ETCD, '', name, URL)] = ' '.join(sorted(known))
    if leaders:  # of two, one has not heard yet that the other one leads
        state[Key(ETCD, '', '', LEADER)] = max(leaders)[1]
    elif {url.has_leader for url in etcd.endpoints} - {None} == {False}:
        state[Key(ETCD, '', '', LEADER)] = NOBODY
    versions = [version for version in (parse_version(url.cluster_version) for url in etcd.endpoints) if version]
    if versions:
        state[Key(ETCD, '', '', CLUSTER_VERSION)] = '.'.join(map(str, max(versions)))
    yield from state.items()
    # A URL stands for a member until its name is known.
    named = {url for key, urls in state.items() if key.what == URL for url in urls.split() if key.name != url}
    for key, value in before.items():
        if key.about == ETCD and key not in state and key.what != LEADER and key.name not in named:
            listed = etcd.listed is not None or not key.name
            yield key, value if key.what != STATE else GONE if listed else SILENT


def _by_url(before: Mapping[Key, str]) -> dict[str, str]:
    """Return the names that members had by their URLs. One that took the place of another counts before that one."""
    found: dict[str, str] = {}
    urls = sorted((key, urls) for key, urls in before.items() if key.about == ETCD and key.what == URL)
    for key, text in sorted(urls, key=lambda item: before.get(item[0]._replace(what=STATE)) != GONE):
        found.update((url, key.name) for url in text.split())
    return found


def _name(member: EtcdMember, by_url: Mapping[str, str], ambiguous: bool) -> str:
    """Return what a member is called in the record, the same as before where its name is unknown."""
    if member.name and not ambiguous:
        return member.name
    known = (by_url[url.url] for url in member.urls if url.url in by_url)
    return next(known, member.urls[0].url if member.urls else member.client_url if member.listed else member.label)


def _cluster(patroni: Patroni, before: Mapping[Key, str]) -> Iterator[tuple[Key, str]]:
    name = name_of(patroni)
    if patroni.error:
        # No keys where there were some is no failure to read them.
        started = any(key[:2] == (PATRONI, name) and key.name for key in before)
        yield from _missing(name, before, GONE if patroni.scopes is not None and started else SILENT)
        return
    yield Key(PATRONI, name, '', STATE), UP
    yield Key(PATRONI, name, '', LEADER), patroni.leader or NOBODY
    if patroni.paused is not None:
        yield Key(PATRONI, name, '', PAUSED), 'on' if patroni.paused else 'off'
    seen = set()
    for member in patroni.members:
        for what, value in _of_member(member):
            seen.add(Key(PATRONI, name, member.name, what))
            yield Key(PATRONI, name, member.name, what), value
    for key, value in before.items():
        if (
            key[:2] == (PATRONI, name)
            and key not in seen
            and (key.name or key.what == PAUSED and patroni.paused is None)
        ):
            yield key, GONE if key.what == STATE else value


def _of_member(member: PatroniMember) -> Iterator[tuple[str, str]]:
    yield STATE, (SILENT if member.error else UP) if member.in_dcs else GONE
    if member.version:
        yield VERSION, member.version
    if member.serves:
        yield SERVES, f'{member.serves} {member.compat}' if member.compat else member.serves
    if member.postgres_version:
        yield POSTGRES, member.postgres_version


def _missing(cluster: str, before: Mapping[Key, str], state: str) -> Iterator[tuple[Key, str]]:
    """Return what is known about a cluster that was not seen, or is gone. Nobody leads one that is gone."""
    yield Key(PATRONI, cluster, '', STATE), state
    if state == GONE:
        yield Key(PATRONI, cluster, '', LEADER), NOBODY
    for key, value in before.items():
        if key[:2] == (PATRONI, cluster) and (key.name or key.what == PAUSED):
            yield key, GONE if state == GONE and key.what == STATE else value


def keys_of(finding: Finding, state: Mapping[Key, str]) -> list[Key]:
    """Return the keys of a finding: one for each member if it names several, of which each may be cured by itself."""
    cluster = finding.cluster or ''
    places = _ETCD_MEMBERS.split(finding.where) if finding.where.startswith('etcd ') else [finding.where]
    names = {key.name for key in state if key.about == PATRONI and key.name and cluster in ('', key.cluster)}
    listed = _AND.split(finding.where)
    if len(listed) > 1 and names.issuperset(listed):
        places = listed
    return [Key(FINDING, cluster, place, finding.id) for place in places]


def _findings(findings: list[Finding], members: Mapping[Key, str]) -> State:
    state: State = {}
    for finding in findings:
        for key in keys_of(finding, members):
            worst = max(finding.severity, state.get(key, SEVERITIES[0]), key=SEVERITIES.index)
            state[key] = worst
    return state
