"""Whether our class may serve in this Patroni: releases, and what has changed in Patroni's classes."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from patroni.dcs import etcd3
from patroni.utils import Retry

from patroni_etcd3_compat import __version__, client, dcs, guard
from patroni_etcd3_compat.leadership import Leadership
from tests.unit.interpreters import Ended, python

PAIRS = {dcs.Etcd3: vars(etcd3)['Etcd3'], client.CompatClient: etcd3.PatroniEtcd3Client, dcs.LeaderRetry: Retry}


@pytest.mark.parametrize(
    'patroni, urllib3, reason',
    [
        ('3.0.2', '1.26.0', None),
        ('4.1.5', '2.8.0', None),
        ('4.2.0', '3.0', None),
        ('5.0.0', None, None),
        ('4.1.dev1', '2.0', None),
        ('5', '2', None),
        ('3.0.1', '2.0', 'Patroni 3.0.1 is older than 3.0.2'),
        ('3', '2', 'Patroni 3 is older than 3.0.2'),
        ('6', '2.0', 'Patroni 6 is newer than what this release of the package is for'),
        ('2.1.7', '2.0', 'Patroni 2.1.7 is older than 3.0.2'),
        ('6.0.0', '2.0', 'Patroni 6.0.0 is newer than what this release of the package is for'),
        ('4.1.5', '1.25.11', 'urllib3 1.25.11 is older than 1.26'),
        ('master', '2.0', "the version of Patroni is unknown ('master')"),
        (None, '2.0', 'the version of Patroni is unknown (None)'),
    ],
)
def test_outside(patroni: Any, urllib3: str | None, reason: str | None) -> None:
    """Versions that are too old, too far or unknown have a reason, all others have none."""
    assert guard.outside(patroni, urllib3) == reason


@pytest.mark.parametrize(
    'patroni, urllib3, what',
    [
        ('4.1.5', '2.8.0', None),
        ('3.0.2', '1.26.20', None),
        ('4.1.99', None, None),
        ('4.2.0', '2.8.0', 'Patroni 4.2.0 (tested: 3.0.2 to 4.1)'),
        ('5.0', '3.0', 'Patroni 5.0 (tested: 3.0.2 to 4.1)'),
        ('4.1.5', '3.0', 'urllib3 3.0 (tested: 1.26 and 2.x)'),
    ],
)
def test_untried(patroni: str, urllib3: str | None, what: str | None) -> None:
    """What is newer than all that was tested is named."""
    assert guard.untried(patroni, urllib3) == what


def test_this_patroni_fits() -> None:
    """Nothing has changed in the Patroni of this run."""
    assert guard.changed(etcd3, PAIRS) == []


def names_in_use(with_own: bool = False) -> dict[str, set[str]]:
    """Return what our three modules use of Patroni's classes and of ``patroni.dcs.etcd3``, read from their source.

    :param with_own: with what they have themselves, such as the methods that replace Patroni's.
    """
    ret: dict[str, set[str]] = {name: set() for name in ('Etcd3', 'PatroniEtcd3Client', 'Retry', 'module')}
    stock = {'Etcd3': 'Etcd3', 'LeaderRetry': 'Retry'}
    own: dict[str, set[str]] = {name: {'__dict__'} for name in ret}
    for name in ('dispatch', 'client', 'dcs'):
        tree = ast.parse((Path(guard.__file__).parent / f'{name}.py').read_text())
        for cls in (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name != 'Etcd3_Compat'):
            of = stock.get(cls.name, 'PatroniEtcd3Client')
            attributes = [node for node in ast.walk(cls) if isinstance(node, ast.Attribute)]
            called = {
                node.attr
                for node in attributes
                if isinstance(node.value, ast.Call) and getattr(node.value.func, 'id', '') == 'super'
            }
            defined = {node.name for node in cls.body if isinstance(node, ast.FunctionDef)}
            on_self = [node for node in attributes if getattr(node.value, 'id', '') == 'self']
            # what is assigned there is ours, but for what Patroni reads: those names are in METHODS and ATTRIBUTES
            own[of] |= defined - called | {node.attr for node in on_self if isinstance(node.ctx, ast.Store)}
            ret[of] |= called | {node.attr for node in on_self if isinstance(node.ctx, ast.Load)}
            for node in attributes:
                on = getattr(node.value, 'attr', '') or getattr(node.value, 'id', '')
                other = {'_etcd3': 'Etcd3', '_client': 'PatroniEtcd3Client', 'retry': 'Retry'}.get(on)
                if other or (of, on) == ('Retry', 'ret'):
                    ret[other or of].add(node.attr)
        ret['module'] |= {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == 'etcd3'
        }
    return {of: names | own[of] if with_own else names - own[of] for of, names in ret.items()}


def test_everything_in_use_is_listed() -> None:
    """A name of Patroni's that our classes come to use is looked for when they hook in."""
    # Nobody calls ours where Patroni lacks the method (before 3.0.3). Errors are asked for where they are used.
    optional = {'handle_auth_errors', '_reauthenticate', 'AuthOldRevision', 'InvalidAuthToken', 'Etcd3WatchCanceled'}
    for of, names in names_in_use().items():
        listed = set(guard.NAMES) if of == 'module' else {*guard.METHODS[of], *guard.ATTRIBUTES[of]}
        assert not names - listed - optional - set(guard.METHODS), of


