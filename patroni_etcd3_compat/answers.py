"""The answers of etcd's JSON gateway, in one shape for every release. Pure functions, no I/O, no Patroni.

Measured: etcd 3.2 puts the text of an error into ``error``, and 3.3 and 3.4 put it into ``error`` and ``message``. 3.6
and Debian's build of 3.5 put it into ``message`` alone. An error inside a stream is an object under ``error``. Patroni
before 4.1.1 reads only ``error``, so all errors get that key.
"""

from __future__ import annotations

import json
from typing import Any, Iterable, Iterator, NamedTuple

#: gRPC codes, see google.golang.org/grpc/codes
OK, CANCELED, UNKNOWN, NOT_FOUND, UNAVAILABLE = 0, 1, 2, 5, 14

#: Errors that say that a request was refused, and not executed, because the token is missing or invalid (etcd's
#: rpctypes/error.go).
TOKEN_REFUSED = (
    'etcdserver: user name is empty',
    'etcdserver: invalid auth token',
    'etcdserver: revision of auth store is old',
)
#: Passing states that come with code 2. One is etcd-io/etcd#21671. The other is "raft proposal dropped", while etcd's
#: raft leader hands over or while there is none (raft.ErrProposalDropped: nothing of it got into the log).
_PASSING = ('not a primary lessor', 'raft proposal dropped')
AUTH_NOT_ENABLED = 'etcdserver: authentication is not enabled'

#: What Patroni expects in the answers to its calls without checking: path to a value, and its type.
_GRANTED: dict[str, tuple[tuple[str, ...], type | tuple[type, ...]]] = {
    '/kv/range': (('header', 'revision'), (str, int)),  # 64-bit numbers are strings in JSON; Patroni accepts both
    '/kv/put': (('header', 'revision'), (str, int)),
    '/kv/txn': (('header', 'revision'), (str, int)),
    '/kv/deleterange': (('header', 'revision'), (str, int)),
    '/lease/grant': (('ID',), (str, int)),
    '/lease/keepalive': (('result',), dict),
    '/cluster/member/list': (('members',), list),
    '/auth/authenticate': (('token',), str),
}

_DECODER = json.JSONDecoder()


class UnreadableBody(ValueError):
    """The body is not from etcd's gateway."""


class Answer(NamedTuple):
    """An answer of etcd's gateway as Patroni's client reads it: ``status`` and ``data``."""

    #: HTTP status
    status: int
    #: a JSON object; for an error always with ``error`` (text) and ``code`` (gRPC code)
    data: bytes
    #: gRPC code
    code: int = OK
    #: text of the error
    error: str = ''
    #: ID of the member that answered, as text; ``None`` if the answer has none
    member_id: str | None = None
    #: ID and ttl (seconds) of the lease that was granted or kept alive
    lease: tuple[str, float] | None = None
    #: when the request was sent, in seconds of the monotonic clock
    sent: float = 0.0

    @property
    def cut_off(self) -> bool:
        """Whether the gateway has lost its own member, as when it shuts down; this says nothing about the request.

        Only the gateway cancels. If a request fails for another reason (no leader, timeout), the error comes from etcd
        itself.
        """
        signed = self.error.startswith('etcdserver: ') or self.error in _PASSING
        return self.code == CANCELED or self.code == UNAVAILABLE and bool(self.error) and not signed


def prefix_not_served(status: int, body: bytes) -> bool:
    """Return whether a 404 means "this prefix is not served here", unlike those that are answers.

    Go's HTTP server itself sends that 404, so nothing was executed. "Not Found" (unknown method) and a JSON body (lease
    not found, code 5) come from etcd.

    :param status: HTTP status.
    :param body: the whole body.

    :returns: ``True`` if the request may be sent again under another prefix.
    """
    return status == 404 and body.strip() == b'404 page not found'


