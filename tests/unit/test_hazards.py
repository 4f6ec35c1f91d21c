"""Patroni members of different versions: the table of what is known, the warning, the option. For every release."""
import logging

from types import SimpleNamespace
from typing import Any, Dict, List, Optional

import pytest

from patroni_etcd3_compat import hazards, slots


def cluster(leader: Optional[str], **versions: Optional[str]) -> Any:
    """What a view of the cluster has in every release of Patroni."""
    members = {name: SimpleNamespace(name=name, data={'version': version}) for name, version in versions.items()}
    return SimpleNamespace(members=list(members.values()), config=SimpleNamespace(data={}),
                           leader=SimpleNamespace(name=leader, member=members[leader]) if leader else None,
                           is_unlocked=lambda: not leader)


def test_warning_once_per_change_and_day(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Names, versions, consequence and remedy; again when something changes, and after a day."""
    caplog.set_level(logging.INFO)
    now = [1000.0]
    monkeypatch.setattr('time.monotonic', lambda: now[0])
    monkeypatch.setattr(slots, 'patroni_version', '4.1.5')
    mine = slots.MemberSlots('me', True)

    def lines() -> List[str]:
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
    assert lines() == ['The versions of the Patroni members go together again']


@pytest.mark.parametrize('leader, versions, config, expected', [
    ('a', {'a': '4.1.5', 'b': '4.1.5'}, {}, []),
    ('a', {'a': '3.3.11', 'b': '4.0.3'}, {}, ['patroni-role-primary']),
    ('a', {'a': '3.3.11', 'b': '4.0.2'}, {}, ['patroni-member-slots', 'patroni-role-primary']),
    ('a', {'a': '3.3.11', 'b': '4.0.2'}, {'member_slots_ttl': 0}, ['patroni-role-primary']),
    ('a', {'a': '3.3.11', 'b': '4.0.2'}, {'postgresql': {'use_slots': False}}, ['patroni-role-primary']),
    ('b', {'a': '3.3.11', 'b': '4.0.2'}, {}, ['patroni-role-primary']),
    (None, {'a': '3.3.11', 'b': '4.0.2'}, {}, ['patroni-role-primary']),
    ('a', {'a': '3.3.11', 'b': None}, {}, []),
    ('a', {'a': '3.1.2', 'b': '3.2.2'}, {'slots': {'b': None}}, ['patroni-slots-hold-xmin']),
    ('a', {'a': '3.1.2', 'b': '3.2.2'}, {'slots': {'c': None}}, ['patroni-permanent-slots', 'patroni-slots-hold-xmin']),
    ('a', {'a': '3.1.2', 'b': '3.3.3'}, {'slots': {'c': {'database': 'd', 'plugin': 'p'}}}, []),
    ('a', {'a': '3.1.2', 'b': '3.3.3'}, {'ttl': 15}, ['patroni-minimum-times']),
    ('b', {'a': '3.0.4', 'b': '4.1.5'}, {}, ['patroni-before-3.1', 'patroni-role-primary']),
    ('a', {'a': '3.3.11', 'b': '4.1.5'}, {'failsafe_mode': True}, ['patroni-failsafe-mode', 'patroni-role-primary']),
    ('a', {'a': '3.3.11'}, {'synchronous_mode': 'quorum'}, ['patroni-quorum-commit']),
    ('a', {'a': '4.0.5'}, {'synchronous_mode': 'quorum'}, ['patroni-quorum-bugs']),
    ('a', {'a': '4.0.6'}, {'synchronous_mode': 'quorum'}, []),
])
def test_table(leader: Optional[str], versions: Dict[str, Optional[str]], config: Dict[str, Any],
               expected: List[str]) -> None:
    """What applies to which cluster."""
    assert [hit.hazard.id for hit in hazards.hazards(leader, versions, config)] == expected


@pytest.mark.parametrize('value, expected', [
    (None, True), ('on', True), (True, True), ('true', True), ('off', False), (False, False), ('no', False)])
def test_option(value: Any, expected: bool) -> None:
    """On and off as Patroni writes them."""
    assert slots.parse_member_slots(value) is expected


@pytest.mark.parametrize('value', ['maybe', '', 3, []])
def test_wrong_option(value: Any) -> None:
    """A clear error."""
    with pytest.raises(ValueError, match='member_slots is .*, allowed are: on, off'):
        slots.parse_member_slots(value)
