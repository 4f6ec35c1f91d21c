"""The running Patroni on this machine, as /proc shows it: which Python it is a process of, and nothing else.

What that Python has installed says nothing about the process, which may be older than the installation. Only the
standard library is imported: ``doctor`` uses this in a Python that has nothing else.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import Iterator, NamedTuple, Sequence

PROC = Path('/proc')

#: Behind the target of /proc/PID/exe if the file was replaced while the process runs.
DELETED = ' (deleted)'

#: Patroni's script, as packages and pip install it, and as it is in its source tree.
_SCRIPTS = ('patroni', 'patroni.py')

_PYTHON = re.compile(r'(?:python|pypy)([0-9]+(?:\.[0-9]+)?)?$')


class Python(NamedTuple):
    """A Python that runs."""

    #: where it is; that in the virtual environment, if it is one
    path: str
    #: its version, such as ``3.11``, or with the patch release where it is known
    version: str


class PatroniProcess(NamedTuple):
    """A process that is called as Patroni is."""

    #: its folder in /proc
    folder: Path
    #: the Python as it was called, or the program itself if it is frozen
    called: str
    #: options of Python without a value, such as ``IB``
    flags: str
    #: Patroni's script, ``None`` for ``-m patroni`` and for what is frozen
    script: str | None
    #: configuration file or folder, ``None`` if none is named
    config: str | None
    #: a program of its own with Python in it, as PyInstaller makes them
    frozen: bool = False

    @property
    def pid(self) -> int:
        """Its number."""
        return int(self.folder.name)

    def runs_with(self, config_file: str) -> bool:
        """Tell whether it has this configuration. The process may have folders of its own."""
        if self.config is None:
            return False
        try:
            return os.path.samefile(within(self.folder, self.config), config_file)
        except (OSError, ValueError):  # there is no such file, or the process is somebody else's
            return False


def within(folder: Path, path: str) -> Path:
    """Return where a path of a process is found from here.

    :param folder: of the process in /proc.
    :param path: as the process has it.
    """
    return folder / 'root' / path.lstrip('/') if path.startswith('/') else folder / 'cwd' / path


def running_python(config_file: str, proc: Path = PROC) -> Python | None:
    """Return the Python that runs Patroni with a configuration file.

    :param config_file: the file, or folder of files.
    :param proc: where the kernel shows the processes.

    :returns: ``None`` if no such process can be seen (which takes root, or the user that Patroni runs as), or if there
              are several in different ones.
    """
    found = {_python(process) for process in patronis(proc) if process.runs_with(config_file)}
    return found.pop() if len(found) == 1 else None


def patronis(proc: Path = PROC) -> Iterator[PatroniProcess]:
    """Find processes that are called as Patroni is: ``python /usr/bin/patroni FILE`` or ``python -m patroni FILE``.

    :param proc: where the kernel shows the processes.
    """
    try:
        processes = sorted((entry for entry in proc.iterdir() if entry.name.isdigit()), key=lambda it: int(it.name))
    except OSError:  # not Linux
        return
    for folder in processes:
        process = patroni_in(folder)
        if process:
            yield process


def is_python(path: str) -> bool:
    """Return whether a program is a Python by its name."""
    return bool(_PYTHON.search(path))


def patroni_in(folder: Path) -> PatroniProcess | None:
    """Return the process that a folder in /proc is about, ``None`` if it is no Patroni, or has ended.

    :param folder: of the process.
    """
    try:
        arguments = os.fsdecode((folder / 'cmdline').read_bytes()).split('\0')[:-1]
    except OSError:  # it has ended, or is hidden
        return None
    if not arguments:
        return None
    if is_python(running_file(folder) or arguments[0]):
        return _patroni(folder, arguments)
    if os.path.basename(arguments[0]) == 'patroni':  # the kernel puts a script's Python in front of it
        return _with_config(PatroniProcess(folder, arguments[0], '', None, None, frozen=True), arguments[1:])
    return None


def _patroni(folder: Path, arguments: Sequence[str]) -> PatroniProcess | None:
    """Return the same for a Python, from its command line."""
    rest = list(arguments[1:])
    flags = ''
    while rest:
        argument = rest.pop(0)
        if argument[:1] != '-':
            if os.path.basename(argument) not in _SCRIPTS:
                return None
            return _with_config(PatroniProcess(folder, arguments[0], flags, argument, None), rest)
        if argument == '--check-hash-based-pycs':
            del rest[:1]
            continue
        valued = re.fullmatch('-([A-Za-z]*?)([cmWX])(.*)', argument)
        if not valued:
            flags += argument.lstrip('-') if argument[:2] != '--' else ''
            continue
        flags += valued.group(1)
        value = valued.group(3) or (rest.pop(0) if rest else '')
        if valued.group(2) == 'm' and value == 'patroni':
            return _with_config(PatroniProcess(folder, arguments[0], flags, None, None), rest)
        if valued.group(2) in 'cm':
            return None
    return None


def _with_config(process: PatroniProcess, rest: Sequence[str]) -> PatroniProcess | None:
    """Add what follows on the command line. With an option of its own, Patroni does not stay."""
    if not rest:
        return process
    return process._replace(config=rest[0]) if len(rest) == 1 and rest[0][:1] != '-' else None


def running_file(folder: Path) -> str | None:
    """Return the file that a process runs, behind all symbolic links; ``None`` if the process is somebody else's.

    :param folder: of the process in /proc.
    """
    try:
        target = os.readlink(folder / 'exe')
    except OSError:
        return None
    return target[: -len(DELETED)] if target.endswith(DELETED) else target


def _called_file(process: PatroniProcess, path: str | None) -> str:
    """Return where the Python of a process is by its name on the command line, as the process has it.

    :param path: variable ``PATH`` of the process.
    """
    if os.path.isabs(process.called):
        return process.called
    if '/' in process.called:
        try:
            return os.path.join(os.readlink(process.folder / 'cwd'), process.called)
        except OSError:
            return process.called
    return (shutil.which(process.called, path=path) if path else None) or process.called


def python_file(process: PatroniProcess, path: str | None = None) -> str | None:
    """Return the Python of a process: the one in the virtual environment, not that behind its symbolic link.

    :param path: variable ``PATH`` of the process.

    :returns: ``None`` if it is somebody else's process.
    """
    target, called = running_file(process.folder), _called_file(process, path)
    return called if target and os.path.isabs(called) and os.path.realpath(called) == target else target


def _python(process: PatroniProcess) -> Python | None:
    path = python_file(process)
    match = _PYTHON.search(running_file(process.folder) or '')
    if not path or not match or not match.group(1):
        return None
    exe = process.folder / 'exe'
    try:
        running = os.stat(exe)
        same = os.path.samestat(running, os.stat(sys.executable))
    except OSError:
        return None
    return Python(path, platform.python_version() if same else match.group(1))
