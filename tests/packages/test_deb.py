"""The package for Debian, beside Debian's own Patroni, in a Debian of its own."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Callable

import pexpect
import pytest

from lab import ROOT
from lab.ports import free_port
from lab.root_tree import RootTree
from tools import packages, patching

from .conftest import build

NAME = 'python3-patroni-etcd3-compat'
WITH_ETCD = ('patroni', 'python3-etcd', 'etcd-server')
MODULES = '/usr/lib/python3/dist-packages'

# Without etcd: the module of the class that section etcd3 gets.
WHOSE = """\
import importlib, sys
module = importlib.import_module('patroni.dcs.etcd3')
print([it.__module__ for name, it in vars(module).items() if name.lower() == 'etcd3'][0])
"""

#: How each shell is started, and told to print a word once it is ready to complete.
SHELLS = {
    ('bash', '--norc', '-i'): '. /usr/share/bash-completion/bash_completion; echo re""ady',
    ('zsh', '-f', '-i'): 'autoload -Uz compinit; compinit -u; echo re""ady',
}


def output(argv: list[str]) -> str:
    """Return what a program of this machine prints."""
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout


def install(tree: RootTree, deb: Path) -> None:
    """Install the package as an administrator does who has the file."""
    tree.copy_in(deb, f'/srv/{deb.name}')
    tree.run('apt-get', 'install', '-y', '--no-install-recommends', f'/srv/{deb.name}')


def whose(tree: RootTree) -> str:
    """Return the module of the class that serves section etcd3."""
    return tree.run('/usr/bin/python3', '-W', 'error', '-c', WHOSE).strip()


def serve(tree: RootTree) -> None:
    """Run the test that the source package has for Debian's own test machines."""
    tree.copy_in(ROOT / 'debian' / 'tests' / 'serves', '/srv/serves')
    ports = {'CLIENT_PORT': str(free_port()), 'PEER_PORT': str(free_port())}
    assert 'serves\n' in tree.run('sh', '/srv/serves', timeout=120, **ports)


def state_of(tree: RootTree, package: str) -> str:
    """Return dpkg's word for the state of a package: ``ii`` if all is well."""
    return tree.attempt('dpkg-query', '-W', '-f', '${db:Status-Abbrev}', package).stdout.strip()


def files_of(tree: RootTree) -> set[str]:
    """Return the files that are not apt's and dpkg's notes."""
    found = tree.run('find', '/', '-xdev', '-path', '/proc', '-prune', '-o', '-print').splitlines()
    notes = ('/var/lib/dpkg/', '/var/lib/apt/', '/var/cache/', '/var/log/', '/root/', '/srv/', '/tmp/', '/dev/')
    return {path for path in found if not path.startswith(notes)}


def test_contents(deb: Path) -> None:
    """It hooks in from the folder that all Pythons of a Debian share, needs Python alone, and has its documentation."""
    fields = dict(
        line.split(': ', 1) for line in output(['dpkg-deb', '-f', str(deb)]).splitlines() if not line.startswith(' ')
    )
    assert fields['Package'] == NAME and fields['Architecture'] == 'all'
    assert fields['Depends'] == 'python3:any (>= 3.8~)'
    assert fields['Enhances'] == 'patroni' and 'patroni' not in fields['Recommends']
    listed = [line.split()[5] for line in output(['dpkg-deb', '-c', str(deb)]).splitlines()]
    for path in (
        f'{MODULES}/patroni_etcd3_compat.pth',
        f'{MODULES}/patroni_etcd3_compat.start',
        f'{MODULES}/patroni_etcd3_compat/__init__.py',
        f'{MODULES}/patroni_etcd3_compat-{patching.version()}.dist-info/METADATA',
        '/usr/bin/patroni-etcd3-compat',
        '/usr/share/man/man1/patroni-etcd3-compat.1.gz',
        '/usr/share/bash-completion/completions/patroni-etcd3-compat',
        '/usr/share/zsh/vendor-completions/_patroni-etcd3-compat',
        '/usr/share/fish/vendor_completions.d/patroni-etcd3-compat.fish',
        f'/usr/share/doc/{NAME}/copyright',
    ):
        assert '.' + path in listed, path
    top = {path.split('/')[5] for path in listed if path.startswith(f'.{MODULES}/') and path.count('/') >= 5}
    assert {it for it in top if it and not it.startswith('patroni_etcd3_compat')} == set()


@pytest.mark.costly
def test_lintian(built: Callable[[str], list[Path]], tree_of: Callable[..., RootTree]) -> None:
    """The newest lintian has nothing to say, informational tags included."""
    tree = tree_of('sid', 'lintian')
    for path in built('deb'):
        tree.copy_in(path, f'/srv/{path.name}')
    ended = tree.attempt('sh', '-c', 'lintian --allow-root --display-info --show-overrides /srv/*.changes')
    lines = [line for line in ended.stdout.splitlines() if line[:2] in ('E:', 'W:', 'I:', 'O:')]
    assert [line for line in lines if not line.startswith('O:')] == [], ended.stderr
    assert lines, f'not even what is overridden was found: {ended.stdout}{ended.stderr}'


