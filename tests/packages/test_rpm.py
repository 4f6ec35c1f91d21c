"""The RPM: what it has and wants, and that Python hooks it in from where it puts its files.

Debian's rpm reads and installs it, into a database of its own. dnf is in tests/install.
"""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest

from lab import ROOT
from lab.root_tree import RootTree
from tools import patching

from .test_deb import WITH_ETCD, serve


def test_contents(rpm: Path, tree_of: Callable[..., RootTree]) -> None:
    """It requires nothing but the Python that it was built with, and hooks in from the site-packages of that."""
    tree = tree_of('bookworm', *WITH_ETCD, 'rpm')
    tree.copy_in(rpm, '/srv/it.rpm')

    def ask(*options: str) -> str:
        return tree.run('rpm', '-qp', *options, '/srv/it.rpm')

    requires = {it for it in ask('--requires').splitlines() if not it.startswith(('rpmlib(', '/bin/sh'))}
    assert requires == {'/usr/bin/python3', 'python(abi) = 3.11'}
    assert ask('--recommends').split() == ['python3-h2']
    assert ask('--enhances').split() == ['patroni']
    assert ask('--qf', '%{arch} %{version}') == f'noarch {patching.version()}'
    files = ask('-l').splitlines()
    (hook,) = (path for path in files if path.endswith('.pth'))
    assert hook.endswith('/site-packages/patroni_etcd3_compat.pth')
    assert '/usr/bin/patroni-etcd3-compat' in files
    assert not [path for path in files if path.endswith('/RECORD') or 'BUILDROOT' in path]


@pytest.mark.costly
def test_rpmlint(built: Callable[[str], list[Path]], tree_of: Callable[..., RootTree]) -> None:
    """The newest rpmlint has nothing to say beyond what packaging/rpm/rpmlint.toml explains."""
    tree = tree_of('sid', 'rpmlint')
    for path in (*built('rpm'), ROOT / 'packaging/rpm/rpmlint.toml'):
        tree.copy_in(path, f'/srv/{path.name}')
    ended = tree.attempt('sh', '-c', 'rpmlint -c /srv/rpmlint.toml /srv/*.rpm')
    assert '2 packages' in ended.stdout and ' 0 errors, 0 warnings' in ended.stdout, ended.stdout + ended.stderr


def test_hooks_in(rpm: Path, tree_of: Callable[..., RootTree]) -> None:
    """Its files, where it puts them, serve a Patroni of a Python that has that folder among its site-packages."""
    tree = tree_of('bookworm', *WITH_ETCD, 'rpm')
    tree.copy_in(rpm, '/srv/it.rpm')
    assert "from Patroni's next restart on" in tree.run('rpm', '-i', '--nodeps', '--dbpath', '/srv/rpm', '/srv/it.rpm')
    (hook,) = tree.path('/usr/lib').glob('python3*/site-packages/patroni_etcd3_compat.pth')
    folder = '/' + str(hook.parent.relative_to(tree.root))
    # Debian's Python looks into dist-packages only.
    tree.path('/usr/lib/python3/dist-packages/as-rpm.pth').write_text(f'import site; site.addsitedir("{folder}")\n')
    serve(tree)
    assert patching.version() in tree.run('patroni-etcd3-compat', '--version')
