"""How Patroni finds the class: what ``install`` hooks into the import of a few of its modules.

Python calls :func:`install` at every start (files ``patroni_etcd3_compat.pth`` and ``.start`` beside the package),
whether or not Patroni is going to run. So this module imports next to nothing, and :func:`install` only puts a finder
in place, which does something when Patroni's modules come to be imported:

=========================== =====================================================================================
``patroni.dcs.etcd3``       our class goes in front of the stock one; Patroni takes the first name that matches
``patroni.dcs``             up to 3.2: section ``etcd3_compat`` joins the list of DCS modules
``patroni.dynamic_loader``  the same since 3.3
``patroni.dcs.etcd3_compat`` does not exist in Patroni: a module with our class, imported for that section
``patroni.config``          our options in the environment, and ``PATRONI_ETCD3_COMPAT_*``, reach their sections
``patroni.validator``       ``--validate-config`` knows ``etcd3_compat`` and our options
``patroni.ctl``             ``--dcs-url`` of patronictl takes the place of a section ``etcd3_compat``
=========================== =====================================================================================

The stock class itself stays what it is: its methods call ``super(Etcd3, self)`` through the name in their module.
A Patroni that was patched with these classes (``patches/``) keeps section ``etcd3`` to itself, see :func:`_patched`.
``PATRONI_ETCD3_COMPAT=off`` in the environment keeps all of this out.
"""
import os
import sys

TYPE_CHECKING = False  # typing is too heavy to be imported at every start of Python
if TYPE_CHECKING:  # pragma: no cover
    from types import ModuleType
    from typing import Any, Callable, Dict, List, Optional, Sequence

#: Section that names our class, and with it the module and (by letters, see Patroni's ``iter_classes``) the class.
SECTION = 'etcd3_compat'

_OFF_SWITCH = 'PATRONI_ETCD3_COMPAT'
_BY_NAME = 'patroni.dcs.' + SECTION


def install() -> None:
    """Make Patroni use our class; to be called before Patroni is imported, later calls do nothing.

    Does nothing either if the environment says ``PATRONI_ETCD3_COMPAT=off`` (or ``false``, ``no``, ``0``).
    """
    if os.environ.get(_OFF_SWITCH, '').strip().lower() in ('off', 'false', 'no', '0'):
        return
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())


class Finder:
    """Finder for ``sys.meta_path``: finds Patroni's modules as the others do, and patches them once they are loaded."""

    def find_spec(self, fullname: str, path: 'Optional[Sequence[str]]' = None, target: 'Any' = None) -> 'Any':
        """See :meth:`importlib.abc.MetaPathFinder.find_spec`."""
        if fullname == _BY_NAME:
            from importlib.machinery import ModuleSpec
            return ModuleSpec(fullname, ByNameLoader())  # type: ignore[arg-type]
        patch = PATCHES.get(fullname)
        if not patch:
            return None
        for finder in sys.meta_path:
            find_spec = None if finder is self else getattr(finder, 'find_spec', None)
            spec = find_spec and find_spec(fullname, path, target)
            if spec:
                if spec.loader:
                    spec.loader = PatchingLoader(spec.loader, patch)
                return spec
        return None


class PatchingLoader:
    """Loads a module with its own loader, then patches it. A patch that fails is logged; Patroni goes on as stock."""

    def __init__(self, loader: 'Any', patch: 'Callable[[ModuleType], None]') -> None:
        self._loader = loader
        self._patch = patch

    def __getattr__(self, name: str) -> 'Any':
        return getattr(self._loader, name)

    def create_module(self, spec: 'Any') -> 'Any':
        """See :meth:`importlib.abc.Loader.create_module`."""
        return self._loader.create_module(spec)

    def exec_module(self, module: 'ModuleType') -> None:
        """See :meth:`importlib.abc.Loader.exec_module`."""
        module.__loader__ = self._loader
        if module.__spec__:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        try:
            self._patch(module)
        except Exception:
            import logging
            logging.getLogger(__name__).exception(
                'patroni-etcd3-compat could not hook into %s, Patroni runs without it', module.__name__)


class ByNameLoader:
    """Loader of the module that Patroni imports for section ``etcd3_compat``."""

    def create_module(self, spec: 'Any') -> None:
        """See :meth:`importlib.abc.Loader.create_module`."""

    def exec_module(self, module: 'ModuleType') -> None:
        """See :meth:`importlib.abc.Loader.exec_module`."""
        from . import dcs
        setattr(module, dcs.Etcd3_Compat.__name__, dcs.Etcd3_Compat)


