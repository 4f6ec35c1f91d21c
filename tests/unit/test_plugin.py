"""How Patroni finds the class. Each case runs in its own Python, started as a user's is."""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import Any

import pytest

import patroni_etcd3_compat
from patroni_etcd3_compat import hooks, plugin
from tests.unit.interpreters import Ended, forked, python

WHICH = """
import logging; logging.basicConfig(level=logging.INFO)
from patroni.dcs import etcd3, get_dcs
etcd3.Etcd3.__init__ = lambda self, config, *args: print('section', config.get('own'))
config = {"scope": "s", "name": "n", "ttl": 30, "loop_wait": 10, "retry_timeout": 10}
config.update({name: {"own": name} for name in %r})
dcs = get_dcs(config)
print(type(dcs).__module__, type(dcs).__name__, isinstance(dcs, etcd3.Etcd3))
"""


@pytest.mark.parametrize(
    'sections, env, expected',
    [
        (['etcd3'], {}, 'patroni_etcd3_compat.dcs Etcd3 True'),
        (['etcd3_compat'], {}, 'patroni_etcd3_compat.dcs Etcd3_Compat True'),
        (['etcd3', 'etcd3_compat'], {}, 'patroni_etcd3_compat.dcs Etcd3_Compat True'),
        (['etcd3'], {'PATRONI_ETCD3_COMPAT': 'off'}, 'patroni.dcs.etcd3 Etcd3 True'),
        (['etcd3'], {'PATRONI_ETCD3_COMPAT': 'OFF'}, 'patroni.dcs.etcd3 Etcd3 True'),
        (['etcd3'], {'PATRONI_ETCD3_COMPAT': 'false'}, 'patroni.dcs.etcd3 Etcd3 True'),
        (['etcd3'], {'PATRONI_ETCD3_COMPAT': 'on'}, 'patroni_etcd3_compat.dcs Etcd3 True'),
    ],
)
def test_which_class_serves(sections: list[str], env: dict[str, str], expected: str) -> None:
    """Our class serves ``etcd3`` as a drop-in and ``etcd3_compat`` by name; stock serves when it is switched off."""
    ret = python(WHICH % sections, **env)
    assert ret.stdout.splitlines()[-1:] == [expected], ret.stderr
    section = sections[-1]
    line = f'patroni-etcd3-compat {patroni_etcd3_compat.__version__} serves section {section}'
    assert ret.stderr.count(line) == ('compat' in expected)


@pytest.mark.parametrize(
    'first',
    ['patroni.dcs.etcd3', 'patroni.dcs.etcd3_compat', 'patroni.ctl']
    + ['patroni_etcd3_compat.' + module.name for module in pkgutil.iter_modules(patroni_etcd3_compat.__path__)],
)
def test_order_of_imports_does_not_matter(first: str) -> None:
    """The class is found whichever of the modules is imported first."""
    ret = forked(
        f'import {first}, patroni.dcs.etcd3 as m\nprint([name for name in vars(m) if name.lower() == "etcd3"])'
    )
    assert ret.stdout == "['ETCD3', 'Etcd3']\n", ret.stderr


def test_by_name_without_the_package_refuses_to_start() -> None:
    """Without the package, section ``etcd3_compat`` gives Patroni's own error and never the stock class."""
    ret = python(WHICH % ['etcd3_compat'], PATRONI_ETCD3_COMPAT='off')
    assert ret.returncode and 'Can not find suitable configuration' in ret.stderr


def test_other_stores_are_left_alone() -> None:
    """Nothing of this package is loaded for other kinds of DCS."""
    ret = forked('import sys; import patroni.dcs.etcd, patroni.dcs; print("patroni_etcd3_compat.dcs" in sys.modules)')
    assert ret.stdout == 'False\n', ret.stderr


# A hook in a Patroni or a package that lacks something. Afterwards, Patroni itself has it again.
BREAK = """
import logging, sys; logging.basicConfig(level=logging.INFO)
from patroni_etcd3_compat import hooks

def lacks(name, attribute, of=lambda module: module, instead=None):
    def patch(module, patch=hooks.HOOKS[name]):
        kept = vars(of(module))[attribute]
        delattr(of(module), attribute)
        if instead:
            setattr(of(module), attribute, instead(kept))
        try:
            patch(module)
        finally:
            setattr(of(module), attribute, kept)

    hooks.HOOKS[name] = patch

def lost(module):
    sys.modules["patroni_etcd3_compat." + module] = None
"""

