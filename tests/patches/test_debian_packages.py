"""Debian's binary packages of Patroni, unpacked, patched, repacked, and run on a mixed etcd cluster; and quilt."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lab import debian
from lab.apt import Apt, mirror, os_release
from lab.environments import Environment, within_reach
from lab.etcd import EtcdCluster
from lab.node import unprivileged_user
from lab.patroni import PatroniCluster
from lab.programs import tool
from tools.patching import COMMON, NAME, PATCHES, RELEASES, apply, unpack, version

PACKAGES = 'usr/lib/python3/dist-packages'

CONTROL = """\
Source: patroni
Maintainer: nobody <nobody@localhost>
Standards-Version: 4.6.2

Package: patroni
Architecture: all
Description: test
 test
"""

CHANGELOG = """\
patroni ({0}-1) unstable; urgency=medium

  * Test.

 -- nobody <nobody@localhost>  Thu, 01 Jan 2026 00:00:00 +0000
"""


def run(*argv: str) -> str:
    """Run a program that has to succeed."""
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


def state(tree: Path) -> dict[str, bytes]:
    """Return all files below a folder with their content."""
    return {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob('*') if path.is_file()}


def make_python(suite: str, files: Path, program: Path) -> None:
    """Create a program that runs Debian's Python with the files of the package instead of its own."""
    distribution = debian.DebianPatroni(suite)
    variables = {name: value for name, value in distribution.environ().items() if name.startswith('PYTHON')}
    variables['PYTHONPATH'] = str(files)
    variables['PATRONI_ETCD3_COMPAT'] = 'off'  # other tests install the package into what represents /usr/local
    loader, *arguments = distribution.command
    # Patroni starts another Python like its own (sys.executable), which follows from the name of the command
    settings = ' '.join(f'{name}={value}' for name, value in variables.items())
    text = f'#!/bin/sh\nexec env {settings} {loader} --argv0 {program} {" ".join(arguments)} "$@"\n'
    program.write_text(text.replace(str(distribution.root), str(within_reach(distribution.root, unprivileged_user()))))
    program.chmod(0o755)


@pytest.mark.parametrize('suite, minor', [('bookworm', 11), ('trixie', 13)])
def test_patched_package(suite: str, minor: int, folder: Path) -> None:
    """The patches apply exactly, the patched package runs with PostgreSQL, and a revert leaves no trace."""
    unpacked, patched = folder / 'unpacked', folder / 'patched'
    run('dpkg-deb', '-R', str(debian.fetch(suite)), str(unpacked))
    match = re.match(r'[\d.]+', run('dpkg-deb', '-f', str(debian.fetch(suite)), 'Version'))
    release = match.group(0) if match else ''
    assert release in RELEASES
    before = state(unpacked)
    apply(release, unpacked / PACKAGES)
    after = state(unpacked)
    run('dpkg-deb', '--root-owner-group', '-b', str(unpacked), str(folder / 'patroni.deb'))
    apply(release, unpacked / PACKAGES, '-R')
    assert state(unpacked) == before != after

    run('dpkg-deb', '-x', str(folder / 'patroni.deb'), str(patched))
    programs = folder / 'bin'
    programs.mkdir()
    for name in ('patroni', 'patronictl'):
        shutil.copy(str(patched / 'usr' / 'bin' / name), str(programs))
    make_python(suite, patched / PACKAGES, programs / 'python')
    env = Environment(folder, '')
    ret = env.run(['-c', 'import patroni.dcs.etcd3 as m, sys; print(m.__file__, m.ETCD3.__module__, sys.version_info)'])
    assert ret.stdout.startswith(
        f'{patched / PACKAGES}/patroni/dcs/etcd3.py patroni.etcd3_compat.dcs sys.version_info(major=3, minor={minor},'
    ), ret.stdout
    with EtcdCluster(['3.2', '3.2', '3.4']) as etcd, PatroniCluster(env, etcd, nodes=1) as cluster:
        node = cluster.wait_primary()
        assert f'patroni-etcd3-compat {version()} serves section etcd3\n' in node.log_text()
        etcd.upgrade(0, '3.4')
        assert 'Leader' in cluster.patronictl('list').stdout
        assert node.failed_loops() == 0


