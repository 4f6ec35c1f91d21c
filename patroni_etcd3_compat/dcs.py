"""The DCS classes: Patroni's own Etcd3 and its client, with the gateway pool in the place of the pool manager.

Everything that looks into Patroni is in this module and in ``plugin``. Where its releases differ, the comment names
them.
"""
import logging
import socket
import sys
import time

from typing import Any, Collection, Dict, Optional, Tuple

import etcd

from patroni.dcs import etcd3
from patroni.exceptions import PatroniFatalException

from . import __version__
from .answers import Answer
from .gateway import CANONICAL, GatewayPool
from .versions import parse_version_prefix

logger = logging.getLogger(__name__)

#: What the stock client is told to be the version of the cluster. It must not hold anything back (authentication,
#: token, watch): what a member can do is decided for that member, in ``gateway``.
_ANY_CLUSTER = (3, 4)


class CompatClient(etcd3.PatroniEtcd3Client):  # type: ignore[misc]
    """Patroni's etcd client; the prefix of each request is chosen when its member is known.

    Takes the same arguments as the class of Patroni.
    """

    def __init__(self, config: Dict[str, Any], *args: Any, **kwargs: Any) -> None:
        self._explicit_prefix = parse_version_prefix(config.get('version_prefix'))
        #: path of the leader key while Patroni before 3.0.4 updates it, see :meth:`Etcd3._update_leader`
        self.holding: Optional[str] = None
        self.held = True
        self._watched: Optional[str] = None
        self._watch_impossible = False
        super().__init__(config, *args, **kwargs)

    @property
    def http(self) -> GatewayPool:
        """The place where every request to etcd passes."""
        return self._gateway

    @http.setter
    def http(self, pool: Any) -> None:  # python-etcd puts its pool manager here
        self._gateway = GatewayPool(pool, self._explicit_prefix)

    @property
    def version_prefix(self) -> str:
        """Paths are built with this one, whatever the member serves."""
        return CANONICAL

    @version_prefix.setter
    def version_prefix(self, value: Any) -> None:
        """The stock client decides here for all members at once, which can't be right for each."""

    def _ensure_version_prefix(self, base_uri: str, **kwargs: Any) -> None:
        # Called before each member list request. The version is asked by that request, within its time.
        self._cluster_version = _ANY_CLUSTER
        self.http.expire(base_uri)

    def reload_config(self, config: Dict[str, Any]) -> None:
        """Apply a changed configuration.

        :param config: section of the DCS.
        """
        super().reload_config(config)
        try:
            prefix = parse_version_prefix(config.get('version_prefix'))
        except ValueError as e:
            logger.error('Configuration of etcd3 not applied: %s', e)
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

    def api_execute(self, *args: Any, **kwargs: Any) -> Any:
        """Run a request on one member after the other, see Patroni's own method.

        :raises:
            :exc:`etcd.EtcdConnectionFailed`: if none is left; the text names those whose gateway is off.
        """
        try:
            return super().api_execute(*args, **kwargs)
        except etcd.EtcdConnectionFailed as e:
            remedy = self.http.remedy()
            if not remedy:
                raise
            raise etcd.EtcdConnectionFailed('{0}. {1}'.format(e, remedy)) from e

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
            self.http.expire(member)  # the last watch there broke off, perhaps because the member was restarted
        self._watched = member

        if not self.http.can_watch(member):
            logger.warning('etcd member %s can not watch (older than 3.1), reading from etcd on every HA loop', member)
            self._watch_impossible = True
            while member == self._base_uri and not self.http.can_watch(member):
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


class Etcd3(etcd3.Etcd3):  # type: ignore[misc]
    """The DCS behind section ``etcd3``. The name matters: Patroni looks for the section named after the class."""

    def __init__(self, config: Dict[str, Any], *args: Any) -> None:
        section = type(self).__name__.lower()
        try:
            parse_version_prefix(config.get('version_prefix'))
        except ValueError as e:
            text = 'Invalid configuration in section {0}: {1}'.format(section, e)
            if config.get('patronictl'):
                raise PatroniFatalException(text)
            logger.fatal(text)
            sys.exit(1)
        logger.info('patroni-etcd3-compat %s serves section %s', __version__, section)
        super().__init__(config, *args)  # AbstractMPP is the second argument since 3.3

    def get_etcd_client(self, config: Dict[str, Any], client_cls: Any) -> Any:
        """Create the client.

        :param config: section of the DCS.
        :param client_cls: class that the stock DCS asks for.
        """
        return super().get_etcd_client(config, CompatClient)

    def _update_leader(self, *args: Any) -> Any:
        if args:
            return super()._update_leader(*args)
        # Before 3.0.4 Patroni simply writes the key with its new lease, over that of a competitor, too, and does not
        # look whether it could. From then on it compares first, which is what the client does while `holding`.
        self._client.holding, self._client.held = self.leader_path, True
        try:
            return super()._update_leader() and self._client.held
        finally:
            self._client.holding = None

    def set_socket_options(self, sock: socket.socket,
                           socket_options: Optional[Collection[Tuple[int, int, int]]]) -> None:
        """Set the options of urllib3, TCP_NODELAY among them, beside Patroni's keepalive ones.

        The stock method leaves them out, and each POST then waits for a delayed ACK (44 ms in place of 1 ms).

        :param sock: socket about to be connected.
        :param socket_options: options that urllib3 asks for.
        """
        for option in socket_options or ():
            sock.setsockopt(*option)
        super().set_socket_options(sock, socket_options)


class Etcd3_Compat(Etcd3):
    """The DCS behind section ``etcd3_compat``."""