FAILED = 'patroni-etcd3-compat could not hook into {0}: {1}\n'


def broken(what: str, code: str, failed: str, otherwise: str, **env: str) -> Ended:
    """Run *code* while a hook fails; expect its message once, with a traceback."""
    ret = forked(f'{BREAK}\n{what}\n{code}', **env)
    line = FAILED.format(failed, otherwise)
    assert ret.stderr.count('could not hook into ' + failed) == ret.stderr.count(line) == 1, ret.stderr
    assert ret.stderr.partition(line)[2].startswith('Traceback')
    return ret


@pytest.mark.parametrize(
    'what', ['lost("client")', 'lost("slots")', 'lost("dcs")', 'lacks("patroni.dcs.etcd3", "PatroniEtcd3Client")']
)
def test_without_our_class(what: str) -> None:
    """The stock class serves ``etcd3``. Section ``etcd3_compat`` is refused, even if there is one for ``etcd3``."""
    otherwise = "section etcd3 is served by Patroni's own class, section etcd3_compat is refused"
    ret = broken(what, WHICH % ['etcd3'], 'patroni.dcs.etcd3', otherwise)
    assert ret.stdout.splitlines() == ['section etcd3', 'patroni.dcs.etcd3 Etcd3 True'], ret.stderr
    ret = forked(BREAK + what + '\nimport patroni.dcs.etcd3 as m; print([n for n in vars(m) if n.lower() == "etcd3"])')
    assert ret.stdout == "['Etcd3']\n", ret.stderr
    if what.startswith('lacks'):  # only while the hook runs
        return
    refused = 'Section etcd3_compat cannot be served, patroni-etcd3-compat could not be loaded: '
    for sections in (['etcd3_compat'], ['etcd3', 'etcd3_compat']):
        ret = broken(what, WHICH % sections, 'patroni.dcs.etcd3', otherwise)
        assert (ret.returncode, ret.stdout) == (1, ''), ret.stderr
        assert 'CRITICAL:patroni_etcd3_compat.plugin:' + refused in ret.stderr
        ctl = WHICH.replace('"scope"', '"patronictl": True, "scope"') % sections
        ret = broken(what, ctl, 'patroni.dcs.etcd3', otherwise)
        assert (ret.returncode, ret.stdout) == (1, '')
        assert 'patroni.exceptions.PatroniFatalException: ' in ret.stderr and refused in ret.stderr


def test_without_our_class_others_are_listed() -> None:
    """A misspelt section gets the same answer as in stock Patroni, without a refusal from this package."""
    ret = forked(BREAK + 'lost("slots")\n' + WHICH % ['etcd33'])
    assert 'Can not find suitable configuration' in ret.stderr and 'cannot be served' not in ret.stderr


@pytest.mark.parametrize('sections', [['etcd3'], ['etcd3_compat'], ['etcd3', 'etcd3_compat']])
def test_without_the_list_of_modules(sections: list[str]) -> None:
    """Our class still serves ``etcd3``, but a section ``etcd3_compat`` alone is not found."""
    import patroni.dcs

    name, function = (
        ('patroni.dynamic_loader', 'iter_modules')
        if hasattr(patroni.dcs, 'iter_modules')
        else ('patroni.dcs', 'dcs_modules')
    )
    ret = broken(
        f'lacks("{name}", "{function}")',
        WHICH % sections,
        name,
        'section etcd3_compat is not found, section etcd3 is served as ever',
    )
    if 'etcd3' in sections:
        assert ret.stdout.splitlines()[-1:] == ['patroni_etcd3_compat.dcs Etcd3 True'], ret.stderr
    else:
        assert ret.returncode and 'Can not find suitable configuration' in ret.stderr


@pytest.mark.parametrize(
    'what',
    ['lost("options")']
    + [
        f'lacks("patroni.config", "_build_environment_configuration", lambda module: module.Config{instead})'
        for instead in ('', ', lambda kept: kept.__func__')
    ],
)
def test_without_the_environment(what: str) -> None:
    """Patroni reads the environment as stock does; in the third case it calls the function in an unknown way."""
    ret = broken(
        what,
        'from patroni.config import Config\n'
        'print(Config._build_environment_configuration.__module__)\n'
        'print(Config._build_environment_configuration().get("etcd3"))',
        'patroni.config',
        'nothing is read from PATRONI_ETCD3_COMPAT_* and no option of this package from PATRONI_ETCD3_*, the '
        'configuration file counts',
        PATRONI_ETCD3_HOSTS='a:1',
        PATRONI_ETCD3_VERSION_PREFIX='/v3',
    )
    assert ret.stdout == "patroni.config\n{'hosts': ['a:1']}\n", ret.stderr


