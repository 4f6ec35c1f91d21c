"""A patched Patroni finds the class in every way, and the plug-in does not touch it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lab import ROOT
from lab.environments import Environment, clean_environ
from lab.etcd import EtcdCluster
from lab.node import unprivileged_user
from lab.patroni import PatroniCluster
from patroni_etcd3_compat.check.collect import collect, load_settings
from tools.patching import SUB_PACKAGE, version

CLASS = "<class 'patroni.etcd3_compat.dcs.Etcd3'>"

GET_DCS = """
import logging; logging.basicConfig(level=logging.INFO)
from patroni.dcs import get_dcs
dcs = get_dcs({%r: {"hosts": %r}, "scope": "s", "name": "a", "namespace": "service", "ttl": 30, "loop_wait": 10,
               "retry_timeout": 10})
print(type(dcs), dcs.touch_member({"state": "running"}))
print(dcs.get_cluster().members[0].data["etcd3_compat"])
"""


def python(env: Environment, code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in an environment."""
    return env.run(['-c', code], stderr=subprocess.PIPE, timeout=60, cwd='/', env=dict(clean_environ(), **environ))


def test_its_the_patched_one(patched: Environment) -> None:
    """The environment of these tests has the sub-package, and not this project's package."""
    ret = python(patched, 'import os, patroni; print(os.listdir(patroni.__path__[0]))\nimport patroni_etcd3_compat')
    assert f"'{Path(SUB_PACKAGE).name}'" in ret.stdout
    assert "No module named 'patroni_etcd3_compat'" in ret.stderr


def test_found_as_patroni_looks_for_it(patched: Environment) -> None:
    """Patroni finds the class under its names, no new kind of DCS appears, and our class serves."""
    ret = python(
        patched,
        """
from patroni.dcs import dcs_modules, etcd3
import patroni.dcs
print([name for name in vars(etcd3) if name.lower() == 'etcd3'], etcd3.Etcd3.__module__, etcd3.ETCD3)
print('etcd3' in {name.split('.')[-1] for name in dcs_modules()}, [n for n in dcs_modules() if 'compat' in n])
if hasattr(patroni.dcs, 'iter_dcs_classes'):  # since 3.1
    print(dict(patroni.dcs.iter_dcs_classes({'etcd3': {}})))
""",
    )
    expected = ["['ETCD3', 'Etcd3'] patroni.dcs.etcd3 " + CLASS, 'True []', "{'etcd3': " + CLASS + '}']
    lines = ret.stdout.splitlines()
    assert lines == expected[: len(lines)] and len(lines) >= 2, ret.stdout + ret.stderr


def test_module_of_the_sub_package_first(patched: Environment) -> None:
    """The wrong import order gives a clear error, and Patroni's own order still works afterwards."""
    ret = python(
        patched,
        """
try:
    import patroni.etcd3_compat.client
except ImportError as e:
    print(e)
import patroni.dcs.etcd3 as m
print(m.ETCD3)
""",
    )
    assert ret.stdout.splitlines()[-1] == CLASS, ret.stderr
    assert 'circular import' in ret.stdout


def test_list_of_a_frozen_patroni(patched: Environment) -> None:
    """With PyInstaller's list of modules instead of folders, the kinds of DCS are the same, without ours."""
    ret = python(
        patched,
        """
import pkgutil, sys
import patroni.etcd3_compat
from patroni.dcs import dcs_modules
class Importer:
    toc = {'patroni', 'patroni.dcs', 'patroni.dcs.etcd3', 'patroni.etcd3_compat'} | {
        'patroni.etcd3_compat.' + module.name for module in pkgutil.iter_modules(patroni.etcd3_compat.__path__)}
    @staticmethod
    def find_spec(*args):
        pass
sys.frozen = True
sys.meta_path.append(Importer)
print(len(Importer.toc) > 9, dcs_modules())
""",
    )
    assert ret.stdout == "True ['patroni.dcs.etcd3']\n", ret.stderr


def test_without_python_etcd(patched: Environment) -> None:
    """Without python-etcd, as for another DCS, configuration and validator can still be imported."""
    ret = python(
        patched,
        """
import sys
sys.modules['etcd'] = None
import patroni.config, patroni.validator
print('patroni.etcd3_compat.options' in sys.modules, 'patroni.dcs.etcd3' in sys.modules)
""",
    )
    assert ret.stdout == 'True False\n', ret.stderr


def test_environment_reaches_the_section(patched: Environment) -> None:
    """``PATRONI_ETCD3_VERSION_PREFIX`` and the like are read like their neighbours, only for this section."""
    ret = python(
        patched,
        'from patroni.config import Config; import os\n'
        'print(sorted(Config._build_environment_configuration().items()))\n'
        'print([name for name in os.environ if name.startswith("PATRONI") and "PREFIX" in name])',
        PATRONI_ETCD3_HOST='a:1',
        PATRONI_ETCD3_VERSION_PREFIX='/v3beta',
        PATRONI_ETCD3_MEMBER_SLOTS='off',
        PATRONI_ETCD_VERSION_PREFIX='/v2',
    )
    assert ret.stdout.splitlines() == [
        "[('etcd3', {'host': 'a:1', 'version_prefix': '/v3beta', 'member_slots': 'off'})]",
        "['PATRONI_ETCD_VERSION_PREFIX']",
    ], ret.stderr


