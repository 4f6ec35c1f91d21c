"""The URLs of etcd, advertised by its members or configured, and which of them to try first.

An advertised URL that nobody has configured may lead nowhere, or to another machine. It is checked in the background,
and a configured host is used until the check succeeds.
"""

from __future__ import annotations

import time
from typing import Callable, Sequence

from .deadline import Errand
from .members import Members
from .urls import is_loopback, is_unspecified

#: Seconds between two checks of an advertised URL that does not work: the first interval and the longest.
_LOOK_AGAIN, _LOOK_AGAIN_MAX = 2.0, 60.0


class Endpoints:
    """The URLs of one etcd cluster.

    :param members: what is known about each of them.
    :param timeout: returns urllib3's time-out for checking one URL, given the number of URLs.
    """

    def __init__(self, members: Members, timeout: Callable[[int], object]) -> None:
        self._members = members
        self._timeout = timeout
        #: the configured URLs
        self.configured: list[str] = []
        #: the URLs that etcd advertised last
        self.listed: list[str] = []
        #: the URL of the member that advertised them
        self.listed_by: str | None = None
        self._looks: dict[str, Errand[None]] = {}
        self._looked, self._pause = 0.0, _LOOK_AGAIN

    def to_ask(self, urls: Sequence[str]) -> list[str]:
        """Return the URLs to ask for the member list; one that has just failed may hang, so it comes late."""
        member = self._members.get
        return sorted(
            (url for url in urls if not member(url).never),
            key=lambda url: (bool(member(url).refused), member(url).wants_token, member(url).failed),
        )

    def advertised(self, urls: Sequence[str], wait: bool) -> list[str]:
        """Note the URLs that etcd advertises now, and return those to try.

        :param urls: the new list.
        :param wait: see :meth:`judge`.
        """
        if set(urls) != set(self.listed):
            self._pause = _LOOK_AGAIN
        self.listed = list(urls)
        self.judge(urls, wait)
        return sorted(self.usable(urls), key=lambda url: not self.is_good(url))

    def in_order(self, urls: Sequence[str]) -> Sequence[str]:
        """Return the URLs to try; *urls* itself, without further work, while all is well."""
        known = [self._members.get(url) for url in urls]
        if (
            set(urls) == set(self.listed)
            and any(member.answered for member in known)
            and not any(member.failed or member.refused or member.wants_token for member in known)
        ):
            return urls
        return self.usable(urls)

    def judge(self, urls: Sequence[str], wait: bool) -> None:
        """Check advertised URLs that nobody has configured and that have never answered.

        :param wait: wait until one of the URLs is known to work, or all checks are over. Not for the HA loop, where the
                     result takes effect later.
        """
        local = is_loopback(self.listed_by or '')
        timeout = self._timeout(len(urls))
        self._looks = {url: look for url, look in self._looks.items() if not look.is_over()}
        for url in urls:
            member = self._members.get(url)
            if url in self.configured or member.answered or url in self._looks:
                continue
            if is_unspecified(url):
                member.refuse('an address that leads nowhere', never=True)
            elif is_loopback(url) and not local:
                member.refuse(f'a loopback address, learned from {self.listed_by}', never=True)
            else:
                self._looks[url] = Errand(self._members.look_at, url, timeout)
        looks = list(self._looks.values())
        while wait and not any(self.is_good(url) for url in urls) and not all(map(Errand.is_over, looks)):
            time.sleep(0.01)

    def look_again(self) -> None:
        """Check advertised URLs that do not work so far, in the background and less and less often."""
        if time.monotonic() - self._looked > self._pause:
            self._looked, self._pause = time.monotonic(), min(2 * self._pause, _LOOK_AGAIN_MAX)
            self.judge([url for url in self.listed if not self._members.get(url).never], wait=False)

    def is_good(self, url: str) -> bool:
        """Return whether a URL answered the last request that went there."""
        member = self._members.get(url)
        return member.answered and not member.failed and not member.refused

    def usable(self, urls: Sequence[str]) -> list[str]:
        """Return the URLs to try of a list from etcd, with configured hosts instead of those that do not work.

        A refused URL is tried when all others have failed.
        """
        member = self._members.get
        listed = list(dict.fromkeys([*(url for url in urls if url not in self.configured), *self.listed])) or urls
        fit = [url for url in listed if not member(url).refused]
        spare = [url for url in self.configured if url not in fit and not member(url).refused]
        first = []
        if len(fit) < len(listed):
            fit += spare
        elif self.listed and not any(map(self.is_good, fit)):  # possibly none of them works
            first = [url for url in (self.listed_by, *spare) if url and url not in fit and self.is_good(url)][:1]
        if all(member(url).failed for url in first + fit):
            fit += [url for url in listed if member(url).refused and not member(url).never]
        ret = first + [url for url in urls if url in fit] + [url for url in fit if url not in urls]
        ret.sort(key=lambda url: member(url).wants_token)
        return list(dict.fromkeys(ret)) or list(urls)