def test_serves(suite: str, deb: Path, tree_of: Callable[..., RootTree]) -> None:
    """Installed beside Patroni it serves, Patroni is as it was, and nothing stays after the purge."""
    tree = tree_of(suite, *WITH_ETCD)
    assert whose(tree) == 'patroni.dcs.etcd3'
    before = files_of(tree)
    install(tree, deb)
    assert whose(tree).startswith('patroni_etcd3_compat')
    serve(tree)
    assert patching.version() in tree.run('patroni-etcd3-compat', '--version')
    metadata = 'import importlib.metadata as m; print(m.version("patroni-etcd3-compat"))'
    assert tree.run('/usr/bin/python3', '-c', metadata).strip() == patching.version()
    assert tree.attempt('dpkg', '-V').stdout == ''
    tree.run('apt-get', 'purge', '-y', NAME)
    assert whose(tree) == 'patroni.dcs.etcd3'
    left = {path for path in files_of(tree) - before if 'patroni_etcd3_compat' in path or 'patroni-etcd3' in path}
    assert left == set()
    assert before - files_of(tree) == set()


def test_completion(suite: str, deb: Path, tree_of: Callable[..., RootTree]) -> None:
    """Each shell finds the completion by itself, and completes a command, an option and the name of a file."""
    tree = tree_of(suite, *WITH_ETCD, 'bash-completion', 'zsh', 'fish')
    install(tree, deb)
    tree.path('/srv/unlike').write_text('')
    for words, rest in (('doc', 'tor'), ('check --verbo', 'se'), ('check -c /srv/unl', 'ike')):
        line = f'patroni-etcd3-compat {words}'
        for shell, ready in SHELLS.items():
            program, *args = tree.argv(*shell)
            with pexpect.spawn(program, args, env=tree.environ(TERM='dumb', PS1=''), timeout=20) as terminal:
                terminal.sendline(ready)
                terminal.expect_exact('ready')
                terminal.send(line + '\t')
                terminal.expect_exact(line + rest)  # its error shows what there is instead
        assert words.split()[-1] + rest in tree.run('fish', '-c', 'complete -C"$LINE"', LINE=line).split()


def test_without_patroni(suite: str, deb: Path, tree_of: Callable[..., RootTree]) -> None:
    """It brings no Patroni, and Python starts as silently and without loading the class."""
    tree = tree_of(suite)
    install(tree, deb)
    assert state_of(tree, 'patroni') != 'ii'
    plain = tree.attempt('/usr/bin/python3', '-X', 'importtime', '-c', 'print(1)')
    assert plain.stdout == '1\n' and 'patroni_etcd3_compat.dcs' not in plain.stderr
    tried = tree.attempt('patroni-etcd3-compat', '--version')
    assert 'Traceback' not in tried.stderr, tried.stderr


@pytest.mark.costly
def test_order_of_removal(deb: Path, tree_of: Callable[..., RootTree]) -> None:
    """Patroni goes first and comes back: no noise meanwhile, and it is served again."""
    tree = tree_of('bookworm', *WITH_ETCD)
    install(tree, deb)
    tree.run('apt-get', 'remove', '-y', 'patroni')
    assert state_of(tree, NAME) == 'ii'
    ret = tree.attempt('/usr/bin/python3', '-c', 'pass')
    assert (ret.returncode, ret.stdout, ret.stderr) == (0, '', '')
    tree.run('apt-get', 'install', '-y', 'patroni')
    assert whose(tree).startswith('patroni_etcd3_compat')
    tree.run('apt-get', 'remove', '-y', 'patroni', NAME)
    ret = tree.attempt('/usr/bin/python3', '-c', 'pass')
    assert (ret.returncode, ret.stdout, ret.stderr) == (0, '', '')


@pytest.mark.costly
def test_oldest(deb: Path, tree_of: Callable[..., RootTree]) -> None:
    """Debian 11 has Patroni 2.0.2: it stays, runs as before, and the hook stands back."""
    tree = tree_of('bullseye', 'patroni', 'python3-etcd')
    before = tree.run('dpkg-query', '-W', 'patroni', 'python3-urllib3', 'python3-etcd')
    install(tree, deb)
    assert tree.run('dpkg-query', '-W', 'patroni', 'python3-urllib3', 'python3-etcd') == before
    assert tree.attempt('dpkg', '-V').stdout == ''
    ret = tree.attempt('/usr/bin/python3', '-c', WHOSE)
    assert ret.stdout.strip() == 'patroni.dcs.etcd3', ret.stderr
    assert '2.0.2' in tree.run('patronictl', 'version')


@pytest.mark.costly
def test_release_upgrade(deb: Path, tree_of: Callable[..., RootTree]) -> None:
    """Debian 12 becomes 13 with another Python: the package stays, and it serves Debian 13's Patroni."""
    tree = tree_of('bookworm', *WITH_ETCD)
    install(tree, deb)
    question = 'import sys, patroni.version; print(sys.version_info[:2], patroni.version.__version__)'
    before = tree.run('/usr/bin/python3', '-c', question)
    tree.point_at('trixie')
    tree.run('apt-get', 'full-upgrade', '-y', timeout=1800)
    assert tree.run('/usr/bin/python3', '-c', question) != before
    assert state_of(tree, NAME) == 'ii'
    assert whose(tree).startswith('patroni_etcd3_compat')
    serve(tree)
    assert patching.version() in tree.run('patroni-etcd3-compat', '--version')
    assert tree.attempt('dpkg', '-V', NAME, 'patroni').stdout == ''


@pytest.mark.costly
@pytest.mark.parametrize('kind', sorted(packages.BUILD))
def test_same_bytes(kind: str, built: Callable[[str], list[Path]], tmp_path: Path) -> None:
    """Built a second time, in another folder, they are the same files."""

    def digests(files: list[Path]) -> dict[str, str]:
        # The buildinfo has the folder and the time of the build, and the .changes its digest; a source RPM the folder.
        lasting = [path for path in files if not path.name.endswith(('.buildinfo', '.changes', '.src.rpm'))]
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in lasting}

    assert digests(build(kind, tmp_path)) == digests(built(kind))