@pytest.mark.parametrize(
    'what',
    [
        'lost("options")',
        'lacks("patroni.validator", "Optional")',
        'lacks("patroni.validator", "_schema", lambda module: next(case for key, case in '
        'module.schema.validator.items() if isinstance(key, module.Or) and "etcd3" in key.args))',
    ],
)
def test_without_the_validator(what: str) -> None:
    """``--validate-config`` behaves as in stock Patroni: no check of the option, an unknown section, no KeyError."""
    ret = broken(
        what,
        'from patroni.validator import schema\n'
        'for section in ("etcd3", "etcd3_compat"):\n'
        '    found = schema.validate({section: {"srv": "example.org", "version_prefix": 3}})\n'
        '    print([str(r).split() for r in found if not r.status and str(r).startswith("etcd3")])',
        'patroni.validator',
        '--validate-config knows neither section etcd3_compat nor the options of this package',
    )
    assert ret.stdout == "[]\n[['etcd3', 'is', 'not', 'defined.']]\n", ret.stderr


@pytest.mark.parametrize('what', ['parse_dcs', 'DCS_DEFAULTS'])
def test_without_patronictl(what: str) -> None:
    """``--dcs-url`` behaves as in stock Patroni."""
    ret = broken(
        f'lacks("patroni.ctl", "{what}")',
        'from patroni.ctl import DCS_DEFAULTS, parse_dcs\nprint("etcd3_compat" in DCS_DEFAULTS, parse_dcs.__module__)',
        'patroni.ctl',
        'patronictl goes by section etcd3_compat even if --dcs-url is given, and does not know etcd3_compat://',
    )
    assert ret.stdout == 'False patroni.ctl\n', ret.stderr


def test_nothing_heavy_at_the_start_of_python() -> None:
    """A Python that never imports Patroni loads the two small modules and nothing else."""
    folder = str(Path(patroni_etcd3_compat.__file__).parent.parent)
    ret = python(
        f'import os, sys; sys.path.append({folder!r}); before = set(sys.modules)\n'
        'import patroni_etcd3_compat.plugin as plugin; plugin.install(); plugin.install()\n'
        'print(sorted(set(sys.modules) - before), sum(type(f) is plugin.Finder for f in sys.meta_path))',
        '-S',
    )
    assert ret.stdout == "['__future__', 'patroni_etcd3_compat', 'patroni_etcd3_compat.plugin'] 1\n", ret.stderr


def test_patched_modules_look_as_before() -> None:
    """The modules keep their loader and source, and the stock class keeps its name in its module."""
    ret = forked(
        'import inspect, patroni.dcs.etcd3 as m\n'
        'print(type(m.__loader__).__name__, type(m.__spec__.loader).__name__)\n'
        'print(len(inspect.getsource(m)) > 999, m.Etcd3.__module__, m.ETCD3.__module__)\n'
        'print([n for n in vars(m) if n.lower() == "etcd3"])'
    )
    assert ret.stdout.split() == [
        'SourceFileLoader',
        'SourceFileLoader',
        'True',
        'patroni.dcs.etcd3',
        'patroni_etcd3_compat.dcs',
        "['ETCD3',",
        "'Etcd3']",
    ], ret.stderr


# What the standard library, and tools, ask of a module that was found: some before it is loaded, some afterwards.
ASK = """
import importlib, importlib.resources, importlib.util, inspect, pkgutil, runpy, sys
for name in ('patroni.dcs', 'patroni.ctl'):
    package = name == 'patroni.dcs'
    loader = importlib.util.find_spec(name).loader
    path = loader.get_filename(name)
    print(name, loader.is_package(name), path, len(loader.get_source(name)), len(loader.get_data(path)))
    print(loader.get_code(name).co_filename, package or len(runpy.run_module(name, run_name='other')))
    print(package and len(pkgutil.get_data(name, '__init__.py')))
    sys.modules.pop(name, None)
    module = importlib.import_module(name)
    print(len(inspect.getsource(module)), inspect.getsourcefile(module), inspect.getmodulename(path), module.__file__)
    print(package and len(pkgutil.get_data(name, '__init__.py')))
    files = getattr(importlib.resources, 'files', None)  # since Python 3.9
    print(package and files and len((files(name) / '__init__.py').read_bytes()))
    print(package and sorted(found.name for found in pkgutil.iter_modules(module.__path__)))
    print(importlib.util.find_spec(name) is module.__spec__, type(importlib.reload(module).__spec__.loader))
"""


