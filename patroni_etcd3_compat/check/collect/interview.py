"""What one etcd member says, asked directly and not through the gateway pool, so that it is seen as it really is.

Nothing is written: ``authenticate`` is the one call that is more than a question. The calls were tried on 3.3.25,
3.4.23, 3.5.16 and 3.5.30: all serve those that are used here under every prefix of theirs. With authentication on
3.5.30 wants a token for each of them, and shows its status to admins alone; the others want one for ``/kv/range``.
"""

from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any, Mapping, NamedTuple

from ...answers import (
    AUTH_NOT_ENABLED,
    TOKEN_REFUSED,
    Answer,
    UnreadableBody,
    first_document,
    prefix_not_served,
    read_answer,
    read_version,
)
from ...errors import no_http
from ...versions import PREFIXES, TOKEN_SINCE, gateway_of, parse_version
from ..facts import WRONG_SCHEME, EtcdEndpoint, ListedMember
from .metrics import add_metrics
from .ports import what_is_spoken
from .redaction import Redaction
from .settings import Settings
from .values import as_dict, as_int, as_texts
from .web import Clock, Unanswered, Web

_STATUS, _RANGE, _LIST = '/maintenance/status', '/kv/range', '/cluster/member/list'
_ALARM, _LOGIN = '/maintenance/alarm', '/auth/authenticate'

#: The status lists the alarms from this release on.
_ALARMS_IN_STATUS = (3, 4, 0)

#: gRPC code
_PERMISSION_DENIED = 7

#: An alarm among the errors of a status.
_ALARM_TEXT = re.compile(r'memberID:(\d+) alarm:(\w+)')


class Keys(NamedTuple):
    """The keys of the Patroni cluster as one member gave them."""

    #: names without the path of the cluster, and values
    values: dict[str, str]
    #: revision of the store
    revision: int
    #: agreed with the other members, not just what this one has
    agreed: bool


@dataclass
class Told:
    """What one member said."""

    member: EtcdEndpoint
    listed: list[ListedMember] | None = None
    #: id of the member and name, for each alarm in the cluster
    alarms: list[tuple[str, str]] = field(default_factory=list)
    keys: Keys | None = None


class _Refused(Exception):
    """A call was answered with an error.

    :param text: which one.
    :param denied: etcd knows who asks, and does not allow it.
    """

    def __init__(self, text: str, denied: bool = False) -> None:
        super().__init__(text)
        self.denied = denied