def _patched() -> 'Optional[str]':
    """Give the version of the classes that this Patroni was patched with, ``None`` if it was not."""
    try:
        from patroni.etcd3_compat import __version__
    except ImportError:
        return None
    return str(__version__)


def _patch_etcd3(module: 'ModuleType') -> None:
    version = _patched()
    if version:
        if module.__name__ == 'patroni.dcs.etcd3':  # once
            import logging
            from . import __version__
            logging.getLogger(__name__).info(
                'patroni-etcd3-compat %s stands back: section etcd3 is served by version %s, which is part of this '
                'Patroni', __version__, version)
        return
    client = sys.modules.get('patroni_etcd3_compat.client')
    if client and not hasattr(client, 'CompatClient'):
        return  # it is being imported just now, and this is called again when that is done
    from . import dcs
    if hasattr(dcs, 'Etcd3'):  # else the same holds for dcs
        names = sys.modules['patroni.dcs.etcd3'].__dict__
        stock = names.pop('Etcd3')
        names['ETCD3'] = dcs.Etcd3  # the first name that is "etcd3" but for case is taken
        names['Etcd3'] = stock


def _with_section(names: 'List[str]') -> 'List[str]':
    """Put our module in front of those of etcd3: when both sections are there, the explicit one is meant."""
    if _BY_NAME in names or not any(name == 'patroni.dcs.etcd3' for name in names):
        return names
    return [n for name in names for n in ((_BY_NAME, name) if name == 'patroni.dcs.etcd3' else (name,))]


def _patch_dynamic_loader(module: 'Any') -> None:
    stock = module.iter_modules

    def iter_modules(package: str) -> 'List[str]':
        return _with_section(stock(package))

    module.iter_modules = iter_modules


def _patch_dcs(module: 'Any') -> None:
    if hasattr(module, 'iter_modules'):  # since 3.3 the list is made in patroni.dynamic_loader
        return
    stock = module.dcs_modules

    def dcs_modules() -> 'List[str]':
        return _with_section(stock())

    module.dcs_modules = dcs_modules


def _patch_config(module: 'Any') -> None:
    from .options import OPTIONS
    stock = module.Config._build_environment_configuration

    def _build_environment_configuration() -> 'Dict[str, Any]':
        # Patroni splits PATRONI_<section>_<option> at the first underscore, so it is given a name without one.
        by_name, plain = 'PATRONI_{0}_'.format(SECTION.upper()), SECTION.replace('_', '')
        own: 'Dict[str, Dict[str, Any]]' = {}
        for name in list(os.environ):
            if name.startswith(by_name):
                option, value = name[len(by_name):], os.environ.pop(name)
                if option in ('USERNAME', 'PASSWORD') or option.lower() in OPTIONS:
                    own.setdefault(SECTION, {})[option.lower()] = value
                else:
                    os.environ['PATRONI_{0}_{1}'.format(plain.upper(), option)] = value
        for option in () if _patched() else OPTIONS:
            value = os.environ.pop('PATRONI_ETCD3_' + option.upper(), '')
            if value:
                own.setdefault('etcd3', {})[option] = value

        ret: 'Dict[str, Any]' = stock()
        if plain in ret:
            ret[SECTION] = ret.pop(plain)
        for section, options in own.items():
            ret.setdefault(section, {}).update(options)
        return ret

    module.Config._build_environment_configuration = staticmethod(_build_environment_configuration)


def _patch_validator(module: 'Any') -> None:
    from .options import OPTIONS
    case = next(case for key, case in module.schema.validator.items()
                if isinstance(key, module.Or) and 'etcd3' in key.args)
    options = {key: check for key, check in case._schema['etcd3'].items() if getattr(key, 'name', key) not in OPTIONS}
    options.update((module.Optional(name), check) for name, check in OPTIONS.items())
    case._schema[SECTION] = options
    if not _patched():
        case._schema['etcd3'] = options


def _patch_ctl(module: 'Any') -> None:
    # --dcs-url replaces the sections that are known here
    module.DCS_DEFAULTS[SECTION] = {'port': None, 'template': SECTION + ":\n host: '{host}:{port}'"}


PATCHES: 'Dict[str, Callable[[ModuleType], None]]' = {
    'patroni.dcs': _patch_dcs,
    'patroni.dcs.etcd3': _patch_etcd3,
    'patroni_etcd3_compat.client': _patch_etcd3,
    'patroni_etcd3_compat.dcs': _patch_etcd3,
    'patroni.dynamic_loader': _patch_dynamic_loader,
    'patroni.config': _patch_config,
    'patroni.validator': _patch_validator,
    'patroni.ctl': _patch_ctl,
}
