"""A watch, as the response of urllib3 that Patroni reads."""

from __future__ import annotations

import json
from typing import Any, Callable, Generator

from urllib3.response import HTTPResponse

from ..answers import UnreadableBody, check_message
from ..errors import UnexpectedAnswer
from .codec import CodecError, decode
from .http2 import Connection, Unprocessed
from .stream import Status, Stream


class WatchResponse(HTTPResponse):
    """A watch that is open. Patroni reaches through ``connection`` to the socket to end it from another thread.

    :param connection: the connection, which is closed with the response.
    :param stream: the call.
    :param where: the member, for errors.
    :param end_if_canceled: see :func:`.check_message`.
    :param heard: called at the first message.
    """

    def __init__(
        self, connection: Connection, stream: Stream, where: str, end_if_canceled: bool, heard: Callable[[], None]
    ) -> None:
        super().__init__(body=b'', status=200, preload_content=False, connection=connection.http)
        self._http2, self._stream, self._where = connection, stream, where
        self._end_if_canceled, self._heard = end_if_canceled, heard

    def read_chunked(self, amt: int | None = None, decode_content: bool | None = None) -> Generator[bytes, None, None]:
        """Yield the messages as the lines of JSON that the gateway sends.

        :raises:
            :exc:`urllib3.exceptions.HTTPError`: the connection is lost, or Patroni can no longer read the watch.
        """
        stream = self._stream
        while True:
            for message in stream.messages:
                yield self._line(message)
            stream.messages.clear()
            if stream.over:
                break
            try:
                self._http2.read(stream)
            except Unprocessed as e:
                raise UnexpectedAnswer(f'{self._where} ended a watch: {e}') from None
        if stream.status and stream.status.code:
            yield error_line(stream.status)

    def _line(self, message: bytes) -> bytes:
        try:
            document: dict[str, Any] = {'result': decode('WatchResponse', message)}
            check_message(document, self._end_if_canceled)
        except (CodecError, UnreadableBody) as e:
            raise UnexpectedAnswer(f'{self._where} sent something other than a watch: {e}') from None
        self._heard()
        return json.dumps(document).encode() + b'\n'

    def close(self) -> None:
        """Close the connection, which ends the watch."""
        self._http2.close()

    def release_conn(self) -> None:
        """Do nothing: the connection serves this watch alone."""


def error_line(status: Status) -> bytes:
    """Return the line with which the gateway ends a stream."""
    error = {'grpc_code': status.code, 'http_code': status.http, 'message': status.text}
    return json.dumps({'error': error}).encode() + b'\n'
