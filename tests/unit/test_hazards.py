"""The table of hazards of mixed Patroni versions, the warning and the option, under every release."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from patroni_etcd3_compat import hits, slots
from patroni_etcd3_compat.options import parse_member_slots


def cluster(leader: str | None, **versions: str | None) -> Any:
    """Return what a view of the cluster has in every release of Patroni."""
    members = {name: SimpleNamespace(name=name, data={'version': version}) for name, version in versions.items()}
    return SimpleNamespace(
        members=list(members.values()),
        config=SimpleNamespace(data={}),
        leader=SimpleNamespace(name=leader) if leader else None,
        is_unlocked=lambda: not leader,
    )


def test_warning_once_per_change_and_day(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The warning has names, versions, consequence and remedy. It is repeated on a change and after a day."""
    caplog.set_level(logging.INFO)
    now = [1000.0]
    monkeypatch.setattr('time.monotonic', lambda: now[0])
    monkeypatch.setattr(slots, 'patroni_version', '4.1.5')
    mine = slots.MemberSlots('me', True)

    def lines() -> list[str]:
        ret = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return ret

    mixed = cluster('old', old='3.2.1', me='4.0.2', c='4.1.5')
    mine.view(mixed)
    (line,) = lines()
    for part in ('leader old (3.2.1) beside me (4.0.2):', 'pg_wal', 'member_slots_ttl: 0', '/3171'):
        assert part in line
    now[0] += 23 * 3600
    mine.view(mixed)
    assert not lines()
    mine.view(cluster('old', old='3.2.1', me='4.0.2', c='4.0.1'))
    assert 'c (4.0.1), me (4.0.2)' in lines()[0]
    mine.view(mixed)
    assert lines()
    now[0] += 24 * 3600
    mine.view(mixed)
    assert lines()
    mine.view(cluster(None, old='3.2.1', me='4.0.2'))
    assert not lines()
    mine.view(cluster('old', old='3.3.11', me='4.1.5'))
    assert lines() == ['All Patroni members run compatible versions again']


