"""What /proc tells about a process of Patroni, besides what it is called: as what, where and since when it runs."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator, Sequence

from ..processes import DELETED, PROC, PatroniProcess, patroni_in, patronis, within


@dataclass
class Host:
    """A process, or what is known about it."""

    process: PatroniProcess
    uid: int | None = None
    gid: int | None = None
    groups: list[int] = field(default_factory=list)
    parent: int | None = None
    #: it is process 1 of a container, which in Patroni only starts the other one
    init: bool = False
    #: seconds since 1970
    started: float | None = None
    #: variables of its environment; ``None``: it is somebody else's
    environ: dict[str, str] | None = None
    #: it has folders of its own, as in a container; ``None``: it is somebody else's
    container: bool | None = None
    unit: str | None = None
    #: its Python was replaced while it runs
    replaced: bool = False
    #: this is root, and must be the process's user to look at it, as in a container without CAP_SYS_PTRACE
    as_owner: bool = False

    @property
    def user(self) -> str | None:
        """Name of its user; the number if it has none here."""
        return None if self.uid is None else user_name(self.uid, bool(self.container))


def user_name(uid: int, container: bool = False) -> str:
    """Return the name of a user. A container has names of its own."""
    if not container:
        try:
            return pwd.getpwuid(uid).pw_name
        except KeyError:
            pass
    return str(uid)


def hosts(pid: int | None = None, config_file: str | None = None, proc: Path = PROC) -> list[Host]:
    """Return the running Patronis, each of them once.

    :param pid: only this process.
    :param config_file: only those with this configuration.
    :param proc: where the kernel shows the processes.
    """
    found = [host for host in (look_at(process, proc) for process in patronis(proc)) if host]
    if pid is not None:
        return [host for host in found if host.process.pid == pid]
    if config_file is not None:
        found = [host for host in found if _runs_with(host, config_file)]
    return _once(found)


def _runs_with(host: Host, config_file: str) -> bool:
    with looking(host):
        return host.process.runs_with(config_file)


@contextlib.contextmanager
def looking(host: Host) -> Iterator[None]:
    """Be the user of the process as far as that is needed to read its links in /proc."""
    if not host.as_owner or host.uid is None or host.gid is None:
        yield
        return
    uid, gid = os.geteuid(), os.getegid()
    try:
        with contextlib.suppress(PermissionError):  # without CAP_SETUID and CAP_SETGID it is looked at as it is
            os.setegid(host.gid)
            os.seteuid(host.uid)
        yield
    finally:
        os.seteuid(uid)
        os.setegid(gid)


def _once(found: Sequence[Host]) -> list[Host]:
    """Leave out what is no Patroni of its own: a fork of one, and process 1 that only waits for the real one."""
    by_pid = {host.process.pid: host for host in found}
    waits = {host.parent for host in found if host.parent in by_pid and by_pid[host.parent].init}
    return [
        host
        for host in found
        if host.process.pid not in waits and (host.parent not in by_pid or by_pid[host.parent].init)
    ]


def look_at(process: PatroniProcess, proc: Path = PROC) -> Host | None:
    """Return what is known about a process. What cannot be read is ``None``.

    :returns: ``None`` if it is not what it was any more. Its user may replace a Python by a program that is root with
              any variables, such as su; nothing of that user may be taken for root's.
    """
    folder, host = process.folder, Host(process)
    fields = _status(folder)
    uids, gids = fields.get('Uid', []), fields.get('Gid', [])
    if len({*uids}) > 1 or len({*gids}) > 1:  # a program with more rights than its user
        return None
    if uids and gids:
        host.uid, host.gid = int(uids[0]), int(gids[0])
        host.groups = [int(group) for group in fields.get('Groups', [])]
    host.parent = int(fields['PPid'][0]) if fields.get('PPid') else None
    host.init = fields.get('NSpid', [''])[-1] == '1'
    host.started = _started(folder, proc)
    _peek(host)
    if None in (host.environ, host.container) and os.geteuid() == 0 and host.uid:
        host.as_owner = True
        with looking(host):
            _peek(host)
    unit = re.search(r'([^/\n]+\.service)$', _read(folder / 'cgroup') or '', re.M)
    host.unit = unit.group(1) if unit and not host.container else None
    now = _status(folder)
    same = patroni_in(folder) == process and (now.get('Uid', []), now.get('Gid', [])) == (uids, gids)
    return host if same else None


def _status(folder: Path) -> dict[str, list[str]]:
    status = _read(folder / 'status') or ''
    return {name: value.split() for name, _, value in (line.partition(':') for line in status.splitlines())}


def _peek(host: Host) -> None:
    """Read what only the process's user may see, and root."""
    folder = host.process.folder
    try:
        lines = os.fsdecode((folder / 'environ').read_bytes()).split('\0')
        host.environ = {name: value for name, equals, value in (line.partition('=') for line in lines) if equals}
    except OSError:
        pass
    try:
        alike = os.path.samefile(folder / 'root', '/')
        host.container = not (alike and all(_shared(folder, path) for path in _places(host.process)))
        host.replaced = os.readlink(folder / 'exe').endswith(DELETED)
    except OSError:
        pass


def _places(process: PatroniProcess) -> Iterator[str]:
    """Return folders that the process must have in common with this one to be looked at from here."""
    for path in (os.path.dirname(process.called), process.script or ''):
        if os.path.isabs(path):
            yield os.path.dirname(path)


def _shared(folder: Path, path: str) -> bool:
    """Return whether a path is the same folder for a process and here; a unit may have mounts of its own."""
    found = []
    for each in (within(folder, path), Path(path)):
        try:
            seen = os.stat(each)
            found.append((seen.st_dev, seen.st_ino))
        except FileNotFoundError:
            found.append((0, 0))
    return found[0] == found[1]


def _read(path: Path) -> str | None:
    try:
        return os.fsdecode(path.read_bytes())
    except OSError:
        return None


def _started(folder: Path, proc: Path) -> float | None:
    """Return when a process was started, in seconds since 1970, to a hundredth."""
    stat, uptime = _read(folder / 'stat'), _read(proc / 'uptime')
    try:
        ticks = int((stat or '').rpartition(')')[2].split()[19])  # the name in front may contain anything
        return time.time() - float((uptime or '').split()[0]) + ticks / os.sysconf('SC_CLK_TCK')
    except (IndexError, ValueError):
        return None
