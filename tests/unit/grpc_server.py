"""A server on a real socket that speaks HTTP/2 as badly as a test wants. No state machine, so anything can be sent."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from typing import Any, Callable, Iterator, NamedTuple

from hpack import Decoder, Encoder, NeverIndexedHeaderTuple
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from patroni_etcd3_compat.grpc.codec import encode
from patroni_etcd3_compat.grpc.stream import framed

PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

#: Seconds after which a server gives up, so that no test leaves a thread.
PATIENCE = 20

OK = [('grpc-status', '0'), ('grpc-message', '')]
BEGUN = [(':status', '200'), ('content-type', 'application/grpc')]

#: The document of a sound answer to a range.
KV = {'key': 'YQ==', 'value': 'Yg==', 'mod_revision': '7'}
DOCUMENT: dict[str, Any] = {'header': {'revision': '7', 'member_id': '9'}, 'kvs': [KV], 'count': '1'}
MESSAGE = framed(encode('RangeResponse', DOCUMENT))


class Request(NamedTuple):
    """A call that has arrived."""

    stream: int
    headers: dict[str, str]
    message: bytes
    #: names of the headers that nobody on the way may keep
    secret: set[str]


class Gone(Exception):
    """The client has closed the connection."""


class Peer:
    """One connection, seen from the server."""

    def __init__(self, sock: Any, server: Server) -> None:
        self.sock, self._server = sock, server
        self._encoder, self._decoder = Encoder(), Decoder()
        self._data = b''
        self._begun = False

    def _exactly(self, size: int) -> bytes:
        while len(self._data) < size:
            more = self.sock.recv(65536)
            if not more:
                raise Gone
            self._data += more
        ret, self._data = self._data[:size], self._data[size:]
        return ret

    def frame(self) -> Frame:
        """Return the next frame of the client."""
        if not self._begun:
            assert self._exactly(len(PREFACE)) == PREFACE
            self._begun = True
        head = self._exactly(9)
        frame, length = Frame.parse_frame_header(memoryview(head))
        frame.parse_body(memoryview(self._exactly(length)))
        return frame

    def request(self, room: bool = True) -> Request:
        """Return the next call, once the client has ended its side of it.

        :param room: give the client back the room that its message took.
        """
        headers: dict[str, str] = {}
        secret: set[str] = set()
        message, stream = b'', 0
        while True:
            frame = self.frame()
            if isinstance(frame, HeadersFrame):
                stream = frame.stream_id
                decoded = list(self._decoder.decode(frame.data))
                headers = {str(name): str(value) for name, value in decoded}
                secret = {str(it[0]) for it in decoded if isinstance(it, NeverIndexedHeaderTuple)}
            if isinstance(frame, DataFrame):
                message += frame.data
                if room and frame.data:
                    self.send(WindowUpdateFrame(0, len(frame.data)), WindowUpdateFrame(stream, len(frame.data)))
            watch = headers.get(':path', '').endswith('/Watch') and message
            if isinstance(frame, (HeadersFrame, DataFrame)) and ('END_STREAM' in frame.flags or watch):
                ret = Request(stream, headers, message, secret)
                self._server.requests.append(ret)
                return ret

    def headers(self, stream: int, pairs: list[tuple[str, str]], end: bool = False) -> Frame:
        """Make a frame with headers or trailers."""
        frame = HeadersFrame(stream, self._encoder.encode(pairs))
        frame.flags.add('END_HEADERS')
        if end:
            frame.flags.add('END_STREAM')
        return frame

    def send(self, *frames: Frame) -> None:
        """Send frames in one piece."""
        self.sock.sendall(b''.join(frame.serialize() for frame in frames))

    def answer(self, stream: int, message: bytes = MESSAGE, status: list[tuple[str, str]] = OK) -> list[Frame]:
        """Make the frames of a sound answer."""
        return [self.headers(stream, BEGUN), *data(stream, message), self.headers(stream, status, end=True)]

    def serve(self) -> None:
        """Answer all calls soundly."""
        self.send(SettingsFrame(0))
        while True:
            request = self.request()
            self.send(*self.answer(request.stream))

    def wait_for_end(self) -> None:
        """Send nothing more until the client has closed the connection."""
        while self.sock.recv(65536):
            pass


def data(stream: int, content: bytes) -> list[Frame]:
    """Make frames of data, as large as they may be."""
    return [DataFrame(stream, content[at : at + 16384]) for at in range(0, len(content), 16384)]


def goaway(last: int, error: int = 0) -> Frame:
    """Make a frame that announces the end of the connection."""
    return GoAwayFrame(0, last_stream_id=last, error_code=error)


def reset(stream: int, error: int) -> Frame:
    """Make a frame that ends a stream."""
    return RstStreamFrame(stream, error_code=error)


def continuation(stream: int, content: bytes) -> Frame:
    """Make a piece of headers after which more come."""
    return ContinuationFrame(stream, content)


Script = Callable[[Peer], None]


def bare(frames: list[Frame]) -> bytes:
    """Return the bytes of frames."""
    return b''.join(frame.serialize() for frame in frames)


def silent(peer: Peer) -> None:
    """Send nothing at all."""
    peer.wait_for_end()


def stalls(count: int, within: int = 0) -> Script:
    """Make a script that sends so many frames of an answer, and some bytes of the next, and then nothing more."""

    def script(peer: Peer) -> None:
        peer.request()
        frames = [SettingsFrame(0), *peer.answer(1)]
        peer.sock.sendall(bare(frames[:count]) + bare(frames[count:])[:within])
        peer.wait_for_end()

    return script


class Server:
    """Serves each connection with the next of its scripts, and the connections after those soundly.

    :param scripts: called with each connection; it is closed afterwards.
    :param tls: for https.
    """

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self.scripts = list(scripts)
        self.requests: list[Request] = []
        #: what went wrong in a script
        self.errors: list[BaseException] = []
        self.connections = 0
        self._tls = tls
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.url = f'http{"s" if tls else ""}://127.0.0.1:{self._listener.getsockname()[1]}'
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._start(self._accept)

    def _start(self, function: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=function, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock = self._listener.accept()[0]
            except OSError:
                return
            self.connections += 1
            self._open.add(sock)
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            self._start(self._serve, sock, self.scripts.pop(0) if self.scripts else Peer.serve)

    def _serve(self, sock: Any, script: Script) -> None:
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self._tls:
                self._open.discard(sock)
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                self._open.add(sock)
                sock.do_handshake()
            script(Peer(sock, self))
        except (OSError, Gone):  # the client has seen enough
            pass
        except BaseException as e:
            self.errors.append(e)
        finally:
            with contextlib.suppress(OSError):
                sock.close()
            self._open.discard(sock)

    def stop(self) -> None:
        """Close everything, and wait for the threads to end."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)


@contextlib.contextmanager
def serving(*scripts: Script, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Run a server for the body of the ``with``; what went wrong in its scripts is raised at the end."""
    server = Server(*scripts, tls=tls)
    try:
        yield server
    finally:
        server.stop()
    if server.errors:
        raise server.errors[0]


def until(condition: Callable[[], object], seconds: float = 5) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, 'it did not happen'
        time.sleep(0.002)
