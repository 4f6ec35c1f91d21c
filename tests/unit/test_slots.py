"""Slot positions that an older leader does not publish: the view that the HA loop gets on Patroni 4.0."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from patroni import dcs
from patroni.dcs import Cluster, ClusterConfig, Leader, Member, SyncState

from patroni_etcd3_compat import slots

Status: Any = getattr(dcs, 'Status', None)
if 'retain_slots' not in getattr(Status, '_fields', ()):
    pytest.skip('the view has the shape of Patroni 4.0, where alone it is needed', allow_module_level=True)


def member(name: str, version: str | None = '4.0.2', lsn: Any = 100, **tags: Any) -> Member:
    """Return a member as it is in the DCS."""
    data: dict[str, Any] = {'conn_url': 'postgres://x/', 'api_url': 'http://x/', 'state': 'running', 'tags': tags}
    data.update({'version': version} if version else {}, **({'xlog_location': lsn} if lsn is not None else {}))
    return Member(0, name, '', data)


def cluster(leader: Member | None, *others: Member, published: dict[str, int] | None = None, **config: Any) -> Cluster:
    """Return the stock view of a cluster."""
    values: dict[str, Any] = dict.fromkeys(Cluster._fields)
    values.update(
        initialize='1',
        config=ClusterConfig(0, config, 0),
        leader=leader and Leader(0, '', leader),
        members=[m for m in (leader, *others) if m],
        workers={},
        sync=SyncState.empty(),
        status=Status(90, published, []),
    )
    return Cluster(**values)


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> slots.MemberSlots:
    """Return what completes the views on node ``me``, with an affected release of Patroni."""
    monkeypatch.setattr(slots, 'patroni_version', '4.0.2')
    return slots.MemberSlots('me', True)


OLD = member('old', '3.2.1', 200)


def test_positions_come_from_the_members(mine: slots.MemberSlots) -> None:
    """Positions are those of the leader and the other replicas, not of this node. Published ones stay unchanged."""
    stock = cluster(OLD, member('me'), member('c', lsn=50), member('d', lsn=60), published={'d': 10})
    view = mine.view(stock)
    assert view.slots == {'old': 200, 'c': 50, 'd': 10}
    assert stock.status.slots == {'d': 10}  # Patroni writes to the DCS from this one
    assert isinstance(view, Cluster) and view._asdict() == dict(stock._asdict(), status=view.status)
    assert view.status._replace(slots=None) == stock.status._replace(slots=None)


@pytest.mark.parametrize(
    'stock',
    [
        cluster(None, member('me'), member('c')),  # no leader
        cluster(member('new', '4.0.0'), member('me'), member('c')),  # publishes the positions itself
        cluster(member('strange', None), member('me'), member('c')),  # does not report
        cluster(member('strange', 'main'), member('me'), member('c')),
        cluster(member('me', '3.2.1'), member('c')),  # this node is the leader
    ],
)
def test_stock_view_is_handed_on(mine: slots.MemberSlots, stock: Cluster) -> None:
    """The stock view is passed on unless the leader is known to be an older one."""
    assert mine.view(stock) is stock


def test_other_releases_and_switched_off(mine: slots.MemberSlots, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions are added only on 4.0.0 to 4.0.2, and not with ``member_slots: off``."""
    stock = cluster(OLD, member('me'), member('c'))
    mine.enabled = False
    assert mine.view(stock) is stock
    for version, affected in (('3.3.11', False), ('4.0.0', True), ('4.0.1', True), ('4.0.3', False), ('4.1.5', False)):
        monkeypatch.setattr(slots, 'patroni_version', version)
        assert (slots.MemberSlots('me', True).view(stock) is not stock) is affected