@pytest.fixture(scope='module')
def quilt(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables that make quilt available, from this machine or from its distribution."""
    path = os.pathsep.join(['/usr/bin', '/bin', str(tool('patch').parent)])
    if shutil.which('quilt'):
        return {'PATH': path}
    folder = tmp_path_factory.mktemp('quilt')
    apt = Apt(folder, mirror(folder).format(suite=os_release()['VERSION_CODENAME']), installed=False)
    apt('apt-get', 'update')
    apt.unpack(['quilt'], folder / 'root')
    usr = folder / 'root' / 'usr'
    return {'PATH': os.pathsep.join([str(usr / 'bin'), path]), 'QUILT_DIR': str(usr / 'share' / 'quilt')}


def test_quilt(release: str, quilt: dict[str, str], tmp_path: Path) -> None:
    """quilt accepts ``series`` and the patches unchanged, and can push and pop them."""
    tree = unpack(release, tmp_path, patched=False)
    before = state(tree / 'patroni')
    environ = dict(quilt, QUILT_PATCHES=str(PATCHES), QUILT_SERIES=f'{release}/series', QUILTRC='/dev/null')
    output = subprocess.run(
        ['quilt', 'push', '-a', '--fuzz=0'],
        cwd=str(tree),
        env=environ,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ).stdout
    assert f'Now at patch {release}/{NAME}' in output and 'offset' not in output
    assert len(state(tree / 'patroni')) > len(before)
    subprocess.run(['quilt', 'pop', '-a'], cwd=str(tree), env=environ, check=True, stdout=subprocess.DEVNULL)
    assert state(tree / 'patroni') == before


@pytest.mark.skipif(not shutil.which('dpkg-source'), reason='this machine has no dpkg-source')
def test_dpkg_source(release: str, tmp_path: Path) -> None:
    """dpkg-source accepts the files, copied as the README says, in a source package of format "3.0 (quilt)"."""
    tree = unpack(release, tmp_path, patched=False)
    before = state(tree / 'patroni')
    run('tar', '-C', str(tmp_path), '-czf', str(tmp_path / f'patroni_{release}.orig.tar.gz'), tree.name)
    patches = tree / 'debian' / 'patches'
    patches.mkdir(parents=True)
    (tree / 'debian' / 'source').mkdir()
    (tree / 'debian' / 'source' / 'format').write_text('3.0 (quilt)\n')
    (tree / 'debian' / 'control').write_text(CONTROL)
    (tree / 'debian' / 'changelog').write_text(CHANGELOG.format(release))
    lines = re.findall(
        r'^    (.*) \.\.\./patroni-4\.0\.7/debian/patches\S*$', (PATCHES / 'README.md').read_text(), re.M
    )
    assert [line.split()[0] for line in lines] == ['cp', 'cat']
    for line, target in zip(lines, (patches, patches / 'series')):
        command = f'cd {PATCHES} && {line.replace("4.0.7", release)} {target}'
        subprocess.run(['bash', '-c', command], check=True)
    subprocess.run(['dpkg-source', '--build', tree.name], cwd=str(tmp_path), check=True)
    package = next(tmp_path.glob('*.dsc'))
    run('dpkg-source', '--extract', str(package), str(tmp_path / 'extracted'))
    after = state(tmp_path / 'extracted' / 'patroni')
    assert set(after) > set(before)
    assert after == state(unpack(release, folder_of(tmp_path / 'expected')) / 'patroni')
    assert (tmp_path / 'extracted' / 'debian' / 'patches' / COMMON).read_bytes() == (PATCHES / COMMON).read_bytes()


def folder_of(path: Path) -> Path:
    """Create a folder and return it."""
    path.mkdir()
    return path
