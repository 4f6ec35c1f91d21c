"""Findings about who accepts writes, who is synchronous, who streams, who is missing, and what is pending."""

from __future__ import annotations

from typing import Any

import pytest

from patroni_etcd3_compat.check.facts import Patroni, PatroniMember, Postgres, Slot, Switchover, Synchronous
from patroni_etcd3_compat.check.findings import exit_status, judge
from patroni_etcd3_compat.check.findings.registry import PATRONI_GATE, stopping
from patroni_etcd3_compat.check.plan import make_plan
from tests.unit.finding_facts import MB, etcd_facts, etcd_member, facts, found, one, patroni_facts, patroni_member

SYNC = 'patroni-sync-none'
STREAM = 'patroni-not-streaming'


def primary(name: str, **different: Any) -> PatroniMember:
    """A member whose PostgreSQL is not in recovery."""
    return patroni_member(name, postgres=Postgres('15.6', False), **different)


def standby(name: str, **different: Any) -> PatroniMember:
    """A member whose PostgreSQL is in recovery."""
    return patroni_member(name, postgres=Postgres('15.6', True), **different)


def nothing(patroni: Patroni, *ids: str) -> bool:
    """Whether none of these is found."""
    return not found(facts(patroni=patroni), *ids)


# Two primaries


def test_two_primaries() -> None:
    """Critical, with timelines and who holds the key; in pause the remedy is to resume."""
    patroni = patroni_facts(primary('a'), primary('b', timeline=2), standby('c'))
    finding = one(facts(patroni=patroni), 'patroni-two-primaries')
    assert (finding.severity, finding.where) == ('critical', 'a and b')
    assert (
        finding.seen == 'a is not in recovery (timeline 1), b is not in recovery (timeline 2); a holds the leader key'
    )
    assert 'keep clients away from b' in finding.remedy and 'patronictl resume' not in finding.remedy
    patroni.paused = True
    assert 'patronictl resume batman' in one(facts(patroni=patroni), 'patroni-two-primaries').remedy
    patroni.leader = None
    assert 'nobody holds the leader key' in one(facts(patroni=patroni), 'patroni-two-primaries').seen


def test_role_of_the_rest_api() -> None:
    """It counts where PostgreSQL was not asked; PostgreSQL itself counts more; a silent API says nothing."""
    both = (patroni_member('a', api_role='primary'), patroni_member('b', api_role='primary'))
    assert one(facts(patroni=patroni_facts(*both)), 'patroni-two-primaries').severity == 'critical'
    assert nothing(patroni_facts(both[0], standby('b', api_role='primary')), 'patroni-two-primaries')
    assert nothing(patroni_facts(both[0], patroni_member('b', api_role='standby_leader')), 'patroni-two-primaries')
    refused = Postgres(error='refused')
    assert nothing(
        patroni_facts(both[0], patroni_member('b', api_role='primary', error='timed out', postgres=refused)),
        'patroni-two-primaries',
    )


def test_one_primary_beside_the_key() -> None:
    """A warning if the role of the holder is unknown; nothing after a switchover, or if nobody holds the key."""
    patroni = patroni_facts(patroni_member('a', error='timed out'), primary('b'))
    finding = one(facts(patroni=patroni), 'patroni-two-primaries')
    assert (finding.severity, finding.where) == ('warning', 'b') and 'a holds the leader key' in finding.seen
    assert nothing(patroni_facts(standby('a'), primary('b')), 'patroni-two-primaries')
    patroni.leader = None
    assert nothing(patroni, 'patroni-two-primaries')


# Synchronous replication


@pytest.mark.parametrize(
    'config, severity',
    [
        ({'synchronous_mode': True, 'synchronous_mode_strict': True}, 'critical'),
        ({'synchronous_mode': 'on', 'synchronous_mode_strict': 'on'}, 'critical'),
        ({'synchronous_mode': 'quorum', 'synchronous_mode_strict': True}, 'critical'),
        ({'synchronous_mode': True}, 'warning'),
        ({'synchronous_mode': 'quorum'}, 'warning'),
        ({'synchronous_mode': False, 'synchronous_mode_strict': True}, None),
        ({}, None),
        ({'synchronous_mode': True, 'standby_cluster': {'host': 'h'}}, None),
    ],
)
def test_nobody_synchronous(config: dict[str, Any], severity: str | None) -> None:
    """By mode; that of a standby cluster does not count."""
    patroni = patroni_facts(patroni_member('a'), patroni_member('b'), **config)
    assert nothing(patroni, SYNC)  # /sync is unknown
    patroni.synchronous = Synchronous('a')
    assert [finding.severity for finding in found(facts(patroni=patroni), SYNC)] == [severity][: bool(severity)]
    patroni.synchronous = Synchronous('a', ['B'])
    assert nothing(patroni, SYNC)


