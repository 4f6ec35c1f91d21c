"""What the facts mean: findings, each with what was seen, what follows and what to do. Pure functions, no I/O.

Each module here registers its findings when it is imported, see :mod:`.registry`; a new one is found by itself.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Sequence

from ..facts import Facts, Finding, Fleet
from .registry import Kind, Seen, Subject, judge, kind_of, kinds

__all__ = ['exit_status', 'judge', 'Kind', 'kind_of', 'kinds', 'Seen', 'Subject']

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f'{__name__}.{_module.name}')


def exit_status(facts: Facts | Fleet, findings: Sequence[Finding]) -> int:
    """Return the exit status of the command.

    :param facts: as they were collected.
    :param findings: those that count (``--only``, ``--ignore``).

    :returns: 2 if one is critical, 1 if one is a warning, 3 if something important could not be determined, else 0. If
              nobody answered it is 3, unless one is critical.
    """
    worst = {found.severity for found in findings}
    if 'critical' in worst:
        return 2
    if not any(url.answers or url.tls_fault for url in facts.etcd.endpoints):
        return 3
    return 1 if 'warning' in worst else 3 if 'unknown' in worst else 0
