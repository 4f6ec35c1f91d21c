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
from .handshake import diagnose, look
from .redaction import Redaction
from .settings import Settings
from .values import PRIMARY, as_dict, as_int, as_text
from .web import Clock, Unanswered, read_body, reason

#: Arguments of urllib3 for a client certificate, and the options of section ``ctl``.
_CERTIFICATE = {'cert_file': 'certfile', 'key_file': 'keyfile', 'key_password': 'keyfile_password'}


class RestApi:
    """Asks the REST APIs of the members.

    :param settings: certificates.
    """

    def __init__(self, settings: Settings) -> None:
        disable_warnings(InsecureRequestWarning)  # of ctl.insecure, by Patroni before 3.1
        self._request = PatroniRequest(settings.rest)
        ctl = as_dict(settings.rest.get('ctl'))
        self._certificate = {name: str(ctl[option]) for name, option in _CERTIFICATE.items() if ctl.get(option)}
        self._timeout = settings.timeout
        self._redaction = Redaction(settings.secrets)

    def status(self, url: str, cluster: str) -> dict[str, JSON]:
        """Ask one member for its status.

        :param url: URL of the REST API, whatever its path.
        :param cluster: the cluster that it has to belong to.

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
            fault = diagnose(url, self._certificate, e, clock)
            if fault.text:
                return {
                    'error': self._redaction.error(fault.text),
                    'tls_fault': fault.kind,
                    'certificate_expires': fault.expires,
                }
            return {'error': self._redaction.error(reason(e, self._timeout))}
        except (ValueError, RecursionError):
            status = {}
        if not isinstance(status.get('patroni'), dict):
            return {'error': 'GET /patroni is not answered with the status of a Patroni'}
        scope = as_dict(status['patroni']).get('scope')
        if scope not in (cluster, None):
            return {'error': f'the REST API there belongs to another cluster, {scope}'}
        if parts.scheme == 'https':
            served = look(url, self._certificate, clock, False)
            status['certificate_expires'] = served.certificate.expires if served.certificate else None
        return status


def add_status(member: PatroniMember, status: Mapping[str, JSON]) -> None:
    """Complete a member with what its REST API says, which is newer than what stands in the DCS.

    :param member: the member.
    :param status: as :meth:`RestApi.status` gives it.
    """
    member.error = as_text(status.get('error'))
    member.tls_fault, member.certificate_expires = (
        as_text(status.get('tls_fault')),
        as_text(status.get('certificate_expires')),
    )
    if member.error:
        return
    member.version = as_text(as_dict(status.get('patroni')).get('version')) or member.version
    member.postgres_version = _postgres_version(status.get('server_version'))
    member.timeline = as_int(status.get('timeline')) or member.timeline
    if member.role is None and status.get('role'):  # not in the DCS
        member.role = 'leader' if status['role'] in PRIMARY else as_text(status['role'])
    state = as_text(status.get('replication_state')) if member.role not in ('leader', None) else None
    state = state or as_text(status.get('state'))
    member.state, member.state_from = (state, 'api') if state else (member.state, member.state_from)
    if status.get('state') == 'running':  # else Patroni could not ask its PostgreSQL, and reports what it remembers
        member.api_role = 'primary' if status.get('role') in PRIMARY else as_text(status.get('role'))
    if 'state' in status:
        member.pending_restart = status.get('pending_restart') is True
    member.tags = as_dict(status.get('tags')) or member.tags
    member.position = position(status) or member.position


def add_lags(facts: Patroni, statuses: Mapping[str, Mapping[str, JSON]]) -> None:
    """Work the lags out anew from positions that were read at the same time; those in the DCS are a loop old.

    :param facts: the cluster.
    :param statuses: what the REST APIs gave, by name of the member.
    """
    leader = position(statuses.get(facts.leader or '', {}))
    for member in facts.members:
        status = statuses.get(member.name, {})
        if leader is None or member.name == facts.leader:
            continue
        member.lag = _behind(leader, position(status), member.lag)
        xlog = as_dict(status.get('xlog'))
        if member.receive_lag is not None:
            member.receive_lag = _behind(leader, as_int(xlog.get('received_location')), member.receive_lag)
        if member.replay_lag is not None:
            member.replay_lag = _behind(leader, as_int(xlog.get('replayed_location')), member.replay_lag)


def _behind(leader: int, position: int | None, otherwise: int | None) -> int | None:
    return otherwise if position is None else max(leader - position, 0)


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
