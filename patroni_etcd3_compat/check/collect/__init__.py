"""Asks etcd, Patroni and PostgreSQL, and fills the classes of ``facts``. Changes nothing anywhere."""
from .collection import collect
from .settings import ConfigError, load_settings, Settings

__all__ = ['collect', 'ConfigError', 'load_settings', 'Settings']
