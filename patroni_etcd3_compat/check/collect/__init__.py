"""Asks etcd, Patroni and PostgreSQL, and fills the classes of ``facts``. Changes nothing anywhere."""

from __future__ import annotations

from .collection import collect, collect_fleet
from .configuration import ConfigError
from .settings import Settings, load_settings

__all__ = ['collect', 'collect_fleet', 'ConfigError', 'load_settings', 'Settings']
