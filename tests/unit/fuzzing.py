"""A server on a real socket that answers anything, and the strategies that say what."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any, NamedTuple

from hypothesis import strategies as st

NOT_SERVED = b'404 page not found'

REFUSED = b'{"error":"etcdserver: invalid auth token","code":16}'


class Answer(NamedTuple):
    """The answer that a server sends."""

    content: bytes
    #: where to split it
    cuts: list[int] = []
    #: its content
    body: bytes = b''

    @property
    def sends_elsewhere(self) -> bool:
        """Whether it may say that nothing was executed, so that the request may be sent under the other prefixes."""
        return NOT_SERVED in self.content or NOT_SERVED in self.body

    def __repr__(self) -> str:
        return f'Answer({self.content[:300]!r}{"..."[: len(self.content[300:])]}, {self.cuts})'


class Server:
    """An etcd member that behaves correctly until it is told to answer :attr:`answer` to everything else."""

    def __init__(self) -> None:
        self._socket = socket.create_server(('127.0.0.1', 0))
        self.url = f'http://127.0.0.1:{self._socket.getsockname()[1]}'
        #: ``None``: the answer that etcd would send
        self.answer: Answer | None = None
        #: whether :attr:`answer` is the answer to the question for the version, too
        self.also_version = False
        #: whether every token is refused, and :attr:`answer` is the answer to a login
        self.refusing = False
        self.requests: list[tuple[str, bytes]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Close the socket, which ends the thread."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._socket.accept()[0]
            except OSError:
                return
            try:
                with connection:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._serve(connection)
            except OSError:  # the client has seen enough
                pass

    def _serve(self, connection: socket.socket) -> None:
        with connection.makefile('rb') as stream:
            start = stream.readline()
            if not start:  # connected, but sent nothing
                return
            path, length = start.split()[1].decode(), 0
            for line in iter(stream.readline, b'\r\n'):
                name, _, value = line.partition(b':')
                length = int(value) if name.lower() == b'content-length' else length
            self.requests.append((path, stream.read(length)))
        answer = self.answer
        if answer is None or path == '/version' and not self.also_version:
            answer = Answer(http(200, [('Connection', 'close')], self._proper(path)))
        elif self.refusing and not path.endswith('/auth/authenticate'):
            answer = Answer(http(401, [('Connection', 'close')], REFUSED))
        content, cuts, _ = answer
        for begin, end in zip([0] + cuts, cuts + [len(content)]):
            connection.sendall(content[begin:end])
        connection.shutdown(socket.SHUT_WR)

    def _proper(self, path: str) -> bytes:
        if path == '/version':
            return b'{"etcdserver":"3.4.23","etcdcluster":"3.4.0"}'
        return json.dumps(
            {'header': {'cluster_id': '7', 'raft_term': '2'}, 'token': 'x', 'members': [{'clientURLs': [self.url]}]}
        ).encode()


def http(status: int, headers: list[tuple[str, str]], body: bytes, chunks: list[int] | None = None) -> bytes:
    """Return an HTTP answer.

    :param headers: its own ``Content-Length`` goes in front of these.
    :param chunks: where to cut *body* into chunks; ``None``: not chunked.
    """
    framing = [('Content-Length', str(len(body)))]
    if chunks is not None:
        framing = [('Transfer-Encoding', 'chunked')]
        pieces = [body[start:end] for start, end in zip([0] + chunks, chunks + [len(body)])]
        body = b''.join(b'%x\r\n%s\r\n' % (len(piece), piece) for piece in pieces if piece) + b'0\r\n\r\n'
    lines = [f'HTTP/1.1 {status} Some'] + [f'{name}: {value}' for name, value in framing + headers]
    return '\r\n'.join(lines + ['', '']).encode('latin-1', 'replace') + body


def places(limit: int, draw: Any) -> list[int]:
    """Draw places at which to cut something of that length."""
    return sorted(draw(st.lists(st.integers(0, limit), max_size=6)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
TEXTS = (
    st.sampled_from(
        [
            'etcdserver: requested lease not found',
            'etcdserver: invalid auth token',
            'etcdserver: user name is empty',
            'not a primary lessor',
            'etcdserver: request timed out',
            'grpc: the client connection is closing',
        ]
    )
    | JSON
)
ERRORS = st.fixed_dictionaries(
    {},
    optional={
        'error': TEXTS | st.fixed_dictionaries({}, optional={'grpc_code': JSON, 'http_code': JSON, 'message': TEXTS}),
        'code': JSON | st.integers(0, 17),
        'message': TEXTS,
    },
)
#: everything that Patroni reads from an answer, valid or not
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        'header': JSON | st.fixed_dictionaries({}, optional={'cluster_id': JSON, 'raft_term': JSON, 'revision': JSON}),
        'result': JSON
        | st.fixed_dictionaries(
            {},
            optional={
                'TTL': JSON,
                'header': JSON,
                'canceled': JSON,
                'events': JSON
                | st.lists(
                    JSON
                    | st.fixed_dictionaries(
                        {},
                        optional={
                            'type': st.just('DELETE') | JSON,
                            'kv': JSON
                            | st.fixed_dictionaries({}, optional={'key': JSON, 'mod_revision': JSON, 'value': JSON}),
                        },
                    ),
                    max_size=2,
                ),
            },
        ),
        'members': JSON | st.lists(JSON | st.fixed_dictionaries({'clientURLs': JSON}), max_size=2),
        'ID': JSON,
        'token': JSON,
        'succeeded': JSON,
        'responses': JSON,
        'kvs': JSON,
        'etcdserver': JSON,
    },
)
DOCUMENTS = st.one_of(FIELDS, ERRORS, JSON).map(lambda document: json.dumps(document).encode())
BODIES = st.one_of(
    DOCUMENTS,
    DOCUMENTS.flatmap(lambda body: st.integers(0, len(body)).map(lambda end: body[:end])),
    st.lists(DOCUMENTS, max_size=3).map(b'\n'.join),
    st.binary(max_size=60),
    st.sampled_from(
        [
            NOT_SERVED,
            NOT_SERVED + b'\n',
            b'Not Found',
            b'404',
            b'<html>Bad Gateway</html>',
            b'[' * 100000,
            b'{"a":' * 100000,
            b'9' * 5000,
            b'\xef\xbb\xbf{}',
        ]
    ),
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                'Content-Type',
                'Content-Encoding',
                'Content-Length',
                'Transfer-Encoding',
                'Location',
                'Retry-After',
                'Connection',
                'Set-Cookie',
                'Grpc-Metadata-Content-Type',
            ]
        ),
        st.sampled_from(
            [
                '',
                '0',
                '-1',
                '5',
                '99999',
                'gzip',
                'deflate',
                'chunked',
                'identity',
                'close',
                'keep-alive',
                '/',
                '/v3/kv/put',
                'http://127.0.0.1:1/',
                'http://[',
                'text/html',
                'application/json',
            ]
        )
        | st.text(st.characters(codec='latin-1'), max_size=10),
    ).filter(lambda h: h != ('Retry-After', '99999')),
    max_size=3,
)
STATUSES = st.sampled_from(
    [200, 204, 301, 302, 303, 304, 307, 308, 400, 401, 404, 408, 429, 500, 503, 504]
) | st.integers(100, 999)


@st.composite
def answers(draw: Any, statuses: st.SearchStrategy[int] = STATUSES) -> Answer:
    """Draw what a server may send: HTTP with any content, truncated or not, or something other than HTTP."""
    if draw(st.integers(0, 15)) == 0:
        body, content = b'', draw(st.binary(max_size=200))
    else:
        body = draw(BODIES)
        chunks = places(len(body), draw) if draw(st.booleans()) else None
        content = http(draw(statuses), draw(HEADERS), body, chunks)
        if draw(st.integers(0, 7)) == 0:
            content = content[: draw(st.integers(0, len(content)))]
    return Answer(content, places(len(content), draw), body)