def test_slots_that_must_hold(mine: slots.MemberSlots) -> None:
    """No position is added for a silent member, ``nostream``, this node or logical slots.

    A shared slot follows the member that is behind.
    """
    view = mine.view(
        cluster(
            OLD,
            member('me'),
            member('ME', lsn=1),
            member('silent', lsn=None),
            member('zero', lsn=0),
            member('logical'),
            member('alone', nostream=True),
            member('a-1', lsn=70),
            member('a.1', lsn=30),
            member('b-1', lsn=70),
            member('b.1', lsn=None),
            slots={'logical': {'type': 'logical', 'database': 'd', 'plugin': 'p'}, 'physical': {'type': 'physical'}},
        )
    )
    assert view.slots == {'old': 200, 'a_1': 30}


@pytest.mark.parametrize('lsn', ['1e400', '9' * 5000, 2**64, -5, {}, 'far'])
def test_rubbish_in_one_key(mine: slots.MemberSlots, lsn: Any) -> None:
    """An invalid key holds the slot of its member; the other slots advance."""
    assert mine.view(cluster(OLD, member('me'), member('c', lsn=lsn), member('d', '9' * 5000))).slots == {
        'old': 200,
        'd': 100,
    }


def test_doubt_means_stock(mine: slots.MemberSlots, caplog: pytest.LogCaptureFixture) -> None:
    """If anything fails here, the HA loop still gets its view, and the log says so once."""
    strange = cluster(OLD, Member(0, 'c', '', {'version': ['x'], 'xlog_location': {}}), member('me'))
    broken = strange._asdict()
    broken['status'] = 'none'
    stock = Cluster(**broken)
    assert mine.view(stock) is stock and mine.view(stock) is stock
    assert len([record for record in caplog.records if record.exc_info]) == 1


def test_start_and_stop_are_logged_once(mine: slots.MemberSlots, caplog: pytest.LogCaptureFixture) -> None:
    """Start and stop are logged with leader and version; a moment without a leader is neither."""
    caplog.set_level(logging.INFO)
    old, new = cluster(OLD, member('me')), cluster(member('new', '4.1.5'), member('me'))
    for view in (new, old, old, cluster(None, member('me')), old, new, new):
        mine.view(view)
    lines = [record.getMessage() for record in caplog.records if 'member slots' in record.getMessage()]
    assert [line.split('. ')[0] for line in lines] == [
        'Leader old runs Patroni 3.2.1, which does not publish the positions of member slots',
        'No longer taking the positions of member slots from the members: leader new runs Patroni 4.1.5',
    ]
    caplog.clear()
    mine.view(old)
    mine.enabled = False
    mine.view(old)
    assert any(line.endswith('from the members: member_slots is off') for line in caplog.messages)


class FakeSlots:
    """The slots that SlotsHandler has loaded from PostgreSQL."""

    def __init__(self, **restart_lsn: int | None) -> None:
        self._replication_slots = {name: {'type': 'physical', 'restart_lsn': lsn} for name, lsn in restart_lsn.items()}


def test_lost_slot(mine: slots.MemberSlots, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patroni gets no position for a lost slot, so the others advance; the log has the statement once."""
    monkeypatch.setattr(
        Cluster,
        'get_replication_slots',
        lambda self, *args, **kwargs: {name: {'type': 'physical', 'lsn': lsn} for name, lsn in self.slots.items()},
    )
    postgresql = type('Postgresql', (), {'slots_handler': FakeSlots(c=None, d=5)})()
    view = mine.view(cluster(OLD, member('me'), member('c'), member('d')))
    for _ in range(2):
        assert view.get_replication_slots(postgresql) == {
            'old': {'type': 'physical', 'lsn': 200},
            'c': {'type': 'physical'},
            'd': {'type': 'physical', 'lsn': 100},
        }
    lines = [record.getMessage() for record in caplog.records if 'lost' in record.getMessage()]
    assert len(lines) == 1 and lines[0].endswith("SELECT pg_catalog.pg_drop_replication_slot('c')")
    postgresql.slots_handler = FakeSlots(c=7, d=5)
    view.get_replication_slots(postgresql)
    postgresql.slots_handler = FakeSlots(c=None, d=5)
    view.get_replication_slots(postgresql)
    assert len([record for record in caplog.records if 'lost' in record.getMessage()]) == 2
