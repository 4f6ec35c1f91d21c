"""The DCS classes: Patroni's own, with our client.

Everything that looks into Patroni is in ``client``, in this module and in ``plugin``. Where its releases differ, the
comment names them.
"""
import logging
import socket
import sys

from typing import Any, Collection, Dict, Optional, Tuple

from patroni.dcs import etcd3
from patroni.exceptions import PatroniFatalException

from . import __version__
from .client import CompatClient
from .options import OPTIONS
from .slots import MemberSlots, parse_member_slots

logger = logging.getLogger(__name__)


class Etcd3(etcd3.Etcd3):  # type: ignore[misc]
    """The DCS behind section ``etcd3``. The name matters: Patroni looks for the section named after the class."""

    def __init__(self, config: Dict[str, Any], *args: Any) -> None:
        section = type(self).__name__.lower()
        try:
            options = {name: check(config.get(name)) for name, check in OPTIONS.items()}
        except ValueError as e:
            text = 'Invalid configuration in section {0}: {1}'.format(section, e)
            if config.get('patronictl'):
                raise PatroniFatalException(text)
            logger.fatal(text)
            sys.exit(1)
        logger.info('patroni-etcd3-compat %s serves section %s', __version__, section)
        self._member_slots = None if config.get('patronictl') else MemberSlots(
            config.get('name', ''), options['member_slots'])
        super().__init__(config, *args)  # AbstractMPP is the second argument since 3.3

    def get_etcd_client(self, config: Dict[str, Any], client_cls: Any) -> Any:
        """Create the client.

        :param config: section of the DCS.
        :param client_cls: class that the stock DCS asks for.
        """
        return super().get_etcd_client(config, CompatClient)

    def reload_config(self, config: Any) -> None:
        """Apply a changed configuration.

        :param config: the whole configuration.
        """
        super().reload_config(config)
        if self._member_slots:
            try:
                self._member_slots.enabled = parse_member_slots(
                    config.get(type(self).__name__.lower(), {}).get('member_slots'))
            except ValueError as e:
                logger.error('Invalid configuration, going on with the member_slots of before: %s', e)

    def get_cluster(self, *args: Any, **kwargs: Any) -> Any:
        """Read the state of the cluster, with what ``slots`` adds to it.

        :param args: ``force`` before Patroni 3.2.

        :returns: :class:`~patroni.dcs.Cluster`.
        """
        cluster = super().get_cluster(*args, **kwargs)
        return self._member_slots.view(cluster) if self._member_slots else cluster

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