class Interview:
    """Asks one member.

    :param member: the member, to be filled in.
    :param settings: credentials, and the keys to read.
    :param web: sends the requests.
    """

    def __init__(self, member: EtcdEndpoint, settings: Settings, web: Web) -> None:
        self.told = Told(member)
        self._member = member
        self._settings = settings
        self._web = web
        self._redaction = Redaction(settings.secrets)
        self._clock = Clock(settings.timeout)
        self._prefix = ''
        #: what each prefix answered to the first call, which shows that it is served
        self._probed: dict[str, tuple[int, bytes]] = {}
        self._token: str | None = None
        self._no_token: str | None = None
        self._alarms_untold = False
        #: the keys were read, agreed or not
        self._answered: bool | None = None

    def run(self) -> Told:
        """Ask everything."""
        problems: list[str] = []
        try:
            self._version()
            if self._probe():
                for question in (self._status, self._list, self._agreed_keys, self._own_keys, self._alarms):
                    try:
                        question()
                    except _Refused as e:
                        problems.append(str(e))
        except Unanswered as e:
            problems.append(str(e))
        self._member.error = self._redaction.error('; '.join(dict.fromkeys(problems))) or None
        return self.told

    def _version(self) -> None:
        started, member = time.monotonic(), self._member
        try:
            status, body = self._web.ask('GET', member.url + '/version', self._clock)
        except Unanswered as e:
            if e.error and no_http(e.error, member.url) and 'certificate' not in str(e):
                member.protocol, text = what_is_spoken(member.url, self._settings.tls, self._clock)
                if text:
                    raise Unanswered(text) from None
            raise
        member.protocol = 'http'
        if status == 400 and b'HTTPS server' in body:  # said by Go's server, in plain HTTP
            raise Unanswered(f'{WRONG_SCHEME}: this port speaks https')
        member.seconds = round(time.monotonic() - started, 6)
        member.version, member.cluster_version = (
            self._redaction.text(version) if version else None for version in read_version(status, body)
        )
        if not member.version:
            raise Unanswered(f'GET /version is answered with status {status} and no version: not an etcd member')

    def _probe(self) -> bool:
        """Find the prefixes that are served, and choose one of them."""
        member = self._member
        for prefix in PREFIXES:
            answer = self._web.ask('POST', member.url + prefix + _STATUS, self._clock, b'{}')
            if not prefix_not_served(*answer):
                self._probed[prefix] = answer
        member.prefixes = list(self._probed)
        version = parse_version(member.version)
        gateway = gateway_of(version) if version else None
        member.gateway = bool(member.prefixes)
        if member.prefixes:
            chosen = gateway and gateway.prefix in member.prefixes
            self._prefix = gateway.prefix if gateway and chosen else member.prefixes[0]
        return member.gateway

    def _call(self, rpc: str, request: Mapping[str, object], clock: Clock | None = None) -> dict[str, Any]:
        """Make a call, with a token once the member has asked for one.

        :param clock: the time that the call has, ``None``: all that is left.

        :raises:
            :exc:`_Refused`: if the answer is an error.
            :exc:`Unanswered`: if there is none.
        """
        answer = self._send(rpc, request, clock)
        if answer.error in TOKEN_REFUSED:
            self._member.auth = True
            self._login()
            answer = self._send(rpc, request, clock)
        if answer.status >= 400:
            raise _Refused(f'{rpc}: {answer.error}', answer.code == _PERMISSION_DENIED)
        document = first_document(answer.status, answer.data)
        header = as_dict(document.get('header'))
        self._member.id = _id(header.get('member_id')) or self._member.id
        self._member.raft_term = as_int(header.get('raft_term')) or self._member.raft_term
        return document

    def _send(self, rpc: str, request: Mapping[str, object], clock: Clock | None = None) -> Answer:
        path = self._prefix + rpc
        probed = self._probed.pop(self._prefix, None) if rpc == _STATUS else None
        try:
            status, body = probed or self._web.ask(
                'POST', self._member.url + path, clock or self._clock, json.dumps(request).encode(), self._token
            )
        except Unanswered as e:
            raise Unanswered(f'{path}: {e}') from None
        try:
            return read_answer(rpc, status, body)
        except UnreadableBody:
            raise _Refused(f'{path} is answered with status {status} and a body that is not from etcd') from None

    def _login(self) -> None:
        """Get a token; if that fails, all further calls fail with the same text."""
        name, password = self._settings.username, self._settings.password
        version = parse_version(self._member.version)
        if not (name and password):
            self._no_token = 'authentication is on, and there are no credentials (username, password) to log in with'
        elif version and version < TOKEN_SINCE:
            self._no_token = 'authentication is on, and the gateway of this release accepts no token (3.3 and later do)'
        elif self._member.has_leader is False:  # the question would hang
            self._no_token = 'authentication is on, and nobody can log in while the cluster has no leader'
        if self._no_token:
            raise _Refused(self._no_token)
        answer = self._send(_LOGIN, {'name': name, 'password': password})
        if answer.error == AUTH_NOT_ENABLED:
            self._member.auth = False
        elif answer.status >= 400:
            self._no_token = f'cannot log in as {name}: {answer.error}'
            raise _Refused(self._no_token)
        else:
            self._token = str(first_document(answer.status, answer.data)['token'])
            self._redaction.learn(self._token)

    def _status(self) -> None:
        member = self._member
        try:
            answer = self._call(_STATUS, {})
        except _Refused as e:
            self._alarms_untold = True
            if add_metrics(member, *self._web.ask('GET', member.url + '/metrics', self._clock)) and e.denied:
                return
            raise
        leader = _id(answer.get('leader'))
        member.has_leader, member.leader = leader is not None, leader is not None and leader == member.id
        member.learner = bool(answer.get('isLearner', False))
        member.raft_index, member.db_size = as_int(answer.get('raftIndex')), as_int(answer.get('dbSize'))
        version = parse_version(member.version)
        self._alarms_untold = version is not None and version < _ALARMS_IN_STATUS
        errors = answer.get('errors')
        for text in errors if isinstance(errors, list) else ():
            self.told.alarms += [(format(int(number), 'x'), name) for number, name in _ALARM_TEXT.findall(str(text))]

    def _agreed_keys(self) -> None:
        """Read the keys as Patroni does. Without a leader, or on a learner, that is impossible."""
        if self._member.has_leader is not False and not self._member.learner:
            try:
                self._keys(True, Clock(self._clock.left() / 2))
            except Unanswered as e:
                raise _Refused(str(e)) from None

    def _own_keys(self) -> None:
        """Read what the member itself has if it cannot ask the others. It may be behind, but is better than nothing."""
        if self._answered is None:
            self._keys(False, self._clock)

    def _keys(self, agreed: bool, clock: Clock) -> None:
        path = self._settings.path
        request: dict[str, object] = {'key': _encode(path or 'health'), 'serializable': not agreed}
        if path:
            request['range_end'] = _encode(path[:-1] + chr(ord(path[-1]) + 1))
        try:
            answer = self._call(_RANGE, request, clock)
        except _Refused as e:
            if path or not e.denied:
                raise
            answer = {}  # some key had to be asked for, and it is not one that this user may read
        self._answered = agreed
        self._member.auth = bool(self._member.auth)  # nobody has asked for a token
        if path:
            values = {_decode(kv.get('key'))[len(path) :]: _decode(kv.get('value')) for kv in answer.get('kvs', ())}
            self.told.keys = Keys(values, as_int(as_dict(answer.get('header')).get('revision')) or 0, agreed)

    def _list(self) -> None:
        if not self._member.learner:  # which refuses
            answer = self._call(_LIST, {})
            self.told.listed = [
                ListedMember(
                    _id(entry.get('ID')) or '',
                    self._redaction.text(str(entry.get('name', ''))),
                    [self._redaction.url(url) for url in as_texts(entry.get('clientURLs'))],
                    [self._redaction.url(url) for url in as_texts(entry.get('peerURLs'))],
                    bool(entry.get('isLearner', False)),
                )
                for entry in answer['members']
            ]

    def _alarms(self) -> None:
        """Ask for the alarms if the status does not list them; this question goes through etcd's log."""
        if self._alarms_untold and self._member.has_leader and not self._no_token:
            answer = self._call(_ALARM, {'action': 'GET'})
            for entry in answer.get('alarms', ()):
                if isinstance(entry, dict):
                    name = self._redaction.text(str(entry.get('alarm', 'NONE')))
                    self.told.alarms.append((_id(entry.get('memberID')) or '', name))


def _id(value: object) -> str | None:
    """Return an id as etcdctl writes it, ``None`` for 0."""
    number = as_int(value)
    return format(number, 'x') if number else None


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decode(value: object) -> str:
    """Return a key or a value as text, whatever bytes there are."""
    try:
        return base64.b64decode(value if isinstance(value, (str, bytes)) else '').decode('utf-8', 'replace')
    except (TypeError, ValueError):
        return ''
