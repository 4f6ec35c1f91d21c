"""The package installed with pip beside a distribution's Patroni, and removed again."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab.debian import DebianPatroni
from lab.environments import Environment, copy_wheel_sources, environment
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
    """Install the wheel where a distribution's pip does."""
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
    source = folder / 'source'
    copy_wheel_sources(source)
    subprocess.run(
        [sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--wheel-dir', str(folder), str(source)],
        check=True,
    )
    return next(folder.glob('*.whl'))


def test_debians_patroni_is_served(wheel: Path, tmp_path: Path) -> None:
    """Debian's Patroni 3.0.2 uses this package from /usr/local: as daemon, by name, and in patronictl."""
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
    """Return all files of an environment except for compiled ones."""
    return sorted(str(path) for path in environment.rglob('*') if path.is_file() and '__pycache__' not in path.parts)


def test_uninstalled_without_a_trace(wheel: Path, tmp_path: Path) -> None:
    """pip removes all that it has installed, including the start-up files."""
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


def test_editable(newest: Environment, tmp_path: Path) -> None:
    """``pip install -e`` hooks in as the wheel does, an edit shows in the next process, pip takes all of it back."""
    env = Environment(tmp_path / 'env', 'editable')
    shutil.copytree(str(newest.folder), str(env.folder), symlinks=True)

    def run(*args: str) -> str:
        ret = env.run(args, cwd=str(tmp_path))
        assert ret.returncode == 0, ret.stdout
        return ret.stdout

    show = 'import patroni.dcs.etcd3 as m; print([c.__module__ for n, c in vars(m).items() if n.lower() == "etcd3"][0])'
    run('-m', 'pip', 'uninstall', '--quiet', '--yes', 'patroni-etcd3-compat')
    before = files(env.folder)
    assert run('-c', show) == 'patroni.dcs.etcd3\n'

    source = tmp_path / 'source'
    copy_wheel_sources(source)
    run('-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '-e', str(source))
    assert run('-c', show) == 'patroni_etcd3_compat.dcs\n'

    init = source / 'patroni_etcd3_compat' / '__init__.py'
    init.write_text(re.sub("__version__ = '.*'", "__version__ = '9.9.9'", init.read_text()))
    assert run('-c', 'import patroni_etcd3_compat as m; print(m.__version__)') == '9.9.9\n'

    run('-m', 'pip', 'uninstall', '--quiet', '--yes', 'patroni-etcd3-compat')
    assert files(env.folder) == before
    assert run('-c', show) == 'patroni.dcs.etcd3\n'


def test_patroni_that_is_too_old(wheel: Path, tmp_path: Path) -> None:
    """Installed beside Patroni 2.1.7, which pip leaves alone, the package stands back with one warning."""
    env = Environment(tmp_path / 'env', 'old')
    shutil.copytree(str(environment('2.1.7', plugin=False).folder), str(env.folder), symlinks=True)
    before = env.run(['-m', 'pip', 'freeze']).stdout.split()
    ret = env.run(['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', str(wheel)])
    assert ret.returncode == 0, ret.stdout
    after = env.run(['-m', 'pip', 'freeze']).stdout.splitlines()
    assert [line for line in after if line not in before] == [line for line in after if 'patroni-etcd3-compat' in line]
    assert 'patroni==2.1.7' in after

    served = (
        'import logging, sys; logging.basicConfig()\n'
        'import patroni.config, patroni.validator, patroni.ctl\n'
        'from patroni.dcs import etcd3, get_dcs\n'
        'etcd3.Etcd3.__init__ = lambda self, *args: None\n'
        'print(type(get_dcs({"scope": "s", %r: {}})).__module__)'
    )
    ret = env.run(['-c', served % 'etcd3'], stderr=subprocess.PIPE)
    assert ret.stdout == 'patroni.dcs.etcd3\n', ret.stderr
    assert re.findall('^.*patroni_etcd3_compat.*$', ret.stderr, re.M) == re.findall(
        '^WARNING:.* stands back: Patroni 2[.]1[.]7 is older than 3[.]0[.]2[.] .*$', ret.stderr, re.M
    )
    assert ret.stderr.count('stands back') == 1
    ret = env.run(['-c', served % 'etcd3_compat'], stderr=subprocess.PIPE)
    assert (ret.returncode, ret.stdout) == (1, '')
    assert 'Section etcd3_compat cannot be served, patroni-etcd3-compat stands back: Patroni 2.1.7' in ret.stderr


def test_command_without_patroni(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own the package brings nothing, and the command says what it lacks."""
    subprocess.run([sys.executable, '-m', 'virtualenv', '--quiet', str(tmp_path / 'env')], check=True)
    env = Environment(tmp_path / 'env', 'alone')
    env.run(['-m', 'pip', 'install', '--quiet', str(wheel)])
    names = [line.partition(' ')[0] for line in env.run(['-m', 'pip', 'freeze', '--all']).stdout.splitlines()]
    assert [name for name in names if not name.startswith(('pip=', 'setuptools=', 'wheel='))] == [
        'patroni-etcd3-compat'
    ]
    ret = env.run([str(env.bin / 'patroni-etcd3-compat'), 'check', '-c', 'patroni.yml'])
    assert ret.returncode == 3 and 'patroni and psycopg are missing in the environment' in ret.stdout
    assert "-m pip install 'patroni[etcd3]'" in ret.stdout and ret.stdout.count('\n') == 1


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
    """The section by name is known and ``version_prefix`` is checked; everything else is as with stock Patroni."""
    with EtcdCluster(['3.4']) as etcd:
        config = folder / 'patroni.yml'
        lines = ''.join(f'  {name}: {value}\n' for name, value in options.items())
        config.write_text(f'scope: s\nname: n\n{section}:\n  hosts: {etcd.hosts[0]}\n{lines}')
        mine = [line for line in validate(newest, config).splitlines() if line.startswith('etcd3')]
        if complaint is None:
            assert not mine
        else:
            assert [complaint in line for line in mine] == [True], mine
