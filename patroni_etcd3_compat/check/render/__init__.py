"""Facts and findings as text, in every format of the command."""

from __future__ import annotations

from typing import Callable

from ..facts import Facts, Finding, Fleet
from .machine import as_json, as_tsv, as_yaml
from .monitoring import nagios, prometheus
from .pretty import pretty
from .text import WIDTH, Style

__all__ = ['FORMATS', 'render', 'WIDTH']

#: Functions of facts, findings and the style. The names are those of ``patronictl``, and two for monitoring.
FORMATS: dict[str, Callable[[Facts | Fleet, list[Finding], Style], str]] = {
    'pretty': pretty,
    'json': as_json,
    'yaml': as_yaml,
    'yml': as_yaml,
    'tsv': as_tsv,
    'nagios': nagios,
    'prometheus': prometheus,
}


def render(
    fmt: str,
    facts: Facts | Fleet,
    findings: list[Finding],
    width: int | None = None,
    colour: bool = False,
    verbose: bool = False,
) -> str:
    """Return facts and findings in one format.

    :param fmt: a name in :data:`FORMATS`.
    :param facts: what was collected.
    :param findings: the findings to show.
    :param width: columns of a line, ``None`` for :data:`WIDTH`. It matters to ``pretty`` alone, as do the next two.
    :param colour: whether to use colours.
    :param verbose: whether to show everything, whole.

    :returns: the text; its last line ends with a line feed.

    :raises:
        :exc:`KeyError`: if there is no such format.
    """
    return FORMATS[fmt](facts, findings, Style(width or WIDTH, colour, verbose))
