"""What etcd's JSON gateway answers, brought to one shape whatever the release. Pure functions, no I/O, no Patroni.

The shapes, as measured: etcd 3.2 puts the text of an error into ``error``, 3.3 and 3.4 into ``error`` and ``message``,
3.5 as Debian builds it and 3.6 into ``message`` alone; an error inside a stream is an object under ``error``.
Patroni before 4.1.1 reads ``error`` only, so that is what everything becomes.
"""

from __future__ import annotations

import json
from typing import Any, Iterable, Iterator, NamedTuple

#: gRPC codes, see google.golang.org/grpc/codes
OK, CANCELED, UNKNOWN, NOT_FOUND, UNAVAILABLE = 0, 1, 2, 5, 14

#: Errors that say that a request was refused, and not executed, for want of a good token (etcd's rpctypes/error.go).
TOKEN_REFUSED = (
    'etcdserver: user name is empty',
    'etcdserver: invalid auth token',
    'etcdserver: revision of auth store is old',
)
#: Passing states that come with code 2: see etcd-io/etcd#21671, and "raft proposal dropped" while etcd's raft leader
#: hands over, or there is none (raft.ErrProposalDropped: nothing of it got into the log).
_PASSING = ('not a primary lessor', 'raft proposal dropped')
AUTH_NOT_ENABLED = 'etcdserver: authentication is not enabled'

#: What Patroni takes for granted in the answers to its calls: path to a value, and its type.
_GRANTED: dict[str, tuple[tuple[str, ...], Any]] = {
    '/kv/range': (('header', 'revision'), (str, int)),  # 64 bit numbers are texts in JSON; Patroni takes either
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
    """An answer of etcd's gateway as Patroni's client reads it (it takes ``status`` and ``data`` of a response)."""

    #: HTTP status
    status: int
    #: a JSON object; for an error always with ``error`` (text) and ``code`` (gRPC code)
    data: bytes
    #: gRPC code
    code: int = OK
    #: text of the error
    error: str = ''
    #: ID of the member that gave it, as text; ``None`` if it does not say
    member_id: str | None = None
    #: ID and ttl (seconds) of the lease that was granted or kept alive
    lease: tuple[str, float] | None = None
    #: when the request was sent, in seconds of the monotonic clock
    sent: float = 0.0

    @property
    def cut_off(self) -> bool:
        """The gateway has lost the member that it is a part of, as on its way down; not a verdict on the request.

        Nobody else cancels. What is unavailable for other reasons (no leader, request timed out) etcd signs.
        """
        signed = self.error.startswith('etcdserver: ') or self.error in _PASSING
        return self.code == CANCELED or self.code == UNAVAILABLE and bool(self.error) and not signed


def prefix_not_served(status: int, body: bytes) -> bool:
    """Tell the 404 that means "this prefix is not served here" from those that are answers.

    Go's HTTP server itself sends it, so nothing of the request was executed. "Not Found" (unknown method) and a JSON
    body (lease not found, code 5) come from etcd.

    :param status: HTTP status.
    :param body: the whole body.

    :returns: ``True`` if the request may be sent again under another prefix.
    """
    return status == 404 and body.strip() == b'404 page not found'


def read_answer(rpc: str, status: int, body: bytes) -> Answer:
    """Bring the answer to a single (not streamed) request to one shape.

    :param rpc: path of the call below the prefix.
    :param status: HTTP status.
    :param body: the whole body.

    :returns: the answer; successes unchanged.

    :raises:
        :exc:`UnreadableBody`: if it cannot be from etcd's gateway: no JSON object, cut off, a page of a proxy, or
            without what Patroni takes for granted in it.
    """
    if 300 <= status < 400:
        raise UnreadableBody('a redirect, which etcd never sends')
    document = first_document(status, body)
    error = document.get('error') or document.get('Error')
    if status < 400 and not isinstance(error, dict):
        _check_shape(rpc, document)
        return Answer(status, body, member_id=_member_id(document), lease=_lease(rpc, document))

    if isinstance(error, dict):  # an error of a streaming call, may come with status 200
        said = _int(error.get('http_code')) or 0
        status = said if 400 <= said < 600 else max(status, 500)
        code, text = error.get('grpc_code') or error.get('code'), error.get('message')
    else:
        code, text = document.get('code') or document.get('Code'), error or document.get('message')

    text, code = str(text or document).strip(), _int(code) or UNKNOWN
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
    """Return the text with which a member refuses a request, ``None`` if the body is not for people.

    :param status: HTTP status.
    :param body: the whole body.
    """
    try:
        text = ' '.join(body.decode('utf-8').split())
    except ValueError:
        return None
    return text if status >= 400 and text.isprintable() and text and text[0] not in '<{[' and len(text) < 2000 else None


def is_nested(rpc: str, body: str | bytes | None) -> bool:
    """Tell whether the body of a call has a transaction inside a transaction.

    :param rpc: path of the call below the prefix.
    :param body: text or bytes, JSON. What stands in keys and values (base64) does not matter.
    """
    if not body or not rpc.endswith('/txn'):
        return False
    try:
        return _has_txn(json.loads(body))
    except (ValueError, RecursionError):
        return True  # cannot be looked into, and etcd would refuse it


def _has_txn(part: object) -> bool:
    if isinstance(part, dict):
        return any(name in ('request_txn', 'requestTxn') or _has_txn(value) for name, value in part.items())
    return isinstance(part, list) and any(map(_has_txn, part))


def first_document(status: int, body: bytes) -> dict[str, Any]:
    """Read the JSON object at the start of a body; a stream may put more than one there.

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
    if not document and rpc in ('/kv/put', '/kv/deleterange'):  # Patroni looks before it takes anything from these
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
    """Hand on the answer to a watch while each of its messages is one that Patroni can read.

    :param chunks: what comes in, cut anywhere.
    :param end_if_canceled: raise the error for a message that says that etcd ended the watch: no further one comes.

    :raises:
        :exc:`UnreadableBody`: at the first message that is not from etcd. Patroni would wait for the rest of it for
            ever, with a view of the cluster that grows old.
    """
    rest = ''
    for chunk in chunks:
        try:
            rest = (rest + chunk.decode('utf-8')).lstrip()
            while rest.startswith('{'):
                message, end = _DECODER.raw_decode(rest)
                _check_message(message, end_if_canceled)
                rest = rest[end:].lstrip()
        except (UnicodeError, RecursionError) as e:
            raise UnreadableBody(str(e)) from None
        except json.JSONDecodeError as e:
            if '\n' in rest:  # the messages are lines, so this one should be complete
                raise UnreadableBody(str(e)) from None
        if rest and not rest.startswith('{'):
            raise UnreadableBody('not a JSON object')
        yield chunk


def _check_message(message: dict[str, object], end_if_canceled: bool) -> None:
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
    """Read a number that may come as text."""
    try:
        return int(value) if isinstance(value, (str, int, float)) else None
    except (TypeError, ValueError, OverflowError):
        return None


def read_version(status: int, body: bytes) -> tuple[str | None, str | None]:
    """Read the answer to ``GET /version``.

    :param status: HTTP status.
    :param body: the whole body.

    :returns: version of the member and that of the cluster as this member sees it, as text; ``None`` for what is
              absent.
    """
    try:
        document = first_document(status, body) if status == 200 else {}
    except UnreadableBody:
        document = {}
    member, cluster = document.get('etcdserver'), document.get('etcdcluster')
    return member if isinstance(member, str) else None, cluster if isinstance(cluster, str) else None
