"""The base of all the lab's servers in front of others: the event loop that they run in, and an HTTP server.

A connection that speaks HTTP/2, for gRPC, is passed through to a real member.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any, Coroutine, Iterable, Mapping, TypeVar

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web
from multidict import CIMultiDict
from yarl import URL

from .passage import Chooser, Passage
from .ports import free_port

T = TypeVar('T')

_HOP_BY_HOP = {'host', 'connection', 'keep-alive', 'content-length', 'transfer-encoding', 'expect'}

GONE = (ClientError, OSError, RuntimeError)
"""What comes of a request whose real member is gone; the last when it met `HttpFront.stop`: its session is closed."""


class _Loop:
    """The event loop of this process, in a separate thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float = 30) -> T:
        """Run a coroutine in it, from any other thread, and wait for the result."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name='lab-fronts', daemon=True).start()
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)


loop = _Loop()


class HttpFront:
    """An HTTP server on its own port, which stays the same over all starts and stops. It is stopped at first."""

    _keeps_connections = True
    """Whether requests to real members share connections."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server: web.Server | None = None
        self._listener: asyncio.AbstractServer | None = None
        self._session: ClientSession | None = None
        self._undecided: set[asyncio.BaseTransport] = set()
        self._passages: set[Passage] = set()

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f'http://127.0.0.1:{self.port}'

    def stop(self) -> None:
        """Refuse new connections and cut the open ones, as if the process ended. Has no effect when stopped."""
        loop.run(self._close())

    def cut(self) -> None:
        """Cut the open connections and everything that waits on them. New ones are accepted."""
        loop.run(self._cut_all())

    async def _open(self) -> None:
        await self._close()  # still open if the real member ended on its own
        self._session = ClientSession(
            connector=TCPConnector(limit=0, force_close=not self._keeps_connections),
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=None),
            auto_decompress=False,
        )
        # cancellation: the end of a watch at the client has to end it at the real member
        server = web.Server(self._handle, handler_cancellation=True, keepalive_timeout=3600, access_log=None)
        self._server = server
        try:
            self._listener = await asyncio.get_running_loop().create_server(
                lambda: Chooser(server, self._handle_http2, self._undecided), '127.0.0.1', self.port
            )
        except OSError:
            await self._session.close()
            raise

    async def _close(self) -> None:
        if self._listener is None or self._server is None or self._session is None:
            return
        self._listener.close()
        await self._cut_all()
        await self._server.shutdown(0.1)
        await self._session.close()
        self._listener = None

    async def _cut_all(self) -> None:
        for connection in self._server.connections if self._server is not None else ():
            if connection.transport is not None:
                connection.transport.abort()
        for transport in list(self._undecided):
            transport.abort()  # type: ignore[attr-defined]
        for passage in list(self._passages):
            passage.cut()

    async def _handle_http2(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        """Pass one connection through to the first member that takes it; end it if none does."""
        passage = self._passage(reader, client)
        self._passages.add(passage)
        try:
            for url in self._targets(client):
                with contextlib.suppress(OSError):
                    await passage.run(url)
                    break
        finally:
            client.close()
            self._passages.discard(passage)

    def _passage(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> Passage:
        return Passage(reader, client)

    def _targets(self, client: asyncio.StreamWriter) -> Iterable[str]:
        """Yield the URLs of the members to try for a connection."""
        raise NotImplementedError

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        raise NotImplementedError

    async def _forward(
        self, request: web.BaseRequest, url: str, body: bytes, without: tuple[str, ...] = ()
    ) -> ClientResponse:
        """Forward a client's request unchanged.

        :param url: of the member, with the path.
        :param without: names of headers to leave out, in lower case.
        """
        if self._session is None:
            raise ClientError('closed')
        headers = [
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in _HOP_BY_HOP and name.lower() not in without
        ]
        return await self._session.request(
            request.method,
            URL(url, encoded=True),
            data=body or None,
            headers=headers,
            allow_redirects=False,
            skip_auto_headers=('User-Agent', 'Content-Type', 'Accept', 'Accept-Encoding'),
        )

    @staticmethod
    def _kept(headers: Mapping[str, str]) -> CIMultiDict[str]:
        """Return the headers of an answer that are passed on to the client."""
        return CIMultiDict(
            [
                (name, value)
                for name, value in headers.items()
                if name.lower() not in _HOP_BY_HOP and name.lower() != 'trailer'
            ]
        )

    @staticmethod
    def _cut(request: web.BaseRequest) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _stream(self, request: web.BaseRequest, response: web.StreamResponse, upstream: ClientResponse) -> None:
        """Pass an answer on as it arrives, until either side ends it."""
        try:
            await response.prepare(request)
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
        except GONE:
            self._cut(request)
        finally:
            upstream.close()
