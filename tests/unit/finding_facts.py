"""Builders of facts: a healthy cluster, and what is different in a test."""

from __future__ import annotations

from typing import Any

from patroni_etcd3_compat.check.facts import (
    Etcd,
    EtcdEndpoint,
    Facts,
    Finding,
    ListedMember,
    Patroni,
    PatroniMember,
    Postgres,
    Slot,
    ThisHost,
)
from patroni_etcd3_compat.check.findings import judge
from patroni_etcd3_compat.versions import gateway_of, parse_version

TAKEN = '2026-07-01T12:00:00+00:00'

MB = 1024 * 1024


def etcd_member(
    number: int = 1, version: str | None = '3.5.30', cluster: str | None = '3.5.0', **different: Any
) -> EtcdEndpoint:
    """A member that answers; ``version=None``: one that does not."""
    parsed = parse_version(version)
    gateway = gateway_of(parsed) if parsed else None
    ret = EtcdEndpoint(f'http://10.0.0.{number}:2379', True, True, f'infra{number}', f'a{number}')
    if version:
        ret.version, ret.cluster_version, ret.gateway, ret.protocol, ret.auth = version, cluster, True, 'http', False
        ret.prefixes = [gateway.prefix, *gateway.also] if gateway else []
        ret.leader, ret.learner, ret.has_leader, ret.db_size = number == 1, False, True, 20480
    else:
        ret.error = 'no answer within 5 s'
    for name, value in different.items():
        assert hasattr(ret, name)
        setattr(ret, name, value)
    return ret


def etcd_facts(*members: EtcdEndpoint, listed: bool = True, **different: Any) -> Etcd:
    """A cluster of these; the member list names all that are advertised."""
    ret = Etcd([member.url for member in members if member.configured], endpoints=list(members))
    if listed:
        entries: dict[str, ListedMember] = {}
        for member in members:
            if member.advertised and member.id:
                entry = entries.setdefault(member.id, ListedMember(member.id, member.name or '', [], []))
                entry.client_urls.append(member.url)
                entry.learner = bool(member.learner)
        ret.listed = list(entries.values())
    for name, value in different.items():
        assert hasattr(ret, name)
        setattr(ret, name, value)
    return ret


def of_versions(*versions: str, cluster: str = '', **different: Any) -> Etcd:
    """A cluster of members of these releases; the version of the cluster follows from them."""
    oldest = min(version for version in map(parse_version, versions) if version)
    cluster = cluster or f'{oldest[0]}.{oldest[1]}.0'
    return etcd_facts(
        *(etcd_member(number, version, cluster, **different) for number, version in enumerate(versions, 1))
    )


def patroni_member(name: str, version: str | None = '4.1.5', **different: Any) -> PatroniMember:
    """A member that runs."""
    ret = PatroniMember(
        name,
        role='replica',
        state='streaming',
        version=version,
        postgres_version='15.6',
        timeline=1,
        position=1000 * MB,
        api_url=f'http://{name}:8008/patroni',
        postgres_address=f'{name}:5432',
    )
    for key, value in different.items():
        assert hasattr(ret, key)
        setattr(ret, key, value)
    return ret


def patroni_facts(*members: PatroniMember, leader: str | None = None, **config: Any) -> Patroni:
    """A cluster of these, the first one leads."""
    ret = Patroni(
        'batman',
        leader=leader or (members[0].name if members else None),
        paused=False,
        config=dict({'ttl': 30, 'loop_wait': 10}, **config),
        members=list(members),
    )
    if members:
        ret.members[0].role, ret.members[0].state = 'leader', members[0].state and 'running'
    return ret


def with_slots(*slots: Slot, **different: Any) -> Postgres:
    """A PostgreSQL with these slots."""
    ret = Postgres('15.6', True, 1000 * MB, list(slots), 128 * MB, 1024 * MB, 128 * MB, -1)
    for key, value in different.items():
        assert hasattr(ret, key)
        setattr(ret, key, value)
    return ret


def facts(
    etcd: Etcd | None = None,
    patroni: Patroni | None = None,
    serves: str | None = 'stock',
    slots_interval: float | None = None,
    taken: str = TAKEN,
) -> Facts:
    """Everything, healthy where nothing is given."""
    if etcd is None:
        etcd = of_versions('3.5.30', '3.5.30', '3.5.30')
    if patroni is None:
        patroni = patroni_facts(patroni_member('node1'), patroni_member('node2'))
    for member in patroni.members:
        member.serves = member.serves or serves
    return Facts(taken, 0.1, etcd, patroni, ThisHost('node1', 'etcd3', serves, None, '4.1.5', '3.11.2'), slots_interval)


def found(some: Facts, *ids: str) -> list[Finding]:
    """The findings, those with these identifiers if any are given."""
    return [finding for finding in judge(some) if not ids or finding.id in ids]


def one(some: Facts, id: str) -> Finding:
    """The only finding with this identifier."""
    (finding,) = found(some, id)
    return finding


def text_of(finding: Finding) -> str:
    """All that is said."""
    return '\n'.join((finding.where, finding.seen, finding.consequence, finding.remedy))