def read_answer(rpc: str, status: int, body: bytes) -> Answer:
    """Parse the answer to a single (not streamed) request into one shape.

    :param rpc: path of the call below the prefix.
    :param status: HTTP status.
    :param body: the whole body.

    :returns: the answer; successes unchanged.

    :raises:
        :exc:`UnreadableBody`: if it cannot be from etcd's gateway: no JSON object, truncated, a proxy's page, or
            without what Patroni expects in it.
    """
    if 300 <= status < 400:
        raise UnreadableBody('a redirect, which etcd never sends')
    document = first_document(status, body)
    error = document.get('error') or document.get('Error')
    if status < 400 and not isinstance(error, dict):
        return granted(rpc, status, document, body)

    if isinstance(error, dict):  # the error of a streaming call may come with status 200
        said = _int(error.get('http_code')) or 0
        status = said if 400 <= said < 600 else max(status, 500)
        code, text = error.get('grpc_code') or error.get('code'), error.get('message')
    else:
        code, text = document.get('code') or document.get('Code'), error or document.get('message')

    return refused(status, _int(code) or UNKNOWN, str(text or document))


def granted(rpc: str, status: int, document: dict[str, object], body: bytes) -> Answer:
    """Return the answer to a request that succeeded.

    :param rpc: path of the call below the prefix.
    :param status: HTTP status.
    :param document: the JSON object in the body.
    :param body: the whole body.

    :raises:
        :exc:`UnreadableBody`: if what Patroni expects is missing.
    """
    _check_shape(rpc, document)
    return Answer(status, body, member_id=_member_id(document), lease=_lease(rpc, document))


def refused(status: int, code: int, text: str) -> Answer:
    """Return the answer to a request that failed.

    :param status: HTTP status.
    :param code: gRPC code.
    :param text: text of the error.
    """
    text = text.strip()
    if text in _PASSING:
        code = UNAVAILABLE
    return Answer(status, json.dumps({'error': text, 'message': text, 'code': code}).encode(), code, text)


def _member_id(document: dict[str, object]) -> str | None:
    header = document.get('header')
    member = header.get('member_id') if isinstance(header, dict) else None
    return str(member) if isinstance(member, (str, int)) else None


def _lease(rpc: str, document: dict[str, object]) -> tuple[str, float] | None:
    found = document.get('result') if rpc == '/lease/keepalive' else document if rpc == '/lease/grant' else None
    if not isinstance(found, dict):
        return None
    ttl = _int(found.get('TTL'))
    return (str(found['ID']), float(ttl)) if ttl and ttl > 0 and 'ID' in found else None


def plain_text(status: int, body: bytes) -> str | None:
    """Return the text with which a member refuses a request, ``None`` if the body is not human-readable.

    :param status: HTTP status.
    :param body: the whole body.
    """
    try:
        text = ' '.join(body.decode('utf-8').split())
    except ValueError:
        return None
    return text if status >= 400 and text.isprintable() and text and text[0] not in '<{[' and len(text) < 2000 else None


def is_nested(rpc: str, body: str | bytes | None) -> bool:
    """Return whether the body of a call contains a transaction inside a transaction.

    :param rpc: path of the call below the prefix.
    :param body: JSON as text or bytes. The content of keys and values (base64) does not matter.
    """
    if not body or not rpc.endswith('/txn'):
        return False
    try:
        return _has_txn(json.loads(body))
    except (ValueError, RecursionError):
        return True  # cannot be parsed; etcd would refuse it, too


def _has_txn(part: object) -> bool:
    if isinstance(part, dict):
        return any(name in ('request_txn', 'requestTxn') or _has_txn(value) for name, value in part.items())
    return isinstance(part, list) and any(map(_has_txn, part))


def first_document(status: int, body: bytes) -> dict[str, Any]:
    """Parse the JSON object at the start of a body; a stream may send more than one.

    :param status: HTTP status.
    :param body: the whole body.

    :raises:
        :exc:`UnreadableBody`: if there is none.
    """
    try:
        text = body.decode('utf-8').strip()
        if status == 404 and text == 'Not Found':  # unknown method on etcd 3.2 to 3.4
            return {'error': text, 'code': NOT_FOUND}
        document, _ = _DECODER.raw_decode(text)
    except (ValueError, RecursionError) as e:
        raise UnreadableBody(str(e)) from None
    if not isinstance(document, dict):
        raise UnreadableBody('not a JSON object')
    return document