def test_a_key_that_is_gone_for_a_moment(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A missing key of a leader or a replica, or a missing leader, counts as a change only after ten minutes."""
    caplog.set_level(logging.INFO)
    now = [1000.0]
    monkeypatch.setattr('time.monotonic', lambda: now[0])
    monkeypatch.setattr(slots, 'patroni_version', '4.1.5')
    mine = slots.MemberSlots('me', True)
    whole = cluster('old', old='3.2.1', me='4.1.5', c='4.0.2')
    for view in (
        whole,
        cluster(None, old='3.2.1', me='4.1.5', c='4.0.2'),
        whole,
        cluster('old', me='4.1.5', c='4.0.2'),
        whole,
        cluster('old', old='3.2.1', me='4.1.5'),
        whole,
    ):
        mine.view(view)
        now[0] += 10
    assert len(caplog.records) == 1
    mine.view(cluster('old', old='3.2.1', me='4.1.5'))
    now[0] += 599
    mine.view(cluster('old', old='3.2.1', me='4.1.5'))
    assert [record.getMessage() for record in caplog.records[1:]] == [
        'All Patroni members run compatible versions again'
    ]


@pytest.mark.parametrize('enabled', [True, False])
def test_this_node_is_not_named_where_it_is_cured(monkeypatch: pytest.MonkeyPatch, enabled: bool) -> None:
    """A replica on 4.0.2 with this package is not named as affected unless ``member_slots`` is off."""
    monkeypatch.setattr(slots, 'patroni_version', '4.0.2')
    monkeypatch.setattr(slots.MemberSlots, '_completed', lambda self, view: view)
    mine = slots.MemberSlots('me', enabled)
    mine.view(cluster('old', old='3.3.11', me='4.0.2', other='4.0.1'))
    assert ('me (4.0.2)' in mine._warned[0]) is not enabled and 'other (4.0.1)' in mine._warned[0]
    mine = slots.MemberSlots('me', enabled)
    mine.view(cluster('old', old='3.3.11', me='4.0.2'))
    assert bool(mine._warned[0]) is not enabled


def test_critical_without_another_version() -> None:
    """``quorum`` under a leader that does not know it is warned of, whatever the others run."""
    text = hits.warning(hits.hazards('a', {'a': '3.3.11'}, {'synchronous_mode': 'quorum'}))
    assert text.startswith('leader a (3.3.11): a leader before 4.0.0 does not know')


@pytest.mark.parametrize(
    'leader, versions, config, expected',
    [
        ('a', {'a': '4.1.5', 'b': '4.1.5'}, {}, []),
        ('a', {'a': '3.3.11', 'b': '4.0.3'}, {}, ['patroni-role-primary']),
        ('a', {'a': '3.3.11', 'b': '4.0.2'}, {}, ['patroni-member-slots', 'patroni-role-primary']),
        ('a', {'a': '3.3.11', 'b': '4.0.2'}, {'member_slots_ttl': 0}, ['patroni-role-primary']),
        ('a', {'a': '3.3.11', 'b': '4.0.2'}, {'postgresql': {'use_slots': False}}, ['patroni-role-primary']),
        ('b', {'a': '3.3.11', 'b': '4.0.2'}, {}, ['patroni-role-primary']),
        (None, {'a': '3.3.11', 'b': '4.0.2'}, {}, ['patroni-role-primary']),
        ('a', {'a': '3.3.11', 'b': None}, {}, []),
        ('a', {'a': '3.1.2', 'b': '3.2.2'}, {'slots': {'b': None}}, ['patroni-slots-hold-xmin']),
        (
            'a',
            {'a': '3.1.2', 'b': '3.2.2'},
            {'slots': {'c': None}},
            ['patroni-permanent-slots', 'patroni-slots-hold-xmin'],
        ),
        ('a', {'a': '3.1.2', 'b': '3.3.3'}, {'slots': {'c': {'database': 'd', 'plugin': 'p'}}}, []),
        ('a', {'a': '3.1.2', 'b': '3.3.3'}, {'ttl': 15}, ['patroni-minimum-times']),
        ('b', {'a': '3.0.4', 'b': '4.1.5'}, {}, ['patroni-before-3.1', 'patroni-leader-race', 'patroni-role-primary']),
        (
            'a',
            {'a': '3.1.2', 'b': '3.3.3'},
            {'ttl': '30', 'loop_wait': 10, 'retry_timeout': 15},
            ['patroni-minimum-times'],
        ),
        ('a', {'a': '3.3.11', 'b': '4.1.5'}, {'failsafe_mode': True}, ['patroni-role-primary']),
        (
            'b',
            {'a': '3.3.2', 'b': '3.3.3'},
            {'failsafe_mode': 'on'},
            ['patroni-failsafe-mode', 'patroni-failsafe-bugs', 'patroni-slots-hold-xmin'],
        ),
        (
            'b',
            {'a': '3.3.11', 'b': '4.1.5'},
            {'synchronous_mode': 'quorum'},
            ['patroni-quorum-replica', 'patroni-role-primary'],
        ),
        ('a', {'a': '3.3.11', 'b': '4.0.2'}, {'member_slots_ttl': '0s'}, ['patroni-role-primary']),
        (
            'a',
            {'a': '3.3.11', 'b': '4.0.2'},
            {'member_slots_ttl': 'soon', 'postgresql': 'x'},
            ['patroni-member-slots', 'patroni-role-primary'],
        ),
        ('a', {'a': '3.3.11'}, {'synchronous_mode': 'quorum'}, ['patroni-quorum-commit']),
        ('a', {'a': '4.0.5'}, {'synchronous_mode': 'quorum'}, ['patroni-quorum-bugs']),
        ('a', {'a': '4.0.6'}, {'synchronous_mode': 'quorum'}, []),
    ],
)
def test_table(
    leader: str | None, versions: dict[str, str | None], config: dict[str, Any], expected: list[str]
) -> None:
    """What applies to which cluster, apart from bugs that every cluster has as long as a member is old enough."""
    found = [hit.hazard.id for hit in hits.hazards(leader, versions, config)]
    assert [id for id in found if id not in ('patroni-stale-etcd', 'patroni-canceled-watch')] == expected


@pytest.mark.parametrize(
    'version, expected',
    [
        ('3.0.2', ['patroni-stale-etcd', 'patroni-canceled-watch']),
        ('3.3.6', ['patroni-stale-etcd', 'patroni-canceled-watch']),
        ('3.3.7', ['patroni-canceled-watch']),
        ('3.3.8', []),
        ('4.0.5', ['patroni-stale-etcd', 'patroni-canceled-watch']),
        ('4.0.6', ['patroni-canceled-watch']),
        ('4.0.7', []),
        ('4.1.0', []),
    ],
)
def test_bugs_of_single_members(version: str, expected: list[str]) -> None:
    """Old data of etcd is believed before the raft term was compared, and before cancelled watches were noticed."""
    found = hits.hazards('a', {'a': version}, {})
    assert [hit.hazard.id for hit in found if hit.hazard.id != 'patroni-slots-hold-xmin'] == expected


@pytest.mark.parametrize(
    'tags, names',
    [
        ({'a': {'failover_priority': 0}}, ['a']),
        ({'a': {'failover_priority': 2}, 'b': {'failover_priority': 1}}, ['a']),
        ({'a': {'nofailover': True}}, []),
        ({'b': {'failover_priority': 0}}, []),
        ({}, []),
    ],
)
def test_tag(tags: dict[str, dict[str, Any]], names: list[str]) -> None:
    """The tag failover_priority is a hazard on the members that have it and ignore it: those before 3.2.0."""
    found = hits.hazards('a', {'a': '3.1.2', 'b': '3.2.0'}, {}, tags)
    assert [name for hit in found if hit.hazard.id == 'patroni-failover-priority' for name in hit.one] == names


@pytest.mark.parametrize(
    'value, expected',
    [(None, True), ('on', True), (True, True), ('true', True), ('off', False), (False, False), ('no', False)],
)
def test_option(value: Any, expected: bool) -> None:
    """``member_slots`` accepts on and off in Patroni's spellings."""
    assert parse_member_slots(value) is expected


@pytest.mark.parametrize('value', ['maybe', '', 3, []])
def test_wrong_option(value: Any) -> None:
    """Another value gives a clear error."""
    with pytest.raises(ValueError, match='member_slots is .*, allowed are: on, off'):
        parse_member_slots(value)
