"""What a facade does with gRPC: it reads the calls that it passes through, records them, and lets faults hit them.

The bytes go on as they are, except that a member tells the version of its shape. One client makes one call after the
other on a connection, as ours does.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .frames import CONTINUATION, DATA, END_STREAM, HEADERS, Frame, Frames, answer, fields, with_text
from .passage import PREFACE, Passage

if TYPE_CHECKING:
    from .facade import Facade, Fault

_PREFIX = 5  # bytes before a message: not compressed, and its length
_STATUS = '/maintenance/status'
_SUCCESS, _FAILURE, _REQUEST_TXN = 2, 3, 4  # fields of TxnRequest and RequestOp
_MOST_HELD = 32768
"""Bytes of a call that is not complete yet: the client may be waiting until the member makes room for more."""


class _Call:
    def __init__(self, headers: dict[str, str]) -> None:
        self.arrived = time.time()
        self.method, self.headers = headers.get(':path', ''), headers
        self.message = b''
        self.fault: Fault | None = None
        self.answered = 0  # bytes of the answer that have passed
        self.recorded = False


class GrpcPassage(Passage):
    """A connection of a client to the real member of a facade.

    :param facade: has the shape and the faults, and gets the records.
    :param reader: from the client.
    :param client: to the client.
    """

    def __init__(self, facade: Facade, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        super().__init__(reader, client)
        self._facade = facade
        self._calls: dict[int, _Call] = {}

    async def run(self, url: str) -> None:
        """See :meth:`.Passage.run`; calls without an answer are recorded as well."""
        try:
            await super().run(url)
        finally:
            for call in self._calls.values():
                self._record(call, 0)

    async def _requests(self, member: asyncio.StreamWriter) -> None:
        frames, held, data = Frames(), b'', b''
        while len(data) < len(PREFACE):
            data += await self._chunks.get()
        member.write(PREFACE)
        data = data[len(PREFACE) :]
        with suppress(OSError):
            while True:
                for frame in frames.feed(data):
                    if frame.kind not in (DATA, HEADERS, CONTINUATION):
                        member.write(frame.raw)
                        continue
                    held += frame.raw
                    call = self._noted(frames, frame)
                    if call and (call.fault or _is_whole(call.message) or len(held) > _MOST_HELD):
                        if not call.fault and not await self._may_go(frame.stream, call):
                            return
                        member.write(held)
                        held = b''
                await member.drain()
                data = await self._chunks.get()

    def _noted(self, frames: Frames, frame: Frame) -> _Call | None:
        if frame.kind == DATA:
            call = self._calls.get(frame.stream)
            if call:
                call.message += frame.content
            return call
        headers = frames.headers(frame)
        if headers:
            self._calls[frame.stream] = _Call(headers)
        return None

    async def _may_go(self, stream: int, call: _Call) -> bool:
        """Return whether the real member may see a call; false: the connection ends."""
        fault = call.fault = self._facade.fault_for(_path(call.method))
        await asyncio.sleep(fault.delay)
        if fault.reset == 'before':
            self._record(call, 0)
            self.client.transport.abort()
            return False
        if fault.status is not None:
            headers = [(':status', str(fault.status)), *((k.lower(), v) for k, v in fault.headers.items())]
            self._record(call, fault.status)
            self.client.write(answer(stream, headers, fault.body))
            return False  # the member has missed headers to which later ones would refer
        return True

    async def _answers(self, source: asyncio.StreamReader) -> None:
        frames = Frames()
        with suppress(OSError):
            while not source.at_eof():
                for frame in frames.feed(await source.read(65536)):
                    headers = frames.headers(frame) if frame.kind in (HEADERS, CONTINUATION) else {}
                    call = self._calls.get(frame.stream) if frame.kind in (DATA, HEADERS, CONTINUATION) else None
                    if not call or not call.fault:
                        self.client.write(frame.raw)
                    elif not self._passes(call, frame, headers):
                        return
                    elif frame.flags & END_STREAM:
                        del self._calls[frame.stream]
                await self.client.drain()

    def _passes(self, call: _Call, frame: Frame, headers: dict[str, str]) -> bool:
        """Pass a frame of an answer on, and return whether the connection goes on."""
        assert call.fault is not None
        if call.fault.reset == 'after':
            self._record(call, 0)
            self.client.transport.abort()
            return False
        if 'grpc-status' in headers:
            self._record(call, _http_status(headers['grpc-status']))
        elif headers and call.method.endswith('/Watch'):
            self._record(call, 200)
        raw, cut = self._reshaped(call, frame).raw, call.fault.cut_after
        if cut is not None and call.answered + len(raw) > cut:
            self.client.write(raw[: cut - call.answered])
            self._record(call, 200)
            return False
        call.answered += len(raw)
        self.client.write(raw)
        return True

    def _reshaped(self, call: _Call, frame: Frame) -> Frame:
        version = self._facade.shape.version
        if version is None or frame.kind != DATA or not frame.payload or _path(call.method) != '/grpc' + _STATUS:
            return frame
        message = with_text(frame.content[_PREFIX:], 2, version)
        return Frame(DATA, frame.flags & END_STREAM, frame.stream, _prefixed(message))

    def _record(self, call: _Call, status: int) -> None:
        if not call.recorded:
            call.recorded = True
            message = call.message[_PREFIX:]
            self._facade.record(
                call.arrived, 'POST', _path(call.method), _as_json(call.method, message), call.headers, status
            )


def _prefixed(message: bytes) -> bytes:
    return b'\0' + len(message).to_bytes(4, 'big') + message


def _is_whole(message: bytes) -> bool:
    return len(message) >= _PREFIX and len(message) >= _PREFIX + int.from_bytes(message[1:_PREFIX], 'big')


def _known(method: str) -> tuple[str, Any]:
    from patroni_etcd3_compat.grpc.api import METHODS  # what the records are to look like; see `is_nested` for the rest

    return next(((rpc, its) for rpc, its in METHODS.items() if its.path == method), (method, None))


def _path(method: str) -> str:
    """Return the path under which a call is recorded: that of the gateway below ``/grpc``."""
    return '/grpc' + _known(method)[0]


def _as_json(method: str, message: bytes) -> bytes:
    """Return a message as the gateway would have been sent it."""
    from patroni_etcd3_compat.grpc.codec import CodecError, decode

    known = _known(method)[1]
    try:
        if method.endswith('/Txn') and is_nested(message):
            return b'{"success":[{"request_txn":{}}]}'
        return json.dumps(decode(known.request, message)).encode() if known else message
    except (CodecError, IndexError):
        return message


def is_nested(message: bytes) -> bool:
    """Return whether a TxnRequest has another transaction among its operations.

    :raises IndexError: when it is cut off.
    """
    return any(
        inner == _REQUEST_TXN
        for number, operation in fields(message)
        if number in (_SUCCESS, _FAILURE) and isinstance(operation, bytes)
        for inner, _ in fields(operation)
    )


def _http_status(code: str) -> int:
    from patroni_etcd3_compat.grpc.stream import Status

    return Status(int(code), '').http
