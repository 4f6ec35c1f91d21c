"""The command patroni-etcd3-compat on real clusters."""

from __future__ import annotations
