"""The optional part: gRPC, and the option that chooses between it and the gateway. No imports of it here."""

from __future__ import annotations

import logging
from importlib import import_module

from .versions import AUTO

logger = logging.getLogger(__name__)

#: Values of ``transport``: the gateway where it works and gRPC elsewhere; one of them alone.
GATEWAY, GRPC = 'gateway', 'grpc'
TRANSPORTS = (AUTO, GATEWAY, GRPC)

#: What to do where gRPC would help and cannot be used.
INSTALL = "install it with: pip install 'patroni-etcd3-compat[grpc]' (Debian: apt install python3-h2)"


def has_grpc() -> bool:
    """Return whether the package that gRPC needs is there and can be loaded: a broken one must not stop Patroni."""
    try:
        import_module('h2.connection')
    except Exception as e:  # whatever a package does that is only half there
        if not isinstance(e, ModuleNotFoundError):
            logger.warning('gRPC cannot be used, the Python package h2 does not load: %r', e)
        return False
    return True
