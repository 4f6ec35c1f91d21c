"""A TCP relay in front of one server, which can stall, slow down, reset and cut connections, like a bad network."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Callable, NamedTuple

from .front import loop
from .ports import free_port
from .service import Service

_CHUNK = 65536


class Mode(NamedTuple):
    """What a relay does. An answer is what the server sends between two pieces from the client."""

    #: requests are forwarded; if not, nothing passes in any direction, and connections are still accepted and stay open
    passes: bool = True
    #: how many bytes of each answer get through before silence, None for all of them
    answer: int | None = None
    #: seconds by which the start of each answer is delayed
    delay: float = 0
    #: connections are reset, existing and new ones
    resets: bool = False


PASS = Mode()
STALL = Mode(passes=False)
RESET = Mode(resets=True)


def stall_within_answer(length: int) -> Mode:
    """Return the mode that passes that many bytes of each answer, and then nothing."""
    return Mode(answer=length)


def slow(seconds: float) -> Mode:
    """Return the mode that delays each answer."""
    return Mode(delay=seconds)


class _Connection:
    """One client with its connection to the server."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self.client = client
        self.server: asyncio.StreamWriter | None = None
        self.passed = 0  # bytes of the current answer
        self.task: asyncio.Task[None] | None = None

    def end(self, reset: bool = False) -> None:
        """End both sides at once.

        :param reset: the client gets an RST instead of an orderly end.
        """
        if reset:
            sock = self.client.get_extra_info('socket')
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        for side in (self.client, self.server):
            if side is not None:
                side.transport.abort()
        if self.task is not None:
            self.task.cancel()


class Relay(Service):
    """A relay, open inside a ``with``. Data held back during a stall is delivered afterwards, as after a network fault.

    :param target: URL or ``host:port`` of the server.
    """

    def __init__(self, target: str) -> None:
        self.port = free_port()
        host, _, port = target.rpartition('/')[2].rpartition(':')
        self._target = (host, int(port))
        self._mode = PASS
        self._changed = asyncio.Event()
        self._listener: asyncio.AbstractServer | None = None
        self._connections: set[_Connection] = set()

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f'http://127.0.0.1:{self.port}'

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._connections)

    @property
    def mode(self) -> Mode:
        """What it does; a change takes effect at once, even for open connections."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        loop.run(self._set(mode))

    def start(self) -> None:
        """Listen, on the same port every time.

        :raises OSError: when another process has taken the port.
        """
        loop.run(self._open())

    def cut(self) -> None:
        """End the open connections. New ones are accepted."""
        loop.run(self._cut())

    def stop(self) -> None:
        """Refuse new connections and end the open ones. Has no effect when stopped."""
        loop.run(self._close())

    async def _open(self) -> None:
        await self._close()
        self._changed = asyncio.Event()  # up to Python 3.9, it belongs to the loop in which it is created
        self._listener = await asyncio.start_server(self._take, '127.0.0.1', self.port)

    async def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        await self._cut()

    async def _cut(self, reset: bool = False) -> None:
        for connection in list(self._connections):
            connection.end(reset)

    async def _set(self, mode: Mode) -> None:
        self._mode = mode
        self._changed.set()
        self._changed = asyncio.Event()
        if mode.resets:
            await self._cut(reset=True)

    async def _until(self, allowed: Callable[[Mode], bool]) -> None:
        while not allowed(self._mode):
            await self._changed.wait()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(writer)
        if self._mode.resets or self._listener is None:
            connection.end(reset=True)
            return
        connection.task = asyncio.current_task()
        self._connections.add(connection)
        try:
            await self._until(lambda mode: mode.passes)
            server_reader, connection.server = await asyncio.open_connection(*self._target)
            requests = asyncio.ensure_future(self._requests(connection, reader, connection.server))
            answers = asyncio.ensure_future(self._answers(connection, server_reader))
            try:
                await asyncio.wait((requests, answers), return_when=asyncio.FIRST_COMPLETED)
            finally:
                requests.cancel()
                answers.cancel()
                await asyncio.gather(requests, answers, return_exceptions=True)
        except (OSError, asyncio.CancelledError):  # the server is gone, or `_Connection.end`
            pass
        finally:
            self._connections.discard(connection)
            connection.task = None
            connection.end()

    async def _requests(
        self, connection: _Connection, source: asyncio.StreamReader, server: asyncio.StreamWriter
    ) -> None:
        while True:
            data = await source.read(_CHUNK)
            await self._until(lambda mode: mode.passes)
            if not data:
                return
            connection.passed = 0
            server.write(data)
            await server.drain()

    async def _answers(self, connection: _Connection, source: asyncio.StreamReader) -> None:
        while True:
            data = await source.read(_CHUNK)
            if data and not connection.passed:
                await asyncio.sleep(self._mode.delay)
            while data:
                await self._until(lambda mode: mode.passes and (mode.answer is None or mode.answer > connection.passed))
                room = len(data) if self._mode.answer is None else self._mode.answer - connection.passed
                part, data = data[:room], data[room:]
                connection.passed += len(part)
                connection.client.write(part)
                await connection.client.drain()
            # the end of the connection is part of the answer, too
            await self._until(lambda mode: mode.passes and (mode.answer is None or mode.answer > connection.passed))
            if source.at_eof():
                return
