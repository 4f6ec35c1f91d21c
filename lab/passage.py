"""HTTP/2 connections of clients to the lab's HTTP servers: recognised by their first bytes, and passed through."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Awaitable, Callable

PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
"""What every HTTP/2 client sends first (RFC 9113, 3.4). No HTTP/1.1 request begins like that."""

_CHUNK = 65536


class Chooser(asyncio.Protocol):
    """A new connection, until its first bytes tell which protocol it speaks.

    :param http1: makes the protocol for HTTP/1.1.
    :param http2: is called for HTTP/2, in a task, with both directions of the connection.
    :param undecided: has this connection as long as nothing is known about it.
    """

    def __init__(
        self,
        http1: Callable[[], asyncio.Protocol],
        http2: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
        undecided: set[asyncio.BaseTransport],
    ) -> None:
        self._http1, self._http2, self._undecided = http1, http2, undecided
        self._transport: asyncio.BaseTransport | None = None
        self._data = b''

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See :class:`asyncio.Protocol`."""
        self._transport = transport
        self._undecided.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """See :class:`asyncio.Protocol`."""
        if self._transport is not None:
            self._undecided.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        self._data += data
        is_http2 = self._data.startswith(PREFACE)
        if self._transport is None or not is_http2 and PREFACE.startswith(self._data):
            return
        self._undecided.discard(self._transport)
        protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader(), self._http2) if is_http2 else self._http1()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(self._data)


class Passage:
    """An HTTP/2 connection of a client that goes on to a real member as bytes, both ways.

    :param reader: from the client.
    :param client: to the client.
    """

    def __init__(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self._reader, self.client = reader, client
        self._member: asyncio.StreamWriter | None = None
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self._tasks: list[asyncio.Future[None]] = []

    async def run(self, url: str) -> None:
        """Pass everything on until either side ends.

        :param url: of the real member.
        :raises OSError: when the member refuses the connection; that of the client is still open.
        """
        host, _, port = url.rpartition('/')[2].rpartition(':')
        source, self._member = await asyncio.open_connection(host, int(port))
        jobs = (self._read(), self._requests(self._member), self._answers(source))
        self._tasks = [asyncio.ensure_future(job) for job in jobs]
        try:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._member.transport.abort()
            self.client.close()  # what was written is still delivered

    def cut(self) -> None:
        """End both sides at once, and whatever waits for them."""
        self.client.transport.abort()
        if self._member is not None:
            self._member.transport.abort()
        for task in self._tasks:
            task.cancel()

    async def _read(self) -> None:
        # Apart from what is done with it: a client that leaves ends what has been held up for it.
        with contextlib.suppress(OSError):
            while not self._reader.at_eof():
                self._chunks.put_nowait(await self._reader.read(_CHUNK))

    async def _requests(self, member: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                member.write(await self._chunks.get())
                await member.drain()

    async def _answers(self, source: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while not source.at_eof():
                self.client.write(await source.read(_CHUNK))
                await self.client.drain()
