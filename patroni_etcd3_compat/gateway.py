"""Which etcd member serves which gateway prefix, and sending a request there. Needs urllib3 only, nothing of Patroni.

Patroni's client keeps one urllib3 pool manager as ``self.http``, and all of its requests pass there: member list,
authentication, key-value, lease and watch, after the member was picked. :class:`GatewayPool` stands in its place. It
takes every path under one of the prefixes and replaces that with the one of the member which the request goes to.

A request goes out under the prefix that worked last, a first one under the newest. Only an answer, a 404 that says
"prefix not served", leads to another request of the same call. The version of a member is asked in the background, on
signs of a change, so that no call waits for it.
"""

from __future__ import annotations

import logging
import random
import time
from threading import Lock, Thread
from typing import Any, Iterator, NamedTuple

import urllib3
from urllib3.exceptions import ClosedPoolError, ConnectTimeoutError, HTTPError, NewConnectionError

from . import __version__, deadline, wire
from .answers import (
    Answer,
    UnreadableBody,
    check_stream,
    is_nested,
    plain_text,
    prefix_not_served,
    read_answer,
    read_version,
)
from .errors import GatewayOff, MemberStopping, NestedTransaction, OutOfTime, UnexpectedAnswer, no_http, refusal
from .member import Member
from .urls import split_url
from .versions import PREFIXES, TOKEN_SINCE, gateway_of

logger = logging.getLogger(__name__)

#: The prefix to make requests to :class:`GatewayPool` with, whatever the member serves. The others do as well.
CANONICAL = PREFIXES[0]

_WATCH = '/watch'

#: How often all prefixes are tried, in random order, before a gateway counts as off, since the members behind a load
#: balancer take turns; and how often where several members are known to answer.
_ROUNDS, _ROUNDS_SEVERAL = 4, 10


