"""Text that is safe to print, for all parts of the command. Only the standard library, as ``doctor`` needs it."""

from __future__ import annotations

#: The word for an exit status, as Nagios has it.
STATUS = ('OK', 'WARNING', 'CRITICAL', 'UNKNOWN')

#: Columns of a line if its width is unknown.
WIDTH = 120


def clean(text: object) -> str:
    """Return a text that is safe to print: names come from etcd, where anybody with access may have written anything.

    :param text: the text; line feeds stay.

    :returns: the text with escape sequences instead of what a terminal would obey or cannot show.
    """
    return ''.join(
        char if char.isprintable() or char == '\n' else char.encode('unicode_escape').decode('ascii')
        for char in str(text)
    )


def one_line(text: object) -> str:
    """Return the same without line feeds and double blanks."""
    return ' '.join(clean(text).split())
