"""A whole Debian in a folder, as it is right after its installation: made by debootstrap, entered by chroot.

Only root can make one. Every release is bootstrapped once and kept in CACHE; each test gets a copy of its own. What
runs in a tree has its own mounts and its own process ids, so nothing of it stays behind, not even a daemon. It shares
the network of this machine.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from . import CACHE, say
from .apt import mirror, run
from .cache import locked, unfinished
from .environments import clean_environ
from .pids import exists
from .processes import LabError
from .programs import fetched, tool

_ROOTS = CACHE / 'roots'
_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
_BUNDLE = '/etc/ssl/lab-authorities.crt'  # not below /etc/ssl/certs, which belongs to the package ca-certificates
_PASSED_ON = ('http_proxy', 'https_proxy', 'no_proxy', 'PIP_INDEX_URL', 'PIP_DEFAULT_TIMEOUT', 'UV_DEFAULT_INDEX')
_TAKES_A_BUNDLE = ('PIP_CERT', 'SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE')

_APT_CONF = """\
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
Acquire::Retries "2";
Acquire::http::Timeout "30";
DPkg::Options { "--force-unsafe-io"; "--force-confdef"; "--force-confold"; };
"""

# Mounts of its own (propagation is private), gone with the last process in it. "$0" is the tree.
_ENTER = (
    'mount -t proc proc "$0/proc" && mount -t tmpfs -o mode=1777 tmpfs "$0/dev/shm" && '
    'exec chroot "$0" /usr/bin/env -C "$LAB_CWD" "$@"'
)


def fault() -> str | None:
    """Return why no tree can be made here, for the reason of a skipped test; None if nothing speaks against it."""
    if os.geteuid() != 0:
        return 'a root tree needs root (debootstrap, chroot)'
    for program in ('unshare', 'chroot', 'dpkg-deb'):
        if not shutil.which(program):
            return f'a root tree needs the program {program}'
    try:
        run(['unshare', '--mount', '--pid', '--fork', 'mount', '--bind', '/proc', '/proc'], Path('/'))
    except LabError as e:
        return f'a root tree needs the right to mount: {e}'
    return None


def _debootstrap(suite: str, target: Path, part: Path) -> None:
    """Bootstrap a release of Debian into the new folder `target`."""
    _, *options, uri, _, components = mirror(part).split(None, 4)
    if 'debian' not in uri:
        raise LabError(f'a root tree of Debian needs a mirror of Debian, and apt uses {uri}')
    programs = [tool('gpgv').parent, tool('wget').parent]
    script = fetched('debootstrap', path='usr/sbin/debootstrap', alone=True)
    scripts = script.parent / 'root' / 'usr' / 'share' / 'debootstrap'
    keyring = [f'--keyring={option.partition("=")[2].rstrip("]")}' for option in options]
    path = os.pathsep.join([*map(str, programs), os.environ.get('PATH', ''), _PATH])
    run(
        ['unshare', '--mount', str(script), '--variant=minbase', *keyring, suite, str(target), uri],
        Path('/'),
        DEBOOTSTRAP_DIR=str(scripts),
        PATH=path,
    )
    (target / 'etc/apt/sources.list').write_text(f'deb {uri} {suite} {components}\n')
    (target / 'etc/apt/apt.conf.d/90lab').write_text(_APT_CONF)
    service_policy = target / 'usr/sbin/policy-rc.d'  # no package starts its daemon
    service_policy.write_text('#!/bin/sh\nexit 101\n')
    service_policy.chmod(0o755)


class RootTree:
    """A fresh Debian, removed at the end of the ``with``.

    :param suite: name of the release.
    :param packages: packages to install first; kept in CACHE as well.
    :raises LabError: when there can be none; the text says what is missing.
    """

    def __init__(self, suite: str, *packages: str) -> None:
        self.suite = suite
        self._packages = packages
        self.root = Path()

    def __enter__(self) -> RootTree:
        why_not = fault()
        if why_not:
            raise LabError(why_not)
        base = self._kept()
        self.root = _new_folder(self.suite)
        run(['cp', '-a', '--reflink=auto', f'{base}/.', str(self.root)], Path('/'))
        self._follow_host()
        return self

    def __exit__(self, *exc_info: object) -> None:
        shutil.rmtree(str(self.root), ignore_errors=True)

    def _kept(self) -> Path:
        """Return the folder in CACHE that trees like this one are copied from."""
        base = _ROOTS / self.suite
        with locked('roots'):
            if not base.exists():
                say(f'bootstrapping Debian {self.suite}')
                with unfinished(base) as part:
                    _debootstrap(self.suite, part / 'tree', part)
                    self.root = part / 'tree'
                    self._follow_host()
                    self.run('apt-get', 'update')
                    self.run('apt-get', 'clean')
                    self.root.rename(base)
            if self._packages:
                full = _ROOTS / '+'.join([self.suite, *self._packages])
                if not full.exists():
                    say(f'installing {", ".join(self._packages)} in Debian {self.suite}')
                    with unfinished(full) as part:
                        run(['cp', '-a', '--reflink=auto', str(base), str(part / 'tree')], Path('/'))
                        self.root = part / 'tree'
                        self.run('apt-get', 'update')  # the base may be weeks old, and the archive has moved on
                        self.run('apt-get', 'install', '-y', *self._packages)
                        self.run('apt-get', 'clean')
                        self.root.rename(full)
                return full
        return base

    def _follow_host(self) -> None:
        """Give the tree what this machine knows about its network: resolvers and certificate authorities."""
        shutil.copy('/etc/resolv.conf', str(self.path('/etc/resolv.conf')))
        bundles = [os.environ[name] for name in _TAKES_A_BUNDLE if os.path.isfile(os.environ.get(name, ''))]
        if bundles:
            self.copy_in(Path(bundles[0]), _BUNDLE)

    def path(self, inside: str) -> Path:
        """Return where a file of the tree is for this process.

        :param inside: its absolute path in the tree.
        """
        return self.root / inside.lstrip('/')

    def copy_in(self, path: Path, inside: str) -> None:
        """Copy a file or a folder into the tree, as root's.

        :param inside: its new absolute path; folders above it are made.
        """
        target = self.path(inside)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(str(path), str(target), symlinks=True)
        else:
            shutil.copy(str(path), str(target))

    def argv(self, *argv: str) -> list[str]:
        """Return the command line of this machine that runs a program in the tree, for `subprocess` or `Process`.

        Everything that it started in there ends with it. It needs the environment variables of `environ`.
        """
        return ['unshare', '--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', _ENTER, str(self.root), *argv]

    def environ(self, **more: str) -> dict[str, str]:
        """Return the environment variables for `argv`: those of a root shell, and what the network here demands."""
        environ = {name: value for name, value in clean_environ().items() if name.upper() in map(str.upper, _PASSED_ON)}
        if self.path(_BUNDLE).exists():
            environ.update(dict.fromkeys(_TAKES_A_BUNDLE, _BUNDLE))
        shell = {'PATH': _PATH, 'HOME': '/root', 'USER': 'root', 'LC_ALL': 'C.UTF-8', 'LAB_CWD': '/root'}
        return {**environ, **shell, 'DEBIAN_FRONTEND': 'noninteractive', **more}

    def attempt(
        self, *argv: str, timeout: float = 900, stdin: str = '', **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in the tree, as root in ``/root``, and return how it ended.

        :param timeout: after so many seconds it is killed, with everything that it started.
        :param stdin: what it reads.
        :param environ: more environment variables.
        """
        return subprocess.run(
            self.argv(*argv),
            env=self.environ(**environ),
            input=stdin,
            capture_output=True,
            text=True,
            errors='replace',
            timeout=timeout,
        )

    def run(self, *argv: str, timeout: float = 900, stdin: str = '', **environ: str) -> str:
        """Run a program in the tree as `attempt` does, and return its stdout.

        :raises LabError: when it fails; the text has its output.
        """
        done = self.attempt(*argv, timeout=timeout, stdin=stdin, **environ)
        if done.returncode:
            raise LabError(f'{" ".join(argv)}: exit status {done.returncode}\n{done.stdout}{done.stderr}')
        return done.stdout

    def shell(self, script: str) -> str:
        """Run a piece of bash in the tree, as `run` does; its first failing line ends it.

        :param script: as a user would type it.
        """
        return self.run('bash', '-e', '-o', 'pipefail', '-c', script)

    def point_at(self, suite: str) -> None:
        """Point apt at another release, as somebody does who upgrades the machine.

        :param suite: name of that release.
        """
        source = self.path('/etc/apt/sources.list')
        source.write_text(source.read_text().replace(f' {self.suite} ', f' {suite} '))
        self.suite = suite
        self.run('apt-get', 'update')


def _new_folder(suite: str) -> Path:
    """Make the folder of a new tree; remove those of runs that were killed."""
    for path in _ROOTS.glob('*.run-*'):
        if not exists(int(path.name.rpartition('-')[2])):
            shutil.rmtree(str(path), ignore_errors=True)
    number = 0
    while True:
        number += 1
        folder = _ROOTS / f'{suite}.{number}.run-{os.getpid()}'
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o755)
            return folder