def test_who_counts_as_synchronous() -> None:
    """Not one that has no key or does not stream. During a failover nothing is known."""
    patroni = patroni_facts(patroni_member('a'), patroni_member('b', state='running'), synchronous_mode=True)
    for names in (['b'], ['c'], ['b', 'c']):
        patroni.synchronous = Synchronous('a', names)
        assert 'does not stream or has no key' in one(facts(patroni=patroni), SYNC).seen
    patroni.members[1].version = None  # perhaps of a release that does not tell
    patroni.synchronous = Synchronous('a', ['b'])
    assert nothing(patroni, SYNC)
    patroni.synchronous = Synchronous('b', [])
    assert nothing(patroni, SYNC)


def test_quorum_before_it_was_known() -> None:
    """That is another finding, and it is the leader's release that counts."""
    patroni = patroni_facts(patroni_member('a', '3.3.2'), patroni_member('b'), synchronous_mode='quorum')
    patroni.synchronous = Synchronous('a')
    assert nothing(patroni, SYNC)


def test_failover_in_synchronous_mode() -> None:
    """Not strict: nobody is promoted while the key names nobody, but in quorum mode."""
    patroni = patroni_facts(patroni_member('a'), patroni_member('b'), synchronous_mode=True)
    patroni.synchronous = Synchronous('a')
    assert 'no member is promoted' in one(facts(patroni=patroni), SYNC).consequence
    patroni.config['synchronous_mode'] = 'quorum'
    assert 'promoted' not in one(facts(patroni=patroni), SYNC).consequence
    patroni.config['synchronous_mode'], patroni.synchronous = True, Synchronous()  # nobody has written the key
    assert 'promoted' not in one(facts(patroni=patroni), SYNC).consequence


def test_fewer_than_wanted() -> None:
    """For information."""
    patroni = patroni_facts(patroni_member('a'), patroni_member('b'), synchronous_mode=True, synchronous_node_count='2')
    patroni.synchronous = Synchronous('a', ['b'])
    assert one(facts(patroni=patroni), 'patroni-sync-few').severity == 'info'
    patroni.config['synchronous_node_count'] = 1
    assert nothing(patroni, 'patroni-sync-few')


# Replicas that do not follow


def test_replica_that_does_not_stream() -> None:
    """Critical if no other candidate streams; its state, lag and timeline are shown."""
    silent = patroni_member('b', state='running', state_from='key', position=900 * MB)
    patroni = patroni_facts(patroni_member('a', timeline=2), silent)
    patroni.position = 1000 * MB
    finding = one(facts(patroni=patroni), STREAM)
    assert (finding.severity, finding.where) == ('critical', 'b')
    assert finding.seen == (
        "state 'running' instead of streaming (from its key, up to ttl old), 100 MB behind what a has published, "
        'timeline 1, while a is on 2'
    )
    assert 'no failover is possible' in finding.consequence and 'patronictl reinit batman b' in finding.remedy
    assert nothing(patroni, 'patroni-lag')  # said already
    patroni.members.append(patroni_member('c'))
    finding = one(facts(patroni=patroni), STREAM)
    assert finding.severity == 'warning' and 'no failover' not in finding.consequence
    patroni.members[2].tags = {'nofailover': True}
    assert one(facts(patroni=patroni), STREAM).severity == 'critical'


@pytest.mark.parametrize(
    'different',
    [
        {'version': '3.0.3'},
        {'version': None},
        {'postgres_version': '9.5.25'},
        {'state': 'starting'},
        {'state': 'stopped'},
        {'state': None},
        {'in_dcs': False},
        {'tags': {'nostream': True}, 'state': 'in archive recovery'},
        {'role': 'standby_leader'},
    ],
)
def test_streaming_is_unknown_or_not_expected(different: dict[str, Any]) -> None:
    """Nothing is said then."""
    member = patroni_member('b', **dict({'state': 'running'}, **different))
    assert nothing(patroni_facts(patroni_member('a', postgres_version=member.postgres_version), member), STREAM)


def test_postgres_version_is_unknown() -> None:
    """Nothing is said, unless that of another member is known."""
    patroni = patroni_facts(
        patroni_member('a', postgres_version=None), patroni_member('b', state='running', postgres_version=None)
    )
    assert nothing(patroni, STREAM)
    patroni.members[0].postgres_version = '9.6.24'
    assert one(facts(patroni=patroni), STREAM)