class Call(NamedTuple):
    """A gateway call, without the member and the prefix."""

    #: HTTP method
    method: str
    #: path below the prefix, for example ``/kv/put``
    rpc: str
    #: further arguments of :meth:`urllib3.PoolManager.urlopen`
    kwargs: dict[str, Any]

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the request."""
        return self.kwargs.get('headers') or {}

    @property
    def timeout(self) -> Any:
        """The time-out of urllib3, for each request of the call."""
        return self.kwargs.get('timeout')

    def but(self, **kwargs: Any) -> Call:
        """Return the same call with other arguments."""
        return self._replace(kwargs=dict(self.kwargs, **kwargs))


class GatewayPool:
    """Stands in for the urllib3 pool manager of Patroni's etcd client; safe to use from several threads.

    :param pool: the pool manager whose connections are used.
    :param prefix: value of ``version_prefix``: the prefix to try first on every member; ``None``: what the member
                   serves decides.
    """

    def __init__(self, pool: urllib3.PoolManager, prefix: str | None = None) -> None:
        #: end a watch when etcd says that it canceled it, for releases of Patroni that don't
        self.ends_canceled_watches = False
        self._pool = pool
        pool.pool_classes_by_scheme = wire.POOL_CLASSES
        self._explicit = prefix
        self._pools: dict[str, Any] = {}
        self._members: dict[str, Member] = {}
        self._lock = Lock()

    def __getattr__(self, name: str) -> Any:
        """All else is the pool manager's own business (``connection_pool_kw``)."""
        return getattr(self._pool, name)

    def set_prefix(self, prefix: str | None) -> None:
        """Apply a changed ``version_prefix``; what worked on the members so far is dropped.

        :param prefix: as for the constructor.
        """
        with self._lock:
            if prefix != self._explicit:
                self._explicit = prefix
                for member in self._members.values():
                    member.configure(prefix)

    def member(self, url: str) -> Member:
        """Return what is known about a member.

        :param url: base URL of the member.
        """
        member = self._members.get(url)
        if not member:
            with self._lock:
                member = self._members.setdefault(url, Member(url, self._explicit))
        return member

    def look_at(self, url: str, timeout: Any) -> None:
        """Find out whether an advertised URL can be used.

        :param url: base URL of the member.
        :param timeout: time-out of urllib3.
        """
        member = self.member(url)
        for last in (False, True):  # who hangs up once may just be starting
            try:
                if not self.learn(member, timeout):
                    raise UnexpectedAnswer(f'{url} answers, but not as etcd does')
                member.answers(None)
                return
            except (HTTPError, OSError) as e:
                member.fails(e)
                reason = no_http(e, url)
                if not reason:
                    return
                if last:
                    member.refuse(reason)

    def remedy(self) -> str | None:
        """Return what is to be done about members that refuse all requests; ``None`` if none does."""
        members = sorted(self._members.values(), key=str)
        off = [str(member) for member in members if member.gateway_off]
        texts = (
            [
                '{0}: the gRPC gateway is off. Set "enable-grpc-gateway: true" in the configuration file of etcd or '
                'start it with --enable-grpc-gateway (with a configuration file it is off by default before etcd 3.5)'.format(
                    ', '.join(off)
                )
            ]
            if off
            else []
        )
        texts += dict.fromkeys(member.remedy for member in members if member.remedy)
        return '. '.join(texts) or None

    def urlopen(self, method: str, url: str, **kwargs: Any) -> Any:
        """Send a request under the prefix of the member that it goes to.

        A request that finds its prefix unserved goes to the same member again under another one; nothing else is ever
        repeated here.

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

        call = Call(method, path[len(asked) :], kwargs)
        if is_nested(call.rpc, kwargs.get('body')):
            raise NestedTransaction('a nested transaction would kill etcd members before 3.3, not sent')

        member = self.member(base)
        try:
            if not deadline.current().left():
                raise OutOfTime(f'No time left for {call.rpc} at {member}')
            member.check_age()
            return self._request(member, call)
        except OutOfTime:  # tells nothing about the member
            raise
        except (HTTPError, OSError) as e:
            member.fails(e)
            raise

    def _request(self, member: Member, call: Call) -> Any:
        for prefix in self._prefixes(member, call):
            answer, fresh = self._send(member, prefix, call)
            if answer is None:
                continue
            if not isinstance(answer, Answer):  # a stream, see `_checked`
                return answer
            changed = prefix != member.prefix
            member.answers(answer.member_id, prefix)
            if fresh or changed:
                self._find_out(member, call.timeout, changed)
            return answer
        if not member.version_text:
            self._try_to_learn(member, call.timeout)  # for the text of the error
        member.is_off()
        raise GatewayOff(str(member))

    def _prefixes(self, member: Member, call: Call) -> Iterator[str]:
        """Yield the prefixes to try, what worked or is likely first."""
        first = member.prefix
        if first:
            yield first
        gateway = gateway_of(member.version) if member.version else None
        served = list(gateway.served) if gateway else []
        likely = [*(prefix for prefix in served if prefix == self._explicit), *served, *PREFIXES]
        yield from (prefix for prefix in dict.fromkeys(likely) if prefix != first)
        with deadline.within(wire.limits(call.timeout)[1]) as limit:
            for _ in range(_ROUNDS_SEVERAL if member.several else 0 if member.gateway_off else _ROUNDS):
                for prefix in random.sample(PREFIXES, len(PREFIXES)):
                    if limit.left():
                        yield prefix

    def _send(self, member: Member, prefix: str, call: Call) -> tuple[Any, bool]:
        """Send the request under *prefix*.

        :returns: the answer, ``None`` if the prefix isn't served, and whether the connection is a new one.
        """
        without_token = 'authorization' in call.headers and not member.can(TOKEN_SINCE)
        if without_token:
            call = call.but(headers={k: v for k, v in call.headers.items() if k != 'authorization'})

        sent, fresh = 0.0, True
        if call.rpc == _WATCH:
            response = self._open_stream(member, prefix, call)
            if response.status < 300:
                return self._checked(member, prefix, response), fresh
            status, body = response.status, response.data
        else:
            status, body, sent, fresh = self._wire(member, call, prefix + call.rpc)
        if prefix_not_served(status, body):
            return None, fresh
        try:
            answer = read_answer(call.rpc, status, body)._replace(sent=sent)
        except UnreadableBody as e:
            secret = call.rpc.startswith('/auth/')  # there may be a token in it
            where = f'{member} answered {prefix + call.rpc} with status {status}'
            raise refusal(where, plain_text(status, body), secret) or UnexpectedAnswer(
                '{0} and a body that is not from etcd ({1}): {2}'.format(where, e, '' if secret else repr(body[:80]))
            ) from None
        if answer.cut_off:
            # Patroni would take that for a verdict on the request, and a leader for the loss of its lock, or (before
            # 4.1.1) try the same member again until its time is over.
            raise MemberStopping(f'{member} gave up {prefix + call.rpc}: {answer.error}')
        if without_token and answer.status in (400, 401, 403):
            self._find_out(member, call.timeout, True)  # perhaps it is newer by now and does take one
        return answer, fresh

    def _wire(self, member: Member, call: Call, path: str) -> wire.Response:
        """Send the request; where no connection can be made it is tried as often as the call has it."""
        retries = call.kwargs.get('retries')
        left = retries if isinstance(retries, int) else 0
        while True:
            try:
                return self._wire_once(member, call, path)
            except (NewConnectionError, ConnectTimeoutError):
                left -= 1
                if left < 0 or not deadline.current().left():
                    raise

    def _wire_once(self, member: Member, call: Call, path: str) -> wire.Response:
        body, headers, started = call.kwargs.get('body'), call.headers, time.monotonic()
        try:
            response = wire.request(self._pool_of(member.url), call.method, path, body, headers, call.timeout, False)
        except ClosedPoolError:  # another thread has just closed all connections
            response = None
        if response is None:
            answer = self._pool.urlopen(
                call.method,
                member.url + path,
                body=body,
                headers=headers,
                redirect=False,
                timeout=call.timeout,
                timed=True,
            )
            response = (
                answer
                if isinstance(answer, wire.Response)
                else wire.Response(answer.status, answer.data, started, True)
            )  # somebody has replaced PoolManager.urlopen
        return response

    def _pool_of(self, url: str) -> Any:
        pool = self._pools.get(url)
        if not pool:
            with self._lock:
                pool = self._pools[url] = self._pool.connection_from_url(url)
        return pool

    def clear(self) -> None:
        """Close all idle connections."""
        with self._lock:
            self._pools.clear()
        self._pool.clear()

    def _open_stream(self, member: Member, prefix: str, call: Call) -> Any:
        """Start a watch; its headers have to come in the time that a connection may take, what follows may take any."""
        connect, _ = wire.limits(call.timeout)
        with deadline.within(connect):  # for the lookup of the name
            response = self._pool.urlopen(
                call.method,
                member.url + prefix + call.rpc,
                **call.but(redirect=False, timeout=urllib3.Timeout(connect=connect, read=connect)).kwargs,
            )
        sock = getattr(getattr(response, 'connection', None), 'sock', None)
        if sock is not None:
            sock.settimeout(getattr(call.timeout, 'read_timeout', None))
        return response

    def _checked(self, member: Member, prefix: str, response: Any) -> Any:
        """Have the stream end where it stops being one that Patroni can read."""
        read_chunked = response.read_chunked

        def checked(*args: Any, **kwargs: Any) -> Iterator[bytes]:
            heard = False
            try:
                for chunk in check_stream(read_chunked(*args, **kwargs), self.ends_canceled_watches):
                    if not heard:  # not before: a status alone is no sign of etcd
                        heard = True
                        member.answers(None, prefix)
                    yield chunk
            except UnreadableBody as e:
                raise UnexpectedAnswer(f'{member} sent something else than a watch: {e}') from None

        response.read_chunked = checked
        return response

    def learn(self, member: Member, timeout: Any) -> str | None:
        """Ask a member for its version.

        :param member: the member.
        :param timeout: time-out of urllib3, for all of it.

        :returns: the version as text, ``None`` if the answer names none.

        :raises:
            :exc:`urllib3.exceptions.HTTPError`, :exc:`OSError`: if there is no answer, or a strange one.
        """
        headers = urllib3.make_headers(user_agent='patroni-etcd3-compat/' + __version__)
        # Over a connection beside those of the calls, which another maxsize makes it.
        pool = self._pool.connection_from_url(member.url, pool_kwargs={'maxsize': 2})
        status, body, _, _ = wire.request(pool, 'GET', '/version', None, headers, timeout) or (0, b'', 0, False)
        if status == 400 and b'HTTPS server' in body:  # said by Go's server, in plain HTTP
            raise UnexpectedAnswer(f'{member.url} speaks TLS')
        text = read_version(status, body)[0]
        member.learned(text)
        return text

    def _try_to_learn(self, member: Member, timeout: Any) -> None:
        try:
            self.learn(member, timeout)
        except (HTTPError, OSError) as e:
            logger.debug('No version from %s: %r', member, e)

    def _find_out(self, member: Member, timeout: Any, changed: bool) -> None:
        """Ask a member for its version in the background. The call that has seen a sign of a change does not wait."""
        if member.claim_question(changed):
            try:
                Thread(target=self._ask, args=(member, timeout), name='etcd-version', daemon=True).start()
            except RuntimeError as e:  # no more threads
                logger.debug('No version from %s: %r', member, e)
                member.question_over()

    def _ask(self, member: Member, timeout: Any) -> None:
        again = True
        while again:
            try:
                self._try_to_learn(member, timeout)
            finally:
                again = member.question_over()
