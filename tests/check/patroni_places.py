"""Small virtual environments in which a real Patroni runs, to be broken by a test, and the processes in them."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

from lab.environments import Environment, clean_environ
from lab.node import unprivileged_user
from lab.ports import free_port
from lab.processes import remove_folder, scratch_folder, wait_until

PACKAGE = 'patroni_etcd3_compat'
START_UP_FILES = (PACKAGE + '.pth', PACKAGE + '.start')

#: What root has to add to ``--python``.
AS_ME = ('--user', pwd.getpwuid(os.geteuid()).pw_name) if os.geteuid() == 0 else ()


def as_user(user: pwd.struct_passwd | None) -> dict[str, Any]:
    """Return what makes `subprocess` start something as a user; nothing for the current one."""
    if user is None:
        return {}

    def become() -> None:
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)

    return {'preexec_fn': become}


class Place:
    """A virtual environment that has Patroni from another one.

    :param stock: where Patroni is.
    :param package: where this package is installed from its wheel.
    :param installed: whether it is installed here.
    """

    def __init__(self, stock: Environment, package: Environment, installed: bool = True) -> None:
        self.folder = scratch_folder('test-doctor-')
        self.folder.chmod(0o755)
        self.stock = stock
        self._package = package
        subprocess.run([str(stock.python), '-m', 'venv', '--without-pip', str(self.folder / 'env')], check=True)
        self.python = self.folder / 'env' / 'bin' / 'python'
        self.site = next((self.folder / 'env' / 'lib').glob('python3*/site-packages'))
        (self.site / 'a_patroni.pth').write_text(f'{self.site_of(stock)}\n')
        self.config = self.folder / 'patroni.yml'
        self.config.write_text(
            f'scope: lab\nname: a\nrestapi: {{listen: "127.0.0.1:{free_port()}", connect_address: "127.0.0.1:1"}}\n'
            f'etcd3: {{hosts: ["127.0.0.1:{free_port()}"]}}\n'
            f'postgresql: {{listen: "127.0.0.1:1", connect_address: "127.0.0.1:1", data_dir: {self.folder}/data, '
            'bin_dir: /nowhere, authentication: {}}\n'
        )
        self._running: list[subprocess.Popen[str]] = []
        if installed:
            self.install()

    @staticmethod
    def site_of(environment: Environment) -> Path:
        """Return the site-packages of an environment."""
        return next((environment.folder / 'lib').glob('python3*/site-packages'))

    def install(self, target: Path | None = None, start_up_files: bool = True) -> Path:
        """Install the package; return its folder.

        :param target: the site-packages, None for those of this environment.
        """
        target, source = target or self.site, self.site_of(self._package)
        target.mkdir(parents=True, exist_ok=True)
        shutil.copytree(str(source / PACKAGE), str(target / PACKAGE), ignore=shutil.ignore_patterns('__pycache__'))
        for name in START_UP_FILES if start_up_files else ():
            shutil.copy(str(source / name), str(target / name))
        return target / PACKAGE

    def command(self) -> Sequence[str]:
        """Return a Python with nothing but this package, in which everybody can run the command."""
        folder = self.folder / 'command'
        if not folder.exists():
            self.install(folder, start_up_files=False)
        return 'env', f'PYTHONPATH={folder}', '/usr/bin/python3'

    def own_patroni(self) -> Path:
        """Give this environment a Patroni of its own, to be changed; return its folder."""
        shutil.copytree(str(self.site_of(self.stock) / 'patroni'), str(self.site / 'patroni'))
        return self.site / 'patroni'

    def start(
        self,
        *options: str,
        env: Mapping[str, str] | None = None,
        script: Sequence[str] = (),
        root: bool = False,
        called: str | None = None,
    ) -> subprocess.Popen[str]:
        """Start the real Patroni, which waits for an etcd that is not there.

        :param options: for Python.
        :param env: more environment variables.
        :param script: instead of Patroni's script.
        :param root: as root, if this is root.
        :param called: the name of Python on its command line.
        """
        process = subprocess.Popen(
            [called or str(self.python), *options, *(script or [str(self.stock.patroni)]), str(self.config)],
            executable=str(self.python),
            env={**clean_environ(), 'HOME': str(self.folder), **(env or {})},
            cwd=str(self.folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **as_user(None if root else unprivileged_user()),
        )
        self._running.append(process)
        wait_until(lambda: b'patroni.yml' in Path(f'/proc/{process.pid}/cmdline').read_bytes(), 10, 'Patroni')
        return process

    def stop(self) -> None:
        """End the processes."""
        for process in self._running:
            process.kill()
            process.communicate()
        self._running.clear()

    def end(self) -> None:
        """End the processes and remove the environment."""
        self.stop()
        remove_folder(self.folder)


class Ended:
    """A run of the command."""

    def __init__(self, ended: subprocess.CompletedProcess[str]) -> None:
        self.status, self.out, self.err = ended.returncode, ended.stdout, ended.stderr

    def __repr__(self) -> str:
        return f'<{self.status}\n{self.out}\n{self.err}>'

    @property
    def json(self) -> dict[str, Any]:
        """The JSON output."""
        loaded: dict[str, Any] = json.loads(self.out)
        return loaded


#: Calls the command as its script does, which, unlike ``-m``, looks for no module in the current folder.
_CONSOLE_SCRIPT = (
    '-c',
    'import sys; sys.path[:1] = []; sys.argv[0] = "patroni-etcd3-compat"\n'
    'from patroni_etcd3_compat.check.__main__ import main; main()',
)


def doctor(
    *args: str,
    python: Sequence[str] = (sys.executable,),
    user: pwd.struct_passwd | None = None,
    cwd: Path | str = '/',
    **env: str,
) -> Ended:
    """Run the command in a Python that has nothing to do with Patroni's.

    :param python: that one, with its options.
    :param user: who runs it, None for the current user.
    :param cwd: the folder in which it is run.
    """
    return Ended(
        subprocess.run(
            [*python, *_CONSOLE_SCRIPT, 'doctor', *args],
            env={**clean_environ(), **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=str(cwd),
            **as_user(user),
        )
    )


def diagnosis(*args: str, **kwargs: Any) -> dict[str, Any]:
    """Return the only diagnosis of a run, with its reasons by identifier as ``found``."""
    ended = doctor(*args, '-f', 'json', **kwargs)
    assert not ended.err, ended
    (one,) = ended.json['processes']
    assert one['exit_status'] == ended.json['exit_status'] == ended.status
    one['found'] = {reason['id']: reason for reason in one['reasons']}
    assert isinstance(one, dict)
    return one


def places(stock: Environment, package: Environment) -> Iterator[Any]:
    """Make places that end with a test, for a fixture."""
    made: list[Place] = []
    before = os.umask(0o022)  # the modules of Patroni change it, in whatever imports them

    def make(installed: bool = True, patroni: Environment | None = None) -> Place:
        made.append(Place(patroni or stock, package, installed))
        return made[-1]

    yield make
    os.umask(before)
    for place in made:
        place.end()