def test_archive_and_tags() -> None:
    """What it means depends on the archive, on its tags and on synchronous mode."""
    patroni = patroni_facts(patroni_member('a'), patroni_member('b', state='in archive recovery'))
    assert 'from the archive alone' in one(facts(patroni=patroni), STREAM).consequence
    patroni.members[1].state = 'running'
    assert 'may be promoted without the newest commits' in one(facts(patroni=patroni), STREAM).consequence
    patroni.config['synchronous_mode'], patroni.synchronous = True, Synchronous('a')
    assert 'the key /sync does not name it' in one(facts(patroni=patroni), STREAM).consequence
    patroni.members[1].tags = {'failover_priority': 0}
    finding = one(facts(patroni=patroni), STREAM)
    assert finding.severity == 'warning' and 'its tags keep it' in finding.consequence


def test_primary_is_no_replica_that_does_not_stream() -> None:
    """One that was promoted beside the leader is a worse finding."""
    assert nothing(patroni_facts(primary('a'), primary('b', state='running')), STREAM)


@pytest.mark.parametrize('maximum, severity', [(None, 'critical'), (64 * MB, None), ('nonsense', 'critical')])
def test_lag(maximum: Any, severity: str | None) -> None:
    """Against maximum_lag_on_failover, as Patroni does: from the published position."""
    patroni = patroni_facts(patroni_member('a'), patroni_member('b', position=950 * MB, lag=0))
    assert nothing(patroni, 'patroni-lag')
    patroni.position = 1000 * MB
    if maximum is not None:
        patroni.config['maximum_lag_on_failover'] = maximum
    assert [each.severity for each in found(facts(patroni=patroni), 'patroni-lag')] == [severity][: bool(severity)]
    patroni.members.append(patroni_member('c', position=1000 * MB))
    assert {each.severity for each in found(facts(patroni=patroni), 'patroni-lag')} <= {'warning'}


def test_lag_of_those_that_are_no_candidates() -> None:
    """Nothing is said about them, and they are no help either."""
    patroni = patroni_facts(
        patroni_member('a'), patroni_member('b', position=1), patroni_member('c', tags={'nofailover': True})
    )
    patroni.position = 1000 * MB
    finding = one(facts(patroni=patroni), 'patroni-lag')
    assert (finding.severity, finding.where) == ('critical', 'b')
    patroni.members[1].position, patroni.members[2].position = 1000 * MB, 1
    assert nothing(patroni, 'patroni-lag')


# Members that are missing


def test_slot_of_a_member_that_is_gone() -> None:
    """Retained by the leader, or there and used by nobody; not those that are there for another reason."""
    patroni = patroni_facts(patroni_member('node-1'), patroni_member('b'))
    patroni.retained_slots = ['node_1', 'b', 'node_3']
    finding = one(facts(patroni=patroni), 'patroni-member-gone')
    assert (finding.severity, finding.where) == ('warning', 'slot node_3')
    patroni.expected = ['node-1', 'b', 'node-3']
    finding = one(facts(patroni=patroni), 'patroni-member-gone')
    assert finding.where == 'node-3' and '--members names it' in finding.seen
    patroni.retained_slots, patroni.expected = [], []
    slots = [Slot('gone', 'physical', False), Slot('used', 'physical', True), Slot('logical', 'logical', False)]
    patroni.members[0].postgres = Postgres('15.6', False, slots=slots)
    assert one(facts(patroni=patroni), 'patroni-member-gone').where == 'slot gone'
    for config in (
        {'slots': {'gone': {'type': 'physical'}}},
        {'ignore_slots': [{'name': 'gone'}]},
        {'postgresql': {'use_slots': False}},
    ):
        patroni.config = config
        assert nothing(patroni, 'patroni-member-gone')


def test_members_that_are_expected() -> None:
    """By number or by name; one that the configuration names is found as down already."""
    patroni = patroni_facts(patroni_member('a'), patroni_member('b', in_dcs=False))
    patroni.expected_number = 1
    assert nothing(patroni, 'patroni-member-gone')
    patroni.expected_number = 2
    assert one(facts(patroni=patroni), 'patroni-member-gone').seen.startswith('1 of 2 members')
    patroni.expected_number, patroni.expected = None, ['a', 'b']
    assert nothing(patroni, 'patroni-member-gone')


# All of them, and the leader


