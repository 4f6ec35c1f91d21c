"""Patroni members of different versions: the view of the cluster that the HA loop gets, and the warning."""
import logging

from typing import Any, Dict, List, Optional

import pytest

from patroni.dcs import Cluster, ClusterConfig, Leader, Member, Status, SyncState

from patroni_etcd3_compat import hazards, slots


def member(name: str, version: Optional[str] = '4.0.2', lsn: Any = 100, **tags: Any) -> Member:
    """A member as it stands in the DCS."""
    data: Dict[str, Any] = {'conn_url': 'postgres://x/', 'api_url': 'http://x/', 'state': 'running', 'tags': tags}
    data.update({'version': version} if version else {}, **({'xlog_location': lsn} if lsn is not None else {}))
    return Member(0, name, '', data)


def cluster(leader: Optional[Member], *others: Member, published: Optional[Dict[str, int]] = None,
            **config: Any) -> Cluster:
    """The stock view of a cluster, as every release of Patroni can make it."""
    values: Dict[str, Any] = dict.fromkeys(Cluster._fields)
    values.update(initialize='1', config=ClusterConfig(0, config, 0), leader=leader and Leader(0, '', leader),
                  members=[m for m in (leader, *others) if m], workers={}, sync=SyncState.empty())
    fields: List[Any] = [90, published]
    values['status'] = Status(*fields + [[]] * (len(Status._fields) - 2)) if 'status' in values else None
    return Cluster(**values)


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> slots.MemberSlots:
    """What looks at the views on node ``me``, with an affected release of Patroni."""
    monkeypatch.setattr(slots, 'patroni_version', '4.0.2')
    return slots.MemberSlots('me', True)


OLD = member('old', '3.2.1', 200)


def test_positions_come_from_the_members(mine: slots.MemberSlots) -> None:
    """The leader and other replicas, not this node; what the leader does publish stays as it is."""
    stock = cluster(OLD, member('me'), member('c', lsn=50), member('d', lsn=60), published={'d': 10})
    view = mine.view(stock)
    assert view.slots == {'old': 200, 'c': 50, 'd': 10}
    assert stock.status.slots == {'d': 10}  # Patroni writes to the DCS from this one
    assert isinstance(view, Cluster) and view._asdict() == dict(stock._asdict(), status=view.status)
    assert view.status._replace(slots=None) == stock.status._replace(slots=None)


@pytest.mark.parametrize('stock', [
    cluster(None, member('me'), member('c')),                              # no leader
    cluster(member('new', '4.0.0'), member('me'), member('c')),            # publishes by itself
    cluster(member('strange', None), member('me'), member('c')),           # does not tell
    cluster(member('strange', 'main'), member('me'), member('c')),
    cluster(member('me', '3.2.1'), member('c')),                           # this node is the leader
])
def test_stock_view_is_handed_on(mine: slots.MemberSlots, stock: Cluster) -> None:
    """Whenever the leader is not known to be an older one."""
    assert mine.view(stock) is stock


def test_other_releases_and_switched_off(mine: slots.MemberSlots, monkeypatch: pytest.MonkeyPatch) -> None:
    """4.0.0 to 4.0.2 only, and not with ``member_slots: off``."""
    stock = cluster(OLD, member('me'), member('c'))
    mine.enabled = False
    assert mine.view(stock) is stock
    for version, affected in (('3.3.11', False), ('4.0.0', True), ('4.0.1', True), ('4.0.3', False), ('4.1.5', False)):
        monkeypatch.setattr(slots, 'patroni_version', version)
        assert (slots.MemberSlots('me', True).view(stock) is not stock) is affected


def test_slots_that_must_hold(mine: slots.MemberSlots) -> None:
    """A member that reports nothing, ``nostream``, the own slot, logical slots; of one name the one behind."""
    view = mine.view(cluster(
        OLD, member('me'), member('ME', lsn=1), member('silent', lsn=None), member('zero', lsn=0), member('logical'),
        member('alone', nostream=True), member('a-1', lsn=70), member('a.1', lsn=30), member('b-1', lsn=70),
        member('b.1', lsn=None), slots={'logical': {'type': 'logical', 'database': 'd', 'plugin': 'p'},
                                        'physical': {'type': 'physical'}}))
    assert view.slots == {'old': 200, 'a_1': 30}


