"""What the REST API of each Patroni member adds to the keys in the DCS."""

from __future__ import annotations

import json
from typing import Mapping
from urllib.parse import urlsplit

from patroni.request import PatroniRequest
from urllib3 import disable_warnings
from urllib3.exceptions import HTTPError, InsecureRequestWarning
from urllib3.util import Timeout

from ..facts import JSON, Patroni, PatroniMember
from .redaction import Redaction
from .settings import Settings
from .values import PRIMARY, as_dict, as_int, as_text
from .web import Clock, Unanswered, read_body, reason


class RestApi:
    """Asks the REST APIs of the members.

    :param settings: certificates.
    """

    def __init__(self, settings: Settings) -> None:
        disable_warnings(InsecureRequestWarning)  # of ctl.insecure, by Patroni before 3.1
        self._request = PatroniRequest(settings.rest)
        self._timeout = settings.timeout
        self._scope = settings.scope
        self._redaction = Redaction(settings.secrets)

    def status(self, url: str) -> dict[str, JSON]:
        """Ask one member for its status.

        :param url: URL of the REST API, whatever its path.

        :returns: what ``GET /patroni`` answers, or why it did not as the only entry ``error``.
        """
        try:
            parts = urlsplit(url)
            if parts.scheme not in ('http', 'https') or not parts.netloc:
                return {'error': 'its api_url is neither http nor https'}
            clock = Clock(self._timeout)
            response = self._request.request(
                'GET',
                f'{parts.scheme}://{parts.netloc}/patroni',
                timeout=Timeout(total=clock.left()),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            status = as_dict(self._redaction.json(json.loads(read_body(response, clock).decode('utf-8'))))
        except Unanswered as e:
            return {'error': str(e)}
        except (HTTPError, OSError) as e:
            return {'error': self._redaction.error(reason(e, self._timeout))}
        except (ValueError, RecursionError):
            status = {}
        if not isinstance(status.get('patroni'), dict):
            return {'error': 'GET /patroni is not answered with the status of a Patroni'}
        scope = as_dict(status['patroni']).get('scope')
        if scope not in (self._scope, None):
            return {'error': f'the REST API there belongs to another cluster, {scope}'}
        return status


def add_status(member: PatroniMember, status: Mapping[str, JSON]) -> None:
    """Complete a member with what its REST API says, which is newer than what stands in the DCS.

    :param member: the member.
    :param status: as :meth:`RestApi.status` gives it.
    """
    member.error = as_text(status.get('error'))
    if member.error:
        return
    member.version = as_text(as_dict(status.get('patroni')).get('version')) or member.version
    member.postgres_version = _postgres_version(status.get('server_version'))
    member.timeline = as_int(status.get('timeline')) or member.timeline
    if member.role is None and status.get('role'):  # not in the DCS
        member.role = 'leader' if status['role'] in PRIMARY else as_text(status['role'])
    state = as_text(status.get('replication_state')) if member.role not in ('leader', None) else None
    member.state = state or as_text(status.get('state')) or member.state
    member.tags = as_dict(status.get('tags')) or member.tags
    member.position = position(status) or member.position


def add_lags(facts: Patroni, positions: Mapping[str, int]) -> None:
    """Work the lags out anew from positions that were read at the same time; those in the DCS are a loop old.

    :param facts: the cluster.
    :param positions: positions in bytes by name of the member, from the REST APIs.
    """
    leader = positions.get(facts.leader or '')
    for member in facts.members:
        if leader is not None and member.name in positions and member.name != facts.leader:
            member.lag = max(leader - positions[member.name], 0)


def position(status: Mapping[str, JSON]) -> int | None:
    """Return the position of a member in bytes: written, or received and replayed.

    :param status: as :meth:`RestApi.status` gives it.
    """
    xlog = as_dict(status.get('xlog'))
    return max(
        (
            value
            for value in (as_int(xlog.get(name)) for name in ('location', 'received_location', 'replayed_location'))
            if value is not None
        ),
        default=None,
    )


def _postgres_version(value: object) -> str | None:
    """Return 150006 as 15.6, and 90624 as 9.6.24."""
    number = as_int(value)
    if not number:
        return None
    return (
        f'{number // 10000}.{number // 100 % 100}.{number % 100}'
        if number < 100000
        else f'{number // 10000}.{number % 10000}'
    )
