"""Patroni's etcd client: what is different in single calls. Where they go is decided in ``dispatch``."""

from __future__ import annotations

import logging
import time
from threading import current_thread, local
from typing import Any

import etcd
from patroni.dcs import etcd3

from .answers import Answer
from .dispatch import DispatchClient
from .names import Resolver
from .router import CANONICAL
from .steps import Part, held_or, unnested
from .versions import WATCH_SINCE
from .watch import Pace

logger = logging.getLogger(__name__)

if not hasattr(etcd3, 'AuthOldRevision'):  # since 3.2; before that the error is unknown, this one leads to the same
    etcd3.errStringToClientError['etcdserver: revision of auth store is old'] = etcd3.InvalidAuthToken

#: What the stock client is told to be the version of the cluster. It must not hold anything back (authentication,
#: token, watch): what a member can do is decided for that member, in ``gateway``.
_ANY_CLUSTER = (3, 4)


class CompatClient(DispatchClient):
    """Patroni's etcd client; the prefix of each request is chosen when its member is known.

    Takes the same arguments as the class of Patroni.
    """

    def __init__(self, config: dict[str, object], dns_resolver: Resolver, *args: object, **kwargs: object) -> None:
        self._built_with: str | None = CANONICAL
        #: path of the leader key while Patroni before 3.0.4 updates it, see :meth:`Etcd3._update_leader`
        self.holding: str | None = None
        #: whether that succeeded; ``None``: it was not tried
        self.held: bool | None = None
        self._watched = Pace()
        self._watch_impossible = False
        self._refusals = local()
        super().__init__(config, dns_resolver, *args, **kwargs)

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

    @property
    def _reauthenticate(self) -> bool:
        """Whether etcd has refused the call before.

        For each thread: a refusal of the thread that watches must not fail a call of the HA loop that was not sent, and
        the end of one must not make a refused call go out again.
        """
        return getattr(self._refusals, 'last', False)

    @_reauthenticate.setter
    def _reauthenticate(self, value: bool) -> None:
        self._refusals.last = value

    def handle_auth_errors(self, *args: Any, **kwargs: Any) -> Any:
        """Make a call that etcd may refuse for who the client is, see Patroni's own method.

        Without a password, Patroni sends nothing more after one refusal, until it is restarted. But etcd may have been
        changed back, and a certificate may say who the client is.
        """
        if not (self.username and self.password):
            self._reauthenticate = False
        return super().handle_auth_errors(*args, **kwargs)

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