def test_doubt_means_stock(mine: slots.MemberSlots, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong here, the HA loop gets its view, and the log says so once."""
    strange = cluster(OLD, Member(0, 'c', '', {'version': ['x'], 'xlog_location': {}}), member('me'))
    broken = strange._asdict()
    broken['status'] = 'none'
    stock = Cluster(**broken)
    assert mine.view(stock) is stock and mine.view(stock) is stock
    assert len([record for record in caplog.records if record.exc_info]) == 1


def test_start_and_stop_are_logged_once(mine: slots.MemberSlots, caplog: pytest.LogCaptureFixture) -> None:
    """With leader and version; a moment without a leader is neither."""
    caplog.set_level(logging.INFO)
    old, new = cluster(OLD, member('me')), cluster(member('new', '4.1.5'), member('me'))
    for view in (new, old, old, cluster(None, member('me')), old, new, new):
        mine.view(view)
    lines = [record.getMessage() for record in caplog.records if 'member slots' in record.getMessage()]
    assert [line.split('. ')[0] for line in lines] == [
        'Leader old runs Patroni 3.2.1, which does not publish the positions of member slots',
        'No longer taking the positions of member slots from the members: leader new runs Patroni 4.1.5']


class FakeSlots:
    """What SlotsHandler has loaded from PostgreSQL."""

    def __init__(self, **restart_lsn: Optional[int]) -> None:
        self._replication_slots = {name: {'type': 'physical', 'restart_lsn': lsn} for name, lsn in restart_lsn.items()}


def test_lost_slot(mine: slots.MemberSlots, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patroni gets no position for it, so it goes on with the others; the log has the statement, once."""
    monkeypatch.setattr(Cluster, 'get_replication_slots', lambda self, *args, **kwargs: {
        name: {'type': 'physical', 'lsn': lsn} for name, lsn in self.slots.items()})
    postgresql = type('Postgresql', (), {'slots_handler': FakeSlots(c=None, d=5)})()
    view = mine.view(cluster(OLD, member('me'), member('c'), member('d')))
    for _ in range(2):
        assert view.get_replication_slots(postgresql) == {
            'old': {'type': 'physical', 'lsn': 200}, 'c': {'type': 'physical'}, 'd': {'type': 'physical', 'lsn': 100}}
    lines = [record.getMessage() for record in caplog.records if 'lost' in record.getMessage()]
    assert len(lines) == 1 and lines[0].endswith("SELECT pg_catalog.pg_drop_replication_slot('c')")
    postgresql.slots_handler = FakeSlots(c=7, d=5)
    view.get_replication_slots(postgresql)
    postgresql.slots_handler = FakeSlots(c=None, d=5)
    view.get_replication_slots(postgresql)
    assert len([record for record in caplog.records if 'lost' in record.getMessage()]) == 2


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

    mixed = cluster(OLD, member('me', '4.0.2'), member('c', '4.1.5'))
    mine.view(mixed)
    (line,) = lines()
    for part in ('leader old (3.2.1) beside me (4.0.2):', 'pg_wal', 'member_slots_ttl: 0', '/3171'):
        assert part in line
    now[0] += 23 * 3600
    mine.view(mixed)
    assert not lines()
    mine.view(cluster(OLD, member('me', '4.0.2'), member('c', '4.0.1')))
    assert 'c (4.0.1), me (4.0.2)' in lines()[0]
    mine.view(mixed)
    assert lines()
    now[0] += 24 * 3600
    mine.view(mixed)
    assert lines()
    mine.view(cluster(None, member('old', '3.2.1'), member('me', '4.0.2')))
    assert not lines()
    mine.view(cluster(OLD, member('me', '4.1.5')))
    assert lines() == ['The versions of the Patroni members go together again']


@pytest.mark.parametrize('leader, versions, config, expected', [
    ('a', {'a': '4.1.5', 'b': '4.1.5'}, {}, []),
    ('a', {'a': '3.3.11', 'b': '4.0.3'}, {}, ['patroni-role-primary']),
    ('a', {'a': '3.3.11', 'b': '4.0.2'}, {}, ['patroni-member-slots', 'patroni-role-primary']),
    ('a', {'a': '3.3.11', 'b': '4.0.2'}, {'member_slots_ttl': 0}, ['patroni-role-primary']),
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
