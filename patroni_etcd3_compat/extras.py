"""The optional part: gRPC, and the option that chooses between it and the gateway. No imports of it here."""

from __future__ import annotations

from importlib.util import find_spec

from .versions import AUTO

#: Values of ``transport``: the gateway where it works and gRPC elsewhere; one of them alone.
GATEWAY, GRPC = 'gateway', 'grpc'
TRANSPORTS = (AUTO, GATEWAY, GRPC)

#: What to do where gRPC would help and cannot be used.
INSTALL = "install it with: pip install 'patroni-etcd3-compat[grpc]' (Debian: apt install python3-h2)"


def has_grpc() -> bool:
    """Return whether the package that gRPC needs is installed."""
    return find_spec('h2') is not None