def test_nothing_else_is_listed() -> None:
    """What our classes no longer use is no reason to stand back."""
    for of, names in names_in_use(with_own=True).items():
        listed = set(guard.NAMES) if of == 'module' else {*guard.METHODS[of], *guard.ATTRIBUTES[of]}
        assert not listed - names, of
    assert set(guard.PROPERTIES) <= {*guard.METHODS['Etcd3'], *guard.METHODS['PatroniEtcd3Client']}


def test_calls_are_listed() -> None:
    """What our classes call, and do not replace, is looked at with as many arguments."""
    found: dict[str, int] = {}
    defined: set[str] = set()
    for name in ('dispatch', 'client', 'dcs'):
        tree = ast.parse((Path(guard.__file__).parent / f'{name}.py').read_text())
        defined |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            on = getattr(node.func.value, 'attr', '') or getattr(node.func.value, 'id', '')
            if on in ('self', '_etcd3', '_client'):
                found[node.func.attr] = len(node.args)
            if node.func.attr == 'retry' and isinstance(node.args[0], ast.Attribute):  # which calls that
                found[node.args[0].attr] = len(node.args) - 1
    assigned = {'_make_grpc', '_patience'}
    assert {name: count for name, count in found.items() if name not in defined | assigned} == guard.CALLED


WHICH = """
import logging; logging.basicConfig(level=logging.INFO)
import patroni.version
%s
from patroni.dcs import get_dcs
import patroni.config, patroni.validator, patroni.ctl
config = {"scope": "s", "name": "n", "ttl": 30, "loop_wait": 10, "retry_timeout": 10}
config.update({name: {"hosts": "localhost:1"} for name in %r})
from patroni.dcs import etcd3
etcd3.Etcd3.__init__ = lambda self, config, *args: print("Patroni's own")
print(type(get_dcs(config)).__module__)
"""

#: Changes one of Patroni's modules before ours hook in, as a later release might.
BEFORE = """
import importlib.machinery, sys
from patroni_etcd3_compat import hooks

def changes(module):
    etcd3, client, stock = module, module.PatroniEtcd3Client, module.Etcd3
    {}

kept = hooks.HOOKS["patroni.dcs.etcd3"]
hooks.HOOKS["patroni.dcs.etcd3"] = lambda module: (changes(module), kept(module))
"""


def served(before: str, *sections: str, **env: str) -> Ended:
    """Create the DCS of a configuration with these sections, after some code; the stock class is a sham."""
    return python(WHICH % (before, list(sections or ('etcd3',))), **env)


def is_stock(ret: Ended, reason: str) -> None:
    """Assert that the stock class serves, and that one warning gives the reason."""
    assert ret.stdout == "Patroni's own\npatroni.dcs.etcd3\n", ret.stderr
    warnings = [line for line in ret.stderr.splitlines() if 'patroni_etcd3_compat' in line]
    assert warnings == [
        f'WARNING:patroni_etcd3_compat.hooks:patroni-etcd3-compat {__version__} stands back: {reason}. '
        "Section etcd3 is served by Patroni's own class, section etcd3_compat is refused; "
        'PATRONI_ETCD3_COMPAT=force in the environment overrides that'
    ], ret.stderr


