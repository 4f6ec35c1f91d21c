"""The records of a storm: the journals of its clients, and the history of etcd."""

from __future__ import annotations

import base64
import http.client
import json
from typing import Any, NamedTuple, Sequence

from lab.etcd import EtcdCluster, b64
from lab.facade import real_prefix
from lab.processes import LabError, wait_until

LEADER_KEY = '/service/storm/leader'


class Entry(NamedTuple):
    """One loop of one client; times in seconds of the monotonic clock, which all processes share."""

    started: float
    ended: float
    #: when it had read the cluster, and who was the leader then
    looked: float = 0
    leader: str = ''
    #: when it began to ask for the leader key or to give it away, if it did
    asked: float = 0
    #: the whole loop went well
    good: bool = False
    #: the client was told that it has the leader key
    held: bool = False
    #: when it was told
    told: float = 0
    #: lease of the leader key
    lease: str = ''
    #: it tried to give the leader key away
    resigned: bool = False
    #: it was told that this was done
    released: bool = False
    #: value that was acknowledged, and its revision
    written: Sequence[Any] | None = None
    #: exception that Patroni expects of a DCS
    error: str = ''
    #: any other exception
    unexpected: str = ''


class Event(NamedTuple):
    """One event of etcd's history."""

    revision: int
    key: str
    #: ``None``: the key was removed
    value: str | None
    #: revision at which the key was created
    created: int
    lease: str


def history(etcd: EtcdCluster) -> list[Event]:
    """Read the whole history of an etcd cluster, in order.

    :raises LabError: when it cannot be read.
    """
    wait_until(
        lambda: etcd.call(0, 'kv/put', {'key': b64('/storm/end'), 'value': ''})[0] == 200,
        60,
        'the end of the history to be marked',
    )
    member = etcd.members[0]
    connection = http.client.HTTPConnection(member.real_url.partition('//')[2], timeout=60)
    events: list[Event] = []
    try:
        connection.request(
            'POST',
            f'/{real_prefix(member.real_version)}/watch',
            json.dumps({'create_request': {'key': 'AA==', 'range_end': 'AA==', 'start_revision': 1}}),
        )
        for line in connection.getresponse():
            for event in json.loads(line)['result'].get('events', ()):
                events.append(_event(event))
                if events[-1].key == '/storm/end':
                    return events
    except (OSError, ValueError, KeyError, http.client.HTTPException) as e:
        raise LabError(f'the history could not be read: {e!r}') from e
    finally:
        connection.close()
    raise LabError('the history broke off')


def _event(event: dict[str, Any]) -> Event:
    kv = event['kv']
    value = None if event.get('type') == 'DELETE' else base64.b64decode(kv.get('value', '')).decode()
    return Event(
        int(kv['mod_revision']),
        base64.b64decode(kv['key']).decode(),
        value,
        int(kv.get('create_revision', 0)),
        str(kv.get('lease', '')),
    )
