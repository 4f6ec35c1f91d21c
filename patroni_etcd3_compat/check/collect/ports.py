"""What is spoken on a port that did not answer in HTTP/1.1: by the first bytes that it sends."""

from __future__ import annotations

import socket
import ssl
from typing import Mapping
from urllib.parse import urlsplit

from ..facts import WRONG_SCHEME
from .handshake import accept_any
from .web import Clock, Unanswered

#: What opens a connection in HTTP/2 (RFC 9113, 3.4): the preface and an empty SETTINGS frame.
_PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + b'\x00\x00\x00\x04\x00\x00\x00\x00\x00'
_SETTINGS = 4
_HEADER = 9

#: What a server answers that knows HTTP/1.1 alone.
_GET = b'GET /version HTTP/1.0\r\n\r\n'


def what_is_spoken(url: str, options: Mapping[str, str], clock: Clock) -> tuple[str | None, str | None]:
    """Find out why a URL does not answer in HTTP/1.1.

    A port that etcd has split off for gRPC (option ``listen-client-http-urls``) speaks HTTP/2 alone. One that is asked
    with the wrong scheme just hangs up.

    :param url: URL of an etcd member.
    :param options: client certificate, as arguments of :class:`urllib3.PoolManager`.
    :param clock: the time that is left.

    :returns: 'grpc' if it is such a port, else ``None``; and a text for people, ``None`` if it could not be found out.
    """
    parts = urlsplit(url)
    tls = parts.scheme == 'https'
    address = (parts.hostname or '', parts.port or (443 if tls else 80))
    try:
        if _first_words(address, tls, options, clock, _PREFACE) == 'http2':
            return 'grpc', 'this port speaks gRPC only, no HTTP/1.1 (etcd option listen-client-http-urls)'
        if any(_first_words(address, not tls, options, clock, opening) for opening in (_PREFACE, _GET)):
            return None, f'{WRONG_SCHEME}: this port speaks {"http" if tls else "https"}'
    except Unanswered:
        pass
    return None, None


def _first_words(
    address: tuple[str, int], tls: bool, options: Mapping[str, str], clock: Clock, opening: bytes
) -> str | None:
    try:
        with socket.create_connection(address, clock.left()) as plain:
            if not tls:
                return _answer(plain, clock, opening)
            with _context(options).wrap_socket(plain, server_hostname=address[0]) as wrapped:
                return _answer(wrapped, clock, opening) or 'tls'
    except (OSError, ValueError):  # ValueError: a certificate that is none
        return None


def _context(options: Mapping[str, str]) -> ssl.SSLContext:
    context = accept_any(options)  # the certificate has been judged before
    context.set_alpn_protocols(['h2', 'http/1.1'])
    return context


def _answer(connection: socket.socket, clock: Clock, opening: bytes) -> str | None:
    connection.sendall(opening)
    data = b''
    while len(data) < _HEADER:
        connection.settimeout(clock.left())
        try:
            more = connection.recv(_HEADER - len(data))
        except OSError:
            break
        if not more:
            break
        data += more
    if data.startswith(b'HTTP/1'):
        return 'http1'
    return 'http2' if len(data) == _HEADER and data[3] == _SETTINGS else None
