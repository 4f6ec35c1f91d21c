"""What is said about this machine: what its own Patroni says, and nothing about the Python of the command."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Callable, Iterator

import pytest

from patroni_etcd3_compat.check.collect import Settings
from patroni_etcd3_compat.check.collect.this_host import this_host
from patroni_etcd3_compat.check.facts import Patroni, PatroniMember, ThisHost
from patroni_etcd3_compat.check.processes import running_python

MEMBERS = [
    PatroniMember('a', version='4.0.11', serves='stock'),
    PatroniMember('b', version='4.1.5', serves='package', compat='0.1.0'),
    PatroniMember('c', version='3.2.2', serves='patch', compat='0.2.0'),
    PatroniMember('d', in_dcs=False),
]


@pytest.mark.parametrize(
    'name, expected',
    [
        ('a', ThisHost('a', 'etcd3', 'stock', None, '4.0.11')),
        ('b', ThisHost('b', 'etcd3', 'package', '0.1.0', '4.1.5')),
        ('c', ThisHost('c', 'etcd3', 'patch', '0.2.0', '3.2.2')),
        ('d', ThisHost('d', 'etcd3')),
        ('e', ThisHost('e', 'etcd3')),
        (None, ThisHost(None, 'etcd3')),
    ],
)
def test_own_member(tmp_path: Path, name: str | None, expected: ThisHost) -> None:
    """This Python has the package and a Patroni. That says nothing: the key of the host's own member does."""
    settings = Settings([], section='etcd3', name=name, config_file=str(tmp_path))
    assert this_host(settings, Patroni('lab', members=MEMBERS)) == expected


def test_nothing_known(tmp_path: Path) -> None:
    """No key of its own, no cluster at all, or no configuration file, even where the environment has a name."""
    named = Settings([], section='etcd3_compat', name='a', config_file=str(tmp_path))
    assert this_host(named, Patroni('lab')) == this_host(named, None) == ThisHost('a', 'etcd3_compat')
    unnamed = Settings([], section='etcd3', name='a')
    assert this_host(unnamed, Patroni('lab', members=MEMBERS)) == ThisHost(None, 'etcd3')


Start = Callable[..., 'subprocess.Popen[bytes]']


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start what is called as given and only waits; it ends with the test."""
    program, running = tmp_path / 'patroni', []
    program.write_text('print(flush=True)\nimport sys\nsys.stdin.read()\n')
    (tmp_path / 'lab.yml').write_text('')

    def run(*arguments: str, python: str = sys.executable) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [python, *arguments], cwd=str(tmp_path), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        running.append(process)
        assert process.stdout and process.stdout.readline()  # it is Python now, no longer the fork of this one
        return process

    yield run
    for process in running:
        process.communicate()


needs_proc = pytest.mark.skipif(not os.path.exists('/proc/self/exe'), reason='needs /proc')


@needs_proc
@pytest.mark.parametrize(
    'arguments', [('patroni', 'lab.yml'), ('{folder}/patroni', '{folder}/lab.yml'), ('-u', 'patroni', './lab.yml')]
)
def test_running_patroni(start: Start, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Found by its configuration file, named in whatever way; gone when it has ended."""
    config = str(tmp_path / 'lab.yml')
    assert running_python(config) is None
    process = start(*(argument.format(folder=tmp_path) for argument in arguments))
    found = running_python(config)
    assert found == (sys.executable, platform.python_version())
    assert running_python(str(tmp_path)) is None  # another configuration
    host = this_host(Settings([], name='a', config_file=config), None)
    assert (host.interpreter, host.python, host.serves) == (*found, None)
    process.communicate()
    assert running_python(config) is None


@needs_proc
def test_others_are_not_taken_for_it(start: Start, tmp_path: Path) -> None:
    """This command with a folder called ``patroni``, a Patroni that only looks at the file, another program."""
    (tmp_path / 'check').write_bytes((tmp_path / 'patroni').read_bytes())
    folder = tmp_path / 'etc' / 'patroni'
    folder.mkdir(parents=True)
    start('check', '-c', str(folder))
    start('check', str(folder), str(folder))
    start('patroni', '--validate-config', 'lab.yml')
    start('-c', 'print(flush=True); input()', str(tmp_path / 'lab.yml'))
    assert running_python(str(folder)) is running_python(str(tmp_path / 'lab.yml')) is None


class Proc:
    """A /proc with processes of Patroni in it.

    :param folder: where.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self.config = folder / 'proc', folder / 'patroni.yml'
        self.path.mkdir()
        self.config.write_text('')
        (self.path / 'version').write_text('')

    def add(self, pid: int, python: str, exe: str, *arguments: str) -> None:
        """Add a process."""
        process = self.path / str(pid)
        process.mkdir()
        command = [python, '/usr/bin/patroni', str(self.config), *arguments]
        (process / 'cmdline').write_bytes(''.join(it + '\0' for it in command).encode())
        (process / 'exe').symlink_to(exe)
        (process / 'root').symlink_to('/')

    @property
    def python(self) -> tuple[str, str] | None:
        """What is found."""
        return running_python(str(self.config), self.path)


def test_several_processes(tmp_path: Path) -> None:
    """In one Python, as in a container, where process 1 has a child: that one. In different ones: unknown."""
    proc = Proc(tmp_path)
    pythons = [tmp_path / 'bin' / name for name in ('python3.9', 'python3.12', 'vim')]
    pythons[0].parent.mkdir()
    for path in pythons:
        path.write_text('')
    assert proc.python is None
    proc.add(1, 'python3', str(pythons[0]))
    proc.add(7, 'python3', str(pythons[0]))
    proc.add(8, 'vim', str(pythons[0]), 'more')
    assert proc.python == (str(pythons[0]), '3.9')
    proc.add(9, 'python3', str(pythons[1]))
    assert proc.python is None


def test_python_of_a_virtual_environment(tmp_path: Path) -> None:
    """Its own path instead of what it links to."""
    proc = Proc(tmp_path)
    python, link = tmp_path / 'python3.9', tmp_path / 'python'
    python.write_text('')
    link.symlink_to(python)
    proc.add(1, str(link), str(python))
    assert proc.python == (str(link), '3.9')


@pytest.mark.parametrize('exe', ['vim', 'python3.9-config', 'absent/python3.9'])
def test_no_python_to_be_seen(tmp_path: Path, exe: str) -> None:
    """Another program with such arguments; a link that cannot be followed, as in somebody else's process."""
    proc = Proc(tmp_path)
    path = tmp_path / exe
    if path.parent == tmp_path:
        path.write_text('')
    proc.add(1, 'python3', str(path))
    assert proc.python is None


def test_without_proc(tmp_path: Path) -> None:
    """Another operating system; a process that is hidden."""
    assert running_python(str(tmp_path), tmp_path / 'none') is None
    (tmp_path / '7').mkdir()
    assert running_python(str(tmp_path), tmp_path) is None
