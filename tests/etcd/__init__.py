"""The class on real etcd clusters."""

from __future__ import annotations
