"""Patroni's etcd client, with our senders instead of urllib3's pool manager."""

from __future__ import annotations

import logging
import socket
import sys
import time
from threading import current_thread
from typing import Any, Callable, Mapping, Sequence

import etcd
from patroni.dcs import etcd3
from urllib3 import PoolManager, Timeout

from . import deadline
from .answers import Answer
from .auth import AuthPool, Secret
from .deadline import Errand, TookTooLong
from .endpoints import Endpoints
from .errors import unexecuted
from .gateway import Gateway
from .leadership import Leadership
from .members import Members
from .names import Names
from .options import parse_version_prefix
from .router import CANONICAL, Router
from .senders import Kwargs
from .steps import Part, held_or, unnested
from .versions import WATCH_SINCE
from .watch import Pace

logger = logging.getLogger(__name__)

if not hasattr(etcd3, 'AuthOldRevision'):  # since 3.2; before that the error is unknown, this one leads to the same
    etcd3.errStringToClientError['etcdserver: revision of auth store is old'] = etcd3.InvalidAuthToken

#: What the stock client is told to be the version of the cluster. It must not hold anything back (authentication,
#: token, watch): what a member can do is decided for that member, in ``gateway``.
_ANY_CLUSTER = (3, 4)


class CompatClient(etcd3.PatroniEtcd3Client):  # type: ignore[misc]
    """Patroni's etcd client; the prefix of each request is chosen when its member is known.

    Takes the same arguments as the class of Patroni.
    """

    def __init__(self, config: dict[str, object], dns_resolver: Any, *args: object, **kwargs: object) -> None:
        self._explicit_prefix = parse_version_prefix(config.get('version_prefix'))
        self._built_with: str | None = CANONICAL
        #: path of the leader key while Patroni before 3.0.4 updates it, see :meth:`Etcd3._update_leader`
        self.holding: str | None = None
        #: whether that succeeded; ``None``: it was not tried
        self.held: bool | None = None
        #: until when calls may wait
        self.leadership = Leadership()
        self._lookup: Errand[list[str]] | None = None
        self._watched = Pace()
        self._watch_impossible = False
        Names(dns_resolver)
        super().__init__(config, dns_resolver, *args, **kwargs)

    @property
    def http(self) -> AuthPool:
        """Every request to etcd goes through this."""
        return self._pool

    @http.setter
    def http(self, pool: PoolManager) -> None:  # python-etcd puts its pool manager here
        members = Members(pool, self._explicit_prefix)
        self._endpoints = Endpoints(members, lambda count: self._prepare_common_parameters(count)['timeout'])
        # Before 3.3 Patroni does not notice that a watch was canceled.
        gateway = Gateway(pool, members, ends_canceled_watches=not hasattr(etcd3, 'Etcd3WatchCanceled'))
        router = Router(pool, members, (gateway,))
        self._pool = AuthPool(router, members, lambda: (self.username, self.password))

    @property
    def _token(self) -> Secret | None:
        """The token; Patroni sets it when it authenticates by itself, at the start."""
        pool: AuthPool | None = self.__dict__.get('_pool')
        return pool.token if pool else None

    @_token.setter
    def _token(self, value: str | None) -> None:
        if '_pool' in self.__dict__:
            self._pool.token = Secret(value) if value else None

    @property
    def version_prefix(self) -> str | None:
        """Paths are built with this one, whatever the member serves."""
        return self._built_with

    @version_prefix.setter
    def version_prefix(self, value: str | None) -> None:
        # The stock client decides here for all members at once, which cannot be right for each. It may once None was
        # set, which only Patroni's own tests do (they have to pass where a patched Patroni is built), and which does
        # no harm: the pool replaces whichever prefix it is.
        if value is None or self._built_with != CANONICAL:
            self._built_with = value

    def _ensure_version_prefix(self, base_uri: str, **kwargs: object) -> None:
        if self._built_with != CANONICAL:
            super()._ensure_version_prefix(base_uri, **kwargs)
            return
        self._cluster_version = _ANY_CLUSTER

    def _get_members(self, base_uri: str, **kwargs: object) -> object:
        try:
            members = super()._get_members(base_uri, **kwargs)
        except etcd3.AuthFailed as e:
            if self._machines_cache:
                raise
            logger.fatal('Etcd3 authentication failed: %r', e)  # as Patroni does where it authenticates by itself
            sys.exit(1)
        self._endpoints.listed_by = base_uri
        return members

    def _get_machines_cache_from_config(self) -> list[str]:
        stock = super()._get_machines_cache_from_config
        try:
            self._endpoints.configured = self._look_up(stock) if 'srv' in self._config else stock()
        except (TookTooLong, socket.timeout):  # DNS is silent
            logger.warning('The configured etcd hosts could not be looked up in time; keeping the previous ones')
        return list(self._endpoints.configured)

    def _look_up(self, stock: Callable[[], list[str]]) -> list[str]:
        """Look for SRV records, which knows no time limit; one look that hangs is enough."""
        if deadline.current().left() == float('inf'):
            return stock()
        if not self._lookup or self._lookup.is_over():
            self._lookup = Errand(stock)
        return self._lookup.result()

    def _get_machines_list(self, machines_cache: list[str]) -> list[str]:
        # Patroni asks for the list right after a member failed, in random order.
        urls = super()._get_machines_list(self._endpoints.to_ask(machines_cache))
        return urls if self._use_proxies else self._endpoints.advertised(urls, wait=not self._machines_cache)

    @property
    def machines_cache(self) -> Sequence[str]:
        """The members to try, in this order."""
        return self._endpoints.in_order(super().machines_cache)

    def reload_config(self, config: dict[str, object]) -> None:
        """Apply a changed configuration.

        :param config: section of the DCS.
        """
        super().reload_config(config)
        try:
            prefix = parse_version_prefix(config.get('version_prefix'))
        except ValueError as e:
            logger.error('Invalid configuration, keeping the previous version_prefix: %s', e)
        else:
            self.http.members.configure(prefix)

    def _load_machines_cache(self) -> object:
        # In 4.1.1 and later Patroni itself makes an EtcdConnectionFailed of what comes from here. Any other exception
        # looks like an answer, and a leader would demote without a look at failsafe_mode.
        if not deadline.current().left():
            raise etcd.EtcdConnectionFailed('No time left to look for other etcd members')
        try:
            with deadline.within(self.read_timeout if self._machines_cache else float('inf')):  # not at the start
                return super()._load_machines_cache()
        except etcd.EtcdException as e:
            remedy = self.http.members.remedy()
            if remedy:
                logger.error('No etcd member can be used. %s', remedy)  # Patroni just says that it is waiting on etcd
            raise etcd.EtcdConnectionFailed(f'{e}. {remedy}' if remedy else str(e)) from e

    def _calculate_timeouts(self, etcd_nodes: int, timeout: float | None = None) -> tuple[int, float, int]:
        # Hosts that stand in for others are no reason to be less patient with each.
        return self._divide(
            min(etcd_nodes, max(len(self._endpoints.listed), len(self._endpoints.configured), 1)), timeout
        )

    def _divide(self, etcd_nodes: int, timeout: float | None = None) -> tuple[int, float, int]:
        """Divide the time among the members as Patroni does, but no more than is left for this call."""
        nodes, per_node, retries = super()._calculate_timeouts(etcd_nodes, timeout)
        left = max(deadline.current().left(), 0.001)
        if left >= float(timeout or self.read_timeout):
            return nodes, per_node, retries
        nodes, _, _ = super()._calculate_timeouts(etcd_nodes, left)
        # Without a time-out all members are going to be asked, however little time each gets. One try that may succeed
        # is better than two that cannot.
        per_node = min(per_node, left / max(nodes if timeout else etcd_nodes, 1))
        return nodes, per_node, 0

    def _prepare_get_members(self, etcd_nodes: int) -> Kwargs:
        kwargs: Kwargs = super()._prepare_get_members(etcd_nodes)
        _, per_node, retries = self._divide(etcd_nodes)
        kwargs.update(timeout=Timeout(connect=max(1.0, per_node / 2), total=per_node), retries=retries)
        return kwargs

    def _do_http_request(self, retry: Any, *args: object, **kwargs: object) -> object:
        try:
            with deadline.within(self.read_timeout):  # which Patroni divides among the members
                return super()._do_http_request(retry, *args, **kwargs)
        except etcd.EtcdConnectionFailed:
            # What is left is what Patroni's retry has left. Looking for the member list after that helps nobody:
            # the next call does it.
            if retry:
                deadline.current().shorten(retry.stoptime - time.time())
            raise

    def api_execute(
        self, path: str, method: str, params: Mapping[str, object] | None = None, timeout: float | None = None
    ) -> object:
        """Send a request to one member after the other, see Patroni's own method.

        It ends after twice ``retry_timeout`` at the latest, half of that for the list of members; on a leader before
        the leader key can expire (see :mod:`.leadership`).

        :raises:
            :exc:`etcd.EtcdConnectionFailed`: if none is left; the text names those whose gateway is off.
        """
        if self._machines_cache and not self._use_proxies:
            self._endpoints.look_again()
            member = self.http.members.get(self._base_uri)
            if (
                self._base_uri not in (self._endpoints.listed or self._machines_cache)
                or member.refused
                or member.wants_token
            ):
                order = self.machines_cache
                if self._base_uri not in order or member.wants_token and order[0] != self._base_uri:
                    self.set_base_uri(order[0])  # the watch has to leave the old one as well
        with deadline.within(min(2 * self.read_timeout, self.leadership.patience())):
            return self._execute(path, method, params, timeout)

    def _execute(self, path: str, method: str, params: Mapping[str, object] | None, timeout: float | None) -> object:
        tried = 0
        while True:
            try:
                return super().api_execute(path, method, params, timeout)
            except etcd3.Etcd3Exception:  # an answer
                raise
            except etcd.EtcdConnectionFailed as e:
                remedy = self.http.members.remedy()
                if not remedy:
                    raise
                raise etcd.EtcdConnectionFailed(f'{e}. {remedy}') from e
            except etcd.EtcdException as e:
                # Patroni gives a call up that it makes without a retry, since it may have been executed, and turns to
                # the next member for the one after. When nobody can have executed it, the next may have this one.
                # Not when it failed at the member list: up to 3.3.4 and 4.0.6 that is the same exception.
                tried += 1
                if (
                    self._update_machines_cache
                    or tried >= len(self.machines_cache)
                    or not deadline.current().left()
                    or not (e.__context__ and unexecuted(e.__context__))
                ):
                    raise

    def _handle_server_response(self, response: Any) -> object:
        ret = super()._handle_server_response(response)
        if isinstance(response, Answer) and response.lease:
            lease, ttl = response.lease
            self.leadership.renewed(lease, response.sent, ttl)
        return ret

    def _wait_cache(self, timeout: float) -> None:
        super()._wait_cache(min(timeout, self.leadership.patience()))

    def put(self, key: str, value: str, lease: str | None = None, *args: object, **kwargs: object) -> object:
        """Write a key, see Patroni's own method; :attr:`holding` is no key to be simply written."""
        if key != self.holding:
            return super().put(key, value, lease, *args, **kwargs)
        self.held = False
        self.held = bool(super().put(key, value, lease, '0', **kwargs))  # as if to create it, goes through txn
        return self.held

    def txn(self, compare: Part, success: Part, *args: Any, **kwargs: Any) -> object:
        """Run a transaction, a nested one as plain compare-and-swap steps.

        :param compare: condition for *success*.
        :param success: request to execute if *compare* holds.
        :param args: ``{'request_txn': ...}`` to run if it does not hold. Patroni before 3.0.4 knows none and has its
                     retry object in this place.

        :returns: the answer of the step that succeeded, or what stands for failure in this release of Patroni.

        :raises:
            :exc:`etcd.EtcdException`: if the failure branch is anything else.
        """
        failure = kwargs.get('failure') or (args[0] if args and isinstance(args[0], dict) else None)
        if failure:
            retry = kwargs.get('retry') or (args[1] if len(args) > 1 else None)
            try:
                steps = unnested(compare, success, failure)
            except ValueError:
                raise etcd.EtcdException(f'Transaction cannot be run as plain steps: {failure}') from None
        elif self.holding and compare['key'] == etcd3.base64_encode(self.holding):
            retry = kwargs.get('retry') or (args[0] if args else None)
            steps = held_or(compare, success)
        else:
            return super().txn(compare, success, *args, **kwargs)

        for step in steps:
            # Not the method of PatroniEtcd3Client (3.1): it restarts the watcher when a condition does not hold.
            ret = etcd3.Etcd3Client.txn(self, *step, retry=retry)
            if ret:
                break
        return ret

    def watchrange(self, *args: object, **kwargs: object) -> object:
        """Start a watch on the current member; called by the thread that keeps the copy of the cluster's keys.

        :returns: the response to read events from.

        :raises:
            :exc:`~patroni.dcs.etcd3.Etcd3Exception`: if the watch is refused or the member cannot watch.
        """
        url = self._base_uri
        member = self.http.members.get(url)
        if not member.can(WATCH_SINCE):
            logger.warning(
                'etcd member %s cannot watch (it is older than 3.1); reading from etcd in every HA loop', url
            )
            self._watch_impossible = True
            while url == self._base_uri and not member.can(WATCH_SINCE):
                time.sleep(1)
            raise etcd3.Etcd3Exception(f'etcd member {url} could not watch')

        self._watched.began()
        response = super().watchrange(*args, **kwargs)
        if isinstance(response, Answer):
            self._handle_server_response(response)  # raises the error that it is
        self._watch_impossible = False
        return response

    def range(self, *args: object, **kwargs: object) -> object:
        """Read keys, see Patroni's own method. The thread that watches does so before it starts the watch anew."""
        if current_thread() is self._kv_cache:
            self._watched.pause()
        return super().range(*args, **kwargs)

    def get_cluster(self, path: str) -> object:
        """Read the keys below *path*, from the watched copy where there is one.

        :param path: prefix of the keys.

        :returns: :class:`list` of the keys with their values decoded.
        """
        if not self._watch_impossible:
            return super().get_cluster(path)
        return [
            dict(
                node,
                key=etcd3.base64_decode(node['key']),
                value=etcd3.base64_decode(node.get('value', '')),
                lease=node.get('lease'),
            )
            for node in self._etcd3.retry(self.prefix, path).get('kvs', [])
        ]
