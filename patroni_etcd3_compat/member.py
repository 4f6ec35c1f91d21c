"""What is known about one etcd member. Only the member changes its state, by what it is told."""

from __future__ import annotations

import logging
import time
from threading import Lock

from .errors import MemberTooOld
from .versions import OLDEST, TOKEN_SINCE, Version, dotted, gateway_of, parse_version

logger = logging.getLogger(__name__)

#: Seconds for which a member that was asked for its version is not asked because of another connection.
_SETTLED = 1.0

#: Seconds in which no member is upgraded and rolled back.
_THERE_AND_BACK = 2.0

#: So many member IDs are kept of one URL.
_IDS = 16


class Member:
    """What is known about one etcd member, or about the members that take turns behind one URL.

    :param url: base URL.
    :param explicit: value of ``version_prefix``, ``None``: not set.
    """

    def __init__(self, url: str, explicit: str | None) -> None:
        self.url = url
        #: value of ``version_prefix``
        self.explicit = explicit
        #: prefix to try first, ``None`` until one worked
        self.prefix = explicit
        #: version as the member reports it, ``None`` until it was asked or if it does not say
        self.version_text: str | None = None
        #: the last request got no answer
        self.failed = False
        #: it has answered at some time, at this URL
        self.answered = False
        #: every prefix was found unserved
        self.gateway_off = False
        #: several members answer at this URL, as behind a load balancer: what one says does not hold for the next
        self.several = False
        #: it requires a token, but is too old to accept one
        self.wants_token = False
        #: why the URL, as the members advertise it, cannot be used
        self.refused: str | None = None
        #: the refusal lies in the URL itself, no answer takes it back
        self.never = False
        #: what is to be done about a refusal that the member put into plain text
        self.remedy: str | None = None
        self._version: Version | None = None
        self._too_old = False
        self._ids: list[str] = []
        #: the prefix before this one, and when it was left
        self._moved: tuple[str | None, float] = (None, 0.0)
        self._logged: str | None = None
        self._questions = 0
        self._settled = 0.0
        self._lock = Lock()

    @property
    def version(self) -> Version | None:
        """The version as numbers, ``None`` if it is unknown or differs from answer to answer."""
        return None if self.several else self._version

    def can(self, since: Version) -> bool:
        """Tell whether the member has what came with release *since*; an unknown version counts as a new one."""
        version = self.version
        return version is None or version >= since

    def check_age(self) -> None:
        """Raise an error for a member that is older than any that Patroni can use.

        :raises:
            :exc:`MemberTooOld`
        """
        if self._too_old and not self.several:
            raise MemberTooOld(
                f'etcd member {self.url} has version {self.version_text}; Patroni needs {dotted(OLDEST)} or later'
            )

    def claim_question(self, changed: bool) -> bool:
        """Return whether the caller is the one to ask for the version; else who asks just now does it once more.

        :param changed: there is more to it than that a connection was made, which several threads do one after the
                        other.
        """
        if self.several or not changed and time.monotonic() < self._settled:
            return False
        self._settled = time.monotonic() + _SETTLED
        with self._lock:
            claimed, self._questions = not self._questions, min(self._questions + 1, 2)
        return claimed

    def question_over(self) -> bool:
        """Note that the version was asked, and return whether it has to be asked again."""
        with self._lock:
            self._questions -= 1
            return self._questions > 0

    def configure(self, explicit: str | None) -> None:
        """Apply a changed ``version_prefix``; the prefix that worked so far is dropped."""
        self.explicit = self.prefix = explicit
        self._logged = None

    def answers(self, member_id: object, prefix: str | None = None) -> None:
        """Note an answer of etcd.

        :param member_id: ID of the member that gave it, ``None`` if it did not say.
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
        """Note that a request got no answer, or none that can be used.

        :param error: what came out of it.
        """
        self.failed = True
        self._settled = 0.0
        self.remedy = getattr(error, 'remedy', None)

    def is_off(self) -> None:
        """Note that every prefix was found unserved."""
        self.gateway_off = True

    def learned(self, text: str | None) -> None:
        """Note the version, and log it with the prefix once per change.

        :param text: version as the member reports it; ``None``: it does not say.
        """
        if text and text != self.version_text and not self.several:
            self.version_text, self._version = text, parse_version(text)
            gateway = gateway_of(self._version or OLDEST)
            self._too_old = not gateway
            # /v3beta goes on being served by 3.4, where a member from 3.3 comes to, but for how long?
            if gateway and self.prefix and not self.explicit and self.prefix in gateway.also:
                self.prefix = gateway.prefix
        self.wants_token = self.wants_token and not self.can(TOKEN_SINCE)
        self._log_prefix()

    def _log_prefix(self) -> None:
        before, now = self._logged, self.prefix
        if self.several or not now or now == before:
            return
        self._logged = now
        if self.explicit and self.explicit != now:
            logger.warning('%s does not serve the configured version_prefix %s; using %s', self, self.explicit, now)
        elif before is None:
            logger.info('%s: using gateway prefix %s', self, now)
        else:
            logger.info('%s: gateway prefix changed from %s to %s', self, before, now)

    def cannot_take_token(self) -> None:
        """Note that the member requires a token and cannot accept one."""
        if not self.wants_token:
            logger.warning(
                '%s cannot be used with authentication (its gateway takes tokens from 3.3 on); using it '
                'only as a last resort',
                self,
            )
        self.wants_token = True

    def refuse(self, reason: str | None, never: bool = False) -> None:
        """Note why the URL, as the members advertise it, cannot be used, and log it once.

        :param reason: what is wrong with it; ``None`` takes that back.
        :param never: never to be tried, since it may lead to another machine.
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
