"""The transport of a call is chosen per member; what applies to all transports happens before."""

from __future__ import annotations

import pytest
import urllib3

from patroni_etcd3_compat import deadline
from patroni_etcd3_compat.answers import Answer
from patroni_etcd3_compat.errors import MemberError, NestedTransaction, OutOfTime
from patroni_etcd3_compat.member import Member
from patroni_etcd3_compat.members import Members
from patroni_etcd3_compat.router import Router
from patroni_etcd3_compat.senders import Call, Reply

ONE, OTHER = 'http://one:2379', 'http://other:2379'
NESTED = '{"failure": [{"request_txn": {}}]}'


class Recording:
    """A transport of some members, which records its calls."""

    def __init__(self, *urls: str) -> None:
        self.urls = urls
        self.calls: list[tuple[str, str]] = []
        self.cleared = 0
        self.error: MemberError | None = None

    def serves(self, member: Member) -> bool:
        """Return whether the member is one of those."""
        return member.url in self.urls

    def send(self, member: Member, call: Call) -> Reply:
        """Record the call."""
        self.calls.append((member.url, call.rpc))
        if self.error:
            raise self.error
        return Answer(200, b'{}')

    def clear(self) -> None:
        """Record it."""
        self.cleared += 1


def router(*transports: Recording) -> Router:
    """Return a router over them."""
    manager = urllib3.PoolManager()
    return Router(manager, Members(manager), transports)


def test_the_first_transport_that_serves_a_member_carries_its_calls() -> None:
    """The first transport that serves a member carries its calls, under any prefix, and all are cleared."""
    new, old = Recording(OTHER), Recording(ONE, OTHER)
    it = router(new, old)
    it.urlopen('POST', ONE + '/v3/kv/put')
    it.urlopen('POST', OTHER + '/v3alpha/kv/range')
    assert (new.calls, old.calls) == ([(OTHER, '/kv/range')], [(ONE, '/kv/put')])
    it.clear()
    assert (new.cleared, old.cleared) == (1, 1)


def test_no_transport_gets_what_must_not_be_sent() -> None:
    """A nested transaction, a call without time, or one to a member that is too old reaches no transport."""
    transport = Recording(ONE)
    it = router(transport)
    with pytest.raises(NestedTransaction):
        it.urlopen('POST', ONE + '/v3/kv/txn', body=NESTED)
    with deadline.within(0), pytest.raises(OutOfTime):
        it.urlopen('POST', ONE + '/v3/kv/put')
    assert not it.members.get(ONE).failed
    it.members.get(ONE).learned('2.3.8')
    with pytest.raises(MemberError, match='has version 2.3.8; Patroni needs 3.0.4 or later'):
        it.urlopen('POST', ONE + '/v3/kv/put')
    assert not transport.calls


def test_a_member_is_told_of_its_failure() -> None:
    """A failure is reported to the member, whatever the transport."""
    transport = Recording(ONE)
    transport.error = MemberError('no')
    it = router(transport)
    with pytest.raises(MemberError, match='no'):
        it.urlopen('POST', ONE + '/v3/kv/put')
    assert it.members.get(ONE).failed
