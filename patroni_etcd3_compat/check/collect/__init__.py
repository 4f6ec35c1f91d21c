"""Asks etcd, Patroni and PostgreSQL, and fills the classes of ``facts``. Changes nothing anywhere."""

from __future__ import annotations

from .collection import collect
from .configuration import ConfigError
from .settings import Settings, load_settings

__all__ = ['collect', 'ConfigError', 'load_settings', 'Settings']
