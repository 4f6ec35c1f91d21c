"""Run Patroni's own tests of etcd with our classes instead of the stock ones, see ``tools.upstream``.

The tests of patronictl need no replacement: they load the package as patronictl does. The names are replaced in the
test modules; in ``patroni.dcs.etcd3`` they have to stay (``super(Etcd3, self)``).
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put our classes into the test modules."""
    from patroni_etcd3_compat import client, dcs

    if os.environ.get('UPSTREAM_TRANSPORT') == 'grpc':
        use_grpc()
    ours: dict[str, Any] = {
        'Etcd3': dcs.Etcd3,
        'Etcd3Client': client.CompatClient,
        'PatroniEtcd3Client': client.CompatClient,
    }
    for module in {item.getparent(pytest.Module) for item in items}:
        if module and module.name.endswith('test_etcd3.py'):
            for name, cls in ours.items():
                if hasattr(module.obj, name):
                    setattr(module.obj, name, cls)


def use_grpc() -> None:
    """Make gRPC the default, as far as Patroni's tests permit: they replace ``urllib3.PoolManager.urlopen``.

    So everything is that of gRPC down to the messages, requests and answers. Below, a request goes to that function as
    JSON, and its answer comes back as a message. What starts a watch does not use messages here.
    """
    from patroni_etcd3_compat import dispatch
    from patroni_etcd3_compat.grpc import api, codec, transport
    from patroni_etcd3_compat.grpc.stream import Status

    def fitting(message: str, document: Any) -> Any:
        """Make a document fit a message: Patroni's tests have words for leases, and one answer for many calls."""
        if not isinstance(document, dict) or message not in api.BY_NAME:
            is_word = message.endswith('int64') and isinstance(document, str) and not document.isdigit()
            return int.from_bytes(document.encode(), 'big') if is_word else document
        fields = api.BY_NAME[message]
        return {
            name: [fitting(fields[name].kind, item) for item in value]
            if isinstance(value, list)
            else fitting(fields[name].kind, value)
            for name, value in document.items()
            if name in fields
        }

    class Grpc(transport.Grpc):
        def send(self, member: Any, call: Any) -> Any:
            method, body = api.METHODS.get(call.rpc), call.kwargs.get('body')
            if method and body and call.rpc != '/watch':
                call = call.but(body=json.dumps(fitting(method.request, json.loads(body))))
            return super().send(member, call)

        def _exchange(self, member: Any, method: Any, call: Any, headers: Any, message: bytes) -> Any:
            document = codec.decode(method.request, message[5:])
            options = dict(call.kwargs, body=json.dumps(document))
            response = self._pool.urlopen(call.method, f'{member.url}/v3{call.rpc}', **options)
            answer = json.loads(response.data)
            if 'code' in answer:
                return Status(answer['code'], answer.get('error') or answer.get('message')), None, 0.0, True
            answer = answer.get('result', answer) if method.stream else answer
            return Status(0, ''), codec.encode(method.response, fitting(method.response, answer)), 0.0, True

        def _watch(self, member: Any, call: Any) -> Any:
            return self._pool.urlopen(call.method, f'{member.url}/v3{call.rpc}', **call.kwargs)

    client: Any = dispatch
    parse = client.parse_transport
    client.parse_transport = lambda value: parse(value or 'grpc')
    client._grpc = Grpc
