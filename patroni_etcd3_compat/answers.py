"""What etcd's JSON gateway answers, brought to one shape whatever the release. Pure functions, no I/O, no Patroni.

The shapes, as measured: etcd 3.2 puts the text of an error into ``error``, 3.3 and 3.4 into ``error`` and ``message``,
3.5 as Debian builds it and 3.6 into ``message`` alone; an error inside a stream is an object under ``error``.
Patroni before 4.1.1 reads ``error`` only, so that is what everything becomes.
"""
import json

from typing import Any, Dict, NamedTuple, Optional, Tuple

#: gRPC codes, see google.golang.org/grpc/codes
OK, CANCELED, UNKNOWN, NOT_FOUND, UNAVAILABLE = 0, 1, 2, 5, 14

_DECODER = json.JSONDecoder()


class UnreadableBody(ValueError):
    """The body is nothing that etcd's gateway sends."""


class Answer(NamedTuple):
    """An answer of etcd's gateway as Patroni's client reads it (it takes ``status`` and ``data`` of a response)."""

    #: HTTP status
    status: int
    #: a JSON object; for an error always with ``error`` (text) and ``code`` (gRPC code)
    data: bytes
    #: gRPC code
    code: int = OK


def prefix_not_served(status: int, body: bytes) -> bool:
    """Tell the 404 that means "this prefix is not served here" from those that are answers.

    Go's HTTP server itself sends it, so nothing of the request was executed. "Not Found" (unknown method) and a JSON
    body (lease not found, code 5) come from etcd.

    :param status: HTTP status.
    :param body: the whole body.

    :returns: ``True`` if the request may be sent again under another prefix.
    """
    return status == 404 and body.strip() == b'404 page not found'


def read_answer(status: int, body: bytes) -> Answer:
    """Bring the answer to a single (not streamed) request to one shape.

    :param status: HTTP status.
    :param body: the whole body.

    :returns: the answer; successes unchanged.

    :raises:
        :exc:`UnreadableBody`: if the body can't be from etcd's gateway: no JSON object, cut off, a page of a proxy.
    """
    document = _first_document(status, body)
    error = document.get('error') or document.get('Error')
    if status < 400 and not isinstance(error, dict):
        return Answer(status, body)

    if isinstance(error, dict):  # an error of a streaming call, may come with status 200
        status = _int(error.get('http_code')) or max(status, 500)
        code, text = error.get('grpc_code') or error.get('code'), error.get('message')
    else:
        code, text = document.get('code') or document.get('Code'), error or document.get('message')

    text, code = str(text or document).strip(), _int(code) or UNKNOWN
    if text == 'not a primary lessor':  # a passing state that comes with code 2, see etcd-io/etcd#21671
        code = UNAVAILABLE
    return Answer(status, json.dumps({'error': text, 'message': text, 'code': code}).encode(), code)


def _first_document(status: int, body: bytes) -> Dict[str, Any]:
    """Read the JSON object at the start of *body*; a stream may put more than one there."""
    try:
        text = body.decode('utf-8').strip()
        if status == 404 and text == 'Not Found':  # unknown method on etcd 3.2 to 3.4
            return {'error': text, 'code': NOT_FOUND}
        document, _ = _DECODER.raw_decode(text)
    except ValueError as e:
        raise UnreadableBody(str(e)) from None
    if not isinstance(document, dict):
        raise UnreadableBody('not a JSON object')
    return document


def _int(value: Any) -> Optional[int]:
    """Read a number that may come as text."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def read_version(status: int, body: bytes) -> Tuple[Optional[str], Optional[str]]:
    """Read the answer to ``GET /version``.

    :param status: HTTP status.
    :param body: the whole body.

    :returns: version of the member and that of the cluster as this member sees it, as text; ``None`` for what is
              absent.
    """
    try:
        document = _first_document(status, body) if status == 200 else {}
    except UnreadableBody:
        document = {}
    member, cluster = document.get('etcdserver'), document.get('etcdcluster')
    return member if isinstance(member, str) else None, cluster if isinstance(cluster, str) else None
