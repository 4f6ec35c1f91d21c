"""What is known about one etcd member."""
import logging

from threading import Lock
from typing import Optional

from .versions import parse_version, Version

logger = logging.getLogger(__name__)


class Member:
    """What is known about one etcd member."""

    def __init__(self, url: str, prefix: Optional[str]) -> None:
        self.url = url
        #: prefix in use, ``None`` until it is decided
        self.prefix = prefix
        #: what :attr:`version_text` was when it was decided
        self.decided_for: Optional[str] = None
        #: version as the member reports it, ``None`` until it was asked or if it doesn't tell
        self.version_text: Optional[str] = None
        #: to be asked again before the next request
        self.stale = True
        #: when it was asked last, in seconds of the monotonic clock
        self.asked = 0.0
        #: held while it is being asked, so that one of several threads does it
        self.asking = Lock()
        #: the last request got no answer
        self.failed = False
        #: the last request found every prefix unserved
        self.gateway_off = False
        #: it wanted a token, but is too old to be given one
        self.wants_token = False
        #: why the URL, as the members advertise it, can't be used
        self.refused: Optional[str] = None

    @property
    def version(self) -> Optional[Version]:
        """The version as numbers, ``None`` if it isn't known."""
        return parse_version(self.version_text)

    def refuse(self, reason: Optional[str]) -> None:
        """Note why the URL, as the members advertise it, can't be used, and log it once.

        :param reason: what is wrong with it; ``None`` takes that back.
        """
        if reason and not self.refused:
            logger.warning('The etcd members advertise %s, which can not be used: %s. Using the configured hosts in '
                           'its place', self.url, reason)
        elif self.refused and not reason:
            logger.info('%s, which the etcd members advertise, can be used again', self.url)
        self.refused = reason

    def can(self, since: Version) -> bool:
        """Tell whether the member has what came with release *since*; an unknown version is taken for a new one."""
        version = self.version
        return version is None or version >= since

    def __str__(self) -> str:
        return 'etcd member {0} (version {1})'.format(self.url, self.version_text or 'unknown')
