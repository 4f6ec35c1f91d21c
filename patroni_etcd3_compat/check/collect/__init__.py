"""Asks etcd, Patroni and PostgreSQL, and fills the classes of ``facts``. Changes nothing anywhere."""

from __future__ import annotations

from .collection import collect
from .settings import ConfigError, Settings, load_settings

__all__ = ['collect', 'ConfigError', 'load_settings', 'Settings']