def test_modules_answer_as_in_stock() -> None:
    """Found, loaded or loaded again: code, source, data and resources are those that the module's own loader gives."""
    stock, ours = (python(ASK, PATRONI_ETCD3_COMPAT=switch) for switch in ('off', 'on'))
    assert (ours.stdout, ours.returncode) == (stock.stdout, 0), ours.stderr
    assert len(stock.stdout.splitlines()) == 16


def test_loaded_again() -> None:
    """A module that is loaded again is changed again."""
    ret = forked(
        'import importlib, patroni.ctl as m; importlib.reload(m)\n'
        'print("etcd3_compat" in m.DCS_DEFAULTS, m.parse_dcs.__module__)'
    )
    assert ret.stdout == 'True patroni_etcd3_compat.hooks\n', ret.stderr


def test_loader_that_loads_in_one_step() -> None:
    """A module loaded in one step, as from an archive before Python 3.10, stays as it is, and the log says so."""
    ret = forked(
        'import logging, sys; logging.basicConfig(level=logging.INFO)\n'
        'from importlib.machinery import ModuleSpec, PathFinder\n'
        'class Old:\n'
        '    def load_module(self, name):\n'
        '        from importlib.util import module_from_spec\n'
        '        spec = PathFinder.find_spec(name, sys.modules["patroni"].__path__)\n'
        '        module = sys.modules[name] = module_from_spec(spec)\n'
        '        spec.loader.exec_module(module)\n'
        '        return module\n'
        'class Finds:\n'
        '    def find_spec(self, name, path=None, target=None):\n'
        '        return ModuleSpec(name, Old()) if name == "patroni.ctl" else None\n'
        'sys.meta_path.insert(1, Finds())\n'
        'import patroni.ctl; print(patroni.ctl.parse_dcs.__module__)'
    )
    assert ret.stdout == 'patroni.ctl\n', ret.stderr
    line = 'patroni-etcd3-compat cannot hook into patroni.ctl, which Old loads: ' + plugin.HOOKED['patroni.ctl']
    assert ret.stderr.count(line) == 1, ret.stderr


def test_each_hook_has_its_consequence() -> None:
    """The two tables are about the same modules."""
    assert list(hooks.HOOKS) == list(plugin.HOOKED)


def test_environment_reaches_its_section(monkeypatch: pytest.MonkeyPatch) -> None:
    """``PATRONI_ETCD3_VERSION_PREFIX`` is read like its neighbours, and all of them for the section by name."""
    from patroni.config import Config

    for name, value in {
        'ETCD3_HOSTS': 'a:1,b:2',
        'ETCD3_VERSION_PREFIX': '/v3beta',
        'ETCD3_MEMBER_SLOTS': 'off',
        'ETCD3_COMPAT': 'on',
        'ETCD3_COMPAT_HOSTS': "'c:3','d:4'",
        'ETCD3_COMPAT_USERNAME': 'u',
        'ETCD3_COMPAT_PASSWORD': 'p',
        'ETCD3_COMPAT_USE_PROXIES': 'on',
        'ETCD3_COMPAT_VERSION_PREFIX': 'auto',
        'ETCD3_COMPAT_MEMBER_SLOTS': 'on',
    }.items():
        monkeypatch.setenv('PATRONI_' + name, value)
    ret: dict[str, Any] = Config._build_environment_configuration()
    assert ret['etcd3'] == {'hosts': ['a:1', 'b:2'], 'version_prefix': '/v3beta', 'member_slots': 'off'}
    assert ret['etcd3_compat'] == {
        'hosts': ['c:3', 'd:4'],
        'use_proxies': True,
        'username': 'u',
        'password': 'p',
        'version_prefix': 'auto',
        'member_slots': 'on',
    }
    assert sorted(ret) == ['etcd3', 'etcd3_compat']  # the password does not become a user of the database


