"""A healthy cluster, and ways to change it: what the examples of findings start from."""

from __future__ import annotations

from typing import Callable

from ...versions import dotted, gateway_of, parse_version
from ..facts import Etcd, EtcdEndpoint, Facts, ListedMember, Patroni, PatroniMember, Postgres, Slot, ThisHost

#: A function that changes facts in place.
Change = Callable[[Facts], None]

MB = 1024 * 1024


def healthy() -> Facts:
    """Return the facts of three members of etcd and two of stock Patroni, about which there is nothing to say."""
    urls = [f'http://10.0.0.{number}:2379' for number in (1, 2, 3)]
    names = [f'infra{number}' for number in (1, 2, 3)]
    ids = ['a1', 'a2', 'a3']
    etcd = Etcd(
        urls,
        listed=[
            ListedMember(id, name, [url], [url.replace('2379', '2380')]) for id, name, url in zip(ids, names, urls)
        ],
        endpoints=[
            EtcdEndpoint(url, True, True, name, id, auth=False, db_size=20480)
            for id, name, url in zip(ids, names, urls)
        ],
    )
    members = [
        PatroniMember(
            name, True, role, state, '4.1.5', '17.2', 1, 1000 * MB, api_url=f'http://{name}:8008/patroni',
            postgres_address=f'{name}:5432',
            postgres=Postgres('17.2', role != 'leader', 1000 * MB, [], 128 * MB, 1024 * MB),
            serves='stock',
        )
        for name, role, state in (('node1', 'leader', 'running'), ('node2', 'replica', 'streaming'))
    ]  # fmt: skip
    patroni = Patroni('batman', leader='node1', paused=False, config={'ttl': 30, 'loop_wait': 10}, members=members)
    this_host = ThisHost('node1', 'etcd3', 'stock', None, '4.1.5')
    facts = Facts('2026-07-01T12:00:00+00:00', 0.1, etcd, patroni, this_host)
    etcd_runs('3.5.30', '3.5.30', '3.5.30')(facts)
    return facts


def etcd_runs(*versions: str, **attributes: object) -> Change:
    """Return what lets the members of etcd run these releases, with these attributes of each."""

    def change(facts: Facts) -> None:
        oldest = min(version for version in map(parse_version, versions) if version)
        for url, version in zip(facts.etcd.endpoints, versions):
            parsed = parse_version(version)
            gateway = gateway_of(parsed) if parsed else None
            url.version, url.cluster_version, url.protocol = version, dotted(oldest[:2] + (0,)), 'http'
            url.gateway, url.prefixes = True, list(gateway.served) if gateway else []
            url.leader, url.learner, url.has_leader = url is facts.etcd.endpoints[0], False, True
            for name, value in attributes.items():
                setattr(url, name, value)

    return change


def etcd_member(number: int, **attributes: object) -> Change:
    """Return what sets attributes of a member of etcd, counted from 1."""

    def change(facts: Facts) -> None:
        for name, value in attributes.items():
            setattr(facts.etcd.endpoints[number - 1], name, value)

    return change


def etcd_silent(*numbers: int) -> Change:
    """Return what lets these members of etcd not answer; the others know of no leader if they are too few."""

    def change(facts: Facts) -> None:
        for number in numbers:
            old = facts.etcd.endpoints[number - 1]
            facts.etcd.endpoints[number - 1] = EtcdEndpoint(
                old.url, True, True, old.name, old.id, error='no answer within 5 s'
            )
        for url in facts.etcd.endpoints:
            if url.version and len(numbers) > 1:
                url.leader = url.has_leader = False

    return change


def patroni_runs(*versions: str, **config: object) -> Change:
    """Return what lets the members of Patroni run these releases, the leader first, with this configuration."""

    def change(facts: Facts) -> None:
        assert facts.patroni is not None
        facts.patroni.config.update(config)
        for member, version in zip(facts.patroni.members, versions):
            member.version = version

    return change


def patroni_member(number: int, **attributes: object) -> Change:
    """Return what sets attributes of a member of Patroni; 1 is the leader."""

    def change(facts: Facts) -> None:
        assert facts.patroni is not None
        for name, value in attributes.items():
            setattr(facts.patroni.members[number - 1], name, value)

    return change


def replica_has(**attributes: object) -> Change:
    """Return what gives the replica a physical slot for the leader, at 900 MB, with these attributes."""

    def change(facts: Facts) -> None:
        assert facts.patroni is not None
        facts.slots_interval = 30
        leader, replica = facts.patroni.members
        leader.position, leader.later_position = 950 * MB, 990 * MB
        assert replica.postgres is not None
        slot = Slot('node1', 'physical', False, 900 * MB, 940 * MB, 100 * MB, wal_status='reserved')
        for name, value in attributes.items():
            setattr(slot, name, value)
        replica.postgres.slots.append(slot)

    return change


def both(*changes: Change) -> Change:
    """Return all these changes, one after the other, as one."""

    def change(facts: Facts) -> None:
        for each in changes:
            each(facts)

    return change


def postgres_of(number: int, **attributes: object) -> Change:
    """Return what sets attributes of the PostgreSQL of a member of Patroni; 1 is the leader."""

    def change(facts: Facts) -> None:
        assert facts.patroni is not None
        postgres = facts.patroni.members[number - 1].postgres
        assert postgres is not None
        for name, value in attributes.items():
            setattr(postgres, name, value)

    return change


def patroni_has(**attributes: object) -> Change:
    """Return what sets attributes of the Patroni cluster."""

    def change(facts: Facts) -> None:
        assert facts.patroni is not None
        for name, value in attributes.items():
            setattr(facts.patroni, name, value)

    return change
