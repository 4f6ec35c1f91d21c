"""Virtual environments with a given Patroni release, built once and kept in CACHE.

Those with ``plugin=True`` also have this project: from a wheel, as users get it, never from the source tree. In those
with ``patches``, Patroni was built with the patches instead. The others are stock. If another user has to run something
and cannot reach it, it is copied.
"""

from __future__ import annotations

import configparser
import hashlib
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Sequence

from . import CACHE, ROOT, say
from .cache import locked
from .processes import LabError, remove_folder, scratch_folder
from .releases import NEWEST
from .sources import apply, unpack

# In every environment: what builds packages that come as source (some import pkg_resources, which later setuptools
# lack). Then a driver that older Patroni requires while it is built, and what Patroni's own tests need.
_BUILD_TOOLS = ('setuptools>=64,<81', 'wheel', 'psycopg2-binary', 'mock', 'pytest')

_URLLIB3 = {'1.26': 'urllib3>=1.26,<2', '2': 'urllib3>=2'}

# The sources of the wheel, in addition to the package's folder.
_PACKAGE = 'patroni_etcd3_compat'
_WHEEL_SOURCES = (
    'setup.cfg',
    'setup.py',
    'pyproject.toml',
    'README.md',
    'LICENSE',
    _PACKAGE + '.pth',
    _PACKAGE + '.start',
)


class Environment:
    """One virtual environment.

    :param folder: where it is.
    :param holds: identifies what is installed in it; changes whenever that does.
    """

    def __init__(self, folder: Path, holds: str) -> None:
        self.folder = folder
        self._holds = holds

    def __repr__(self) -> str:
        return f'<Environment {self.folder}>'

    @property
    def bin(self) -> Path:
        """The folder of its programs."""
        return self.folder / 'bin'

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.bin / 'python'

    @property
    def patroni(self) -> Path:
        """The ``patroni`` program. Run it by `python`: its first line is wrong in a copy."""
        return self.bin / 'patroni'

    @property
    def patronictl(self) -> Path:
        """The ``patronictl`` program, see `patroni`."""
        return self.bin / 'patronictl'

    def run(self, args: Sequence[str], **kwargs: Any) -> subprocess.CompletedProcess[str]:
        """Run its Python, without what the caller's environment variables say about Python.

        :param args: arguments for Python.
        :param kwargs: for `subprocess.run`. Without any, the output is captured as text, with stderr in stdout.
        """
        options: dict[str, Any] = {
            'env': clean_environ(),
            'stdin': subprocess.DEVNULL,
            'stdout': subprocess.PIPE,
            'stderr': subprocess.STDOUT,
            'universal_newlines': True,
        }
        options.update(kwargs)
        return subprocess.run([str(self.python), *args], **options)

    def for_user(self, user: pwd.struct_passwd | None) -> Environment:
        """Return this environment at a place where a user can run it.

        :param user: passwd entry, None for the current user.
        :returns: itself, or a copy that is removed when Python ends.
        """
        return Environment(within_reach(self.folder, user, self._holds), self._holds)