@pytest.mark.parametrize('section', ['etcd3', 'etcd3_compat'])
@pytest.mark.parametrize('value, good', [('auto', True), ('/v3', True), ('v3', False), (3, False)])
def test_validator_knows_the_option(section: str, value: object, good: bool) -> None:
    """``patroni --validate-config`` accepts the section by name and checks ``version_prefix`` in both."""
    from patroni.validator import schema

    results = schema.validate({section: {'srv': 'example.org', 'version_prefix': value}})
    mine = [str(result) for result in results if not result.status and str(result).startswith(section)]
    if good:
        assert not mine
    else:
        (error,) = mine
        assert error.startswith(section + '.version_prefix')
        assert f'version_prefix is {value!r}, allowed are: auto, /v3, /v3beta, /v3alpha' in error


@pytest.mark.parametrize('value, good', [('off', True), (False, True), (True, True), ('maybe', False)])
def test_validator_knows_member_slots(value: object, good: bool) -> None:
    """``patroni --validate-config`` checks ``member_slots`` in both sections."""
    from patroni.validator import schema

    results = schema.validate({'etcd3': {'srv': 'example.org', 'member_slots': value}})
    mine = [str(result) for result in results if not result.status and str(result).startswith('etcd3')]
    assert bool(mine) is not good
    assert good or f'member_slots is {value!r}, allowed are: on, off' in mine[0]


@pytest.mark.parametrize('section', ['etcd3', 'etcd3_compat'])
@pytest.mark.parametrize('ctl', [True, False])
def test_wrong_prefix_at_start(section: str, ctl: bool) -> None:
    """A wrong prefix ends the daemon with one clear line and status 1. patronictl gets Patroni's own exception."""
    ret = forked(
        f'from patroni.dcs import get_dcs\nget_dcs({{{section!r}: {{"hosts": "localhost:1", "version_prefix": "/v4"}}, '
        f'"patronictl": {ctl!r}, "scope": "s", "retry_timeout": 5}})'
    )
    text = f"Invalid configuration in section {section}: version_prefix is '/v4', allowed are: "
    assert ret.returncode == 1 and text + 'auto, /v3, /v3beta, /v3alpha' in ret.stderr
    assert ('Traceback' in ret.stderr) is ctl and ('PatroniFatalException' in ret.stderr) is ctl


def test_dcs_url_replaces_the_section_by_name(tmp_path: Path) -> None:
    """``patronictl --dcs-url`` uses the cluster in the URL, whatever patroni.yml says."""
    config = tmp_path / 'patroni.yml'
    config.write_text('scope: s\netcd3_compat:\n  hosts: nowhere:1\n')
    ret = forked(
        f'from patroni.ctl import load_config; config = load_config({str(config)!r}, "etcd://there:2"); '
        'print("etcd3_compat" in config, config["etcd"])'
    )
    assert ret.stdout == "False {'host': 'there:2'}\n", ret.stderr


URLS = [
    '',
    'host',
    'localhost',
    'host:2379',
    'host:8500',
    'host:2181',
    'host:8181',
    'host:99',
    ':2379',
    ':99',
    '//host',
    'host/namespace',
    'host:2379/',
    '[::1]',
    '[::1]:2379',
    'a,b',
    'a,b:2379',
    'a:1,b:2',
    'host:port',
    'host:0',
    'etcd3',
    'user@host:1',
    'invalid://host',
] + [
    f'{scheme}://{rest}'
    for scheme in ('etcd', 'etcd3', 'ETCD3', 'consul', 'exhibitor', 'zookeeper')
    for rest in ('', 'host', 'host:99', ':99', 'host/', 'host:99/namespace', 'a,b:99')
]

PARSE = """
from patroni.ctl import parse_dcs
for url in %r:
    try:
        print(parse_dcs(url))
    except Exception as e:
        print(type(e).__name__, e)
"""


def test_dcs_url_as_in_stock() -> None:
    """Each form of ``patronictl --dcs-url`` has the same meaning as without this package."""
    urls = [None, *URLS]
    stock, ours = (python(PARSE % urls, PATRONI_ETCD3_COMPAT=switch).stdout.splitlines() for switch in ('off', 'on'))
    assert dict(zip(urls, ours)) == dict(zip(urls, stock)) and len(stock) == len(urls)
    assert stock[urls.index('host')] == "{'etcd': {'host': 'host:2379'}}"


