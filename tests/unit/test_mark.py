"""What the member key says about what serves the member."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from patroni.dcs import Member, etcd3

from patroni_etcd3_compat import __version__, dcs

#: As Patroni writes it.
DATA: dict[str, Any] = {
    'conn_url': 'postgres://10.0.0.1:5432/postgres',
    'api_url': 'http://10.0.0.1:8008/patroni',
    'state': 'running',
    'role': 'replica',
    'version': '4.1.5',
    'xlog_location': 67108960,
    'tags': {'nofailover': True, 'nested': {'a': [1, 2]}},
}

#: The same tests run with the classes of a patched Patroni, see tests/patches.
MARK = f'{__version__}+patch' if dcs.__name__.startswith('patroni.') else __version__


class Store(dcs.Etcd3):
    """The class with its lease alive and without a server: what is written stands in `written`."""

    cluster: Any = None
    member_path = '/service/lab/members/node1'
    _client: Any = None

    def __init__(self) -> None:
        self.written: list[str] = []
        self._name, self._lease = 'node1', 'lease'
        self._client = SimpleNamespace(put=self._put, may_use_grpc=False)

    def refresh_lease(self) -> bool:
        """Still alive."""
        return False

    def _put(self, key: str, value: str, lease: str) -> bool:
        assert (key, lease) == (self.member_path, self._lease)
        self.written.append(value)
        member = Member.from_node('1', self._name, lease, value)
        self.cluster = SimpleNamespace(get_member=lambda name, fallback_to_leader: member)
        return True


@pytest.fixture
def store() -> Store:
    """The class on a cluster that has no member yet."""
    return Store()


def test_the_key_has_one_more_field(store: Store) -> None:
    """A constant one; Patroni's own dictionary stays as it was."""
    data = json.loads(json.dumps(DATA))
    assert store.touch_member(data) is True
    assert data == DATA
    assert [json.loads(text) for text in store.written] == [{**DATA, 'etcd3_compat': MARK}]


def test_no_writes_because_of_it(store: Store) -> None:
    """Patroni compares what stands in the key with what it would write: it is written when something else changed."""
    for _ in range(5):
        assert store.touch_member(dict(DATA)) is True
    assert len(store.written) == 1
    store.touch_member({**DATA, 'xlog_location': 67109000})
    store.touch_member({**DATA, 'xlog_location': 67109000})
    assert len(store.written) == 2


@pytest.mark.parametrize('before', ['stock', 'another release'])
def test_a_key_from_before_is_written_once(store: Store, before: str) -> None:
    """That of stock Patroni, and that of another release of these classes, with the same lease."""
    store._put(store.member_path, json.dumps(DATA if before == 'stock' else {**DATA, 'etcd3_compat': '0.0.1'}), 'lease')
    for _ in range(3):
        store.touch_member(dict(DATA))
    assert [json.loads(text).get('etcd3_compat') for text in store.written[1:]] == [MARK]


def test_arguments_of_other_releases_reach_patroni(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """The override is not in the way of a Patroni that gives more than the data."""
    calls: list[Any] = []
    monkeypatch.setattr(etcd3.Etcd3, 'touch_member', lambda self, *args, **kwargs: calls.append((args, kwargs)))
    store.touch_member({'state': 'running'}, 7, more=8)
    assert calls == [(({'state': 'running', 'etcd3_compat': MARK}, 7), {'more': 8})]
