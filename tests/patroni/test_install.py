"""Installed with pip beside a distribution's Patroni, and removed again."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab import ROOT
from lab.debian import DebianPatroni
from lab.environments import Environment
from lab.etcd import EtcdCluster

USE_IT = """
import logging; logging.basicConfig(level=logging.INFO)
from patroni.dcs import get_dcs
from patroni.version import __version__
dcs = get_dcs({%r: {"hosts": %r}, "scope": %r, "name": "a", "namespace": "service", "ttl": 30, "loop_wait": 10,
               "retry_timeout": 10})
print(__version__, type(dcs).__module__, dcs.touch_member({"state": "running"}), bool(dcs.attempt_to_acquire_leader()))
"""


def pip_install(target: Path, wheel: Path) -> None:
    """Put the wheel where pip of a distribution puts it."""
    subprocess.run(
        [
            sys.executable,
            '-m',
            'pip',
            'install',
            '--quiet',
            '--no-deps',
            '--upgrade',
            '--target',
            str(target),
            str(wheel),
        ],
        check=True,
    )


@pytest.fixture(scope='module')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this project."""
    folder = tmp_path_factory.mktemp('wheel')
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--wheel-dir', str(folder), str(ROOT)],
        check=True,
    )
    return next(folder.glob('*.whl'))


def test_debians_patroni_is_served(wheel: Path, tmp_path: Path) -> None:
    """Patroni 3.0.2 in dist-packages of /usr, this package in that of /usr/local: daemon's way, by name, patronictl."""
    debian = DebianPatroni('bookworm')
    pip_install(debian.local, wheel)
    with EtcdCluster(['3.2', '3.2', '3.4']) as etcd:
        for section in ('etcd3', 'etcd3_compat'):
            ret = debian.run('-c', USE_IT % (section, etcd.hosts, section))
            assert ret.stdout == '3.0.2 patroni_etcd3_compat.dcs True True\n', ret.stderr
            assert f'serves section {section}\n' in ret.stderr
        for section in ('etcd3', 'etcd3_compat'):
            config = tmp_path / (section + '.yml')
            config.write_text(f'scope: {section}\nnamespace: service\n{section}:\n  hosts: {etcd.hosts[-1]}\n')
            ret = debian.run(str(debian.root / 'usr/bin/patronictl'), '-c', str(config), 'list')
            assert 'Leader' in ret.stdout, ret.stderr
    ret = debian.run(
        '-c',
        'import patroni.dcs.etcd3 as m; print([n for n in vars(m) if n.lower() == "etcd3"])',
        PATRONI_ETCD3_COMPAT='off',
    )
    assert ret.stdout == "['Etcd3']\n", ret.stderr


def files(environment: Path) -> list[str]:
    """All files of an environment but for what Python compiles."""
    return sorted(str(path) for path in environment.rglob('*') if path.is_file() and '__pycache__' not in path.parts)


def test_uninstalled_without_a_trace(wheel: Path, tmp_path: Path) -> None:
    """pip takes back all that it has installed, the start-up files too."""
    subprocess.run([sys.executable, '-m', 'virtualenv', '--quiet', str(tmp_path / 'env')], check=True)
    python = str(tmp_path / 'env/bin/python')
    before = files(tmp_path / 'env')
    subprocess.run([python, '-m', 'pip', 'install', '--quiet', '--no-deps', str(wheel)], check=True)
    installed = {Path(path).name for path in set(files(tmp_path / 'env')) - set(before)}
    assert {'patroni_etcd3_compat.pth', 'patroni_etcd3_compat.start', 'plugin.py', 'dcs.py'} <= installed
    subprocess.run([python, '-m', 'pip', 'uninstall', '--quiet', '--yes', 'patroni-etcd3-compat'], check=True)
    assert files(tmp_path / 'env') == before
    ret = subprocess.run([python, '-c', 'pass'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert (ret.returncode, ret.stdout) == (0, b'')


def test_editable(tmp_path: Path) -> None:
    """``pip install -e`` hooks in as well, an edit shows at once, and pip takes all of it back."""
    source = tmp_path / 'source'
    shutil.copytree(
        ROOT, source, ignore=shutil.ignore_patterns('.*', 'build', 'patches', 'tests', 'lab', 'bench', '*.egg-info')
    )
    subprocess.run([sys.executable, '-m', 'virtualenv', '--quiet', str(tmp_path / 'env')], check=True)
    python = str(tmp_path / 'env/bin/python')
    before = files(tmp_path / 'env')
    subprocess.run([python, '-m', 'pip', 'install', '--quiet', '--no-deps', '-e', str(source)], check=True)
    show = 'import sys, patroni_etcd3_compat; print(patroni_etcd3_compat.__version__, [type(f).__name__ for f in sys.meta_path])'
    init = source / 'patroni_etcd3_compat' / '__init__.py'
    init.write_text(re.sub("__version__ = '.*'", "__version__ = '9.9.9'", init.read_text()))
    ret = subprocess.run([python, '-c', show], stdout=subprocess.PIPE, text=True, check=True, cwd=str(tmp_path))
    assert ret.stdout.startswith('9.9.9 ') and "'Finder'" in ret.stdout
    subprocess.run([python, '-m', 'pip', 'uninstall', '--quiet', '--yes', 'patroni-etcd3-compat'], check=True)
    assert files(tmp_path / 'env') == before


def validate(newest: Environment, config: Path) -> str:
    """Run ``patroni --validate-config``."""
    return newest.run([str(newest.patroni), '--validate-config', str(config)]).stdout


@pytest.mark.parametrize('section', ['etcd3', 'etcd3_compat'])
@pytest.mark.parametrize(
    'options, complaint',
    [
        ({}, None),
        ({'version_prefix': '/v3beta'}, None),
        ({'version_prefix': 'v3'}, "version_prefix is 'v3', allowed are: auto, /v3, /v3beta, /v3alpha"),
    ],
)
def test_validate_config(
    newest: Environment, folder: Path, section: str, options: dict[str, str], complaint: str | None
) -> None:
    """The section by name is known, ``version_prefix`` is checked; all else is as with stock Patroni."""
    with EtcdCluster(['3.4']) as etcd:
        config = folder / 'patroni.yml'
        lines = ''.join(f'  {name}: {value}\n' for name, value in options.items())
        config.write_text(f'scope: s\nname: n\n{section}:\n  hosts: {etcd.hosts[0]}\n{lines}')
        mine = [line for line in validate(newest, config).splitlines() if line.startswith('etcd3')]
        if complaint is None:
            assert not mine
        else:
            assert [complaint in line for line in mine] == [True], mine
