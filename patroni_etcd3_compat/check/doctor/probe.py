# ruff: noqa: I002, E402  # the oldest Python that runs Patroni, 3.6, has no such import; for the rest see CURRENT
"""What Patroni's own Python has: its text is run there with ``-c``, as the user of Patroni, and prints JSON.

It has to run in any Python from 3.6 on, one without this package included, so it imports the standard library alone. It
changes nothing, and prints neither configuration nor variables, but for the switch of this package.
"""

import sys

#: The current folder, where Python looks for modules first with ``-c``; empty if it does not (``-I``, ``-P``). Whoever
#: may write there must not be able to bring us a module of the standard library.
CURRENT = [sys.path.pop(0)] if __name__ == '__main__' and sys.path[:1] == [''] else []

import glob
import importlib
import importlib.util
import json
import logging
import os
import site
import sysconfig
from typing import Any, Dict, List, Optional

#: In front of the answer: whatever is imported may print something, too.
MARK = 'patroni-etcd3-compat doctor: '

PACKAGE = 'patroni_etcd3_compat'


def described(folder: str, importable: bool) -> Dict[str, Any]:
    """Return what is known about a copy of the package.

    :param importable: this Python looks for modules there.
    """
    version, changed, unreadable = None, None, None
    if not os.access(folder, os.R_OK | os.X_OK):
        unreadable = folder
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != '__pycache__')
        for path in [os.path.join(parent, name) for name in folders]:
            if not unreadable and not os.access(path, os.R_OK | os.X_OK):
                unreadable = path
        for path in [os.path.join(parent, name) for name in sorted(files) if name.endswith('.py')]:
            if not unreadable and not os.access(path, os.R_OK):
                unreadable = path
            changed = latest(changed, path)
    try:
        with open(os.path.join(folder, '__init__.py')) as stream:
            line = next(line for line in stream if line.startswith('__version__'))
        version = line.partition('=')[2].strip().strip('\'"')
    except (OSError, ValueError, StopIteration):
        pass
    return {'path': folder, 'version': version, 'unreadable': unreadable, 'changed': changed, 'importable': importable}


def latest(changed: Optional[float], path: str) -> Optional[float]:
    """Return the later one of a time and that of a file. What installs may set another mtime, but no ctime."""
    try:
        return max(changed or 0, os.stat(path).st_ctime)
    except OSError:
        return changed


def user_site() -> Optional[str]:
    """Return the folder of ``pip install --user``, whether or not this Python reads it."""
    try:
        return site.getusersitepackages()
    except Exception:  # there is no home
        return None


def site_folders() -> List[str]:
    """Return the folders in which start-up files are read."""
    if sys.flags.no_site:
        return []
    found = list(site.getsitepackages()) if hasattr(site, 'getsitepackages') else [sysconfig.get_path('purelib')]
    own = user_site()
    return found + [own] if own and site.ENABLE_USER_SITE else found


def copies() -> List[Dict[str, Any]]:
    """Return the copies of the package, the one that counts first."""
    folders = [os.path.join(os.path.abspath(entry), PACKAGE) for entry in sys.path]
    try:
        spec = importlib.util.find_spec(PACKAGE)
    except Exception:
        spec = None
    if spec and spec.origin:
        folders.insert(0, os.path.dirname(spec.origin))
    own = user_site()
    beyond = [os.path.join(own, PACKAGE)] if own else []
    found, known = [], []  # type: List[Dict[str, Any]], List[str]
    for folder in folders + beyond:
        real = os.path.realpath(folder)
        if real not in known and os.path.isdir(folder):
            known.append(real)
            found.append(described(folder, folder in folders))
    return found


def start_up_files() -> List[Dict[str, Any]]:
    """Return the start-up files of the package that this Python should have read."""
    found = []
    for folder in site_folders():
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), PACKAGE + '.*'))):
            if path.endswith(('.pth', '.start')):
                changed = latest(None, path)
                found.append({'path': path, 'readable': os.access(path, os.R_OK), 'changed': changed})
    return found


def first_line(error: BaseException) -> str:
    """Return an exception in one line."""
    text = str(error).strip().partition('\n')[0]
    return type(error).__name__ + (': ' + text if text else '')


