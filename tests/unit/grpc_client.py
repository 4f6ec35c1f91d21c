"""A transport over gRPC alone, and single calls through it."""

from __future__ import annotations

import json
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from patroni_etcd3_compat.extras import GRPC
from patroni_etcd3_compat.grpc.transport import Grpc
from patroni_etcd3_compat.members import Members
from patroni_etcd3_compat.senders import Call, Reply

#: All errors that a transport may raise.
KNOWN = (HTTPError, OSError)

#: Seconds for calls that are not expected to wait.
AMPLE = 10.0

#: Seconds for calls that do wait, and for what a loaded machine adds.
SHORT, SLACK = 0.3, 9.0


class Client:
    """Calls over gRPC to one member.

    :param url: its URL.
    :param options: for the pool manager.
    """

    def __init__(self, url: str, **options: Any) -> None:
        pool = urllib3.PoolManager(**options)
        members = Members(pool, None, GRPC)
        self.grpc = Grpc(pool, members)
        self.member = members.get(url)
        self.member._settled = float('inf')  # no question for the version comes in between

    def send(self, rpc: str, document: Any, seconds: float = AMPLE, **kwargs: Any) -> Reply:
        """Make a call."""
        kwargs.setdefault('timeout', urllib3.Timeout(connect=seconds, total=seconds))
        return self.grpc.send(self.member, Call('POST', rpc, dict(kwargs, body=json.dumps(document))))

    def range(self, seconds: float = AMPLE, **kwargs: Any) -> Any:
        """Read a key, and return the answer as JSON."""
        return json.loads(self.send('/kv/range', {'key': 'YQ=='}, seconds, **kwargs).data)

    def put(self, size: int, seconds: float = AMPLE) -> Any:
        """Write a key with a value of about that many bytes."""
        return json.loads(self.send('/kv/put', {'key': 'YQ==', 'value': 'YWJj' * (size // 3)}, seconds).data)

    def watch(self, seconds: float = AMPLE) -> Any:
        """Start a watch, and return its response."""
        timeout = urllib3.Timeout(connect=seconds, read=None)
        return self.send('/watch', {'create_request': {'key': 'YQ=='}}, timeout=timeout)

    @property
    def idle(self) -> int:
        """How many connections are kept."""
        return sum(map(len, self.grpc._idle.values()))
