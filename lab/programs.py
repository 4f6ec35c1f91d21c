"""Programs that tests run as an operator or a packager would (curl, patch): installed here, or downloaded."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from . import CACHE, say
from .apt import Apt, mirror, os_release
from .cache import locked, unfinished
from .processes import LabError

# Where the program looks for its libraries. Everything is relative, since CACHE may be copied.
_WRAPPER = """\
#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/root
export LD_LIBRARY_PATH=$(echo "$root"/usr/lib/*-linux-* "$root"/lib/*-linux-* | tr " " :)
exec "$root/{0}" "$@"
"""


def tool(name: str) -> Path:
    """Return a program.

    :param name: its name, which is also that of its package.
    :returns: this machine's own, or a downloaded one with the libraries that this machine lacks.
    :raises LabError: when it is neither here nor can be downloaded.
    """
    found = shutil.which(name)
    return Path(found) if found else fetched(name)


def fetched(name: str, package: str = '', path: str = '', alone: bool = False) -> Path:
    """Return the program of the distribution, whether or not it is installed here; see `tool`.

    :param package: its package, if that has a different name.
    :param path: where it is in its package, if it is not in ``usr/bin``; may be a pattern.
    :param alone: without what its package depends on, for a program that needs no library of its own.
    """
    target = CACHE / 'tools' / name
    with locked('packages'):
        if not target.exists():
            say(f'fetching {name}')
            with unfinished(target) as part:
                apt = Apt(part, None, installed=True)
                with contextlib.suppress(LabError):  # of a source that is not needed
                    apt('apt-get', 'update')
                root = part / 'bin' / 'root'
                if alone:
                    root.mkdir(mode=0o755, parents=True)
                    apt.unpack([package or name], root)
                else:
                    apt.unpack_whole([package or name], root)
                found = next(root.glob(path or f'usr/bin/{name}'), None)
                if found is None:
                    raise LabError(f'there is no {path or name} in package {package or name}')
                program = part / 'bin' / name
                program.write_text(_WRAPPER.format(found.relative_to(root)))
                program.chmod(0o755)
                (part / 'bin').rename(target)
    return target / name


def archive_fault() -> str | None:
    """Return why the archive of the distribution cannot be reached; None if it can."""
    try:
        with unfinished(CACHE / 'tools' / 'archive') as part:
            apt = Apt(part, mirror(part).format(suite=os_release()['VERSION_CODENAME']), installed=False)
            apt('apt-get', 'update')
    except (LabError, KeyError) as e:
        return str(e)
    return None
