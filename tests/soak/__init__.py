"""Every order of upgrades, rollbacks and losses of etcd members under a running Patroni."""

from __future__ import annotations
