"""Patroni's etcd client, with our pools in the place of urllib3's pool manager."""
import logging
import sys
import time

from ipaddress import ip_address
from threading import Thread
from typing import Any, Dict, List, Optional
from urllib.parse import urlsplit

import etcd

from patroni.dcs import etcd3

from .answers import Answer
from .auth import AuthPool, Secret
from .gateway import CANONICAL, GatewayPool
from .versions import parse_version_prefix, WATCH_SINCE

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

    def __init__(self, config: Dict[str, Any], *args: Any, **kwargs: Any) -> None:
        self._explicit_prefix = parse_version_prefix(config.get('version_prefix'))
        self._built_with: Optional[str] = CANONICAL
        #: path of the leader key while Patroni before 3.0.4 updates it, see :meth:`Etcd3._update_leader`
        self.holding: Optional[str] = None
        self.held = True
        self._configured: List[str] = []
        self._listed_by: Optional[str] = None
        self._watched: Optional[str] = None
        self._watch_impossible = False
        super().__init__(config, *args, **kwargs)

    @property
    def http(self) -> AuthPool:
        """The place where every request to etcd passes."""
        return self._pool

    @http.setter
    def http(self, pool: Any) -> None:  # python-etcd puts its pool manager here
        gateway = GatewayPool(pool, self._explicit_prefix)
        gateway.ends_canceled_watches = not hasattr(etcd3, 'Etcd3WatchCanceled')  # before 3.3 Patroni does not notice
        self._pool = AuthPool(gateway, lambda: (self.username, self.password))

    @property
    def _token(self) -> Any:
        """The token; Patroni sets it when it authenticates by itself, at the start."""
        pool: Optional[AuthPool] = self.__dict__.get('_pool')
        return pool.token if pool else None

    @_token.setter
    def _token(self, value: Optional[str]) -> None:
        if '_pool' in self.__dict__:
            self._pool.token = Secret(value) if value else None

    @property
    def version_prefix(self) -> Optional[str]:
        """Paths are built with this one, whatever the member serves."""
        return self._built_with

    @version_prefix.setter
    def version_prefix(self, value: Optional[str]) -> None:
        # The stock client decides here for all members at once, which can't be right for each. It may once None was
        # set, which only Patroni's own tests do (they have to pass where a patched Patroni is built), and which does
        # no harm: the pool replaces whichever prefix it is.
        if value is None or self._built_with != CANONICAL:
            self._built_with = value

    def _ensure_version_prefix(self, base_uri: str, **kwargs: Any) -> None:
        if self._built_with != CANONICAL:
            super()._ensure_version_prefix(base_uri, **kwargs)
            return
        # Called before each member list request. The version is asked by that request, within its time.
        self._cluster_version = _ANY_CLUSTER
        self.http.member(base_uri).stale = True

    def _get_members(self, base_uri: str, **kwargs: Any) -> Any:
        try:
            members = super()._get_members(base_uri, **kwargs)
        except etcd3.AuthFailed as e:
            if self._machines_cache:
                raise
            logger.fatal('Etcd3 authentication failed: %r', e)  # as Patroni does where it authenticates by itself
            sys.exit(1)
        self._listed_by = base_uri
        return members

    def _get_machines_cache_from_config(self) -> Any:
        self._configured = super()._get_machines_cache_from_config()
        return self._configured

    def _get_machines_list(self, machines_cache: Any) -> Any:
        # Patroni asks for the list right after a member failed, in random order: not that one first, it may hang
        order = sorted(self._usable(machines_cache), key=lambda url: self.http.member(url).failed)
        urls = super()._get_machines_list(order)
        if not self._use_proxies:
            self._judge(urls, wait=not self._machines_cache)
        return self._usable(urls)

    def _judge(self, urls: List[str], wait: bool) -> None:
        """Look at advertised URLs that nobody has configured and that never answered.

        :param wait: for the outcome; not to be done in the HA loop, where it comes into effect later.
        """
        local = is_loopback(self._listed_by or '')
        arguments = dict(self._prepare_common_parameters(len(urls)), retries=0)
        threads = []
        for url in urls:
            if url in self._configured or self.http.member(url).asked:
                continue
            if is_loopback(url) and not local:
                self.http.member(url).refuse('a loopback address, learned from {0}'.format(self._listed_by))
            else:
                threads.append(Thread(target=self.http.look_at, args=(url,), kwargs=arguments, daemon=True))
                threads[-1].start()
        for thread in threads:
            if wait and thread.is_alive():
                thread.join()

    def _usable(self, urls: Any) -> List[str]:
        """Order the URLs to try: configured ones in the place of those refused, last those that take no token."""
        member = self.http.member
        good = [url for url in urls if not member(url).refused]
        if len(good) < len(urls):
            good += [url for url in self._configured if url not in good]
        good.sort(key=lambda url: member(url).wants_token)
        return good or list(urls)

    @property
    def machines_cache(self) -> Any:
        """The members to try, in this order."""
        return self._usable(super().machines_cache)

    def reload_config(self, config: Dict[str, Any]) -> None:
        """Apply a changed configuration.

        :param config: section of the DCS.
        """
        super().reload_config(config)
        try:
            prefix = parse_version_prefix(config.get('version_prefix'))
        except ValueError as e:
            logger.error('Invalid configuration, going on with the version_prefix of before: %s', e)
        else:
            self.http.set_prefix(prefix)

    def _load_machines_cache(self) -> Any:
        try:
            return super()._load_machines_cache()
        except etcd.EtcdException as e:
            remedy = self.http.remedy()
            if not remedy:
                raise
            logger.error('No etcd member can be used. %s', remedy)  # Patroni just says that it is waiting on etcd
            raise etcd.EtcdException('{0}. {1}'.format(e, remedy)) from e

    def api_execute(self, path: str, method: str, params: Optional[Dict[str, Any]] = None,
                    timeout: Optional[float] = None) -> Any:
        """Run a request on one member after the other, see Patroni's own method.

        :raises:
            :exc:`etcd.EtcdConnectionFailed`: if none is left; the text names those whose gateway is off.
        """
        member = self.http.member(self._base_uri)
        if self._machines_cache and (member.refused or member.wants_token):
            self.set_base_uri(self.machines_cache[0])  # the watch has to leave this one as well
        tried = 0
        while True:
            self.http.last.unexecuted = False  # of the request before, which is none of this call
            try:
                return super().api_execute(path, method, params, timeout)
            except etcd3.Etcd3Exception:  # an answer
                raise
            except etcd.EtcdConnectionFailed as e:
                remedy = self.http.remedy()
                if not remedy:
                    raise
                raise etcd.EtcdConnectionFailed('{0}. {1}'.format(e, remedy)) from e
            except etcd.EtcdException:
                # Patroni gives a call up that it makes without a retry, since it may have been executed, and turns to
                # the next member for the one after. When nobody can have executed it, the next may have this one.
                # Not when it failed at the member list: up to 3.3.4 and 4.0.6 that is the same exception.
                tried += 1
                if self._update_machines_cache or tried >= len(self.machines_cache) or not self.http.last.unexecuted:
                    raise

    def put(self, key: str, value: str, lease: Optional[str] = None, *args: Any, **kwargs: Any) -> Any:
        """Write a key, see Patroni's own method; :attr:`holding` is no key to be simply written."""
        if key != self.holding:
            return super().put(key, value, lease, *args, **kwargs)
        self.held = bool(super().put(key, value, lease, '0', **kwargs))  # as if to create it, goes through txn
        return self.held

    def txn(self, compare: Dict[str, Any], success: Dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Run a transaction, a nested one as plain compare-and-swap steps.

        Patroni >= 3.0.4 renews the leader key after a change of its lease with a transaction in the failure branch of
        another one (``Etcd3._update_leader``). etcd members before 3.3 die of that when a newer one lets it in.

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
                (otherwise,) = failure.values()
                if list(failure) != ['request_txn'] or set(otherwise) != {'compare', 'success'}:
                    raise ValueError
                (other_compare,), (other_success,) = otherwise['compare'], otherwise['success']
            except ValueError:
                raise etcd.EtcdException('Transaction can not be run as plain steps: {0}'.format(failure)) from None
        elif self.holding and compare['key'] == etcd3.base64_encode(self.holding):
            retry = kwargs.get('retry') or (args[0] if args else None)
            other_compare, other_success = compare, success
            compare = {'key': compare['key'], 'target': 'VALUE', 'value': success['request_put']['value']}
        else:
            return super().txn(compare, success, *args, **kwargs)

        # The first step once more at the end: if the answer to the second got lost, it was sent again to the next
        # member, which found that the key exists. If that key is ours the last step holds, else none does.
        for step in ((compare, success), (other_compare, other_success), (compare, success)):
            # Not the method of PatroniEtcd3Client (3.1): it restarts the watcher when a condition does not hold.
            ret = etcd3.Etcd3Client.txn(self, *step, retry=retry)
            if ret:
                break
        return ret

    def watchrange(self, *args: Any, **kwargs: Any) -> Any:
        """Start a watch on the member in use; called by the thread that keeps the copy of the cluster's keys.

        :returns: the response to read events from.

        :raises:
            :exc:`~patroni.dcs.etcd3.Etcd3Exception`: if the watch is refused or the member can't watch.
        """
        member = self._base_uri
        if member == self._watched:
            self.http.member(member).stale = True  # the last watch there broke off, perhaps by a restart
        self._watched = member

        if not self.http.member(member).can(WATCH_SINCE):
            logger.warning('etcd member %s can not watch (older than 3.1), reading from etcd on every HA loop', member)
            self._watch_impossible = True
            while member == self._base_uri and not self.http.member(member).can(WATCH_SINCE):
                time.sleep(1)
            raise etcd3.Etcd3Exception('etcd member {0} could not watch'.format(member))

        response = super().watchrange(*args, **kwargs)
        if isinstance(response, Answer):
            self._handle_server_response(response)  # raises the error that it is
        self._watch_impossible = False
        return response

    def get_cluster(self, path: str) -> Any:
        """Read the keys below *path*, from the watched copy where there is one.

        :param path: prefix of the keys.

        :returns: :class:`list` of the keys with their values decoded.
        """
        if not self._watch_impossible:
            return super().get_cluster(path)
        return [dict(node, key=etcd3.base64_decode(node['key']), value=etcd3.base64_decode(node.get('value', '')),
                     lease=node.get('lease'))
                for node in self._etcd3.retry(self.prefix, path).get('kvs', [])]


def is_loopback(url: str) -> bool:
    """Tell whether a URL leads to the machine that it is used on.

    :param url: URL of an etcd member.
    """
    try:
        host = urlsplit(url).hostname or ''
    except ValueError:  # no URL at all
        return False
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost' or host.startswith('localhost.')