class Log(logging.Handler):
    """Keeps what the package says while Patroni's module is imported."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines = []  # type: List[Dict[str, str]]

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line, with the exception in it."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1]:
            text += ' (' + first_line(record.exc_info[1]) + ')'
        self.lines.append({'level': record.levelname, 'text': text})


def serving() -> Dict[str, Any]:
    """Return which class Patroni finds for section etcd3, as it looks for it, and what the log says meanwhile."""
    found = {'serves': None, 'error': None, 'patched': None}  # type: Dict[str, Any]
    log, logger = Log(), logging.getLogger(PACKAGE)
    level = logger.level
    logger.addHandler(log)
    logger.setLevel(logging.INFO)
    try:
        names = vars(importlib.import_module('patroni.dcs.etcd3'))
        module = next(value.__module__ for name, value in names.items() if name.lower() == 'etcd3')
        package = module.partition('.')[0] == PACKAGE
        found['serves'] = 'package' if package else 'stock' if module == 'patroni.dcs.etcd3' else 'patch'
    except BaseException as e:  # SystemExit, too
        found['error'] = first_line(e)
    logger.removeHandler(log)
    logger.setLevel(level)
    try:
        found['patched'] = str(importlib.import_module('patroni.etcd3_compat').__version__)
    except BaseException:
        pass
    found['log'] = log.lines
    return found


def patroni() -> Dict[str, Any]:
    """Return where Patroni is, and its version."""
    try:
        spec = importlib.util.find_spec('patroni')
        folder = os.path.dirname(spec.origin) if spec and spec.origin else None
        version = importlib.import_module('patroni.version').__version__ if folder else None
    except BaseException:
        return {'patroni': None, 'patroni_path': None, 'patroni_changed': None}
    changed = latest(None, os.path.join(folder, 'version.py')) if folder else None
    return {'patroni': version, 'patroni_path': folder, 'patroni_changed': changed}


def executable() -> str:
    """Return this Python as it can be called; Patroni may be a Python that is called otherwise."""
    named = os.path.basename(sys.executable or '').startswith(('python', 'pypy'))
    return sys.executable if named else os.path.join(sys.prefix, 'bin', 'python3')


def environment() -> Dict[str, Any]:
    """Return what has made this Python's environment, and what may install into it."""
    stdlib = sysconfig.get_path('stdlib') or ''
    base = getattr(sys, 'base_prefix', sys.prefix)
    made_by = {'pipx_metadata.json': 'pipx', 'uv-receipt.toml': 'uv tool', 'conda-meta': 'conda'}
    release = {}
    try:
        with open('/etc/os-release') as stream:
            for line in stream:
                name, _, value = line.strip().partition('=')
                release[name] = value.strip('\'"')
    except (OSError, ValueError):
        pass
    return {
        'venv': sys.prefix != base,
        'made_by': next((by for name, by in made_by.items() if os.path.exists(os.path.join(sys.prefix, name))), None),
        'pip': bool(importlib.util.find_spec('pip')),
        'managed': sys.prefix == base and os.path.exists(os.path.join(stdlib, 'EXTERNALLY-MANAGED')),
        'system': ' '.join(filter(None, (release.get('ID'), release.get('ID_LIKE')))),
    }


def answer() -> Dict[str, Any]:
    """Return everything."""
    hook = PACKAGE + '.plugin'
    found = {
        'version': '.'.join(str(number) for number in sys.version_info[:3]),
        'executable': executable(),
        'prefix': sys.prefix,
        'no_site': bool(sys.flags.no_site),
        'user_site': user_site(),
        'no_user_site': bool(sys.flags.no_user_site),
        'user_site_on': bool(site.ENABLE_USER_SITE) and not sys.flags.no_site,
        'home': os.path.expanduser('~'),
        'switch': os.environ.get('PATRONI_ETCD3_COMPAT'),
        # Before anything else is imported: whether the start-up file has run, and hooked in.
        'started_up': hook in sys.modules,
        'hooked': any(type(finder).__module__ == hook for finder in sys.meta_path),
    }  # type: Dict[str, Any]
    found['copies'], found['start_up_files'] = copies(), start_up_files()
    found.update(environment())
    found.update(patroni())
    found.update(serving() if found['patroni_path'] else {'serves': None, 'error': None, 'patched': None, 'log': []})
    return found


def main() -> None:
    """Print what is found.

    The argument is Patroni's script, whose folder is where Python looks for modules first; empty for ``-m patroni``,
    which has the current folder there; none if there is no process.
    """
    if CURRENT:
        sys.path[:0] = [os.path.dirname(os.path.realpath(script)) if script else '' for script in sys.argv[1:]]
    sys.stdout.write('\n' + MARK + json.dumps(answer()) + '\n')


if __name__ == '__main__':
    main()
