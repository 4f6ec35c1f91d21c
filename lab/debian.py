"""Debian's own Patroni in a folder: its packages, unpacked as on a Debian machine, run without root.

Its Python takes the folder for ``/``: packages are in ``usr/lib/python3/dist-packages``, and pip installs to
``usr/local/lib/python3.X/dist-packages``. It has the C library of its own release, so Debian 13's runs on Debian 12.
"""

from __future__ import annotations

import glob
import re
import subprocess
from pathlib import Path
from typing import Any

from . import CACHE, say
from .apt import Apt, mirror
from .cache import locked, unfinished
from .environments import clean_environ


def fetch(suite: str) -> Path:
    """Fetch Debian's package of Patroni.

    :param suite: name of the Debian release.
    :returns: the ``.deb`` file, kept in the cache.
    :raises LabError: when it cannot be downloaded.
    """
    target = CACHE / 'debian' / (suite + '.deb')
    with locked('packages'):
        if not target.exists():
            say(f"fetching Debian {suite}'s package of Patroni")
            target.parent.mkdir(parents=True, exist_ok=True)
            with unfinished(target) as part:
                apt = Apt(part, mirror(part).format(suite=suite), installed=False)
                apt('apt-get', 'update')
                apt('apt-get', 'download', 'patroni')
                next(part.glob('*.deb')).rename(target)
    return target


class DebianPatroni:
    """Patroni as Debian ships it.

    :param suite: name of the Debian release.
    :raises LabError: when the packages cannot be downloaded.
    """

    def __init__(self, suite: str = 'bookworm') -> None:
        self.root = CACHE / 'debian' / (suite + '-root')
        with locked('packages'):
            if not self.root.exists():
                self._fetch(suite)
        self.python = Path(sorted(glob.glob(str(self.root / 'usr/bin/python3.[0-9]*[0-9]')))[0])
        libraries = [
            path for pattern in ('usr/lib/*-linux-*', 'lib/*-linux-*') for path in glob.glob(str(self.root / pattern))
        ]
        loader = next(path for folder in libraries for path in glob.glob(folder + '/ld-linux*.so.*'))
        #: the command line of its Python
        self.command = [loader, '--library-path', ':'.join(libraries), str(self.python)]

    def _fetch(self, suite: str) -> None:
        say(f"fetching Debian {suite}'s Patroni")
        self.root.parent.mkdir(parents=True, exist_ok=True)
        with unfinished(self.root) as part:
            apt = Apt(part, mirror(part).format(suite=suite), installed=False)
            apt('apt-get', 'update')
            plan = re.findall(
                r'^Inst (\S+)',
                apt('apt-get', 'install', '--simulate', '--no-install-recommends', 'patroni', 'python3-etcd'),
                re.M,
            )
            wanted = [name for name in plan if re.match(r'patroni$|python3|lib|zlib', name)]
            (part / 'root').mkdir()
            apt.unpack(wanted, part / 'root')
            (part / 'root').rename(self.root)

    @property
    def local(self) -> Path:
        """The folder that pip installs to."""
        return self.root / 'usr' / 'local' / 'lib' / self.python.name / 'dist-packages'

    def environ(self) -> dict[str, str]:
        """Environment variables that make its Python take the folder for the machine."""
        return dict(clean_environ(), PYTHONHOME=str(self.root / 'usr'), PYTHONDONTWRITEBYTECODE='1')

    def run(self, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run its Python.

        :param args: arguments for Python.
        :param environ: more environment variables.
        """
        options: dict[str, Any] = {'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'universal_newlines': True}
        return subprocess.run(
            [*self.command, *args], env=dict(self.environ(), **environ), timeout=60, stdin=subprocess.DEVNULL, **options
        )
