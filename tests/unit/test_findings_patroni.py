"""Findings about Patroni members and about this node."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from patroni_etcd3_compat.check.facts import NO_CREDENTIALS, Patroni, Postgres
from patroni_etcd3_compat.check.findings import exit_status, judge
from tests.unit.finding_facts import (
    etcd_facts,
    etcd_member,
    facts,
    found,
    of_versions,
    one,
    patroni_facts,
    patroni_member,
    with_slots,
)


def ids(patroni: Patroni) -> list[str]:
    """Identifiers of what was found about it."""
    return [finding.id for finding in found(facts(patroni=patroni)) if finding.id != 'node-serves']


def test_nothing_about_healthy_clusters() -> None:
    """In states that pass as well; a single member of any release."""
    assert ids(patroni_facts(patroni_member('a'), patroni_member('b'), patroni_member('c', state='starting'))) == []
    old = patroni_facts(patroni_member('a', '3.0.2'))
    of_old = {'patroni-stale-etcd', 'patroni-canceled-watch'}
    assert {f.id for f in judge(facts(of_versions('3.4.45'), old))} == {'etcd-end-of-life', 'node-serves', *of_old}
    assert [f.id for f in judge(dataclasses.replace(facts(), patroni=None))] == ['node-serves']


def test_leader_key() -> None:
    """Missing: critical, but a warning in pause. Held by nobody who is there: a warning."""
    patroni = patroni_facts(patroni_member('a'), patroni_member('b'))
    patroni.leader = None
    finding = one(facts(patroni=patroni), 'patroni-no-leader')
    assert finding.severity == 'critical' and '/service/batman/leader' in finding.seen and 'a and b' in finding.seen
    patroni.paused = True
    paused = one(facts(patroni=patroni), 'patroni-no-leader')
    assert paused.severity == 'warning' and 'in pause' in paused.consequence
    assert 'in pause' not in finding.consequence
    patroni.leader = 'c'
    finding = one(facts(patroni=patroni), 'patroni-member-down')
    assert finding.where == 'c' and finding.severity == 'warning'
    assert one(facts(patroni=patroni), 'patroni-paused').severity == 'info'


@pytest.mark.parametrize('state', ['stopped', 'crashed', 'start failed', 'stop failed'])
def test_states(state: str) -> None:
    """A replica: warning. The leader: critical."""
    patroni = patroni_facts(patroni_member('a'), patroni_member('b', state=state))
    finding = one(facts(patroni=patroni), 'patroni-member-down')
    assert finding.severity == 'warning' and finding.where == 'b' and state in finding.seen
    patroni.members[0].state, patroni.members[1].state = state, 'streaming'
    assert one(facts(patroni=patroni), 'patroni-member-down').severity == 'critical'


def test_node_that_is_not_in_etcd() -> None:
    """The member that the configuration names."""
    patroni = patroni_facts(patroni_member('a'), patroni_member('b', in_dcs=False, state=None))
    finding = one(facts(patroni=patroni), 'patroni-member-down')
    assert finding.where == 'b' and finding.severity == 'warning'


def test_rest_api() -> None:
    """Silent: a warning with what else is known; its slots are not told of once more."""
    member = patroni_member('b', error='no answer within 5 s', postgres=Postgres(error='connection refused'))
    patroni = patroni_facts(patroni_member('a'), member)
    assert ids(patroni) == ['patroni-api-unreachable']
    finding = one(facts(patroni=patroni), 'patroni-api-unreachable')
    for part in ('http://b:8008/patroni', 'no answer within 5 s', 'connection refused'):
        assert part in finding.seen
    assert finding.severity == 'warning' and 'failover' in finding.consequence
    patroni.leader = 'b'
    assert 'no primary there' in one(facts(patroni=patroni), 'patroni-api-unreachable').consequence


def test_nothing_could_be_read() -> None:
    """Unknown, and so is a cluster of no members."""
    for patroni in (Patroni('batman', error='no etcd member gave the keys below /service/batman/'), Patroni('batman')):
        some = facts(patroni=patroni)
        assert one(some, 'patroni-unknown').severity == 'unknown' and exit_status(some, judge(some)) == 3
        assert one(some, 'patroni-unknown').remedy.endswith('etcdctl get --prefix --keys-only /service/')
        assert some.etcd.endpoints
        for member in some.etcd.endpoints:
            member.error = 'no answer within 5 s'
        assert ('findings about etcd' in one(some, 'patroni-unknown').remedy) is bool(patroni.error)


@pytest.mark.parametrize(
    'scopes, remedy',
    [
        ([], 'correct the namespace, or start the cluster: below /service/ there is no cluster at all'),
        (['lab'], 'correct the scope: below /service/ there is lab'),
        (list('abcdefghijkl'), 'correct the scope: below /service/ there is a, b, c, d, e, f, g, h, i, j and 2 more'),
    ],
)
def test_wrong_scope(scopes: list[str], remedy: str) -> None:
    """The scopes that there are below the namespace are named."""
    patroni = Patroni('batman', error='there are no keys below /service/batman/ in etcd', scopes=scopes)
    assert one(facts(patroni=patroni), 'patroni-unknown').remedy == remedy


def test_etcd_is_not_there() -> None:
    """That is said once."""
    some = facts(etcd_facts(etcd_member(1, None)), Patroni('batman', error='no etcd member gave the keys'))
    assert not found(some, 'patroni-unknown') and exit_status(some, judge(some)) == 2
    assert [f.id for f in judge(some) if f.severity == 'critical'] == ['etcd-quorum-lost']


@pytest.mark.parametrize(
    'replica, config, id, severity',
    [
        ('4.0.2', {}, 'patroni-member-slots', 'critical'),
        ('4.1.5', {'slots': {'x': {'type': 'physical'}}}, 'patroni-permanent-slots', 'critical'),
        ('4.1.5', {'failsafe_mode': True}, 'patroni-failsafe-mode', 'warning'),
        ('4.1.5', {}, 'patroni-before-3.1', 'warning'),
        ('4.1.5', {}, 'patroni-role-primary', 'info'),
    ],
)
def test_hazards(replica: str, config: dict[str, Any], id: str, severity: str) -> None:
    """Each hit of the table is a finding with its severity, consequence, remedy and source."""
    patroni = patroni_facts(patroni_member('old', '3.0.4'), patroni_member('new', replica), **config)
    finding = one(facts(patroni=patroni), id)
    assert finding.severity == severity and finding.link.startswith('https://github.com/patroni/patroni/')
    assert finding.where == ('new' if 'slots' in id else 'new and old')
    assert 'old (Patroni 3.0.4)' in finding.seen and f'new (Patroni {replica})' in finding.seen
    assert not found(facts(patroni=patroni), 'patroni-versions-differ')


def test_hazard_that_the_package_ends() -> None:
    """A cancelled watch is a hazard on the members that the package does not serve."""
    patroni = patroni_facts(
        patroni_member('a', '3.3.6', serves='stock'), patroni_member('b', '3.3.6', serves='package')
    )
    assert one(facts(patroni=patroni), 'patroni-canceled-watch').where == 'a'
    assert one(facts(patroni=patroni), 'patroni-stale-etcd').where == 'a and b'
    patroni.members[0].serves = 'patch'
    assert not found(facts(patroni=patroni), 'patroni-canceled-watch')


def test_hazard_on_a_node_with_the_package() -> None:
    """The text names the replicas that the package serves. If it serves all, a warning is left: it can be off."""
    patroni = patroni_facts(
        patroni_member('old', '3.3.11', serves='stock'),
        patroni_member('node1', '4.0.2', serves='package'),
        patroni_member('node2', '4.0.2', serves='stock'),
    )
    finding = one(facts(patroni=patroni), 'patroni-member-slots')
    assert (finding.severity, finding.where) == ('critical', 'node1 and node2')
    assert 'on node1 the package takes the positions' in finding.consequence
    patroni.members[2].serves = 'patch'
    finding = one(facts(patroni=patroni), 'patroni-member-slots')
    assert finding.severity == 'warning' and 'on node1 and node2 the package takes' in finding.consequence
    patroni.members[1].serves = patroni.members[2].serves = None
    finding = one(facts(patroni=patroni, serves=None), 'patroni-member-slots')
    assert finding.severity == 'critical' and 'takes the positions' not in finding.consequence


def test_versions_that_differ() -> None:
    """Without a hazard: for information. Not known: unknown."""
    patroni = patroni_facts(patroni_member('a', '4.1.1'), patroni_member('b', '4.1.5'))
    finding = one(facts(patroni=patroni), 'patroni-versions-differ')
    assert finding.severity == 'info' and finding.seen == 'a 4.1.1, b 4.1.5'
    alone = patroni_facts(patroni_member('a', None))  # with nobody to compare it with
    assert not found(facts(patroni=alone), 'patroni-unknown')
    patroni.members[1].version = None
    finding = one(facts(patroni=patroni), 'patroni-unknown')
    assert finding.severity == 'unknown' and finding.where == 'b' and 'not reported' in finding.seen


@pytest.mark.parametrize(
    'serves, versions, severity',
    [
        ('stock', ['3.5.30', '3.5.30'], 'info'),
        ('stock', ['3.2.26', '3.4.23'], 'warning'),
        ('package', ['3.5.30', '3.5.30'], 'info'),
        ('package', ['3.2.26', '3.4.23'], 'info'),
        ('patch', ['3.2.26', '3.4.23'], 'info'),
        (None, ['3.2.26', '3.4.23'], 'unknown'),
        (None, ['3.5.30'], None),
    ],
)
def test_node(serves: str | None, versions: list[str], severity: str | None) -> None:
    """What serves here, and whether that is enough."""
    findings = found(facts(of_versions(*versions), serves=serves), 'node-serves')
    assert [finding.severity for finding in findings] == [severity][: bool(severity)]
    for finding in findings:
        assert finding.where == 'node1' and 'Patroni 4.1.5' in finding.seen
        assert ('etcd-prefix-mixed' in finding.consequence) is (severity in ('warning', 'unknown'))


def test_postgres_that_refuses() -> None:
    """Unknown, with what it said."""
    refused = Postgres(error='no pg_hba.conf entry for host "10.0.0.9"')
    some = facts(
        patroni=patroni_facts(patroni_member('a', postgres=refused), patroni_member('b', postgres=with_slots()))
    )
    finding = one(some, 'slot-unknown')
    assert (finding.severity, finding.where, finding.seen) == ('unknown', 'a', refused.error)
    assert exit_status(some, judge(some)) == 3


def test_postgres_that_was_not_asked() -> None:
    """Information where the configuration just has no credentials: that is how somebody wants it."""
    some = facts(patroni=patroni_facts(patroni_member('a', postgres=Postgres(error=NO_CREDENTIALS))))
    assert one(some, 'slot-unknown').severity == 'info' and exit_status(some, judge(some)) == 0


def test_what_the_node_needs() -> None:
    """What is for information only does not ask for the package; a warning does."""
    old = patroni_facts(patroni_member('node1', '4.1.0'))
    some = facts(of_versions('3.5.16'), old)
    assert one(some, 'etcd-error-shape').severity == 'info' and one(some, 'node-serves').severity == 'info'
    some = facts(of_versions('3.6.8'), old)
    assert one(some, 'etcd-error-shape').severity == one(some, 'node-serves').severity == 'warning'
    some = facts(etcd_facts(etcd_member(1), etcd_member(2, None)))
    assert one(some, 'etcd-unreachable').severity == 'warning' and one(some, 'node-serves').severity == 'info'