def _check_shape(rpc: str, document: dict[str, object]) -> None:
    if not document and rpc in ('/kv/put', '/kv/deleterange'):  # Patroni checks these before it uses them
        return
    path, kind = _GRANTED.get(rpc, ((), dict))
    value: object = document
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, kind):
        raise UnreadableBody(f'{".".join(path)} is missing')
    if isinstance(value, str) and path == ('token',) and not (value.isascii() and value.isprintable()):
        raise UnreadableBody('the token does not fit into a header')
    for name, part, part_kind in (('kvs', 'key', str), ('members', 'clientURLs', list)):
        items = document.get(name, [])
        if not isinstance(items, list) or not all(
            isinstance(item, dict) and isinstance(item.get(part, part_kind()), part_kind) for item in items
        ):
            raise UnreadableBody(f'{name} is not a list of objects with {part}')


def check_stream(chunks: Iterable[bytes], end_if_canceled: bool) -> Iterator[bytes]:
    """Yield the pieces of the answer to a watch as long as Patroni can read each message.

    :param chunks: pieces of the answer, split anywhere.
    :param end_if_canceled: also raise the error when a message says that etcd ended the watch, after which none
                            follows.

    :raises:
        :exc:`UnreadableBody`: at the first message that is not from etcd. Patroni would wait for its rest forever, with
            an outdated view of the cluster.
    """
    rest = ''
    for chunk in chunks:
        try:
            rest = (rest + chunk.decode('utf-8')).lstrip()
            while rest.startswith('{'):
                message, end = _DECODER.raw_decode(rest)
                check_message(message, end_if_canceled)
                rest = rest[end:].lstrip()
        except (UnicodeError, RecursionError) as e:
            raise UnreadableBody(str(e)) from None
        except json.JSONDecodeError as e:
            if '\n' in rest:  # each message is one line, so this one should be complete
                raise UnreadableBody(str(e)) from None
        if rest and not rest.startswith('{'):
            raise UnreadableBody('not a JSON object')
        yield chunk


def check_message(message: dict[str, object], end_if_canceled: bool) -> None:
    """Raise an error if Patroni cannot read a message of a watch.

    :param message: the JSON object.
    :param end_if_canceled: see :func:`check_stream`.

    :raises:
        :exc:`UnreadableBody`
    """
    result = message.get('result', {})
    error = message.get('error', {})
    if (
        not isinstance(result, dict)
        or not isinstance(error, dict)
        or any(isinstance(error.get(name), (list, dict)) for name in ('message', 'code', 'grpc_code', 'http_code'))
    ):
        raise UnreadableBody('not a message of a watch')
    events = result.get('events', [])
    if not isinstance(events, list) or not isinstance(result.get('header', {}), dict):
        raise UnreadableBody('not a message of a watch')
    for event in events:
        kv = event.get('kv') if isinstance(event, dict) else None
        if not isinstance(kv, dict) or not isinstance(kv.get('key'), str) or _int(kv.get('mod_revision')) is None:
            raise UnreadableBody('an event without key or revision')
    if end_if_canceled and result.get('canceled'):
        raise UnreadableBody('the watch was canceled')


def _int(value: object) -> int | None:
    """Return a number that may come as text."""
    try:
        return int(value) if isinstance(value, (str, int, float)) else None
    except (TypeError, ValueError, OverflowError):
        return None


def read_version(status: int, body: bytes) -> tuple[str | None, str | None]:
    """Parse the answer to ``GET /version``.

    :param status: HTTP status.
    :param body: the whole body.

    :returns: the version of the member, and that of the cluster as this member sees it, as text; ``None`` if absent.
    """
    try:
        document = first_document(status, body) if status == 200 else {}
    except UnreadableBody:
        document = {}
    member, cluster = document.get('etcdserver'), document.get('etcdcluster')
    return member if isinstance(member, str) else None, cluster if isinstance(cluster, str) else None
