"""Patroni on etcd clusters whose members run different versions.

Imported at every start of this Python (see ``plugin``), so it holds nothing but the version.
"""

from __future__ import annotations

__version__ = '0.1.0'
