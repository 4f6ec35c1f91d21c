"""The linters that Patroni's maintainers run, with Patroni's settings: isort, flake8, pyright in strict mode.

A source distribution has no settings of these. Those of flake8 and pyright are in ``tox.ini`` and
``pyrightconfig.json`` of Patroni's repository. Those of isort are options under which all files of the release are in
order. Patroni's repository also has type stubs of urllib3 and python-etcd, which are not here. Without them pyright
complains about the release itself, wherever a type comes from these. Only complaints of a kind that the release does
not have count, see `pyright`.
"""

from __future__ import annotations

import collections
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Callable, Iterable, Sequence

from lab import CACHE, say
from lab.cache import locked, unfinished
from lab.environments import clean_environ
from lab.processes import LabError

_ISORT = ['--check-only', '--line-length=120', '--multi-line=2', '--balanced', '--lines-between-types=1']
_ISORT += ['--dont-order-by-type', '--combine-as', '--project=patroni', '--settings-path=/nowhere']
_FLAKE8 = ['--isolated', '--max-line-length=120', '--ignore=D401,W503', '--format=%(path)s: %(code)s %(text)s']
_PYRIGHT = {
    'include': ['patroni/dcs/etcd.py', 'patroni/dcs/etcd3.py'],  # of the whole package, to save a minute
    'typeCheckingMode': 'strict',
    'reportMissingImports': True,
    'reportMissingTypeStubs': False,
    'pythonVersion': '3.6',
    'pythonPlatform': 'All',
    'defineConstant': {'DEBUG': True},
}


def _run(argv: Sequence[object], folder: Path, timeout: int = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(arg) for arg in argv],
        cwd=str(folder),
        env=dict(clean_environ(), PYRIGHT_PYTHON_CACHE_DIR=str(CACHE / 'pyright'), PYRIGHT_PYTHON_IGNORE_WARNINGS='1'),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def linter(name: str) -> Path:
    """Return one of the linters, installed into the cache on first use.

    :param name: ``'isort'``, ``'flake8'`` or ``'pyright'``.
    :raises LabError: when it cannot be had here. Pyright needs Node.js and the npm registry, or an earlier download.
    """
    folder = CACHE / 'linters' / f'{name}-{sys.version_info[0]}.{sys.version_info[1]}'
    with locked('linters'):
        if not folder.exists():
            say(f'installing {name}')
            with unfinished(folder) as part:
                # --target, since scripts of an environment that is moved would not find it
                done = _run([sys.executable, '-m', 'pip', 'install', '-q', '--target', part / 'lib', name], CACHE)
                if done.returncode:
                    raise LabError(f'{name} cannot be installed: {done.stderr.strip()[-300:]}')
                if name == 'pyright':
                    done = _run([sys.executable, _start(part, name), '--version'], CACHE)
                    if done.returncode:
                        raise LabError(f'pyright cannot be had: {(done.stderr or done.stdout).strip()[-300:]}')
                else:
                    _start(part, name)
                os.rename(str(part), str(folder))
                part.mkdir()
    return folder / 'run.py'


def _start(folder: Path, name: str) -> Path:
    """Write the program that starts a linter from a folder that has it."""
    script = folder / 'run.py'
    script.write_text(
        'import os, runpy, sys\n'
        "sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'lib'))\n"
        f"runpy.run_module('{name}', run_name='__main__', alter_sys=True)\n"
    )
    return script


def isort(folder: Path, paths: Sequence[str]) -> list[str]:
    """Return the files whose imports are not in order."""
    done = _run([sys.executable, linter('isort'), *_ISORT, *paths], folder)
    return [line.replace(f'{folder}{os.sep}', '') for line in done.stderr.splitlines() if line]


def flake8(folder: Path, paths: Sequence[str]) -> list[str]:
    """Return the complaints of flake8, without line numbers."""
    done = _run([sys.executable, linter('flake8'), *_FLAKE8, *paths], folder)
    return (done.stdout + done.stderr).splitlines()


def pyright(folder: Path, paths: Sequence[str]) -> list[str]:
    """Return the kinds of complaints of pyright about the modules for etcd, without places and names.

    :param paths: not used.
    """
    script = linter('pyright')
    config = folder / 'pyrightconfig.json'
    config.write_text(json.dumps(_PYRIGHT))
    try:
        done = _run([sys.executable, script, '--pythonpath', sys.executable, '--outputjson'], folder)
    finally:
        config.unlink()
    if not done.stdout.startswith('{'):
        raise LabError(f'pyright said: {(done.stderr or done.stdout).strip()[-300:]}')
    kinds = {
        re.sub(r'"_?\w+"', '"NAME"', re.sub(r'\s+', ' ', f'{item.get("rule", "")} {item["message"]}'))
        for item in json.loads(done.stdout)['generalDiagnostics']
        if 'BaseHTTPResponse' not in item['message']  # what PoolManager.urlopen() returns; HTTPResponse in their stubs
    }
    return sorted(kinds)


LINTERS: dict[str, Callable[[Path, Sequence[str]], list[str]]] = {'isort': isort, 'flake8': flake8, 'pyright': pyright}
"""By name; each takes the source and the files to check, and returns complaints."""


def complaints(folder: Path, paths: Sequence[str], linters: Iterable[str]) -> dict[str, list[str] | str]:
    """Run linters.

    :param folder: the source.
    :param paths: files to check.
    :param linters: their names.
    :returns: complaints by linter; in the place of a list, the reason why a linter cannot be had here.
    """
    ret: dict[str, list[str] | str] = {}
    for name in linters:
        try:
            ret[name] = LINTERS[name](folder, paths)
        except (LabError, subprocess.TimeoutExpired) as e:
            ret[name] = str(e)
    return ret


def new(found: list[str] | str, known: list[str] | str) -> list[str] | str:
    """Return the complaints that were not there before, or the reason why one does not know."""
    if isinstance(found, str) or isinstance(known, str):
        return found if isinstance(found, str) else known
    return sorted((collections.Counter(found) - collections.Counter(known)).elements())
