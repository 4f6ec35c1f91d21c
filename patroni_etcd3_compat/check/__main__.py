"""The console script ``patroni-etcd3-compat``: it says in a sentence what is missing where it cannot run."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Sequence

from . import nagios

#: Exit status if the command cannot do its work, as in :mod:`.cli`, which may not be there.
_COULD_NOT_TELL = 3

#: What may be missing, by the module that is imported: its name for pip, and what cannot be done without it.
_NEEDED = {
    'patroni': ('patroni[etcd3]', "Patroni's configuration and its keys in etcd cannot be read"),
    'psycopg': ('psycopg[binary]', 'PostgreSQL cannot be asked, and Patroni itself cannot be loaded'),
    'yaml': ('PyYAML', "Patroni's configuration cannot be read"),
    'etcd': ('python-etcd', "Patroni's options for etcd cannot be read"),
    'urllib3': ('urllib3', 'etcd and the REST APIs cannot be asked'),
    'click': ('click', 'the command line cannot be read'),
    'dateutil': ('python-dateutil', 'Patroni cannot be loaded'),
    'dns': ('dnspython', 'Patroni cannot be loaded'),
    'prettytable': ('prettytable', 'no tables can be printed'),
}


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _missing(module: str) -> list[str]:
    """Return the modules that are missing, that without which the command failed among them.

    :param module: the one that the import failed for.
    """
    found = [name for name in _NEEDED if not _there(name)]
    if _there('psycopg2') and 'psycopg' in found:
        found.remove('psycopg')
    if 'patroni' in found:  # which brings all but a driver for PostgreSQL
        return [name for name in found if name in ('patroni', 'psycopg')]
    return found if module in found else [module]


def _reason(error: ImportError) -> str:
    """Return in a sentence why the command cannot be loaded, and what to do."""
    module = (error.name or '').partition('.')[0]
    if not isinstance(error, ModuleNotFoundError) or module in ('', __name__.partition('.')[0]):
        first = str(error).strip().partition('\n')[0]
        return f'{sys.executable} cannot load what this command needs: {first or type(error).__name__}'
    lacks = [_NEEDED.get(name, (name, 'Patroni cannot be loaded')) for name in _missing(module)]
    names = ' and '.join(package.partition('[')[0] for package, _ in lacks)
    are = 'is' if len(lacks) == 1 else 'are'
    return (
        f'{names} {are} missing in the environment of {sys.executable}, so {lacks[0][1]}; '
        f'to install: {sys.executable} -m pip install {" ".join(repr(package) for package, _ in lacks)}'
    )


def run(args: Sequence[str]) -> int:
    """Run the command.

    :param args: what stands behind its name on the command line.

    :returns: the exit status; 3 if something that it needs is missing.
    """
    if args[:1] == ['doctor']:  # which finds out why something is missing elsewhere, and does without
        from .doctor.main import run as doctor

        return doctor(args[1:])
    try:
        from . import cli
    except ImportError as e:
        reason = _reason(e)
        if nagios.wanted(args):
            sys.stdout.write(nagios.line('UNKNOWN', reason))
        else:
            sys.stderr.write(f'patroni-etcd3-compat: {reason}\n')
        return _COULD_NOT_TELL
    return cli.run(args)


def main() -> None:
    """Run as the console script."""
    sys.exit(run(sys.argv[1:]))


if __name__ == '__main__':
    main()
