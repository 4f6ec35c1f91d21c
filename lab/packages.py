"""Real etcd and PostgreSQL binaries: found on this machine, or fetched from the packages of its distribution.

etcd comes from these places, in this order: the folder ETCD_BIN_DIR (files such as ``etcd-3.2.26``), the ``etcd`` on
PATH, and one package per release of the distribution. If Go is installed, its Go module is last: it is built when it is
asked for (see `lab.golang`).

PostgreSQL comes from PG_BIN_DIR, /usr/lib/postgresql, or its package. What was fetched or built stays in CACHE.
``python -m lab.packages`` lists everything.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shutil
import time
from pathlib import Path
from typing import Callable, Collection, Sequence

from . import CACHE, golang, say
from .apt import Apt, mirror, os_release, run
from .cache import locked, replace, unfinished
from .processes import LabError
from .programs import fetched

LINES = ('3.2', '3.3', '3.4', '3.5', '3.6', '3.7')
"""The etcd release lines this project is about."""

# Releases of the distribution, oldest first; together they have the most lines. The Ubuntu column follows from its
# package lists (focal has 3.2.26); it was never run.
SUITES = {
    'debian': ('bullseye', 'bookworm', 'trixie', 'sid'),
    'ubuntu': ('focal', 'jammy', 'noble', 'plucky', 'questing'),
}
_RETRY_SECONDS = 86400  # a release that could not be fetched is tried again the next day


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


def _recall(memory: Path) -> dict[str, dict[str, str]]:
    """Return what is known about each name: the version of its binary, or a failure of the last 24 hours."""
    try:
        found: dict[str, dict[str, str]] = json.loads(memory.read_text())
    except FileNotFoundError:
        return {}
    return {
        name: entry
        for name, entry in found.items()
        if memory.with_name(f'etcd-{entry.get("version")}').exists()
        or time.time() - float(entry.get('tried', 0)) < _RETRY_SECONDS
    }


def _kept(memory: Path, names: Sequence[str], get: Callable[[str], str], lock: str) -> dict[str, Path]:
    """Return etcd binaries that are made once and kept beside `memory`, as ``etcd-VERSION``.

    :param memory: file with what is known of each name, failures included.
    :param names: what to make.
    :param get: called for each new name; puts the binary there, and returns its version.
    :param lock: held meanwhile, see `lab.cache.locked`.
    """
    known = _recall(memory)
    if not known.keys() >= set(names):
        with locked(lock):
            known = _recall(memory)  # another process may have been faster
            for name in names:
                if name in known:
                    continue
                try:
                    known[name] = {'version': get(name)}
                except LabError as e:
                    say(f'no etcd from {name}: {e}')
                    known[name] = {'why': str(e), 'tried': str(time.time())}
                replace(memory, json.dumps(known, indent=1))
    versions = [known[name]['version'] for name in names if 'version' in known[name]]
    return {version: memory.with_name(f'etcd-{version}') for version in versions}


def _fetched_etcd() -> dict[str, Path]:
    """Return the etcd binaries from packages, one for each release of the distribution."""
    folder = CACHE / 'etcd'
    source: list[str] = []  # looked up at most once

    def get(suite: str) -> str:
        say(f'fetching etcd from {suite}')
        with unfinished(folder / suite) as part:
            source[:] = source or [mirror(part)]
            apt = Apt(part, source[0].format(suite=suite), installed=False)
            apt('apt-get', 'update')
            apt.unpack(['etcd-server'], part / 'root')
            return _keep(folder, part / 'root' / 'usr' / 'bin' / 'etcd')

    return _kept(folder / 'suites.json', SUITES.get(os_release().get('ID', ''), ()), get, 'packages')


def _built_etcd() -> dict[str, Path]:
    """Return the etcd binaries that Go has built so far."""
    folder = CACHE / 'etcd'
    there = {version: folder / f'etcd-{version}' for version in golang.ETCD_VERSIONS}
    return {version: binary for version, binary in there.items() if binary.exists()}


def _buildable(at_hand: Collection[str]) -> list[str]:
    """Return the versions that Go can build, of unavailable lines, without those that failed lately."""
    lines, failed = {line_of(version) for version in at_hand}, _recall(CACHE / 'etcd' / 'built.json')
    wanted = [version for version in golang.ETCD_VERSIONS if line_of(version) not in lines and version not in failed]
    return wanted if golang.at_hand() else []


def _build(version: str) -> Path | None:
    """Build one etcd with Go, which takes minutes, and return it; None if it cannot be built."""
    folder = CACHE / 'etcd'

    def get(version: str) -> str:
        with unfinished(folder / f'go-{version}') as part:
            built = _keep(folder, golang.build_etcd(version, part))
        if built != version:
            raise LabError(f'what was built as {version} says that it is {built}')
        return built

    return _kept(folder / 'built.json', [version], get, 'go').get(version)


_found: dict[tuple[str, str], dict[str, Path]] = {}  # by ETCD_BIN_DIR and PATH; each binary is run once


def _found_etcd() -> dict[str, Path]:
    """Return the etcd binaries in ETCD_BIN_DIR and on PATH."""
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
    """Return every available etcd by its version (``'3.4.23'``), oldest first. Nothing is built.

    The first call may download. A binary that does not run here is left out, with the reason on stderr.
    """
    found = {**_fetched_etcd(), **_found_etcd()}
    lines = {line_of(version) for version in found}
    found.update((version, path) for version, path in _built_etcd().items() if line_of(version) not in lines)
    return dict(sorted(found.items(), key=lambda item: version_key(item[0])))


def etcd_versions() -> list[str]:
    """Return the versions that a test may ask for, oldest first: the available ones, and those that Go can build."""
    at_hand = list(etcd_binaries())
    return sorted([*at_hand, *_buildable(at_hand)], key=version_key)


def version_key(version: str) -> tuple[int, ...]:
    """Return the sort key of a version: ``'3.5.16'`` or ``'3.6.0-rc.1'`` -> their numbers."""
    return tuple(int(number) for number in re.findall(r'\d+', version.partition('-')[0]))


def line_of(version: str) -> str:
    """Return the release line of a version: ``'3.4.23'`` -> ``'3.4'``."""
    return '.'.join(str(number) for number in version_key(version)[:2])


def etcd_version(line: str) -> str:
    """Return a real etcd: a line (``'3.4'``) gives its newest version, a version gives itself.

    One that is not available yet is built, if Go can do it.

    :raises LabError: when there is none; the text lists what is available.
    """
    at_hand = etcd_binaries()
    for version in reversed(etcd_versions()):
        if line in (version, line_of(version)) and (version in at_hand or _build(version)):
            return version
    raise LabError(f'no etcd {line} at hand, only {", ".join(at_hand) or "none at all"}')


def etcdctl() -> Path:
    """Return the ``etcdctl`` of this machine's distribution; fetch it if it is not in CACHE yet.

    :raises LabError: when it cannot be downloaded.
    """
    return fetched('etcdctl', 'etcd-client')


def etcd_clients(line: str) -> Path:
    """Return the folder with ``etcdctl`` and ``etcdutl`` of a line, which Go builds at the first call.

    :param line: such as ``'3.6'``.
    :raises LabError: when they cannot be built.
    """
    versions = [version for version in golang.ETCD_VERSIONS if line_of(version) == line]
    if not versions or not golang.at_hand():
        raise LabError(f'there are no clients of etcd {line}: Go is not installed, or it does not have them')
    target = CACHE / 'tools' / f'etcd-clients-{versions[0]}'
    with locked('go'):
        if not target.exists():
            with unfinished(target) as part:
                golang.build_clients(versions[0], part).rename(target)
    return target


def missing() -> list[str]:
    """Return the release lines for which no real etcd is available."""
    lines = {line_of(version) for version in etcd_versions()}
    return [line for line in LINES if line not in lines]


def _fetch_postgres(target: Path) -> None:
    """Unpack PostgreSQL, with those libraries that this machine lacks, into the new folder `target`."""
    say('fetching PostgreSQL')
    with unfinished(target) as part:
        apt = Apt(part, None, installed=True)  # the machine's own sources, which match what is installed
        with contextlib.suppress(LabError):  # of a source that is not needed
            apt('apt-get', 'update')
        package = 'postgresql-15'
        if not apt('apt-cache', 'search', '--names-only', f'^{package}$'):
            package = re.findall(r'Depends: (postgresql-\d+)', apt('apt-cache', 'depends', 'postgresql'))[0]
        apt.unpack_whole([package, package.replace('-', '-client-'), 'libpq5'], part / 'root')
        (part / 'root').rename(target)


def _newest(folders: list[str]) -> Path | None:
    """Return one of the bin directories of PostgreSQL: 15, which the lab was developed with, or else the newest."""
    by_version = {
        int(Path(folder).parent.name): Path(folder)
        for folder in folders
        if Path(folder).parent.name.isdigit() and (Path(folder) / 'postgres').exists()
    }
    usable = [version for version in by_version if version >= 12]
    return by_version[15 if 15 in usable else max(usable)] if usable else None


def postgres_bin() -> Path:
    """Return the directory with PostgreSQL's programs: PG_BIN_DIR, this machine's, or a downloaded one.

    ``PG_BIN_DIR=download`` always chooses the last. The programs need the environment variables of `postgres_env`.

    :raises LabError: when none is available and none can be fetched.
    """
    wish = os.environ.get('PG_BIN_DIR')
    if wish and wish != 'download':
        return Path(wish)
    found = None if wish else _newest(glob.glob('/usr/lib/postgresql/*/bin'))
    target = CACHE / 'postgresql'
    if found is None:
        if not target.exists():
            with locked('packages'):
                if not target.exists():
                    _fetch_postgres(target)
        found = _newest(glob.glob(str(target / 'usr/lib/postgresql/*/bin')))
    if found is None:
        raise LabError(f'no PostgreSQL in {target}')
    return found


def postgres_env() -> dict[str, str]:
    """Return the environment variables for the programs in `postgres_bin`: where the downloaded libraries are."""
    if CACHE not in postgres_bin().parents:
        return {}
    root = str(CACHE / 'postgresql')
    return {'LD_LIBRARY_PATH': ':'.join(glob.glob(root + '/usr/lib/*-linux-*') + glob.glob(root + '/lib/*-linux-*'))}


def main() -> None:
    """Print a table of what is available."""
    for version, binary in etcd_binaries().items():
        print(f'etcd        {version:<8} {binary}')
    for version in _buildable(etcd_binaries()):
        print(f'etcd        {version:<8} built with Go when a test asks for it')
    for line in missing():
        print(f'etcd        {line:<8} none at hand')
    folder = postgres_bin()
    number = run([str(folder / 'postgres'), '--version'], folder, **postgres_env()).split()[2]
    print(f'PostgreSQL  {number:<8} {folder}')


if __name__ == '__main__':
    main()
