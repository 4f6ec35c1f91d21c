"""TCP relays on loopback, in front of etcd members, that fall silent as networks and servers do.

The member itself stays healthy; only clients behind the relay no longer hear from it. All relays of this process run in
one thread.
"""

from __future__ import annotations

import asyncio
import select
import socket
import ssl
import threading
from typing import Any, Coroutine, Tuple, TypeVar

T = TypeVar('T')
Address = Tuple[str, int]

# All that a client gets to read in the way `HALF`. The member does not see the request. If it did, it would renew the
# lease before the silence.
_HALF = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 192\r\n\r\n'
    b'{"header":{"cluster_id":"14841639068965178418","member_id":"10276657743932975437"'
)

# The same of HTTP/2: the server's settings, and the head of a frame of data, most of which does not come.
_HALF_HTTP2 = b'\0\0\0\4\0\0\0\0\0' + b'\0\0\xc0\0\0\0\0\0\1' + b'\0\0\0\0\xbb'

REFUSED = 'refused'
"""Nobody listens: open connections end, new ones are refused. A member that was killed."""
STALLED = 'stalled'
"""The kernel goes on to accept connections and data, nobody reads them. A member that hangs (SIGSTOP)."""
HALF = 'half'
"""Every request gets status, headers and a part of the body, and then nothing."""
BLACK_HOLE = 'black hole'
"""A SYN gets no answer; open connections hang. A network that drops packets."""
DROPPED = 'dropped'
"""Open connections end but for watches, which are in use; new ones are served as before."""


class _Loop:
    """The event loop of all relays, in a separate thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name='relays', daemon=True).start()
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)


_loop = _Loop()


class Relay:
    """One relay, open until `close`.

    :param address: where it listens: an address in 127.0.0.0/8 and a port, 0 for any.
    :param target: what it relays to.
    :param tls: speak TLS with the clients (but not with the target).
    :raises OSError: when the address is taken.
    """

    def __init__(self, address: Address, target: Address, tls: ssl.SSLContext | None = None) -> None:
        self._target, self._tls = target, tls
        self._way: str | None = None
        self._listener = socket.socket()
        try:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(address)
            self._listener.listen(64)
        except OSError:
            self._listener.close()
            raise
        #: where it listens
        self.address: Address = self._listener.getsockname()
        self._fill: list[socket.socket] = []
        self._writers: set[asyncio.StreamWriter] = set()
        self._watches: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.AbstractServer = _loop.run(self._serve())

    async def _serve(self) -> asyncio.AbstractServer:
        # The server gets a copy of the socket: when that is closed, the kernel still accepts connections for this one.
        return await asyncio.start_server(self._connection, sock=self._listener.dup(), ssl=self._tls)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target_reader, target_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        writers = {writer, target_writer}
        self._writers |= writers
        tasks = {
            asyncio.ensure_future(self._pump(reader, target_writer, writer)),
            asyncio.ensure_future(self._pump(target_reader, writer, None)),
        }
        self._tasks |= tasks
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for it in writers:
                it.transport.abort()
            self._tasks -= tasks
            self._writers -= writers
            self._watches -= writers

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: asyncio.StreamWriter | None
    ) -> None:
        """Forward data until the relay is silent.

        :param answers: the stream to the client, if the client sends here.
        """
        half = _HALF
        try:
            while True:
                data = await reader.read(65536)
                if not data:
                    return
                if data.startswith(b'PRI * HTTP/2'):
                    half = _HALF_HTTP2
                if answers is not None and b'/watch HTTP/' in data:
                    self._watches |= {answers, writer}
                if self._way == HALF and answers is not None:
                    answers.write(half)
                if self._way not in (None, DROPPED):
                    await asyncio.Event().wait()  # for good
                writer.write(data)
                await writer.drain()
        except OSError:
            pass

    def fall_silent(self, way: str) -> None:
        """Stop forwarding from now on.

        :param way: one of the constants of this module.
        """
        _loop.run(self._fall_silent(way))
        if way == BLACK_HOLE:
            self._fill_up()

    async def _fall_silent(self, way: str) -> None:
        self._way = way
        if way in (REFUSED, STALLED, BLACK_HOLE):
            self._server.close()
        if way == REFUSED:
            self._listener.close()
        if way in (REFUSED, DROPPED):
            for writer in self._writers - (self._watches if way == DROPPED else set()):
                writer.transport.abort()

    def _fill_up(self) -> None:
        """Fill the queue of connections that nobody accepts: the kernel then drops every further SYN."""
        self._listener.listen(0)
        while True:
            sock = socket.socket()
            self._fill.append(sock)
            sock.setblocking(False)
            sock.connect_ex(self.address)
            if not select.select([], [sock], [], 0.05)[1]:
                return

    def close(self) -> None:
        """Stop listening and end all connections."""
        _loop.run(self._close())

    async def _close(self) -> None:
        self._server.close()
        for sock in [self._listener, *self._fill]:
            sock.close()
        for task in self._tasks:
            task.cancel()
        for writer in list(self._writers):
            writer.transport.abort()
