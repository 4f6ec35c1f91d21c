"""Patroni with PostgreSQL, and the ways it finds the class."""

from __future__ import annotations
