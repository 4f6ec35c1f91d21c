"""Which etcd member serves which gateway prefix, and sending a request there. Needs urllib3 only, nothing of Patroni.

Patroni's client keeps one urllib3 pool manager as ``self.http``, and all of its requests pass there: member list,
authentication, key-value, lease and watch, after the member was picked. :class:`GatewayPool` stands in its place. It
takes every path under one of the prefixes and replaces that with the one of the member which the request goes to.
"""
import logging
import time

from threading import local, Lock
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import urllib3

from urllib3.exceptions import HTTPError

from .answers import check_stream, prefix_not_served, read_answer, read_version, UnreadableBody
from .errors import GatewayOff, MemberStopping, MemberTooOld, NestedTransaction, no_http, unexecuted, UnexpectedAnswer
from .exchange import exchange
from .member import Member
from .timeouts import bounded, less, seconds
from .versions import dotted, gateway_of, OLDEST, parse_version, PREFIXES, TOKEN_SINCE

logger = logging.getLogger(__name__)

#: The prefix to make requests to :class:`GatewayPool` with, whatever the member serves. The others do as well.
CANONICAL = PREFIXES[0]

_WATCH = '/watch'


class Call(NamedTuple):
    """A gateway call, without the member and the prefix."""

    #: HTTP method
    method: str
    #: path below the prefix, for example ``/kv/put``
    rpc: str
    #: further arguments of :meth:`urllib3.PoolManager.urlopen`
    kwargs: Dict[str, Any]

    @property
    def headers(self) -> Dict[str, str]:
        """Headers of the request."""
        return self.kwargs.get('headers') or {}

    def but(self, **kwargs: Any) -> 'Call':
        """The same call with other arguments."""
        return self._replace(kwargs=dict(self.kwargs, **kwargs))


def split_url(url: str) -> Tuple[str, str]:
    """Take the URL of a request apart.

    :param url: URL as Patroni's client makes it.

    :returns: base URL of the member, and path with the slash that it starts with.
    """
    scheme, _, rest = url.partition('://')
    authority, slash, path = rest.partition('/')
    return scheme + '://' + authority, slash + path


