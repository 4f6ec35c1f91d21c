"""An HTTP front that makes one real etcd member look like another release, and misbehave on request.

It replaces release lines that no package provides, and records what a client sends. The data, leases, watches and
elections behind it are those of the real member. gRPC is passed through, see `lab.grpc_front`.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass, field, replace
from typing import Mapping

from aiohttp import ClientResponse, web

from .front import GONE, HttpFront, loop
from .grpc_front import GrpcPassage
from .packages import line_of
from .passage import Passage
from .processes import LabError

NOT_SERVED = b'404 page not found\n'
"""What etcd answers to a path that nobody registered."""


@dataclass(frozen=True)
class Shape:
    """What a member looks like to its clients; None means: as it really is."""

    version: str | None = None  # '3.2.26'
    cluster_version: str | None = None  # '3.2.0'
    prefixes: tuple[str, ...] | None = None  # ('v3alpha', 'v3beta')
    error_style: str | None = None  # 'error-only', 'both', 'message-only'
    nested_txn: bool = True  # False: a transaction inside a transaction is refused
    gateway: bool = True  # False: as with --enable-grpc-gateway=false
    takes_token: bool = True  # False: the authorization header is ignored


_OLD = Shape(prefixes=('v3alpha',), error_style='error-only', nested_txn=False, takes_token=False)
_NEW = Shape(prefixes=('v3beta', 'v3'), error_style='message-only')
_SHAPES = {
    '3.0': replace(_OLD, version='3.0.17'),
    '3.1': replace(_OLD, version='3.1.20'),
    '3.2': replace(_OLD, version='3.2.26'),
    '3.3': Shape(version='3.3.25', prefixes=('v3alpha', 'v3beta'), error_style='both'),
    '3.4': Shape(version='3.4.23', prefixes=('v3beta', 'v3'), error_style='both'),
    '3.5': replace(_NEW, version='3.5.30'),
    '3.6': replace(_NEW, version='3.6.10'),
    '3.7': replace(_NEW, version='3.7.0'),
}


def shape_of(line_or_version: str) -> Shape:
    """Return the shape of a release line (``'3.2'``) or of one version of it (``'3.2.32'``).

    :raises LabError: for an unknown line.
    """
    shape = _SHAPES.get(line_of(line_or_version))
    if shape is None:
        raise LabError(f'nothing is known about etcd {line_or_version}')
    return shape if line_or_version in _SHAPES else replace(shape, version=line_or_version)


def real_prefix(version: str) -> str:
    """Return the gateway prefix to use on a real member of that version: ``'3.3.25'`` -> ``'v3beta'``."""
    return (_SHAPES[line_of(version)].prefixes or ())[-1]


def is_nested_txn(body: bytes) -> bool:
    """Return whether the body of a transaction has another transaction among its operations."""
    try:
        request = json.loads(body)
        operations = request.get('success', []) + request.get('failure', [])
        return any('request_txn' in operation or 'requestTxn' in operation for operation in operations)
    except (ValueError, AttributeError, TypeError):
        return False


@dataclass(frozen=True)
class Recorded:
    """One request as the client sent it, and how it was answered."""

    time: float  # when it arrived, in seconds since the epoch
    member: str
    method: str
    path: str  # with the prefix the client chose; over gRPC that of the gateway below /grpc
    body: bytes  # over gRPC as the gateway would have been sent it
    headers: dict[str, str] = field(repr=False)  # names in lower case; the token is replaced by ***
    status: int  # 0: the connection was cut instead of answered

    @property
    def rpc(self) -> str:
        """The path without the gateway prefix: ``kv/range``."""
        return re.sub(r'^/(v3(alpha|beta)?|grpc)/', '', self.path)


@dataclass
class Fault:
    """A failure of requests whose path matches `path`, a regular expression, anywhere.

    The delay comes first, then at most one of the other effects. A request is hit by the first matching fault in the
    list. All effects except `cut_after` and ``reset='after'`` occur before the real member sees the request. Over gRPC,
    an answer is one of HTTP/2, and the connection ends with it.
    """

    path: str = ''
    times: int = 1  # how many requests are hit
    delay: float = 0  # seconds
    reset: str | None = None  # 'before' or 'after' the real member executed it
    status: int | None = None  # the answer, instead of that of the real member
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b''
    cut_after: int | None = None  # bytes of the body that pass, of an answer that announces all of them


class Facade(HttpFront):
    """The front of one member, stopped at first. To clients, `start` and `stop` look like those of etcd.

    :param name: name of the member, for the records.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.shape = Shape()
        self.faults: list[Fault] = []
        self._requests: list[Recorded] = []
        self._target = ''
        self._real_prefix = ''

    @property
    def requests(self) -> list[Recorded]:
        """All requests so far, in the order of their answers. A stream counts when its header is sent."""
        return list(self._requests)

    def start(self, target: str, version: str) -> None:
        """Listen, on the same port every time.

        :param target: URL of the real member.
        :param version: its real version.
        :raises OSError: when another process has taken the port.
        """
        self._target = target
        self._real_prefix = real_prefix(version)
        loop.run(self._open())

    def fault_for(self, path: str) -> Fault:
        """Return the fault that hits a request, which counts as its use."""
        fault = next((f for f in self.faults if f.times > 0 and re.search(f.path, path)), Fault())
        fault.times -= 1
        return fault

    def record(
        self, arrived: float, method: str, path: str, body: bytes, headers: Mapping[str, str], status: int
    ) -> None:
        """Add a request to `requests`."""
        shown = {name.lower(): value for name, value in headers.items()}
        shown.update((name, '***') for name in ('authorization', 'token') if name in shown)
        self._requests.append(Recorded(arrived, self.name, method, path, body, shown, status))

    def _passage(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> Passage:
        return GrpcPassage(self, reader, client)

    def _targets(self, client: asyncio.StreamWriter) -> list[str]:
        return [self._target]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        arrived = time.time()
        body = await request.content.read()  # not request.read(), whose limit is below that of etcd
        fault = self.fault_for(request.path)
        status = 0
        upstream: ClientResponse | None = None
        try:
            await asyncio.sleep(fault.delay)
            if fault.reset == 'before':
                return self._cut(request)
            if fault.status is not None:
                response: web.StreamResponse = web.Response(status=fault.status, headers=fault.headers, body=fault.body)
            else:
                response, upstream = await self._answer(request, body)
            if fault.reset == 'after':
                return self._cut(request)
            status = response.status
        except GONE:
            return self._cut(request)
        finally:
            self.record(arrived, request.method, request.path_qs, body, request.headers, status)
            if status == 0 and upstream is not None:
                upstream.close()
        if fault.cut_after is not None:
            return await self._cut_body(request, response, upstream, fault.cut_after)
        if upstream is not None:
            await self._stream(request, response, upstream)
        return response

    async def _answer(self, request: web.BaseRequest, body: bytes) -> tuple[web.StreamResponse, ClientResponse | None]:
        """Return the answer in the member's shape, and the connection to the real member if more will follow."""
        shape, path = self.shape, request.path_qs
        match = re.match('/(v3(?:alpha|beta)?)(/.*)', path)
        if match:
            if not shape.gateway or shape.prefixes is not None and match.group(1) not in shape.prefixes:
                return web.Response(
                    status=404,
                    body=NOT_SERVED,
                    headers={'Content-Type': 'text/plain; charset=utf-8', 'X-Content-Type-Options': 'nosniff'},
                ), None
            if not shape.nested_txn and match.group(2) == '/kv/txn' and is_nested_txn(body):
                refusal = b'{"error":"etcdserver: key not found","code":3}'
                return web.Response(status=400, body=refusal, headers={'Content-Type': 'application/json'}), None
            if shape.prefixes is not None:
                path = '/' + self._real_prefix + match.group(2)
        upstream = await self._forward(
            request, self._target + path, body, without=() if shape.takes_token else ('authorization',)
        )
        kept = self._kept(upstream.headers)
        if upstream.status < 400 and 'Content-Length' not in upstream.headers and path != '/version':
            return web.StreamResponse(status=upstream.status, headers=kept), upstream
        content = await upstream.read()
        if path == '/version':
            content = _reshape_version(content, shape)
        elif upstream.status >= 400 and shape.error_style is not None:
            content = _reshape_error(content, shape.error_style)
        return web.Response(status=upstream.status, body=content, headers=kept), None

    @staticmethod
    async def _cut_body(
        request: web.BaseRequest, response: web.StreamResponse, upstream: ClientResponse | None, length: int
    ) -> web.StreamResponse:
        partial = web.StreamResponse(status=response.status, headers=response.headers)
        if upstream is None:
            content = getattr(response, 'body', None) or b''
            partial.content_length = len(content)
            await partial.prepare(request)
            await partial.write(content[:length])
        else:
            await partial.prepare(request)
            while length > 0:
                chunk = await upstream.content.read(length)
                if not chunk:
                    break
                await partial.write(chunk)
                length -= len(chunk)
            upstream.close()
        if request.transport is not None:
            request.transport.close()
        return partial


def _reshape_version(content: bytes, shape: Shape) -> bytes:
    versions = json.loads(content)
    if shape.version is not None:
        versions['etcdserver'] = shape.version
    if shape.cluster_version is not None and versions.get('etcdcluster') != 'not_decided':
        versions['etcdcluster'] = shape.cluster_version
    return json.dumps(versions, separators=(',', ':')).encode()


def _reshape_error(content: bytes, style: str) -> bytes:
    try:
        answer = json.loads(content)
        message, code = answer.get('error', answer.get('message')), answer['code']
    except (ValueError, AttributeError, KeyError, TypeError):
        return content  # the text of a 404, which is not JSON in any release
    if style == 'error-only':
        return json.dumps({'error': message, 'code': code}, separators=(',', ':')).encode()
    if style == 'both':
        return json.dumps({'error': message, 'message': message, 'code': code}, separators=(',', ':')).encode()
    return f'{{"code":{code}, "message":{json.dumps(message)}}}'.encode()
