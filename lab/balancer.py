"""An HTTP load balancer in front of several members, like nginx or HAProxy: one URL with changing members behind it.

HTTP/2 is passed through like TCP, so there the member is chosen for each connection.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
import random
from typing import Any, Iterator, Sequence

from aiohttp import ClientConnectorError, ClientResponse, web

from .front import GONE, HttpFront, loop
from .service import Service


class Choice(enum.Enum):
    """How a balancer chooses the member."""

    ROUND_ROBIN = 'one after the other, for each request'
    RANDOM = 'at random, for each request'
    CONNECTION = 'one after the other, for each connection of a client'


class Balancer(HttpFront, Service):
    """A balancer, open inside a ``with``. It has no health checks; it skips a member that refuses connections.

    :param urls: URLs of the members.
    :param choice: how the member is chosen.
    """

    _keeps_connections = False  # a connection that a member has closed meanwhile would fail

    def __init__(self, urls: Sequence[str], choice: Choice = Choice.ROUND_ROBIN) -> None:
        super().__init__()
        self.choice = choice
        self._urls = list(urls)
        self._turns = itertools.cycle(range(len(self._urls)))
        self._of_client: dict[Any, int] = {}  # by address and port
        #: URL of the member that answered, for each request over HTTP/1.1; a stream counts when its header goes out
        self.answered: list[str] = []

    def start(self) -> None:
        """Listen, on the same port every time.

        :raises OSError: when another process has taken the port.
        """
        loop.run(self._open())

    def _targets(self, client: asyncio.StreamWriter) -> Iterator[str]:
        for number in self._order(client.get_extra_info('peername')):
            yield self._urls[number]

    def _order(self, client: Any) -> Iterator[int]:
        """Yield the members in the order in which they are tried for a request, or a connection, of a client."""
        if self.choice is Choice.RANDOM:
            first = random.SystemRandom().randrange(len(self._urls))  # not random's own generator, which tests seed
        elif self.choice is Choice.CONNECTION and client in self._of_client:
            first = self._of_client[client]
        else:
            first = next(self._turns)
        for i in range(len(self._urls)):
            self._of_client[client] = (first + i) % len(self._urls)
            yield self._of_client[client]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()
        peer = request.transport.get_extra_info('peername') if request.transport is not None else None
        for number in self._order(peer):
            try:
                upstream = await self._forward(request, self._urls[number] + request.path_qs, body)
            except ClientConnectorError:
                continue
            except GONE:  # it may have been executed: only the client may send it again
                break
            self.answered.append(self._urls[number])
            return await self._answer(request, upstream)
        return web.Response(status=502, text='<html><body>Bad Gateway</body></html>', content_type='text/html')

    async def _answer(self, request: web.BaseRequest, upstream: ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=upstream.status, headers=self._kept(upstream.headers))
        if 'Content-Length' in upstream.headers:
            response.content_length = int(upstream.headers['Content-Length'])
        await self._stream(request, response, upstream)
        return response