@pytest.mark.parametrize(
    'rest',
    ['', 'host', 'host:99', ':99', 'host/', 'host:99/namespace', '[::1]:99', 'a,b', 'a,b:99', 'a:1,b:2', 'host:port'],
)
def test_dcs_url_with_the_section_by_name(rest: str) -> None:
    """``etcd3_compat://`` takes what ``etcd://`` takes (and ``etcd3://``, which Patroni 3.0.2 lacks)."""
    stock, lower, upper = forked(
        PARSE % [scheme + '://' + rest for scheme in ('etcd', 'etcd3_compat', 'ETCD3_Compat')]
    ).stdout.splitlines()
    expected = eval(stock) if stock.startswith('{') else stock
    if isinstance(expected, dict):
        expected = {'etcd3_compat' if key == 'etcd' else key: value for key, value in expected.items()}
        assert eval(lower) == eval(upper) == expected
    else:
        assert lower == upper == expected


@pytest.mark.parametrize(
    'url, section',
    [('etcd3_compat://there:2', 'etcd3_compat'), ('etcd3_compat://there:2/ns', 'etcd3_compat'), ('there:2', 'etcd')],
)
def test_dcs_url_is_the_only_section(tmp_path: Path, url: str, section: str) -> None:
    """The section of the configuration is dropped together with its other options."""
    config = tmp_path / 'patroni.yml'
    config.write_text('scope: s\nnamespace: before\netcd3_compat:\n  hosts: nowhere:1\n  username: somebody\n')
    ret = forked(
        f'from patroni.ctl import load_config; config = load_config({str(config)!r}, {url!r}); '
        'print([(name, config[name]) for name in ("etcd", "etcd3", "etcd3_compat") if name in config])'
    )
    assert ret.stdout == f"[({section!r}, {{'host': 'there:2'}})]\n", ret.stderr


def test_stands_back_from_a_patched_patroni(tmp_path: Path) -> None:
    """In a patched Patroni, section ``etcd3`` is not touched; the one by name is served as always."""
    package = tmp_path / 'etcd3_compat'
    package.mkdir()
    (package / '__init__.py').write_text('__version__ = "9.9.9"\n')
    patched = f'import patroni; patroni.__path__.append({str(tmp_path)!r})\n'
    line = (
        f'patroni-etcd3-compat {patroni_etcd3_compat.__version__} stands back: section etcd3 is served by version '
        '9.9.9, which is part of this Patroni\n'
    )

    ret = forked(patched + WHICH % ['etcd3'])  # stock, since this patch has no class
    assert ret.stdout.splitlines()[-1:] == ['patroni.dcs.etcd3 Etcd3 True'], ret.stderr
    assert ret.stderr.count('patroni-etcd3-compat') == ret.stderr.count(line) == 1, ret.stderr
    ret = forked(patched + WHICH % ['etcd3_compat'])
    assert ret.stdout.splitlines()[-1:] == ['patroni_etcd3_compat.dcs Etcd3_Compat True'], ret.stderr
    assert ret.stderr.count('stands back') == ret.stderr.count(line) == 1
    assert ret.stderr.count('serves section etcd3_compat') == 1

    ret = forked(
        patched + 'import os; from patroni.config import Config; from patroni.validator import schema\n'
        'print(dict(Config._build_environment_configuration()))\n'
        'print("PATRONI_ETCD3_VERSION_PREFIX" in os.environ)\n'
        'print([s for s in ("etcd3", "etcd3_compat") for r in schema.validate({s: {"srv": "a.b", '
        '"version_prefix": 3}}) if str(r).startswith(s + ".version_prefix") and not r.status])',
        PATRONI_ETCD3_VERSION_PREFIX='/v3',
        PATRONI_ETCD3_COMPAT_VERSION_PREFIX='/v3beta',
    )
    assert ret.stdout == "{'etcd3_compat': {'version_prefix': '/v3beta'}}\nTrue\n['etcd3_compat']\n", ret.stderr
    (package / '__init__.py').unlink()  # what compiled Python may leave behind of a reverted patch
    assert forked(patched + WHICH % ['etcd3']).stdout.splitlines()[-1:] == ['patroni_etcd3_compat.dcs Etcd3 True']
