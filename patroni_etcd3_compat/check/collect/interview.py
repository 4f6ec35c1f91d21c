"""What one etcd member says, asked directly and not through the gateway pool, so that it is seen as it really is.

Nothing is written: ``authenticate`` is the one call that is more than a question. The calls were tried on 3.3.25,
3.4.23, 3.5.16 and 3.5.30: all serve those that are used here under every prefix of theirs. With authentication on
3.5.30 wants a token for each of them, and shows its status to admins alone; the others want one for ``/kv/range``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, NamedTuple

from ...hazards import Releases
from ...urls import as_key
from ...versions import parse_version
from ..facts import EtcdEndpoint, ListedMember
from .conversation import STATUS, Conversation, Refused
from .handshake import look
from .metrics import add_metrics, read_metrics, stand_in_for_status
from .settings import Settings
from .status import add_status, forget_single_member, identifier
from .values import as_dict, as_int, as_texts, base64_of, text_of
from .web import Clock, Unanswered, Web

_RANGE, _LIST, _ALARM, _USER = '/kv/range', '/cluster/member/list', '/maintenance/alarm', '/auth/user/get'

#: The status lists the alarms from this release on.
_ALARMS_IN_STATUS = (3, 4, 0)

#: How many keys are read to find the names of clusters.
_MOST_KEYS = 10000

#: So many answers tell a balancer that chooses at random from one member: of two members, the same one gives all of
#: them once in 4000 times.
_TELLING = 12

#: Members of these releases may not start again after alarms were listed and the power failed (etcd-io/etcd#14429).
_ALARMS_HURT = Releases((3, 5, 0), (3, 5, 5))


class Keys(NamedTuple):
    """The keys of the Patroni cluster as one member gave them."""

    #: names without the path of the cluster, and values
    values: dict[str, str]
    #: revision of the store
    revision: int
    #: agreed with the other members, not just what this one has
    agreed: bool
    #: names of the clusters below the namespace if this one has no keys, ``None``: unknown
    scopes: list[str] | None = None


@dataclass
class Told:
    """What one member said."""

    member: EtcdEndpoint
    listed: list[ListedMember] | None = None
    #: id of the member and name, for each alarm in the cluster
    alarms: list[tuple[str, str]] = field(default_factory=list)
    keys: Keys | None = None


class Interview(Conversation):
    """Asks one member.

    :param member: the member, to be filled in.
    :param settings: credentials, and the keys to read.
    :param web: sends the requests.
    """

    def __init__(self, member: EtcdEndpoint, settings: Settings, web: Web) -> None:
        super().__init__(member, settings, web)
        self.told = Told(member)
        self._alarms_untold = False
        #: what ``/metrics`` told, ``None``: it was not asked
        self._measured: dict[str, float] | None = None
        #: the keys were read, agreed or not
        self._answered: bool | None = None

    def run(self) -> Told:
        """Ask everything."""
        problems: list[str] = []
        try:
            self._version()
            if self._probe():
                problems += self._put(*self._questions())
        except (Unanswered, Refused) as e:
            problems.append(str(e))
            if self._grpc and not self._member.version:  # a port for gRPC alone
                problems += self._ask_for_keys()
        if self._grpc:
            self._grpc.close()
        if self._member.tls and self._member.version:
            served = look(self._member.url, self._settings.tls, self._clock, False)
            self._member.certificate_expires = served.certificate.expires if served.certificate else None
        self._member.error = self._redaction.error('; '.join(dict.fromkeys(problems))) or None
        if len(self._ids) > 1:
            forget_single_member(self._member, self._ids)
        return self.told

    @staticmethod
    def _put(*questions: Callable[[], None]) -> list[str]:
        """Ask questions, and return those refusals that there were."""
        problems = []
        for question in questions:
            try:
                question()
            except Refused as e:
                problems.append(str(e))
        return problems

    def _ask_for_keys(self) -> list[str]:
        """Ask only what no other member may tell."""
        try:
            return self._put(self._status, self._list, self._agreed_keys)
        except Unanswered as e:
            return [str(e)]

    def _questions(self) -> tuple[Callable[[], None], ...]:
        return self._status, self._list, self._agreed_keys, self._own_keys, self._alarms, self._numbers, self._again

    def _status(self) -> None:
        member = self._member
        version = parse_version(member.version)
        try:
            answer = self._call(STATUS, {})
        except Refused as e:
            self._alarms_untold = version is None or version not in _ALARMS_HURT
            if stand_in_for_status(member, self._metrics()) and e.denied:
                return
            raise
        self.told.alarms += add_status(member, answer, self._redaction)
        self._alarms_untold = version is not None and version < _ALARMS_IN_STATUS

    def _metrics(self) -> dict[str, float]:
        """Return what ``GET /metrics`` tells; nothing if it is not served here. It needs no token."""
        if self._measured is None:
            self._measured = {}
            try:
                self._measured = read_metrics(*self._web.ask('GET', self._member.url + '/metrics', self._clock))
            except Unanswered:
                pass
        return self._measured

    def _numbers(self) -> None:
        add_metrics(self._member, self._metrics())

    def _agreed_keys(self) -> None:
        """Read the keys as Patroni does. Without a leader, or on a learner, that is impossible."""
        if self._member.has_leader is not False and not self._member.learner:
            try:
                self._keys(True, Clock(self._clock.left() / 2))
            except Unanswered as e:
                raise Refused(str(e)) from None

    def _own_keys(self) -> None:
        """Read what the member itself has if it cannot ask the others. It may be behind, but is better than nothing."""
        if self._answered is None:
            self._keys(False, self._clock)

    def _keys(self, agreed: bool, clock: Clock) -> None:
        path = self._settings.path
        request: dict[str, object] = {'key': base64_of(path or 'health'), 'serializable': not agreed}
        request.update(_below(path) if path else {})
        try:
            answer = self._call(_RANGE, request, clock)
        except Refused as e:
            if path and e.denied:
                self._member.denied_roles = self._roles()
            if path or not e.denied:
                raise
            answer = {}  # some key had to be asked for, and it is not one that this user may read
        self._answered = agreed
        self._member.auth = bool(self._member.auth)  # nobody has asked for a token
        if path:
            values = {text_of(kv.get('key'))[len(path) :]: text_of(kv.get('value')) for kv in answer.get('kvs', ())}
            revision = as_int(as_dict(answer.get('header')).get('revision')) or 0
            self.told.keys = Keys(values, revision, agreed, None if values or not agreed else self._scopes())

    def _scopes(self) -> list[str] | None:
        """Return the names of the clusters below the namespace; ``None`` if this user may not read all of it."""
        namespace = self._settings.namespace.rstrip('/') + '/'
        request = {**_below(namespace), 'keys_only': True, 'limit': _MOST_KEYS}
        try:
            found = self._call(_RANGE, request).get('kvs', ())
        except (Unanswered, Refused):
            return None
        names = {text_of(kv.get('key'))[len(namespace) :].partition('/')[0] for kv in found}
        return sorted(self._redaction.text(name) for name in names if name)

    def _roles(self) -> list[str]:
        """Return the roles of the user, who may ask for them; none if they are unknown."""
        try:
            answer = self._call(_USER, {'name': self._settings.username or ''})
        except (Unanswered, Refused):
            return []
        return [self._redaction.text(role) for role in as_texts(answer.get('roles'))]

    def _list(self) -> None:
        if not self._member.learner:  # which refuses
            answer = self._call(_LIST, {})
            self.told.listed = [
                ListedMember(
                    identifier(entry.get('ID')) or '',
                    self._redaction.text(str(entry.get('name', ''))),
                    [self._redaction.url(url) for url in as_texts(entry.get('clientURLs'))],
                    [self._redaction.url(url) for url in as_texts(entry.get('peerURLs'))],
                    bool(entry.get('isLearner', False)),
                )
                for entry in answer['members']
            ]

    def _again(self) -> None:
        """Ask a URL that its member does not advertise again: a balancer may have chosen the same one so far."""
        own = next((entry for entry in self.told.listed or () if entry.id == self._member.id), None)
        if not own or self._grpc or as_key(self._member.url) in map(as_key, own.client_urls):
            return
        try:
            for _ in range(_TELLING):
                if len(self._ids) > 1:
                    return
                self._call(_LIST, {})
        except (Unanswered, Refused):  # that the first call was answered is what counts
            pass

    def _alarms(self) -> None:
        """Ask for the alarms if the status does not list them; this question goes through etcd's log."""
        if self._alarms_untold and self._member.has_leader and not self._no_token:
            answer = self._call(_ALARM, {'action': 'GET'})
            for entry in answer.get('alarms', ()):
                if isinstance(entry, dict):
                    name = self._redaction.text(str(entry.get('alarm', 'NONE')))
                    self.told.alarms.append((identifier(entry.get('memberID')) or '', name))


def _below(path: str) -> dict[str, str]:
    """Return the range of all keys below a path."""
    return {'key': base64_of(path), 'range_end': base64_of(path[:-1] + chr(ord(path[-1]) + 1))}
