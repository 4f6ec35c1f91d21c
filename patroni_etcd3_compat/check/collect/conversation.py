"""How one etcd member is talked to: its version, the prefix that it serves, calls with a token once it wants one."""

from __future__ import annotations

import json
import time
from typing import Any, Mapping, Sequence

from ...answers import (
    AUTH_NOT_ENABLED,
    TOKEN_REFUSED,
    Answer,
    UnreadableBody,
    first_document,
    plain_text,
    prefix_not_served,
    read_answer,
    read_version,
)
from ...errors import CommonNameRefused, HostRefused, no_http, refusal
from ...versions import PREFIXES, TOKEN_SINCE, gateway_of, parse_version
from ..facts import WRONG_SCHEME, EtcdEndpoint
from .certificates import usable
from .handshake import diagnose
from .over_grpc import OverGrpc, over_grpc
from .ports import what_is_spoken
from .redaction import Redaction
from .settings import Settings
from .status import answered_by, identifier
from .values import as_dict, as_int
from .web import Clock, Unanswered, Web

STATUS = '/maintenance/status'
_LOGIN = '/auth/authenticate'

#: gRPC code
_PERMISSION_DENIED = 7


class Refused(Exception):
    """A call was answered with an error.

    :param text: which one.
    :param denied: etcd knows who asks, and does not allow it.
    """

    def __init__(self, text: str, denied: bool = False) -> None:
        super().__init__(text)
        self.denied = denied


