"""Real etcd and PostgreSQL binaries: found on this machine, or fetched from its distribution's own packages.

etcd comes from, in this order: the folder ETCD_BIN_DIR (files such as ``etcd-3.2.26``), the ``etcd`` on PATH, one
package per release of the distribution, and, where Go is installed, its Go module (see `lab.golang`). PostgreSQL comes
from PG_BIN_DIR, /usr/lib/postgresql, or its package. What was fetched or built stays in CACHE. ``python -m
lab.packages`` lists all of it.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Callable, Collection, Sequence

from . import CACHE, golang, say
from .apt import Apt, locked, mirror, os_release, run, unfinished
from .processes import LabError
from .programs import fetched

LINES = ('3.2', '3.3', '3.4', '3.5', '3.6', '3.7')
"""The etcd release lines this project is about."""

# One release each of the distribution, oldest first: between them they carry the most lines. The Ubuntu column follows
# from its package lists (focal has 3.2.26); it was never run.
SUITES = {
    'debian': ('bullseye', 'bookworm', 'trixie', 'sid'),
    'ubuntu': ('focal', 'jammy', 'noble', 'plucky', 'questing'),
}
_RETRY_SECONDS = 86400  # a release that could not be fetched is asked for again the next day


def _ask_version(binary: Path) -> str:
    """Ask an etcd binary for its version.

    :raises LabError: when it does not run here; the text says why.
    """
    match = re.search(r'etcd Version: (\S+)', run([str(binary), '--version'], Path('/')))
    if not match:
        raise LabError(f'{binary} does not say its version')
    return match.group(1)


def _keep(folder: Path, binary: Path) -> str:
    """Move an etcd binary into `folder`, as ``etcd-VERSION``, and return its version."""
    version = _ask_version(binary)
    binary.chmod(0o755)
    binary.rename(folder / f'etcd-{version}')
    return version


def _kept(memory: Path, names: Sequence[str], get: Callable[[str], str]) -> dict[str, Path]:
    """Give etcd binaries that one gets once and keeps beside `memory`, as ``etcd-VERSION``.

    :param memory: file that says what came of each name, failures included.
    :param names: what to get.
    :param get: called for a name that is new; puts the binary there, and returns its version.
    """

    def recall() -> dict[str, dict[str, str]]:
        try:
            found: dict[str, dict[str, str]] = json.loads(memory.read_text())
        except FileNotFoundError:
            return {}
        return {
            name: entry
            for name, entry in found.items()
            if memory.with_name('etcd-{0}'.format(entry.get('version'))).exists()
            or time.time() - float(entry.get('tried', 0)) < _RETRY_SECONDS
        }

    known = recall()
    if not known.keys() >= set(names):
        with locked():
            known = recall()  # another process may have been faster
            for name in names:
                if name in known:
                    continue
                try:
                    known[name] = {'version': get(name)}
                except LabError as e:
                    say(f'no etcd from {name}: {e}')
                    known[name] = {'why': str(e), 'tried': str(time.time())}
                memory.with_suffix('.part').write_text(json.dumps(known, indent=1))
                memory.with_suffix('.part').rename(memory)
    versions = [known[name]['version'] for name in names if 'version' in known[name]]
    return {version: memory.with_name(f'etcd-{version}') for version in versions}


def _fetched_etcd() -> dict[str, Path]:
    """Give the etcd binaries from packages, one for each release of the distribution."""
    folder = CACHE / 'etcd'

    @functools.lru_cache(maxsize=None)
    def source() -> str:
        with unfinished(folder / 'own') as part:
            return mirror(part)

    def get(suite: str) -> str:
        say(f'fetching etcd from {suite}')
        with unfinished(folder / suite) as part:
            apt = Apt(part, source().format(suite=suite), installed=False)
            apt('apt-get', 'update')
            apt.unpack(['etcd-server'], part / 'root')
            return _keep(folder, part / 'root' / 'usr' / 'bin' / 'etcd')

    return _kept(folder / 'suites.json', SUITES.get(os_release().get('ID', ''), ()), get)


def _built_etcd(elsewhere: Collection[str]) -> dict[str, Path]:
    """Give the etcd binaries that Go builds, for lines that no version `elsewhere` is of."""
    folder, lines = CACHE / 'etcd', {line_of(version) for version in elsewhere}

    def get(version: str) -> str:
        with unfinished(folder / 'go') as part:
            built = _keep(folder, golang.build_etcd(version, part))
        if built != version:
            raise LabError(f'what was built as {version} says that it is {built}')
        return built

    wanted = [version for version in golang.ETCD_VERSIONS if line_of(version) not in lines]
    if not golang.at_hand():  # what was built when there was one stays
        wanted = [version for version in wanted if (folder / f'etcd-{version}').exists()]
    return _kept(folder / 'built.json', wanted, get)


_found: dict[tuple[str, str], dict[str, Path]] = {}  # by ETCD_BIN_DIR and PATH, each binary is asked once


def _found_etcd() -> dict[str, Path]:
    """Give the etcd binaries of ETCD_BIN_DIR and PATH."""
    folder, path = os.environ.get('ETCD_BIN_DIR', ''), os.environ.get('PATH', '')
    if (folder, path) not in _found:
        candidates = sorted(Path(folder).resolve().glob('etcd-*')) if folder else []
        if folder and not candidates:
            say(f'there is no etcd-* in ETCD_BIN_DIR={folder}')
        on_path = shutil.which('etcd') or shutil.which('etcd', path='/usr/bin')
        if on_path:
            candidates.append(Path(on_path).resolve())
        found: dict[str, Path] = {}
        for binary in candidates:
            try:
                found.setdefault(_ask_version(binary), binary)
            except LabError as e:
                say(f'{binary} is left out: {e}')
        _found[folder, path] = found
    return _found[folder, path]


def etcd_binaries() -> dict[str, Path]:
    """Give every etcd that is at hand, by its version (``'3.4.23'``), oldest first.

    The first call may download and build; what does not run here is left out with a line on stderr that says why.
    """
    found = {**_fetched_etcd(), **_found_etcd()}
    found = {**_built_etcd(found), **found}
    return dict(sorted(found.items(), key=lambda item: version_key(item[0])))


def version_key(version: str) -> tuple[int, ...]:
    """Give what versions sort by: ``'3.5.16'`` or ``'3.6.0-rc.1'`` -> their numbers."""
    return tuple(int(number) for number in re.findall(r'\d+', version.partition('-')[0]))


def line_of(version: str) -> str:
    """Give the release line of a version: ``'3.4.23'`` -> ``'3.4'``."""
    return '.'.join(str(number) for number in version_key(version)[:2])


def etcd_version(line: str) -> str:
    """Choose a real etcd: a line (``'3.4'``) gives its newest version at hand, a version gives itself.

    :raises LabError: when there is none; the text lists what is at hand.
    """
    at_hand = list(etcd_binaries())
    for version in reversed(at_hand):
        if line in (version, line_of(version)):
            return version
    raise LabError('no etcd {0} at hand, only {1}'.format(line, ', '.join(at_hand) or 'none at all'))


def etcdctl() -> Path:
    """Give the ``etcdctl`` of this machine's distribution, fetched when it is not in CACHE yet.

    :raises LabError: when it can't be had.
    """
    return fetched('etcdctl', 'etcd-client')


def missing() -> list[str]:
    """List the release lines that no real etcd is at hand for."""
    at_hand = {line_of(version) for version in etcd_binaries()}
    return [line for line in LINES if line not in at_hand]


def _fetch_postgres(target: Path) -> None:
    """Unpack PostgreSQL, with those libraries that this machine lacks, into the new folder `target`."""
    say('fetching PostgreSQL')
    with unfinished(target) as part:
        apt = Apt(part, None, installed=True)  # the machine's own sources: they match what is installed
        with contextlib.suppress(LabError):  # of a source that nothing is needed from
            apt('apt-get', 'update')
        package = 'postgresql-15'
        if not apt('apt-cache', 'search', '--names-only', f'^{package}$'):
            package = re.findall(r'Depends: (postgresql-\d+)', apt('apt-cache', 'depends', 'postgresql'))[0]
        apt.unpack_whole([package, package.replace('-', '-client-'), 'libpq5'], part / 'root')
        (part / 'root').rename(target)


def _newest(folders: list[str]) -> Path | None:
    """Choose among the bin directories of PostgreSQL: 15, which the lab was written on, or else the newest."""
    by_version = {
        int(Path(folder).parent.name): Path(folder)
        for folder in folders
        if Path(folder).parent.name.isdigit() and (Path(folder) / 'postgres').exists()
    }
    usable = [version for version in by_version if version >= 12]
    return by_version[15 if 15 in usable else max(usable)] if usable else None


def postgres_bin() -> Path:
    """Give the directory with PostgreSQL's programs: PG_BIN_DIR, this machine's, or a downloaded one (the last with
    ``PG_BIN_DIR=download`` even though there are others). They need the environment variables of `postgres_env`.

    :raises LabError: when none is at hand and none can be fetched.
    """
    wish = os.environ.get('PG_BIN_DIR')
    if wish and wish != 'download':
        return Path(wish)
    found = None if wish else _newest(glob.glob('/usr/lib/postgresql/*/bin'))
    target = CACHE / 'postgresql'
    if found is None:
        if not target.exists():
            with locked():
                if not target.exists():
                    _fetch_postgres(target)
        found = _newest(glob.glob(str(target / 'usr/lib/postgresql/*/bin')))
    if found is None:
        raise LabError(f'no PostgreSQL in {target}')
    return found


def postgres_env() -> dict[str, str]:
    """Give the environment variables that the programs in `postgres_bin` need: where the downloaded libraries are."""
    if CACHE not in postgres_bin().parents:
        return {}
    root = str(CACHE / 'postgresql')
    return {'LD_LIBRARY_PATH': ':'.join(glob.glob(root + '/usr/lib/*-linux-*') + glob.glob(root + '/lib/*-linux-*'))}


def main() -> None:
    """Print a table of what is at hand."""
    for version, binary in etcd_binaries().items():
        print(f'etcd        {version:<8} {binary}')
    for line in missing():
        print(f'etcd        {line:<8} none at hand')
    folder = postgres_bin()
    number = run([str(folder / 'postgres'), '--version'], folder, **postgres_env()).split()[2]
    print(f'PostgreSQL  {number:<8} {folder}')


if __name__ == '__main__':
    main()