@pytest.mark.parametrize(
    'before, reason',
    [
        ('patroni.version.__version__ = "2.1.7"', 'Patroni 2.1.7 is older than 3.0.2'),
        ('patroni.version.__version__ = "6.0"', 'Patroni 6.0 is newer than what this release of the package is for'),
        ('import urllib3; urllib3.__version__ = "1.25.9"', 'urllib3 1.25.9 is older than 1.26'),
    ],
)
def test_stands_back(before: str, reason: str) -> None:
    """The stock class serves with one warning, section ``etcd3_compat`` is refused, and ``force`` overrides both."""
    is_stock(served(before), reason)
    for sections in (('etcd3_compat',), ('etcd3', 'etcd3_compat')):
        ret = served(before, *sections)
        assert (ret.returncode, ret.stdout) == (1, ''), ret.stderr
        assert f'Section etcd3_compat cannot be served, patroni-etcd3-compat stands back: {reason}\n' in ret.stderr
    ret = served(before, PATRONI_ETCD3_COMPAT='Force')
    assert ret.stdout.endswith('patroni_etcd3_compat.dcs\n') and 'stands back' not in ret.stderr, ret.stderr


@pytest.mark.parametrize('version', ['4.2.0', '5.0.0'])
def test_untried_patroni_is_served(version: str) -> None:
    """A newer Patroni that has what ours need is served, with one warning that nobody has tried it."""
    ret = served(f'patroni.version.__version__ = "{version}"')
    assert ret.stdout.endswith('patroni_etcd3_compat.dcs\n'), ret.stderr
    text = f'patroni-etcd3-compat {__version__} was not tested with Patroni {version} (tested: 3.0.2 to 4.1)\n'
    assert ret.stderr.count(text) == ret.stderr.count('WARNING:patroni_etcd3_compat') == 1


@pytest.mark.parametrize(
    'change, what',
    [
        ('for cls in client.__mro__[:-1]: cls.__dict__.get("_get_members") and delattr(cls, "_get_members")',
         'PatroniEtcd3Client._get_members'),
        ('stock.take_leader = lambda self, cluster: False', 'Etcd3.take_leader'),
        ('stock.get_etcd_client = lambda self, config: None', 'Etcd3.get_etcd_client'),
        ('client.api_execute = lambda self, path, method, params, timeout, retry: None',
         'PatroniEtcd3Client.api_execute'),
        ('del module.AuthFailed', 'patroni.dcs.etcd3.AuthFailed'),
        # a decorator takes anything, what is behind it does not
        ('from patroni.dcs.etcd import catch_etcd_errors\n'
         '    def take_leader(self, cluster): pass\n'
         '    stock.take_leader = catch_etcd_errors(take_leader)', 'Etcd3.take_leader'),
        ('stock.__init__ = lambda self, mpp, config: None', 'Etcd3.__init__'),
        ('client._do_http_request = lambda self, machines, retry, method, **kwargs: None',
         'PatroniEtcd3Client._do_http_request'),
        ('stock.leader_path = lambda self: ""', 'Etcd3.leader_path'),
        ('client._prepare_common_parameters = lambda self, retry, nodes: {}',
         'PatroniEtcd3Client._prepare_common_parameters'),
        ('from patroni.dcs.etcd import DnsCachingResolver as it; it.resolve = lambda self, host, port, family: ()',
         'DnsCachingResolver.resolve'),
        ('from patroni.dcs.etcd import DnsCachingResolver as it; it.look_up = it.resolve; del it.resolve',
         'DnsCachingResolver.resolve'),
    ],
)  # fmt: skip
def test_changed_patroni_gets_its_own_class(change: str, what: str) -> None:
    """A method that is gone or takes something else: Patroni's own class and a line with its name, no TypeError."""
    from patroni.version import __version__ as version

    before = BEFORE.format(change)
    is_stock(served(before), f'Patroni {version} lacks or has changed {what}')
    ret = served(before, 'etcd3_compat')
    assert (ret.returncode, ret.stdout) == (1, '') and 'Section etcd3_compat cannot be served' in ret.stderr