class GatewayPool:
    """Stands in for the urllib3 pool manager of Patroni's etcd client; safe to use from several threads.

    :param pool: the pool manager that sends the requests.
    :param prefix: value of ``version_prefix``: the prefix to try first on every member, without asking for its version;
                   ``None``: each member's version decides.
    """

    def __init__(self, pool: urllib3.PoolManager, prefix: Optional[str] = None) -> None:
        #: end a watch when etcd says that it canceled it, for releases of Patroni that don't
        self.ends_canceled_watches = False
        self._pool = pool
        self._explicit = prefix
        #: ``unexecuted`` tells whether the last request of this thread failed before anybody could execute it
        self.last = local()
        self._pools: Dict[str, Any] = {}
        self._members: Dict[str, Member] = {}
        self._lock = Lock()

    def __getattr__(self, name: str) -> Any:
        """All else is the pool manager's own business (``connection_pool_kw``)."""
        return getattr(self._pool, name)

    def set_prefix(self, prefix: Optional[str]) -> None:
        """Apply a changed ``version_prefix``; what worked on the members so far is dropped.

        :param prefix: as for the constructor.
        """
        with self._lock:
            if prefix != self._explicit:
                self._explicit = prefix
                for member in self._members.values():
                    member.prefix, member.stale = prefix, True

    def member(self, url: str) -> Member:
        """What is known about a member.

        :param url: base URL of the member.
        """
        member = self._members.get(url)
        if not member:
            with self._lock:
                member = self._members.setdefault(url, Member(url, self._explicit))
        return member

    def look_at(self, url: str, **kwargs: Any) -> None:
        """Find out whether an advertised URL can be used. A member that just does not answer is not judged.

        :param url: base URL of the member.
        :param kwargs: further arguments of :meth:`urllib3.PoolManager.urlopen`.
        """
        member = self.member(url)
        try:
            if self._explicit:  # there is no question for the version then
                self._get(member, '/health', Call('GET', '', kwargs))
                member.asked = time.monotonic()
            else:
                self._ask(member, Call('GET', '', kwargs))
        except (HTTPError, OSError) as e:
            reason = no_http(e, url)
            if reason:
                member.refuse(reason)
        else:
            member.refuse(None)

    def remedy(self) -> Optional[str]:
        """Say which members have their gateway off and what to do about it; ``None`` if none has."""
        off = [str(member) for member in list(self._members.values()) if member.gateway_off]
        return '{0}: the gRPC gateway is off. Set "enable-grpc-gateway: true" in the configuration file of etcd or '\
            'start it with --enable-grpc-gateway (with a configuration file it is off by default before etcd 3.5)'\
            .format(', '.join(sorted(off))) if off else None

    def urlopen(self, method: str, url: str, **kwargs: Any) -> Any:
        """Send a request under the prefix of the member that it goes to.

        A request that finds its prefix unserved goes to the same member again under the one that is; nothing else is
        ever repeated here.

        :param method: HTTP method.
        :param url: URL of the request; a path below one of the prefixes is a gateway call, all else passed through.
        :param kwargs: further arguments of :meth:`urllib3.PoolManager.urlopen`.

        :returns: the answer, its errors in one shape (see :mod:`.answers`); the unread response if it is a stream or
                  no gateway call.

        :raises:
            :exc:`MemberError`: if this member can't serve the request.
            :exc:`NestedTransaction`: for a transaction inside a transaction. A new member of an etcd cluster puts it
                into the log, and members before 3.3 die of it, each time they start: the cluster is lost. Members
                change while a request is under way, so none is sent to any, whatever its version.
            :exc:`urllib3.exceptions.HTTPError`, :exc:`OSError`: as the pool manager.
        """
        base, path = split_url(url)
        asked = next((prefix for prefix in PREFIXES if path.startswith(prefix + '/')), None)
        if not asked:
            return self._pool.urlopen(method, url, **kwargs)

        body = str(kwargs.get('body') or '')
        if 'request_txn' in body or 'requestTxn' in body:  # keys and values are base64, they can't contain it
            raise NestedTransaction('a nested transaction would kill etcd members before 3.3, not sent')

        member = self.member(base)
        self.last.unexecuted = False
        try:
            return self._request(member, Call(method, path[len(asked):], kwargs))
        except (HTTPError, OSError) as e:
            member.stale = member.failed = True  # who knows what it is when it comes back
            member.gateway_off = isinstance(e, GatewayOff)
            self.last.unexecuted = unexecuted(e)
            raise

    def _request(self, member: Member, call: Call) -> Any:
        version, ask, started = member.version_text, member.stale and not self._explicit, time.monotonic()
        if ask:
            call = self._learn(member, call, started)

        prefix = self._choose(member)
        answer = self._send(member, prefix, call)
        if answer is None:
            if not ask:
                call = self._learn(member, call, started)
            if member.gateway_off and member.version_text == version:  # nothing has changed since all were tried
                raise GatewayOff(str(member))
            prefix, answer = self._try_others(member, prefix, call)

        member.failed = False
        if prefix != member.prefix or member.version_text != member.decided_for or member.gateway_off:
            self._remember(member, prefix)
        return answer

    def _choose(self, member: Member) -> str:
        """The prefix to try first: what works, unless the member has changed since."""
        if member.prefix and (self._explicit or member.version_text == member.decided_for):
            return member.prefix
        gateway = gateway_of(member.version) if member.version else None
        return self._explicit or (gateway.prefix if gateway else PREFIXES[0])

    def _try_others(self, member: Member, refused: str, call: Call) -> Tuple[str, Any]:
        """Find the prefix that is served after *refused* turned out not to be.

        The member's version names it in one step. The other prefixes are for a member which doesn't tell its version,
        or doesn't serve what its version does.
        """
        for prefix in self._candidates(member, refused):
            answer = self._send(member, prefix, call)
            if answer is not None:
                return prefix, answer
        member.gateway_off = True
        raise GatewayOff(str(member))

    def _candidates(self, member: Member, refused: str) -> List[str]:
        gateway = gateway_of(member.version) if member.version else None
        served = list(gateway.served) if gateway else []
        wanted = [prefix for prefix in served if prefix == self._explicit]
        return [prefix for prefix in dict.fromkeys([*wanted, *served, *PREFIXES]) if prefix != refused]

    def _send(self, member: Member, prefix: str, call: Call) -> Any:
        """Send the request under *prefix*; ``None`` says that the prefix isn't served."""
        without_token = 'authorization' in call.headers and not member.can(TOKEN_SINCE)
        if without_token:
            call = call.but(headers={k: v for k, v in call.headers.items() if k != 'authorization'})

        response: Any = None
        if call.rpc != _WATCH:
            response = exchange(self._pool_of(member), call.method, prefix + call.rpc, **call.kwargs)
        if response is None:
            response = self._pool.urlopen(call.method, member.url + prefix + call.rpc,
                                          **call.but(redirect=False).kwargs)
        if call.rpc == _WATCH and response.status < 300:
            return self._checked(member, response)
        status, body = response.status, response.data
        if prefix_not_served(status, body):
            return None
        try:
            answer = read_answer(call.rpc, status, body)
        except UnreadableBody as e:
            start = '' if call.rpc.startswith('/auth/') else repr(body[:80])  # there may be a token in it
            raise UnexpectedAnswer('{0} answered {1} with status {2} and a body that is not from etcd ({4}): {3}'
                                   .format(member, prefix + call.rpc, status, start, e)) from None
        if answer.cut_off:
            # Patroni would take that for a verdict on the request, and a leader for the loss of its lock, or (before
            # 4.1.1) try the same member again until its time is over.
            raise MemberStopping('{0} gave up {1}: {2}'.format(member, prefix + call.rpc, answer.error))
        if without_token and answer.status in (400, 401, 403):
            member.stale = True  # perhaps it is newer by now and does take one
        return answer

    def _pool_of(self, member: Member) -> Any:
        pool = self._pools.get(member.url)
        if not pool:
            pool = self._pools[member.url] = self._pool.connection_from_url(member.url)
        return pool

    def clear(self) -> None:
        """Close all idle connections."""
        self._pools.clear()
        self._pool.clear()

    def _checked(self, member: Member, response: Any) -> Any:
        """Have the stream end where it stops being one that Patroni can read."""
        read_chunked = response.read_chunked

        def checked(*args: Any, **kwargs: Any) -> Iterator[bytes]:
            try:
                yield from check_stream(read_chunked(*args, **kwargs), self.ends_canceled_watches)
            except UnreadableBody as e:
                raise UnexpectedAnswer('{0} sent something else than a watch: {1}'.format(member, e)) from None

        response.read_chunked = checked
        return response

    def _learn(self, member: Member, call: Call, since: float) -> Call:
        """Ask a member for its version, within the time that the call has.

        :param since: what another thread learned after this time (seconds of the monotonic clock) will do.

        :returns: *call* with the time that is left for it.
        """
        started, timeout = time.monotonic(), bounded(call.kwargs.get('timeout'))
        free = member.asking.acquire(timeout=seconds(timeout))
        try:
            if member.asked <= since:
                self._ask(member, call.but(timeout=less(timeout, time.monotonic() - started)))
        finally:
            if free:
                member.asking.release()
        return call.but(timeout=less(call.kwargs.get('timeout'), time.monotonic() - started))

    def _get(self, member: Member, path: str, call: Call) -> Tuple[int, bytes]:
        headers = {k: v for k, v in call.headers.items() if k.lower() == 'user-agent'}
        # A GET, unlike a POST, urllib3 would repeat after as many seconds as a proxy says with 503 and Retry-After.
        retries = urllib3.Retry(call.kwargs.get('retries') or 0, respect_retry_after_header=False)
        response = self._pool.urlopen('GET', member.url + path,
                                      **call.but(body=None, headers=headers, retries=retries, redirect=False).kwargs)
        if response.status == 400 and b'HTTPS server' in response.data:  # said by Go's server, in plain HTTP
            raise UnexpectedAnswer('{0} speaks TLS'.format(member.url))
        return response.status, response.data

    def _ask(self, member: Member, call: Call) -> None:
        text = read_version(*self._get(member, '/version', call))[0]
        version = parse_version(text)
        if version and not gateway_of(version):
            raise MemberTooOld('etcd member {0} has version {1}, lower than {2}'.format(
                member.url, text, dotted(OLDEST)))
        with self._lock:
            member.version_text = text or member.version_text
            member.stale, member.asked = False, time.monotonic()
            member.wants_token = member.wants_token and not member.can(TOKEN_SINCE)

    def _remember(self, member: Member, prefix: str) -> None:
        """Note the prefix that works on a member, and log it once per change."""
        with self._lock:
            old, member.prefix, member.decided_for = member.prefix, prefix, member.version_text
            was_off, member.gateway_off = member.gateway_off, False
        if was_off:
            logger.info('%s serves its gRPC gateway again', member)
        if old is None:
            logger.info('%s: using gateway prefix %s', member, prefix)
        elif old != prefix and self._explicit not in (None, prefix):
            logger.warning('%s does not serve version_prefix %s of the configuration, using %s',
                           member, self._explicit, prefix)
        elif old != prefix:
            logger.info('%s: gateway prefix changed from %s to %s', member, old, prefix)
