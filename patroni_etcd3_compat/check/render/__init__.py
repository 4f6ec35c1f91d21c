"""Facts and findings as text, in every format of the command."""

from __future__ import annotations

from typing import Callable

from ..facts import Facts, Finding
from .machine import as_json, as_tsv, as_yaml
from .monitoring import nagios, prometheus
from .pretty import pretty

__all__ = ['FORMATS', 'render', 'WIDTH']

#: Columns of a line if its width is unknown.
WIDTH = 120

#: Functions of facts, findings, the width in columns, and whether colours are wanted. The names are those of
#: ``patronictl``, and two for monitoring.
FORMATS: dict[str, Callable[[Facts, list[Finding], int, bool], str]] = {
    'pretty': pretty,
    'json': as_json,
    'yaml': as_yaml,
    'yml': as_yaml,
    'tsv': as_tsv,
    'nagios': nagios,
    'prometheus': prometheus,
}


def render(fmt: str, facts: Facts, findings: list[Finding], width: int | None = None, colour: bool = False) -> str:
    """Return facts and findings in one format.

    :param fmt: a name in :data:`FORMATS`.
    :param facts: what was collected.
    :param findings: the findings to show.
    :param width: columns of a line, ``None`` for :data:`WIDTH`; only ``pretty`` uses it.
    :param colour: whether to use colours; only ``pretty`` has some.

    :returns: the text; its last line ends with a line feed.

    :raises:
        :exc:`KeyError`: if there is no such format.
    """
    return FORMATS[fmt](facts, findings, width or WIDTH, colour)