@pytest.mark.parametrize(
    'mine, theirs, alike',
    [
        ('self, a', 'self, a', True),
        ('self, a', 'self, a, b', False),
        ('self, a, b', 'self, a', False),
        ('self, a, b=1', 'self, a', False),  # which ours would pass on
        ('self, a, c=1', 'self, a, b=1', False),
        ('self, *, a=1', 'self, a=1', False),
        ('self, a', 'self, a, *, b', False),
        ('self, a, *args, **kwargs', 'self, a, b, *, c=1', True),
        ('self, a, *args, **kwargs', 'self, b, a', False),
        ('self, *args', 'self, a, *, b=1', False),
        ('self, a', 'self, *args, **kwargs', True),
    ],
)
def test_arguments(mine: str, theirs: str, alike: bool) -> None:
    """Each can be called as the other is, as far as that can be seen."""
    assert guard._alike(eval(f'lambda {mine}: 0'), eval(f'lambda {theirs}: 0')) is alike


def test_force_overrides_what_has_changed() -> None:
    """``force`` puts ours in front of a Patroni that has changed, without a warning."""
    ret = served(BEFORE.format('stock.take_leader = lambda self, cluster: False'), PATRONI_ETCD3_COMPAT='force')
    assert ret.stdout.endswith('patroni_etcd3_compat.dcs\n') and 'stands back' not in ret.stderr, ret.stderr


def test_where_attributes_are_found() -> None:
    """Properties, class methods and functions inside of methods use attributes, too."""

    class Stock:
        @property
        def left(self) -> object:
            return self.deadline  # type: ignore[attr-defined]

        def copy(self) -> object:
            return lambda: self.stoptime  # type: ignore[attr-defined]

    class Other:
        @classmethod
        def copy(cls) -> object:
            return cls.deadline, cls.stoptime  # type: ignore[attr-defined]

    for stock in (Stock, Other):
        stock.__name__ = 'Retry'
        assert guard.changed(etcd3, {type('Ours', (stock,), {}): stock}) == []


def test_renamed_attribute() -> None:
    """An attribute that the code of Patroni's class no longer uses counts as changed."""

    class Stock:
        def __init__(self) -> None:
            self.patience = 1

        def copy(self) -> float:
            return self.patience

    class Ours(Stock):
        pass

    Stock.__name__ = 'Retry'
    assert guard.changed(etcd3, {Ours: Stock}) == ['Retry.deadline', 'Retry.stoptime']


def test_what_python_etcd_has() -> None:
    """A method or an attribute that only python-etcd has left is one that Patroni has renamed."""

    class Base:
        def copy(self) -> object:
            return self.deadline, self.stoptime  # type: ignore[attr-defined]

    class Stock(Base):
        pass

    class Ours(Stock):
        pass

    Stock.__name__ = 'Retry'
    assert guard.changed(etcd3, {Ours: Stock}) == []
    Base.__module__ = 'etcd.client'
    assert guard.changed(etcd3, {Ours: Stock}) == ['Retry.copy', 'Retry.deadline', 'Retry.stoptime']


def test_arguments_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a later Patroni gives its own methods by name, behind decorators that take anything, reaches them."""
    seen: list[object] = []
    for name in ('_delete_leader', '_update_leader'):
        monkeypatch.setattr(PAIRS[dcs.Etcd3], name, lambda self, *args, **kwargs: seen.append((args, kwargs)))
    ours: Any = object.__new__(dcs.Etcd3)
    monkeypatch.setattr(PAIRS[dcs.Etcd3], '_client', SimpleNamespace(leadership=Leadership()), raising=False)
    monkeypatch.setattr(PAIRS[dcs.Etcd3], '_lease', None, raising=False)
    ours._delete_leader(leader=1)
    ours._update_leader(leader=1)
    ours._update_leader(1, more=2)
    assert seen == [((), {'leader': 1}), ((), {'leader': 1}), ((1,), {'more': 2})]