class Conversation:
    """The calls to one member.

    :param member: the member, to be filled in.
    :param settings: the credentials.
    :param web: sends the requests.
    """

    def __init__(self, member: EtcdEndpoint, settings: Settings, web: Web) -> None:
        self._member = member
        self._settings = settings
        self._web = web
        self._redaction = Redaction(settings.secrets)
        self._clock = Clock(settings.timeout)
        self._prefix = ''
        #: makes the calls once the gateway has turned out to be of no use
        self._grpc: OverGrpc | None = None
        #: what each prefix answered to the first call, which shows that it is served
        self._probed: dict[str, tuple[int, bytes]] = {}
        self._token: str | None = None
        self._no_token: str | None = None
        #: ids of the members that answered
        self._ids: set[str] = set()

    def _version(self) -> None:
        started, member = time.monotonic(), self._member
        try:
            status, body = self._web.ask('GET', member.url + '/version', self._clock)
        except Unanswered as e:
            self._explain_tls(e)
            if e.error and no_http(e.error, member.url) and 'certificate' not in str(e):
                member.protocol, text = what_is_spoken(member.url, self._settings.tls, self._clock)
                if member.protocol:
                    self._leave_gateway()
                if text:
                    raise Unanswered(text) from None
            raise
        member.protocol = 'http'
        if status == 400 and b'HTTPS server' in body:  # said by Go's server, in plain HTTP
            raise Unanswered(f'{WRONG_SCHEME}: this port speaks https')
        member.clock_ahead = self._clock.ahead
        member.seconds = round(time.monotonic() - started, 6)
        member.version, member.cluster_version = (
            self._redaction.text(version) if version else None for version in read_version(status, body)
        )
        if not member.version:
            self._refused(status, body)
            raise Unanswered(f'GET /version is answered with status {status} and no version: not an etcd member')

    def _explain_tls(self, error: Unanswered) -> None:
        """Raise what the fault is if it is one of TLS."""
        member, settings = self._member, self._settings
        if member.tls and not usable(settings.tls_files) and not error.in_time_out:
            member.tls_fault = 'files'
            broken = '; '.join(f'{file.option} {file.path}: {file.error}' for file in settings.tls_files if file.error)
            raise Unanswered(f'TLS: {broken}') from None
        fault = diagnose(member.url, settings.tls, error.error, self._clock) if error.error else None
        if fault and fault.text:
            member.tls_fault, member.certificate_expires = fault.kind, fault.expires
            raise Unanswered(fault.text) from None

    def _probe(self) -> bool:
        """Find the prefixes that are served, and choose one of them."""
        member = self._member
        self._try(PREFIXES)
        if not self._probed:  # a balancer may have sent each of them to a member that does not serve it
            self._try(PREFIXES[::-1])
        member.prefixes = [prefix for prefix in PREFIXES if prefix in self._probed]
        version = parse_version(member.version)
        gateway = gateway_of(version) if version else None
        member.gateway = bool(member.prefixes)
        if member.prefixes:
            chosen = gateway and gateway.prefix in member.prefixes
            self._prefix = gateway.prefix if gateway and chosen else member.prefixes[0]
        return member.gateway or self._leave_gateway()

    def _leave_gateway(self) -> bool:
        """Make all further calls over gRPC itself, and return whether that is possible, and new."""
        if self._grpc:
            return False
        self._grpc = over_grpc(self._member.url, self._settings.tls)
        self._member.over_grpc = self._grpc is not None
        return self._member.over_grpc

    def _try(self, prefixes: Sequence[str]) -> None:
        for prefix in prefixes:
            answer = self._web.ask('POST', self._member.url + prefix + STATUS, self._clock, b'{}')
            if not prefix_not_served(*answer):
                self._probed[prefix] = answer
                self._ids |= answered_by(*answer)

    def _call(self, rpc: str, request: Mapping[str, object], clock: Clock | None = None) -> dict[str, Any]:
        """Make a call, with a token once the member has asked for one.

        :param clock: the time that the call has, ``None``: all that is left.

        :raises:
            :exc:`Refused`: if the answer is an error.
            :exc:`Unanswered`: if there is none.
        """
        answer = self._send(rpc, request, clock)
        if answer.error in TOKEN_REFUSED:
            self._member.auth = True
            self._login()
            answer = self._send(rpc, request, clock)
        if answer.status >= 400:
            raise Refused(f'{rpc}: {answer.error}', answer.code == _PERMISSION_DENIED)
        document = first_document(answer.status, answer.data)
        header = as_dict(document.get('header'))
        self._member.id = identifier(header.get('member_id')) or self._member.id
        self._ids |= {self._member.id} if self._member.id else set()
        self._member.raft_term = as_int(header.get('raft_term')) or self._member.raft_term
        self._member.cluster_id = identifier(header.get('cluster_id')) or self._member.cluster_id
        self._member.revision = as_int(header.get('revision')) or self._member.revision
        return document

    def _send(self, rpc: str, request: Mapping[str, object], clock: Clock | None = None) -> Answer:
        if self._grpc:
            return self._grpc.ask(rpc, request, clock or self._clock, self._token)
        probed = self._probed.pop(self._prefix, None) if rpc == STATUS else None
        path, (status, body) = self._prefix + rpc, probed or self._ask(self._prefix + rpc, request, clock)
        # It was served when it was chosen: a balancer sends each request to another member.
        for other in [prefix for prefix in PREFIXES if prefix != self._prefix]:
            if not prefix_not_served(status, body):
                break
            self._member.prefixes_vary = True
            path, (status, body) = other + rpc, self._ask(other + rpc, request, clock)
        try:
            return read_answer(rpc, status, body)
        except UnreadableBody:
            try:
                self._refused(status, body)
            except Refused:
                if not self._leave_gateway():
                    raise
                return self._send(rpc, request, clock)
            raise Refused(f'{path} is answered with status {status} and a body that is not from etcd') from None

    def _ask(self, path: str, request: Mapping[str, object], clock: Clock | None) -> tuple[int, bytes]:
        document = json.dumps(request).encode()
        try:
            return self._web.ask('POST', self._member.url + path, clock or self._clock, document, self._token)
        except Unanswered as e:
            raise Unanswered(f'{path}: {e}') from None

    def _refused(self, status: int, body: bytes) -> None:
        """Raise what the member refuses in plain text, if it is known."""
        refused = refusal('refused', plain_text(status, body), True)
        if isinstance(refused, (CommonNameRefused, HostRefused)):
            self._member.refuses = 'host'
            if isinstance(refused, CommonNameRefused):
                self._member.refuses, self._member.auth = 'common-name', True  # which is refused only then
            raise Refused(str(refused))

    def _login(self) -> None:
        """Get a token; if that fails, all further calls fail with the same text."""
        name, password = self._settings.username, self._settings.password
        version = parse_version(self._member.version)
        if not (name and password):
            self._no_token = 'authentication is on, and there are no credentials (username, password) to log in with'
        elif version and version < TOKEN_SINCE and not (self._grpc or self._leave_gateway()):
            self._no_token = 'authentication is on, and the gateway of this release accepts no token (3.3 and later do)'
        elif self._member.has_leader is False:  # the question would hang
            self._no_token = 'authentication is on, and nobody can log in while the cluster has no leader'
        if self._no_token:
            raise Refused(self._no_token)
        answer = self._send(_LOGIN, {'name': name, 'password': password})
        if answer.error == AUTH_NOT_ENABLED:
            self._member.auth = False
        elif answer.status >= 400:
            self._no_token = f'cannot log in as {name}: {answer.error}'
            raise Refused(self._no_token)
        else:
            self._token = str(first_document(answer.status, answer.data)['token'])
            self._redaction.learn(self._token)
