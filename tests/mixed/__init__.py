"""Clusters whose nodes run different releases of Patroni."""

from __future__ import annotations
