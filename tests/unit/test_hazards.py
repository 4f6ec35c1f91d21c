"""Patroni members of different versions: the table of what is known, the warning, the option. For every release."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from patroni_etcd3_compat import hazards, slots
from patroni_etcd3_compat.options import parse_member_slots


def cluster(leader: str | None, **versions: str | None) -> Any:
    """What a view of the cluster has in every release of Patroni."""
    members = {name: SimpleNamespace(name=name, data={'version': version}) for name, version in versions.items()}
    return SimpleNamespace(
        members=list(members.values()),
        config=SimpleNamespace(data={}),
        leader=SimpleNamespace(name=leader) if leader else None,
        is_unlocked=lambda: not leader,
    )


def test_warning_once_per_change_and_day(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Names, versions, consequence and remedy; again when something changes, and after a day."""
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
    """No change: that of the leader, that of a replica, or no leader at all. For ten minutes, then it is one."""
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
    """A replica on 4.0.2 with this package is not affected, unless ``member_slots`` is off."""
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
    text = hazards.warning(hazards.hazards('a', {'a': '3.3.11'}, {'synchronous_mode': 'quorum'}))
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
        ('b', {'a': '3.0.4', 'b': '4.1.5'}, {}, ['patroni-before-3.1', 'patroni-role-primary']),
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
            ['patroni-failsafe-mode', 'patroni-slots-hold-xmin'],
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
    """What applies to which cluster."""
    assert [hit.hazard.id for hit in hazards.hazards(leader, versions, config)] == expected


@pytest.mark.parametrize(
    'value, expected',
    [(None, True), ('on', True), (True, True), ('true', True), ('off', False), (False, False), ('no', False)],
)
def test_option(value: Any, expected: bool) -> None:
    """On and off as Patroni writes them."""
    assert parse_member_slots(value) is expected


@pytest.mark.parametrize('value', ['maybe', '', 3, []])
def test_wrong_option(value: Any) -> None:
    """A clear error."""
    with pytest.raises(ValueError, match='member_slots is .*, allowed are: on, off'):
        parse_member_slots(value)