@pytest.mark.parametrize(
    'options, complaint',
    [
        ('', ''),
        ('version_prefix: /v3beta', ''),
        ('member_slots: off', ''),
        ('member_slots: maybe', "member_slots is 'maybe', allowed are: on, off"),
        ('version_prefix: v3', "version_prefix is 'v3', allowed are: auto, /v3, /v3beta, /v3alpha"),
    ],
)
def test_validate_config(patched: Environment, folder: Path, options: str, complaint: str) -> None:
    """``patroni --validate-config`` accepts and checks the option."""
    config = folder / 'patroni.yml'
    with EtcdCluster(['3.4']) as etcd:
        config.write_text(f'scope: s\nname: n\netcd3:\n  hosts: {etcd.hosts[0]}\n  {options}\n')
        output = patched.run([str(patched.patroni), '--validate-config', str(config)]).stdout
    mine = [line for line in output.splitlines() if line.startswith('etcd3')]
    assert 'postgresql  is not defined' in output
    assert [complaint in line for line in mine] == ([True] if complaint else []), output


def test_patroni_on_a_mixed_cluster(patched: Environment) -> None:
    """Daemon and patronictl work with real PostgreSQL, and the log says that the patch is active."""
    with EtcdCluster(['3.2', '3.2', '3.4']) as etcd, PatroniCluster(
        patched.for_user(unprivileged_user()), etcd, nodes=1
    ) as cluster:
        node = cluster.wait_primary()
        assert f'patroni-etcd3-compat {version()} serves section etcd3\n' in node.log_text()
        assert node.failed_loops() == 0
        listed = cluster.patronictl('list').stdout
        assert 'Leader' in listed, listed
        host = collect(load_settings(str(node.config_file))).this_host
        assert (host.serves, host.compat) == ('patch', version())


@pytest.fixture(scope='session')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as pip installs it, outside all environments."""
    folder = tmp_path_factory.mktemp('package')
    subprocess.run(
        [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--target', str(folder), str(ROOT)], check=True
    )
    return folder


@pytest.mark.parametrize(
    'section, off, served_by, stands_back',
    [
        ('etcd3', '', CLASS, 1),
        ('etcd3', 'off', CLASS, 0),
        ('etcd3_compat', '', "<class 'patroni_etcd3_compat.dcs.Etcd3_Compat'>", 1),
    ],
)
def test_with_the_plugin_beside_it(
    patched: Environment, wheel: Path, section: str, off: str, served_by: str, stands_back: int
) -> None:
    """The plug-in does not touch section ``etcd3`` and says so once, but serves section ``etcd3_compat``."""
    line = f'patroni-etcd3-compat {version()} stands back: section etcd3 is served by version {version()}'
    with EtcdCluster(['3.2', '3.4', '3.4']) as etcd:
        code = f'import site; site.addsitedir({str(wheel)!r})' + GET_DCS % (section, etcd.hosts)
        ret = python(patched, code, PATRONI_ETCD3_COMPAT=off)
    mark = version() + ('+patch' if served_by == CLASS else '')
    assert ret.stdout.splitlines() == [served_by + ' True', mark], ret.stderr
    assert ret.stderr.count(line) == ret.stderr.count('stands back') == stands_back, ret.stderr
    assert ret.stderr.count('serves section') == ret.stderr.count(f'serves section {section}\n') == 1


def test_configuration_with_the_plugin_beside_it(patched: Environment, wheel: Path) -> None:
    """Both validators check the option, with one complaint each; each section has its environment variables."""
    both: dict[str, str] = {'PATRONI_ETCD3_VERSION_PREFIX': '/v3', 'PATRONI_ETCD3_COMPAT_VERSION_PREFIX': '/v3beta'}
    ret = python(
        patched,
        f'import site; site.addsitedir({str(wheel)!r})'
        + """
from patroni.config import Config
from patroni.validator import schema
print(sorted(Config._build_environment_configuration().items()))
for section in ('etcd3', 'etcd3_compat'):
    results = schema.validate({section: {'srv': 'example.org', 'version_prefix': 'v3'}})
    print([str(r).split()[0] for r in results if not r.status and str(r).startswith(section)])
""",
        **both,
    )
    assert ret.stdout.splitlines() == [
        "[('etcd3', {'version_prefix': '/v3'}), ('etcd3_compat', {'version_prefix': '/v3beta'})]",
        "['etcd3.version_prefix']",
        "['etcd3_compat.version_prefix']",
    ], ret.stdout + ret.stderr
