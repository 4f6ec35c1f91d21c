"""Stand-in for ``tests/__init__.py`` of Patroni, which its source distributions leave out.

Only what ``test_etcd.py`` and ``test_etcd3.py`` import from there, written from how they use it.
"""
import json

from typing import Any, Dict


class SleepException(Exception):
    """Raised in the place of a sleep, to leave an endless loop."""


class MockResponse:
    """An HTTP response whose status and text are set by the test; has no ``close``, some tests count on that."""

    def __init__(self, status_code: int = 200) -> None:
        self.status_code = status_code
        self.content = '{}'
        self.headers: Dict[str, str] = {}

    @property
    def status(self) -> int:
        """Status as urllib3 names it."""
        return self.status_code

    @property
    def data(self) -> bytes:
        """The whole body."""
        return self.content.encode('utf-8')

    def getheader(self, name: str, default: str = '') -> str:
        """One header."""
        return self.headers.get(name, default)


def requests_get(url: str, **kwargs: Any) -> MockResponse:
    """Answer of the peer port of an etcd member that was found by its SRV record."""
    response = MockResponse()
    if url.endswith('/bad_response'):
        response.content = '{'
    elif url.startswith('http://local'):
        raise OSError('nobody listens there')
    else:
        response.content = json.dumps([{'clientURLs': ['http://localhost:2379', 'http://localhost:4001']}])
    return response
