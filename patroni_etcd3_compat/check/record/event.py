"""An event of the record, and the line that it is in the file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone

from ..facts import JSON

#: Version of the lines. It grows when a name is removed or changes its meaning, not when one is added.
SCHEMA = 1

#: How every line begins.
HEAD = b'{"schema": '

#: Kinds of events that are about the record itself: its first look, the first look of a later session, a sign of life,
#: the end of a session that was not killed.
BEGAN, RESUMED, WATCHING, ENDED = 'began', 'resumed', 'watching', 'ended'


@dataclass
class Event:
    """Something that was seen, or that happened to the record itself."""

    #: what kind of event it is
    kind: str
    #: the same in one sentence
    text: str
    #: all that is known about it
    data: dict[str, JSON] = field(default_factory=dict)
    #: the Patroni cluster that it is about, with the number of a Citus group behind it
    cluster: str | None = None
    #: time of the look, with zone; None until it is recorded
    time: datetime | None = None
    #: name of the host that looked
    host: str = ''


def line(event: Event) -> bytes:
    """Return an event as a line of the file, with its line feed."""
    assert event.time is not None
    document = {
        'schema': SCHEMA,
        'time': event.time.astimezone(timezone.utc).isoformat(timespec='microseconds'),
        'host': event.host,
        'kind': event.kind,
        'cluster': event.cluster,
        'text': event.text,
        'data': event.data,
    }
    return json.dumps(document).encode('ascii') + b'\n'


def parse(content: bytes) -> Event | None:
    """Return the event that a line holds, ``None`` if it is none: half of one, or something else.

    :raises:
        :exc:`NewerSchema`: if it is an event of a schema that is not known here.
    """
    try:
        document = json.loads(content.decode('utf-8'))
        if not isinstance(document, dict):
            return None
        schema = document['schema']
        time = datetime.fromisoformat(document['time'].replace('Z', '+00:00')).astimezone(timezone.utc)
        found = Event(document['kind'], document['text'], document['data'], document['cluster'], time, document['host'])
    except (ValueError, KeyError, AttributeError, TypeError, OverflowError, RecursionError):
        return None
    texts = (found.kind, found.text, found.host, found.cluster or '')
    if not all(isinstance(text, str) for text in texts) or not isinstance(found.data, dict):
        return None
    if not isinstance(schema, int) or schema < 1:
        return None
    if schema > SCHEMA:
        raise NewerSchema(schema)
    return found


class NewerSchema(ValueError):
    """A line was written by a later release of this package."""
