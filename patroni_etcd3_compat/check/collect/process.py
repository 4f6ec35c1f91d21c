"""The running Patroni on this machine, as /proc shows it: which Python it is a process of, and nothing else.

What that Python has installed says nothing about the process, which may be older than the installation.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path
from typing import Iterator, NamedTuple

_PROC = Path('/proc')

#: Behind the target of /proc/PID/exe if the file was replaced while the process runs.
_DELETED = ' (deleted)'


class Python(NamedTuple):
    """A Python that runs."""

    #: where it is; that in the virtual environment, if it is one
    path: str
    #: its version, such as ``3.11``, or with the patch release where it is known
    version: str


def running_python(config_file: str, proc: Path = _PROC) -> Python | None:
    """Return the Python that runs Patroni with a configuration file.

    :param config_file: the file, or folder of files.
    :param proc: where the kernel shows the processes.

    :returns: ``None`` if no such process can be seen (which takes root, or the user that Patroni runs as), or if there
              are several in different ones.
    """
    found = {
        _python(process, called) for process, called, argument in _patronis(proc) if _is(process, argument, config_file)
    }
    return found.pop() if len(found) == 1 else None


def _patronis(proc: Path) -> Iterator[tuple[Path, str, str]]:
    """Find processes that are called as Patroni is, with the name of their Python and their configuration file."""
    try:
        processes = [entry for entry in proc.iterdir() if entry.name.isdigit()]
    except OSError:  # not Linux
        return
    for process in processes:
        try:
            arguments = os.fsdecode((process / 'cmdline').read_bytes()).split('\0')[:-1]
        except OSError:  # it has ended, or is hidden
            continue
        # python /usr/bin/patroni FILE, or python -m patroni FILE. With an option of its own, Patroni does not stay.
        options = arguments[1:-2]
        if len(arguments) > 2 and os.path.basename(arguments[-2]) == 'patroni' and all(it[:1] == '-' for it in options):
            yield process, arguments[0], arguments[-1]


def _is(process: Path, argument: str, config_file: str) -> bool:
    """Tell whether an argument is the configuration file. The process may have folders of its own."""
    seen = process / 'root' / argument.lstrip('/') if argument.startswith('/') else process / 'cwd' / argument
    try:
        return os.path.samefile(seen, config_file)
    except (OSError, ValueError):  # there is no such file, or the process is somebody else's
        return False


def _python(process: Path, called: str) -> Python | None:
    exe = process / 'exe'
    try:
        target, running = os.readlink(exe), os.stat(exe)
    except OSError:
        return None
    path = target[: -len(_DELETED)] if target.endswith(_DELETED) else target
    match = re.search(r'python([0-9]+(?:\.[0-9]+)?)$', path)
    if not match:
        return None
    # The kernel names the file behind all symbolic links; the process is called by the one in the virtual environment.
    if os.path.isabs(called) and os.path.realpath(called) == path:
        path = called
    try:
        same = os.path.samestat(running, os.stat(sys.executable))
    except OSError:
        same = False
    return Python(path, platform.python_version() if same else match.group(1))
