"""What is known about one etcd member. Only the member changes its own state; others report to it what happened."""

from __future__ import annotations

import logging
import time
from threading import Lock

from .errors import MemberTooOld
from .extras import GATEWAY, GRPC
from .versions import AUTO, OLDEST, TOKEN_SINCE, Version, dotted, gateway_of, parse_version

logger = logging.getLogger(__name__)

#: Seconds after a question for the version in which a new connection does not cause another one.
_SETTLED = 1.0

#: Seconds; no member is upgraded and rolled back in a shorter time.
_THERE_AND_BACK = 2.0

#: Seconds. A proxy in front of a member may say something other than gRPC just for the moment.
_NO_GRPC = 30.0

#: The number of member IDs that are kept for one URL.
_IDS = 16


class Member:
    """One etcd member, or the members that take turns behind one URL, as far as they are known.

    :param url: base URL.
    :param explicit: value of ``version_prefix``, ``None``: not set.
    :param transport: value of ``transport``; not ``auto`` where gRPC cannot be used.
    """

    def __init__(self, url: str, explicit: str | None, transport: str = GATEWAY) -> None:
        self.url = url
        #: value of ``transport``
        self.transport = transport
        #: value of ``version_prefix``
        self.explicit = explicit
        #: prefix to try first, ``None`` until one has worked
        self.prefix = explicit
        #: version as the member reports it, ``None`` before it was asked or if it reports none
        self.version_text: str | None = None
        #: the last request got no answer
        self.failed = False
        #: it has answered at this URL at some time
        self.answered = False
        #: it serves none of the prefixes
        self.gateway_off = False
        #: several members answer at this URL, as behind a load balancer; what is true of one need not be true of the
        #: next
        self.several = False
        #: it requires a token, but is too old to accept one
        self.wants_token = False
        #: why the URL, as the members advertise it, cannot be used
        self.refused: str | None = None
        #: the URL itself is the reason, so no answer can lift the refusal
        self.never = False
        #: the remedy for a refusal that the member sent as plain text
        self.remedy: str | None = None
        self._version: Version | None = None
        self._too_old = False
        self._ids: list[str] = []
        #: the prefix before this one, and when it was left
        self._moved: tuple[str | None, float] = (None, 0.0)
        self._logged: str | None = None
        #: why its gateway cannot be used although gRPC may be, and whether that stays so for this version
        self._without: str | None = None
        self._lasting = False
        #: until when it is not tried over gRPC, which it has turned out not to speak
        self._no_grpc = 0.0
        self._questions = 0
        self._settled = 0.0
        self._lock = Lock()

    @property
    def over_grpc(self) -> bool:
        """Whether calls to it go over gRPC."""
        return self.transport == GRPC or bool(self._without)

    @property
    def may_try_grpc(self) -> bool:
        """Whether nothing has shown lately that it does not speak gRPC."""
        return time.monotonic() >= self._no_grpc

    def leaves_gateway(self, reason: str, lasting: bool = False) -> bool:
        """Note that its gateway cannot be used, and return whether calls go over gRPC from now on.

        :param reason: why, as part of a sentence.
        :param lasting: a restart does not change it.
        """
        if self.transport == AUTO and not self._without and self.may_try_grpc:
            self._without, self._lasting = reason, lasting
        return self.over_grpc

    def has_no_grpc(self) -> None:
        """Note that it does not speak gRPC; with ``auto`` that is not tried again for a while."""
        self._without, self._no_grpc = None, time.monotonic() + _NO_GRPC

    @property
    def has_served_grpc(self) -> bool:
        """Whether the last change was to gRPC, and it has answered over it."""
        return self._logged == GRPC

    def serves_grpc(self) -> None:
        """Note an answer over gRPC, and log it once per change."""
        if self._logged != GRPC:
            self._logged = GRPC
            logger.info('%s: using gRPC%s', self, f', since {self._without}' if self._without else '')

    @property
    def version(self) -> Version | None:
        """The version as numbers, ``None`` if it is unknown or differs from answer to answer."""
        return None if self.several else self._version

    def can(self, since: Version) -> bool:
        """Return whether the member has what came with release *since*; an unknown version counts as a new one."""
        version = self.version
        return version is None or version >= since

    def check_age(self) -> None:
        """Raise an error if the member is too old for Patroni.

        :raises:
            :exc:`MemberTooOld`
        """
        if self._too_old and not self.several:
            raise MemberTooOld(
                f'etcd member {self.url} has version {self.version_text}; Patroni needs {dotted(OLDEST)} or later'
            )

    def claim_question(self, changed: bool) -> bool:
        """Return whether the caller has to ask for the version. If somebody is already asking, they will ask once more.

        :param changed: there is more reason than a new connection, since several threads make those one after the
                        other.
        """
        if self.several or not changed and time.monotonic() < self._settled:
            return False
        self._settled = time.monotonic() + _SETTLED
        with self._lock:
            claimed, self._questions = not self._questions, min(self._questions + 1, 2)
        return claimed

    def question_over(self) -> bool:
        """Note that the version was asked for, and return whether it has to be asked for again."""
        with self._lock:
            self._questions -= 1
            return self._questions > 0

    def configure(self, explicit: str | None, transport: str = GATEWAY) -> None:
        """Apply a changed ``version_prefix`` or ``transport``; what has worked so far is forgotten."""
        self.explicit = self.prefix = explicit
        self.transport, self._without, self._no_grpc = transport, None, 0.0
        self._logged = None

    def answers(self, member_id: object, prefix: str | None = None) -> None:
        """Note an answer of etcd.

        :param member_id: ID of the member that answered, ``None`` if the answer has none.
        :param prefix: the prefix that the request had, ``None`` if it needed none.
        """
        self.failed, self.answered = False, True
        self.remedy = None
        if self.refused and not self.never:
            self.refuse(None)
        if member_id and (not self._ids or self._ids[-1] != str(member_id)):
            self._saw(str(member_id))
        if not prefix:
            return
        if self.gateway_off:
            self.gateway_off = False
            if not self.several:
                logger.info('%s serves its gRPC gateway again', self)
        if prefix != self.prefix:
            self._moved_to(prefix)

    def _moved_to(self, prefix: str) -> None:
        before, when = self._moved
        if prefix == before and time.monotonic() - when < _THERE_AND_BACK:
            self._is_several()
        self._moved = self.prefix, time.monotonic()
        self.prefix = prefix

    def _is_several(self) -> None:
        if not self.several:
            self.several = True
            logger.info('Several members answer at %s; the prefix is chosen for each request', self.url)

    def _saw(self, member_id: str) -> None:
        # A member that was replaced has a new ID, and the old one never comes back.
        if member_id in self._ids:
            self._is_several()
        self._ids = [known for known in self._ids if known != member_id][-_IDS:] + [member_id]

    def fails(self, error: BaseException) -> None:
        """Note that a request got no answer, or an unusable one.

        :param error: the error of the request.
        """
        self.failed = True
        self._settled = 0.0
        if not self._lasting:
            self._without = None  # it may come back with a gateway that can be used
        self.remedy = getattr(error, 'remedy', None)

    def is_off(self) -> None:
        """Note that the member serves none of the prefixes."""
        self.gateway_off = True

    def learned(self, text: str | None) -> None:
        """Note the version, and log it with the prefix once per change.

        :param text: version as the member reports it; ``None`` if it reports none.
        """
        if text and text != self.version_text and not self.several:
            if self.version_text:
                self._without, self._no_grpc = None, 0.0
            self.version_text, self._version = text, parse_version(text)
            gateway = gateway_of(self._version or OLDEST)
            self._too_old = not gateway
            # a member upgraded from 3.3 to 3.4 still serves /v3beta, but later releases may not
            if gateway and self.prefix and not self.explicit and self.prefix in gateway.also:
                self.prefix = gateway.prefix
        self.wants_token = self.wants_token and not self.can(TOKEN_SINCE)
        self._log_prefix()

    def _log_prefix(self) -> None:
        before, now = self._logged, self.prefix
        if self.several or self.over_grpc or not now or now == before:
            return
        self._logged = now
        if self.explicit and self.explicit != now:
            logger.warning('%s does not serve the configured version_prefix %s; using %s', self, self.explicit, now)
        elif before in (None, GRPC):
            logger.info('%s: using gateway prefix %s', self, now)
        else:
            logger.info('%s: gateway prefix changed from %s to %s', self, before, now)

    def cannot_take_token(self) -> bool:
        """Note that the member requires a token and its gateway accepts none; return whether gRPC takes its place."""
        if self.leaves_gateway('its gateway takes no token'):
            return True
        if not self.wants_token:
            logger.warning(
                '%s cannot be used with authentication (its gateway takes tokens from 3.3 on); using it '
                'only as a last resort',
                self,
            )
        self.wants_token = True
        return False

    def refuse(self, reason: str | None, never: bool = False) -> None:
        """Note why the URL, as the members advertise it, cannot be used, and log it once.

        :param reason: what is wrong with it; ``None`` lifts the refusal.
        :param never: never try it, since it may lead to another machine.
        """
        if reason and not self.refused:
            logger.warning(
                'The etcd members advertise %s, which cannot be used: %s. Using the configured hosts instead',
                self.url,
                reason,
            )
        elif self.refused and not reason:
            logger.info('%s, which the etcd members advertise, can be used again', self.url)
        self.refused, self.never = reason, never

    def __str__(self) -> str:
        return f'etcd member {self.url} (version {self.version_text or "unknown"})'
