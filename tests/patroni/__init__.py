"""Patroni with PostgreSQL, and the ways in which it finds the class."""

from __future__ import annotations
