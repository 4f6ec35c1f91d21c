"""The RPM: what it has and wants, and that Python hooks it in from where it puts its files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Callable

import pytest

from lab import ROOT
from lab.root_tree import RootTree
from tools import patching

from .conftest import output
from .test_deb import WITH_ETCD


def test_contents(rpm: Path) -> None:
    """It requires nothing but Python, and hooks in from the site-packages of one."""
    ask = ['rpm', '--dbpath', str(rpm.parent / 'no-database'), '-qp']
    requires = set(output([*ask, '--requires', str(rpm)]).splitlines())
    odd = {it for it in requires if not it.startswith(('rpmlib(', '/bin/sh', '/usr/bin/python3', 'python3 >= 3.8'))}
    assert all(it.startswith('python(abi) = 3.') for it in odd), odd
    assert output([*ask, '--recommends', str(rpm)]).split() == ['python3-h2']
    assert output([*ask, '--enhances', str(rpm)]).split() == ['patroni']
    assert output([*ask, '--qf', '%{arch} %{version}', str(rpm)]) == f'noarch {patching.version()}'
    files = output([*ask, '-l', str(rpm)]).splitlines()
    (hook,) = (path for path in files if path.endswith('.pth'))
    assert hook.endswith('/site-packages/patroni_etcd3_compat.pth')
    assert '/usr/bin/patroni-etcd3-compat' in files
    assert not [path for path in files if path.endswith('/RECORD') or 'BUILDROOT' in path]


def test_rpmlint(built: Callable[[str], list[Path]]) -> None:
    """Rpmlint has nothing to say beyond what packaging/rpm/rpmlint.toml explains."""
    if not shutil.which('rpmlint'):
        pytest.skip('rpmlint is not installed')
    argv = ['rpmlint', '-c', str(ROOT / 'packaging/rpm/rpmlint.toml'), *map(str, built('rpm'))]
    ret = subprocess.run(argv, env={'PATH': '/usr/bin:/bin'}, capture_output=True, text=True)
    assert ret.returncode == 0 and '0 errors, 0 warnings' in ret.stdout, ret.stdout + ret.stderr


def test_hooks_in(rpm: Path, tmp_path: Path, tree_of: Callable[..., RootTree]) -> None:
    """Its files, where it puts them, serve a Patroni of a Python that has that folder among its site-packages."""
    for program in ('rpm2cpio', 'cpio'):
        if not shutil.which(program):
            pytest.skip(f'{program} is not installed')
    archive = subprocess.run(['rpm2cpio', str(rpm)], stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(['cpio', '-id', '--quiet'], input=archive, cwd=str(tmp_path), check=True)
    tree = tree_of('bookworm', *WITH_ETCD)
    shutil.copytree(str(tmp_path / 'usr'), str(tree.path('/usr')), dirs_exist_ok=True, symlinks=True)
    (hook,) = tmp_path.rglob('*.pth')
    folder = '/' + str(hook.parent.relative_to(tmp_path))
    # Debian's Python looks into dist-packages only.
    tree.path('/usr/lib/python3/dist-packages/as-rpm.pth').write_text(f'import site; site.addsitedir("{folder}")\n')
    tree.copy_in(ROOT / 'debian' / 'tests' / 'serves', '/root/serves')
    assert 'serves\n' in tree.run('sh', '/root/serves', timeout=120)
    assert patching.version() in tree.run('patroni-etcd3-compat', '--version')
