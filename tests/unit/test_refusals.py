"""What one thread of Patroni learns from a refusal is not what another one does."""

from __future__ import annotations

import threading
from typing import Any, Callable

import pytest
import urllib3
from patroni.dcs import etcd3

from patroni_etcd3_compat.client import CompatClient

NAME = 'handle_auth_errors'
pytestmark = pytest.mark.skipif(
    '_reauthenticate'
    not in getattr(getattr(etcd3.Etcd3Client, NAME, None), '__code__', compile('', '', 'exec')).co_names,
    reason='this Patroni does not remember a refusal',
)


class Retry:
    """Patroni's retry; in place of a pause, another thread makes a call."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self._meanwhile = meanwhile

    def ensure_deadline(self, *_: object) -> None:
        """Let the other thread make its call."""
        thread = threading.Thread(target=self._meanwhile)
        thread.start()
        thread.join(5)


@pytest.fixture
def client() -> CompatClient:
    """A client without a password and without a server."""
    ret: Any = CompatClient.__new__(CompatClient)
    ret._pool = urllib3.PoolManager()  # for the end
    ret._refusals = threading.local()
    ret._cluster_version = (3, 4)
    ret.username = ret.password = None
    made: CompatClient = ret
    return made


def test_refused_once(client: CompatClient) -> None:
    """A refused call does not go out again because another thread makes one."""
    calls = []

    def refused(*_: object, **__: object) -> None:
        calls.append('refused')
        assert len(calls) < 3
        raise etcd3.UserEmpty(code=3, error='user name is empty', status=400)

    with pytest.raises(etcd3.UserEmpty):
        client.handle_auth_errors(refused, retry=Retry(lambda: client.handle_auth_errors(lambda *_, **__: None)))
    assert calls == ['refused']


def test_a_call_of_another_thread_is_sent(client: CompatClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal that another thread gets just before this one sends its call does not stop it."""
    stock = etcd3.Etcd3Client.handle_auth_errors

    def refused(*_: object, **__: object) -> None:
        raise etcd3.UserEmpty(code=3, error='user name is empty', status=400)

    def watching() -> None:
        with pytest.raises(etcd3.UserEmpty):
            stock(client, refused)

    def paused(self: CompatClient, *args: Any, **kwargs: Any) -> object:
        Retry(watching).ensure_deadline()
        return stock(self, *args, **kwargs)

    monkeypatch.setattr(etcd3.Etcd3Client, 'handle_auth_errors', paused)
    assert client.handle_auth_errors(lambda *_, **__: 'sent') == 'sent'