def test_nobody_is_there() -> None:
    """A cluster that was started once is down, whoever asks; one that never was is unknown."""
    gone = Patroni('batman', paused=False, initialized=True)
    for members in ([], [PatroniMember('own', in_dcs=False, error='refused')]):
        gone.members = members
        some = facts(patroni=gone)
        assert one(some, 'patroni-all-down').severity == 'critical' and exit_status(some, judge(some)) == 2
        assert nothing(gone, 'patroni-no-leader', 'patroni-unknown')
    for different in ({'initialized': None}, {'initialized': False}, {'paused': None}, {'error': 'not read'}):
        some = facts(patroni=Patroni(**dict({'scope': 'batman', 'paused': False, 'initialized': True}, **different)))
        assert not found(some, 'patroni-all-down') and one(some, 'patroni-unknown').severity == 'unknown'
    gone.leader = 'a'
    assert nothing(gone, 'patroni-all-down')


def test_silent_leader() -> None:
    """Neither API nor PostgreSQL: critical, and its state is from its key. Not if it may be the way from here."""
    dead = Postgres(error='connection refused', answers=False)
    patroni = patroni_facts(
        patroni_member('a', error='no answer', postgres=dead, state_from='key'), patroni_member('b')
    )
    finding = one(facts(patroni=patroni), 'patroni-member-down')
    assert (finding.severity, finding.where) == ('critical', 'a')
    assert "state 'running' is from its key" in finding.seen and 'connection refused' in finding.seen
    assert nothing(patroni, 'patroni-api-unreachable')
    patroni.members[1].error, patroni.members[1].postgres = 'no answer', dead
    assert nothing(patroni, 'patroni-member-down')
    assert {each.severity for each in found(facts(patroni=patroni), 'patroni-api-unreachable')} == {'warning'}
    patroni.members.pop()
    assert one(facts(patroni=patroni), 'patroni-member-down').severity == 'critical'
    for answers in (None, True):
        patroni.members[0].postgres = Postgres(error='x', answers=answers)
        assert nothing(patroni, 'patroni-member-down')


# What is going to happen


def test_pending() -> None:
    """A restart that waits is for information; a switchover at a time is a warning. Both have names and times."""
    patroni = patroni_facts(patroni_member('a', pending_restart=True), patroni_member('b', pending_restart=True))
    finding = one(facts(patroni=patroni), 'patroni-pending-restart')
    assert (finding.severity, finding.where) == ('info', 'a and b')
    patroni.switchover = Switchover('2030-01-01T00:00:00+00:00')
    finding = one(facts(patroni=patroni), 'patroni-switchover-scheduled')
    assert finding.severity == 'warning'
    assert finding.seen == 'at 2030-01-01T00:00:00+00:00, from the leader to the best candidate'
    assert 'patroni-switchover-scheduled' in stopping(PATRONI_GATE)
    quiet = patroni_facts(patroni_member('a', pending_restart=False), patroni_member('b'))
    assert nothing(quiet, 'patroni-pending-restart', 'patroni-switchover-scheduled')


def test_nothing_from_nothing() -> None:
    """If etcd gave no keys, none of these is found."""
    some = facts(etcd_facts(etcd_member(1, None)), Patroni('batman', error='no etcd member gave the keys'))
    assert some.patroni
    some.patroni.expected, some.patroni.expected_number = ['a'], 3
    assert not [each for each in found(some) if each.id.startswith('patroni-')]


@pytest.mark.parametrize('etcd_to, patroni_to', [('3.6', None), (None, '4.1.5')])
def test_pending_in_plans(etcd_to: str | None, patroni_to: str | None) -> None:
    """A plan for either names a restart that waits. A switchover at a time stops it, and so does a broken replica."""
    patroni = patroni_facts(
        patroni_member('a', '4.1.4', pending_restart=True), patroni_member('b', '4.1.4', state='running')
    )
    patroni.switchover = Switchover('2030-01-01T00:00:00+00:00', 'a', 'b')
    some = facts(patroni=patroni)
    made = make_plan(some, judge(some), etcd_to, patroni_to, False)
    results = {check.id: check.result for check in made.prechecks}
    assert results['patroni-pending-restart'] == 'info'
    assert results['patroni-switchover-scheduled'] == results[STREAM] == 'failed'
    (check,) = (check for check in made.prechecks if check.id == 'patroni-switchover-scheduled')
    assert 'at 2030-01-01T00:00:00+00:00, from a to b' in check.seen
    gate = next(each.value for each in made.variables if each.name == PATRONI_GATE)
    assert 'patroni-switchover-scheduled' in gate
