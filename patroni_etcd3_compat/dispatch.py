"""Patroni's etcd client, as far as it decides which member a call goes to and how long it may take.

Patroni picks the member and divides the time; here both are kept to what is known of the members (``endpoints``) and to
what is left for the call (``deadline``, ``leadership``).
"""

from __future__ import annotations

import logging
import socket
import sys
import time
from functools import partial
from typing import Callable, Mapping, Sequence

import etcd
from patroni.dcs import etcd3
from patroni.utils import Retry
from urllib3 import PoolManager, Timeout

from . import deadline
from .answers import Answer
from .auth import AuthPool, Secret
from .deadline import Errand, TookTooLong
from .endpoints import Endpoints
from .errors import unexecuted
from .extras import GATEWAY, GRPC, has_grpc
from .gateway import Gateway
from .leadership import Leadership
from .members import Members
from .names import Names, Resolver
from .options import parse_transport, parse_version_prefix
from .router import Router
from .senders import Kwargs, Transport

logger = logging.getLogger(__name__)


def _routing(config: Mapping[str, object]) -> tuple[str | None, str]:
    """Return the options ``version_prefix`` and ``transport`` of a section."""
    return parse_version_prefix(config.get('version_prefix')), parse_transport(config.get('transport'))


def _grpc(pool: PoolManager, members: Members, ends_canceled: bool) -> Transport:
    from .grpc.transport import Grpc  # optional, see `extras`

    return Grpc(pool, members, ends_canceled)


class DispatchClient(etcd3.PatroniEtcd3Client):  # type: ignore[misc]
    """Patroni's etcd client, with our senders instead of urllib3's pool manager.

    Takes the same arguments as the class of Patroni.
    """

    def __init__(self, config: dict[str, object], dns_resolver: Resolver, *args: object, **kwargs: object) -> None:
        self._explicit_prefix, self._transport = _routing(config)
        #: until when calls may wait
        self.leadership = Leadership()
        self._lookup: Errand[list[str]] | None = None
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
        # Before 3.3.8 and 4.0.7 Patroni does not notice that a watch was canceled.
        ends_canceled = not hasattr(etcd3, 'Etcd3WatchCanceled')
        self._transports: list[Transport] = [Gateway(pool, members, ends_canceled)]
        self._make_grpc = partial(_grpc, pool, members, ends_canceled)
        router = Router(pool, members, self._transports)
        self._pool = AuthPool(router, members, lambda: (self.username, self.password))
        self._route(self._explicit_prefix, self._transport)

    @property
    def _token(self) -> Secret | None:
        """The token; Patroni sets it when it authenticates by itself, at the start."""
        pool: AuthPool | None = self.__dict__.get('_pool')
        return pool.token if pool else None

    @_token.setter
    def _token(self, value: str | None) -> None:
        if '_pool' in self.__dict__:
            self._pool.token = Secret(value) if value else None

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
            prefix, transport = _routing(config)
        except ValueError as e:
            logger.error('Invalid configuration, keeping the previous version_prefix and transport: %s', e)
        else:
            if self._route(prefix, transport):
                self._restart_watcher()

    def _route(self, prefix: str | None, transport: str) -> bool:
        """Apply ``version_prefix`` and ``transport``, and return whether the transport is another one.

        What gRPC needs is not even imported unless it is asked for.
        """
        if transport != GATEWAY and len(self._transports) == 1 and has_grpc():
            self._transports.insert(0, self._make_grpc())
        members, before = self._pool.members, self._pool.members.transport
        if members.configure(prefix, transport) and prefix and transport == GRPC:
            logger.info('version_prefix plays no part with transport: grpc')
        return transport != before

    @property
    def may_use_grpc(self) -> bool:
        """Whether calls may go over gRPC."""
        return self._pool.members.may_use_grpc

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

    def _do_http_request(self, retry: Retry | None, *args: object, **kwargs: object) -> object:
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

    def _handle_server_response(self, response: object) -> object:
        ret = super()._handle_server_response(response)
        if isinstance(response, Answer) and response.lease:
            lease, ttl = response.lease
            self.leadership.renewed(lease, response.sent, ttl)
        return ret

    def _wait_cache(self, timeout: float) -> None:
        super()._wait_cache(min(timeout, self.leadership.patience()))
