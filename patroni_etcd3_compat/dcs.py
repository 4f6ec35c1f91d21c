"""The DCS classes: Patroni's own, with our client.

Everything that looks into Patroni is in ``dispatch`` and ``client``, in this module, in ``hooks`` and ``plugin``. Where
its releases differ, the comment names them.
"""

from __future__ import annotations

import logging
import socket
import sys
from typing import Any, Callable, Collection, Mapping

from patroni.dcs import etcd3
from patroni.exceptions import PatroniFatalException
from patroni.utils import Retry

from . import __version__
from .client import CompatClient
from .leadership import Leadership
from .mark import FIELD, mark
from .options import OPTIONS, parse_member_slots
from .slots import MemberSlots

logger = logging.getLogger(__name__)


#: Seconds: Patroni updates the leader key in two steps and starts the second only if one second is left. The rest is
#: for the first step.
_PATRONIS_LEAST = 1.25


class LeaderRetry(Retry):  # type: ignore[misc]
    """Patroni's retry. On a leader it ends before the leader key can expire.

    :param stock: the retry of Patroni's class.
    :param patience: returns the seconds that a call may wait.
    """

    def __init__(self, stock: Retry, patience: Callable[[], float]) -> None:
        self.__dict__.update(vars(stock))
        self._patience = patience

    def copy(self) -> Retry:
        """Return the retry for one call."""
        ret = super().copy()
        if ret.deadline is not None:
            # Patroni does not continue with less than a second, however fast etcd answers. That second is not for
            # waiting: each request still waits no longer than the leader can.
            ret.deadline = min(ret.deadline, max(self._patience(), _PATRONIS_LEAST))
        return ret


class Etcd3(etcd3.Etcd3):  # type: ignore[misc]
    """The DCS of section ``etcd3``. The name matters: Patroni looks for the section named after the class."""

    def __init__(self, config: dict[str, Any], *args: object) -> None:
        section = type(self).__name__.lower()
        try:
            for name, check in OPTIONS.items():
                check(config.get(name))
            member_slots = parse_member_slots(config.get('member_slots'))
        except ValueError as e:
            text = f'Invalid configuration in section {section}: {e}'
            if config.get('patronictl'):
                raise PatroniFatalException(text) from e
            logger.fatal(text)
            sys.exit(1)
        logger.info('patroni-etcd3-compat %s serves section %s', __version__, section)
        self._member_slots = None if config.get('patronictl') else MemberSlots(config.get('name', ''), member_slots)
        super().__init__(config, *args)  # AbstractMPP is the second argument since 3.3

    def get_etcd_client(self, config: dict[str, object], client_cls: object) -> object:
        """Create the client.

        :param config: section of the DCS.
        :param client_cls: class that the stock DCS asks for.
        """
        return super().get_etcd_client(config, CompatClient)

    def reload_config(self, config: Mapping[str, Any]) -> None:
        """Apply a changed configuration.

        :param config: the whole configuration.
        """
        super().reload_config(config)
        if self._member_slots:
            try:
                self._member_slots.enabled = parse_member_slots(
                    config.get(type(self).__name__.lower(), {}).get('member_slots')
                )
            except ValueError as e:
                logger.error('Invalid configuration, keeping the previous member_slots: %s', e)

    def get_cluster(self, *args: object, **kwargs: object) -> object:
        """Return the state of the cluster, with what ``slots`` adds to it.

        :param args: ``force`` before Patroni 3.2.

        :returns: :class:`~patroni.dcs.Cluster`.
        """
        try:
            cluster = super().get_cluster(*args, **kwargs)
        except Exception:
            self._leadership.lost()  # a leader demotes, or continues in pause or failsafe_mode, as Patroni decides
            raise
        if not cluster.leader or cluster.leader.name != self._name:
            self._leadership.lost()
        return self._member_slots.view(cluster) if self._member_slots else cluster

    @property
    def _retry(self) -> Retry:
        """The retry that each call makes a copy of; Patroni sets it."""
        return self._leader_retry

    @_retry.setter
    def _retry(self, stock: Retry) -> None:
        self._leader_retry = LeaderRetry(stock, lambda: self._leadership.patience())

    @property
    def _leadership(self) -> Leadership:
        return self._client.leadership  # type: ignore[no-any-return]

    def _asked(self, question: Callable[..., object], *args: object, **kwargs: object) -> object:
        """Return and note whether this node holds the leader key.

        :param question: the method that finds out.
        :param args: its arguments.
        :param kwargs: the same.
        """
        try:
            held = question(*args, **kwargs)
        except Exception:
            self._leadership.lost()
            raise
        if held:
            self._leadership.took(self._lease)
        else:
            self._leadership.lost()
        return held

    def attempt_to_acquire_leader(self) -> object:
        """See Patroni's own method."""
        return self._asked(super().attempt_to_acquire_leader)

    def take_leader(self) -> object:
        """See Patroni's own method."""
        return self._asked(super().take_leader)

    def touch_member(self, data: Mapping[str, object], *args: object, **kwargs: object) -> object:
        """Write the member key if it has changed, with a field that says what serves this member.

        The field changes with the option ``transport`` alone. So what Patroni compares stays equal, and it causes no
        writes.

        :param data: what Patroni writes; it stays as it is.
        :param args: further ones of Patroni's own method.
        :param kwargs: the same.

        :returns: what that returns.
        """
        return super().touch_member({**data, FIELD: mark(__name__, self._client.may_use_grpc)}, *args, **kwargs)

    def _delete_leader(self, *args: object, **kwargs: object) -> object:
        self._leadership.lost()
        return super()._delete_leader(*args, **kwargs)

    def _update_leader(self, *args: object, **kwargs: object) -> object:
        update = super()._update_leader if args or kwargs else self._update_leader_compared
        return self._asked(update, *args, **kwargs)

    def _update_leader_compared(self) -> bool:
        # Before 3.0.4, Patroni writes the key with its new lease without checking, even over that of a competitor. From
        # then on it compares first, which is what the client does while `holding`.
        self._client.holding, self._client.held = self.leader_path, None
        try:
            return bool(super()._update_leader()) and self._client.held is not False
        finally:
            self._client.holding = None

    def set_socket_options(self, sock: socket.socket, socket_options: Collection[tuple[int, int, int]] | None) -> None:
        """Set urllib3's socket options, including TCP_NODELAY, in addition to Patroni's keepalive options.

        The stock method omits them, and each POST then waits for a delayed ACK (44 ms instead of 1 ms).

        :param sock: socket about to be connected.
        :param socket_options: options that urllib3 asks for.
        """
        for option in socket_options or ():
            sock.setsockopt(*option)
        super().set_socket_options(sock, socket_options)


class Etcd3_Compat(Etcd3):
    """The DCS of section ``etcd3_compat``."""