def clean_environ() -> dict[str, str]:
    """Return this process's environment variables without those that Python, Patroni, etcd or libpq read."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(('PYTHON', 'PATRONI', 'PG', 'ETCD', 'VIRTUAL_ENV'))
    }


def _anyone_can_enter(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # on another file system
        shutil.copy2(source, target, follow_symlinks=False)


_copies: dict[Path, tuple[str, Path]] = {}


def within_reach(folder: Path, user: pwd.struct_passwd | None, stamp: str = '') -> Path:
    """Return a folder at a place where another user can read it, even if only root can enter the project's folder.

    :param folder: the folder.
    :param user: passwd entry of the user, None for the current one.
    :param stamp: a copy made with a different stamp is out of date.
    :returns: the folder itself, or a copy (one for all calls, made of hard links if possible) that is removed when
        Python ends.
    """
    if user is None or _anyone_can_enter(folder / '.'):
        return folder
    known, copy = _copies.get(folder, (None, folder))
    if known != stamp:
        copy = scratch_folder('lab-reach-')
        copy.chmod(0o755)
        shutil.copytree(str(folder), str(copy / folder.name), symlinks=True, copy_function=_link_or_copy)
        _copies[folder] = (stamp, copy)
    return copy / folder.name


def _interpreter(python: str | None) -> Path:
    """Return the Python that environments are created with. For root it is one that every user can execute."""
    wish = python or os.environ.get('PATRONI_PYTHON')
    if wish:
        found = shutil.which(wish)
        if not found:
            raise LabError(f'there is no Python {wish}')
        return Path(found).resolve()
    own = Path(sys.executable).resolve()
    if os.geteuid() != 0 or _anyone_can_enter(own):
        return own
    system = Path('/usr/bin/python3')
    if not system.exists():
        raise LabError(f'only root can execute {own}, and there is no {system}: set PATRONI_PYTHON')
    return system.resolve()


def call(argv: Sequence[str], what: str, folder: Path | None = None, **environ: str) -> None:
    """Run a build command. The files it writes are readable for everyone, whatever the umask.

    :param argv: the command.
    :param what: its name in the error.
    :param folder: where it runs, None for the current folder.
    :param environ: environment variables beside those of `clean_environ`.
    :raises LabError: with the end of its output if it fails.
    :raises FileNotFoundError: if there is no such command.
    """
    done = subprocess.run(
        argv,
        cwd=folder,
        env=dict(clean_environ(), **environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: os.umask(0o022) and None,
    )
    if done.returncode:
        end = '\n'.join(done.stdout.splitlines()[-30:])
        raise LabError(f'{what} failed:\n{end}')


def _pip(folder: Path, *args: str) -> None:
    # -I: neither the current folder (perhaps this project's) nor PYTHONPATH has an effect
    python = str(folder / 'bin' / 'python')
    call([python, '-I', '-m', 'pip', '-q', '--disable-pip-version-check', *args], f'pip {" ".join(args)}')


def _build(folder: Path, patroni: str, urllib3: str, interpreter: Path) -> None:
    say(f'building an environment: Patroni {patroni}, {_URLLIB3[urllib3]}, {interpreter}')
    shutil.rmtree(str(folder), ignore_errors=True)  # an interrupted run may have left one
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        call([sys.executable, '-m', 'virtualenv', '-q', '-p', str(interpreter), str(folder)], 'virtualenv')
    except LabError:  # today's virtualenv has no pip for 3.8, which has its own; a distribution's Python has none
        shutil.rmtree(str(folder), ignore_errors=True)
        call([str(interpreter), '-m', 'venv', str(folder)], 'venv')
    _pip(folder, 'install', *_BUILD_TOOLS)
    wanted = [f'patroni[etcd3]=={patroni}', _URLLIB3[urllib3]]
    if tuple(int(number) for number in patroni.split('.')[:2]) < (3, 3):
        wanted.append('ydiff<1.3')  # patronictl calls functions that later releases lack
    # Up to 3.1, Patroni can be built only where a PostgreSQL driver is installed, so not in pip's build environment.
    _pip(folder, 'install', '--no-build-isolation', *wanted)


def _requirements(extra: str) -> list[str]:
    setup = configparser.ConfigParser()
    setup.read(str(ROOT / 'setup.cfg'))
    return setup['options.extras_require'][extra].split()


def _wheel_sources() -> list[Path]:
    package = sorted(path for path in (ROOT / _PACKAGE).rglob('*') if path.is_file() and path.suffix != '.pyc')
    return package + [ROOT / name for name in _WHEEL_SOURCES if (ROOT / name).exists()]


def copy_wheel_sources(folder: Path) -> None:
    """Copy what the wheel of this project is built from, without the remains of earlier builds.

    :param folder: where to, made if it does not exist.
    """
    for path in _wheel_sources():
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(str(path), str(copy))


def _wheel(folder: Path) -> tuple[str, Path]:
    """Return the wheel of the current project, built by the Python of the environment in `folder` if necessary.

    :returns: a digest of its sources and the wheel.
    """
    digest = hashlib.sha256()
    for path in _wheel_sources():
        digest.update(f'{path.relative_to(ROOT)}\0'.encode() + path.read_bytes() + b'\0')
    stamp = digest.hexdigest()[:16]
    target = CACHE / 'wheels' / stamp
    if not target.exists():
        say('building the wheel of this project')
        part = CACHE / 'wheels' / 'part'
        tree = scratch_folder('lab-wheel-')
        try:
            copy_wheel_sources(tree)
            shutil.rmtree(str(part.parent), ignore_errors=True)  # including those of earlier sources
            _pip(folder, 'wheel', '--no-deps', '--no-build-isolation', '-w', str(part), str(tree))
            part.rename(target)
        finally:
            remove_folder(tree)
    return stamp, next(target.glob('*.whl'))


def _install_patched(folder: Path, patroni: str, patches: Sequence[Path]) -> None:
    """Rebuild Patroni with patches, and install it over the stock one."""
    say(f'building Patroni {patroni} with its patches')
    scratch = scratch_folder('lab-patched-')
    try:
        tree = unpack(patroni, scratch)
        for patch in patches:
            apply(patch, tree)
        _pip(folder, 'install', '--no-deps', '--no-build-isolation', '--force-reinstall', str(tree))
    finally:
        remove_folder(scratch)


def environment(
    patroni: str = NEWEST,
    urllib3: str = '2',
    plugin: bool = True,
    python: str | None = None,
    patches: Sequence[Path] = (),
    extras: Sequence[str] = (),
) -> Environment:
    """Return a virtual environment with a Patroni release, built on first use (which takes a minute and the network).

    :param patroni: release, such as ``'3.0.2'``.
    :param urllib3: release line, ``'2'`` or ``'1.26'``.
    :param plugin: whether this project is installed in it, as its sources are now.
    :param python: the Python it is made with. None means that of PATRONI_PYTHON or else this one, unless the lab runs
        as root and other users cannot execute it.
    :param patches: patches that Patroni is built with, in this order, in their current state; the project is not
        installed then.
    :param extras: extras of this project whose requirements are installed as well, such as ``'grpc'``.
    :raises LabError: when it cannot be built.
    """
    interpreter = _interpreter(python)
    kind = '-'.join(('patched' if patches else 'plugin' if plugin else 'stock', *extras))
    name = f'{patroni}-urllib3-{urllib3}-{kind}-{str(interpreter).strip("/").replace("/", "-")}'
    folder = CACHE / 'envs' / name
    marker = folder / 'lab-complete'  # written last; contains what is in the environment
    with locked('environments'):
        if not marker.exists():
            _build(folder, patroni, urllib3, interpreter)
            for extra in extras:
                _pip(folder, 'install', *_requirements(extra))
            marker.write_text('')
        holds = 'stock'
        if patches:
            holds = hashlib.sha256(b''.join(patch.read_bytes() for patch in patches)).hexdigest()[:16]
            if marker.read_text() != holds:
                marker.write_text('')
                _install_patched(folder, patroni, patches)
        elif plugin:
            holds, wheel = _wheel(folder)
            if marker.read_text() != holds:
                marker.write_text('')
                _pip(folder, 'install', '--no-deps', '--force-reinstall', str(wheel))
        marker.write_text(holds)
    return Environment(folder, holds)
