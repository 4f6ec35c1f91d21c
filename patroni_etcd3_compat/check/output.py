"""Where the output of the command goes: a terminal, a pipe, or a file that others read at any time."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import tempfile

from .printable import WIDTH


def terminal() -> tuple[int, bool]:
    """Return the width of a line in columns, and whether colours are wanted (https://no-color.org)."""
    columns = os.environ.get('COLUMNS', '')
    width = int(columns) if re.fullmatch('[0-9]{1,5}', columns) and int(columns) else WIDTH
    if not sys.stdout or not sys.stdout.isatty():
        return width, False
    try:
        width = os.get_terminal_size(sys.stdout.fileno()).columns or width
    except OSError:
        pass
    return width, not os.environ.get('NO_COLOR') and os.environ.get('TERM') != 'dumb'


def to_stdout(text: str) -> None:
    """Write to standard output; what its encoding lacks is written as an escape sequence.

    :raises:
        :exc:`OSError`: if it cannot be written; not if the reader has seen enough.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, 'standard output is closed')
    encoding = getattr(sys.stdout, 'encoding', None) or 'utf-8'
    try:
        sys.stdout.write(text.encode(encoding, 'backslashreplace').decode(encoding))
        sys.stdout.flush()
    except OSError as e:  # Python must not try again when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(e, BrokenPipeError):
            raise


def same_file(one: str | None, other: str | None) -> bool:
    """Return whether a text written to one of these names would replace the other; ``-`` and ``None`` are no files."""
    if one in (None, '-') or other is None:
        return False
    return os.path.realpath(str(one)) == os.path.realpath(other)


def write(text: str, output: str | None) -> None:
    """Write to a file, so that a reader sees all of the old or all of the new text, or to standard output.

    :param text: the text.
    :param output: name of the file; ``None`` or ``-`` for standard output.

    :raises:
        :exc:`OSError`: if it cannot be written. A file that was there stays as it was.
    """
    if output is None or output == '-':
        return to_stdout(text)
    path = os.path.realpath(output)
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):  # a device, a pipe: not to be replaced
        with open(path, 'w', encoding='utf-8', errors='backslashreplace') as stream:
            stream.write(text)
        return
    # The name ends in .tmp so that node_exporter, which reads *.prom, does not take it for a file of its own.
    handle, part = tempfile.mkstemp('.tmp', '.' + os.path.basename(path), os.path.dirname(path))
    try:
        with open(handle, 'w', encoding='utf-8', errors='backslashreplace') as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(handle, 0o644)
            os.fsync(handle)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
