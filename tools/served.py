"""Which class serves under each release of Patroni that an index has: ``python -m tools.served``.

`lab.releases` names those that the tests run on. Between them are others, and in none may the class stand back because
the guard took something for a change. Each is started from its source, with what the newest one requires.
"""

from __future__ import annotations

import subprocess
import sys

from packaging.version import Version
from prettytable import PrettyTable

from lab.environments import Environment, clean_environ, environment
from lab.processes import LabError, remove_folder, scratch_folder
from lab.sources import unpack
from patroni_etcd3_compat import guard

_WHICH = 'import patroni.version, patroni.dcs.etcd3 as it; print(patroni.version.__version__, it.ETCD3.__module__)'


def releases() -> list[str]:
    """Return the releases of Patroni in the range that is served, the oldest first.

    :raises LabError: when the index cannot be asked.
    """
    argv = [sys.executable, '-m', 'pip', '--disable-pip-version-check', 'index', 'versions', 'patroni']
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    numbers = done.stdout.partition('Available versions: ')[2].partition('\n')[0].split(', ')
    if done.returncode or numbers == ['']:
        raise LabError(f'no releases of Patroni: {done.stdout[-1000:]}')
    return [str(it) for it in sorted(map(Version, numbers)) if guard.OLDEST <= it.release < guard.TOO_FAR]


def serves(release: str, newest: Environment) -> bool:
    """Return whether this project's class serves section ``etcd3`` under a release of Patroni.

    :param newest: the environment that it is started in.
    :raises LabError: when its source distribution cannot be downloaded.
    """
    scratch = scratch_folder('lab-served-')
    try:
        environ = dict(clean_environ(), PYTHONPATH=str(unpack(release, scratch)))
        done = newest.run(['-c', _WHICH], env=environ, cwd=str(scratch))
    finally:
        remove_folder(scratch)
    return done.stdout.splitlines()[-1:] == [f'{release} patroni_etcd3_compat.dcs']


def main() -> None:
    """Print a table. The exit status is 1 if the class does not serve somewhere."""
    table = PrettyTable(['Patroni', 'section etcd3'])
    try:
        newest = environment()
        served = {release: serves(release, newest) for release in releases()}
    except LabError as e:
        sys.exit(f'tools.served: {e}')
    for release, ours in served.items():
        table.add_row([release, 'this package' if ours else 'NOT this package'])
    print(table)
    sys.exit(not all(served.values()))


if __name__ == '__main__':
    main()
