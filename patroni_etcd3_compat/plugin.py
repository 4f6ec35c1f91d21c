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
``patroni.ctl``             ``--dcs-url`` of patronictl replaces a section ``etcd3_compat``  , and may name it
=========================== =====================================================================================

Each hook finds all that it needs before it changes anything. One that fails changes nothing, and the log says what does
not work then, see :data:`HOOKS`. Without our class section ``etcd3`` is served by the stock one, and ``etcd3_compat``
by none: Patroni refuses to start with it.

The stock class itself stays what it is: its methods call ``super(Etcd3, self)`` through the name in their module.
A Patroni that was patched with these classes (``patches/``) keeps section ``etcd3`` to itself, see :func:`_patched`.
``PATRONI_ETCD3_COMPAT=off`` in the environment keeps all of this out.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # typing is too heavy to be imported at every start of Python
if TYPE_CHECKING:  # pragma: no cover
    from types import ModuleType
    from typing import Any, Callable, Sequence

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

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        """See :meth:`importlib.abc.MetaPathFinder.find_spec`."""
        if fullname == _BY_NAME:
            from importlib.machinery import ModuleSpec

            return ModuleSpec(fullname, ByNameLoader())  # type: ignore[arg-type]
        hook = HOOKS.get(fullname)
        if not hook:
            return None
        for finder in sys.meta_path:
            find_spec = None if finder is self else getattr(finder, 'find_spec', None)
            spec = find_spec and find_spec(fullname, path, target)
            if spec:
                if spec.loader:
                    spec.loader = PatchingLoader(spec.loader, hook)
                return spec
        return None


class Hook:
    """What is done to a module once it is loaded.

    :param patch: function that does it; all of it, or nothing and raises an exception.
    :param otherwise: what follows when it fails, for the log.
    """

    def __init__(self, patch: Callable[[Any], None], otherwise: str) -> None:
        self.patch = patch
        self.otherwise = otherwise


class PatchingLoader:
    """Loads a module with its own loader, then patches it. A patch that fails is logged, and the module is as stock.

    :param loader: the module's own loader.
    :param hook: what is done to the module.
    """

    def __init__(self, loader: Any, hook: Hook) -> None:
        self._loader = loader
        self._hook = hook

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: Any) -> Any:
        """See :meth:`importlib.abc.Loader.create_module`."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """See :meth:`importlib.abc.Loader.exec_module`."""
        module.__loader__ = self._loader
        if module.__spec__:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        try:
            self._hook.patch(module)
        except Exception:
            import logging

            logging.getLogger(__name__).exception(
                'patroni-etcd3-compat could not hook into %s: %s', module.__name__, self._hook.otherwise
            )


class ByNameLoader:
    """Loader of the module that Patroni imports for section ``etcd3_compat``."""

    def create_module(self, spec: Any) -> None:
        """See :meth:`importlib.abc.Loader.create_module`."""

    def exec_module(self, module: ModuleType) -> None:
        """See :meth:`importlib.abc.Loader.exec_module`."""
        import patroni.dcs.etcd3  # noqa: F401  # what Patroni itself lacks for etcd is an ImportError, as in stock

        try:
            from . import dcs

            cls = dcs.Etcd3_Compat
        except Exception as e:  # with its traceback in the log already, from the hook of patroni.dcs.etcd3
            cls = _refusing(e)
        module.__dict__['Etcd3_Compat'] = cls


def _refusing(error: Exception) -> Any:
    """Make a class instead of ours that refuses to serve section ``etcd3_compat``.

    An ImportError instead would make Patroni go on to section ``etcd3``, if there is one, with its own class.

    :param error: why ours cannot be had.
    """
    from patroni.dcs import AbstractDCS
    from patroni.exceptions import PatroniFatalException

    text = f'Section {SECTION} cannot be served, patroni-etcd3-compat could not be loaded: {error!r}'

    class Etcd3_Compat(AbstractDCS):  # type: ignore[misc]
        def __new__(cls, config: dict[str, Any], *args: Any) -> Any:
            if config.get('patronictl'):
                raise PatroniFatalException(text)
            import logging

            logging.getLogger(__name__).fatal(text)
            sys.exit(1)

    return Etcd3_Compat


def _patched() -> str | None:
    """Return the version of the classes that this Patroni was patched with, ``None`` if it was not."""
    try:
        from patroni.etcd3_compat import __version__
    except ImportError:
        return None
    return str(__version__)


def _patch_etcd3(module: ModuleType) -> None:
    """Put our class in front of the stock one.

    Whichever of ``patroni.dcs.etcd3`` and our two modules is imported first imports the others, so this is called for
    each of them, from the innermost outwards. It acts as soon as none of ours is half imported; acting twice does no
    harm.
    """
    version = _patched()
    if version:
        if module.__name__ == 'patroni.dcs.etcd3':  # once
            import logging

            from . import __version__

            logging.getLogger(__name__).info(
                'patroni-etcd3-compat %s stands back: section etcd3 is served by version %s, which is part of this '
                'Patroni',
                __version__,
                version,
            )
        return
    for name, cls in (('client', 'CompatClient'), ('dcs', 'Etcd3_Compat')):
        half = sys.modules.get(f'{__package__}.{name}')
        if half and not hasattr(half, cls):
            return  # it is being imported just now, and this is called again when that is done
    from . import dcs

    ours = dcs.Etcd3
    names = sys.modules['patroni.dcs.etcd3'].__dict__
    stock = names['Etcd3']
    del names['Etcd3']
    names['ETCD3'] = ours  # the first name that is "etcd3" but for case is taken
    names['Etcd3'] = stock


def _with_section(names: list[str]) -> list[str]:
    """Put our module in front of those of etcd3: when both sections are there, the explicit one is meant."""
    if _BY_NAME in names or not any(name == 'patroni.dcs.etcd3' for name in names):
        return names
    return [n for name in names for n in ((_BY_NAME, name) if name == 'patroni.dcs.etcd3' else (name,))]


def _patch_dynamic_loader(module: Any) -> None:
    stock = module.iter_modules

    def iter_modules(package: str) -> list[str]:
        return _with_section(stock(package))

    module.iter_modules = iter_modules


def _patch_dcs(module: Any) -> None:
    if hasattr(module, 'iter_modules'):  # since 3.3 the list is made in patroni.dynamic_loader
        return
    stock = module.dcs_modules

    def dcs_modules() -> list[str]:
        return _with_section(stock())

    module.dcs_modules = dcs_modules


def _patch_config(module: Any) -> None:
    from .options import OPTIONS

    stock = module.Config._build_environment_configuration
    if not isinstance(vars(module.Config)['_build_environment_configuration'], staticmethod):
        raise TypeError('_build_environment_configuration is not called as in Patroni 3.0 to 4.1')
    of_etcd3 = () if _patched() else tuple(OPTIONS)

    def _build_environment_configuration() -> dict[str, Any]:
        # Patroni splits PATRONI_<section>_<option> at the first underscore, so it is given a name without one.
        by_name, plain = f'PATRONI_{SECTION.upper()}_', SECTION.replace('_', '')
        own: dict[str, dict[str, Any]] = {}
        for name in list(os.environ):
            if name.startswith(by_name):
                option, value = name[len(by_name) :], os.environ.pop(name)
                if option in ('USERNAME', 'PASSWORD') or option.lower() in OPTIONS:
                    own.setdefault(SECTION, {})[option.lower()] = value
                else:
                    os.environ[f'PATRONI_{plain.upper()}_{option}'] = value
        for option in of_etcd3:
            value = os.environ.pop('PATRONI_ETCD3_' + option.upper(), '')
            if value:
                own.setdefault('etcd3', {})[option] = value

        ret: dict[str, Any] = stock()
        if plain in ret:
            ret[SECTION] = ret.pop(plain)
        for section, options in own.items():
            ret.setdefault(section, {}).update(options)
        return ret

    module.Config._build_environment_configuration = staticmethod(_build_environment_configuration)


def _patch_validator(module: Any) -> None:
    stores, case = next(
        (key, case)
        for key, case in module.schema.validator.items()
        if isinstance(key, module.Or) and 'etcd3' in key.args
    )
    try:
        from .options import OPTIONS

        options = {
            key: check for key, check in case._schema['etcd3'].items() if getattr(key, 'name', key) not in OPTIONS
        }
        options.update((module.Optional(name), check) for name, check in OPTIONS.items())
        sections = {SECTION: options}
        if not _patched():
            sections['etcd3'] = options
    except Exception:
        # The section is in the list of stores. Without options of its own it would be a KeyError there.
        stores.args = tuple(name for name in stores.args if name != SECTION)
        raise
    case._schema.update(sections)


def _patch_ctl(module: Any) -> None:
    stock = module.parse_dcs
    # load_config drops the sections that are listed there when --dcs-url is given. That of etcd comes first: for a port
    # without a scheme the first section with that port is taken, and port 2379 means etcd.
    default = dict(module.DCS_DEFAULTS['etcd'], template=SECTION + ":\n host: '{host}:{port}'")

    def parse_dcs(dcs: str | None) -> dict[str, Any] | None:
        scheme, separator, rest = (dcs or '').partition('://')
        if not separator or scheme.strip().lower() != SECTION:
            ret: dict[str, Any] | None = stock(dcs)
            return ret
        # For urllib a scheme has no underscore. The rest is read as after etcd://, since 3.0.2 knows no etcd3://.
        parsed: dict[str, Any] = stock('etcd://' + rest)
        parsed[SECTION] = parsed.pop('etcd')
        return parsed

    module.DCS_DEFAULTS[SECTION] = default
    module.parse_dcs = parse_dcs


_NOT_FOUND = f'section {SECTION} is not found, section etcd3 is served as ever'
_STOCK_SERVES = f"section etcd3 is served by Patroni's own class, section {SECTION} is refused"

#: What is done to which module, when it is imported.
HOOKS: dict[str, Hook] = {
    'patroni.dcs': Hook(_patch_dcs, _NOT_FOUND),
    'patroni.dynamic_loader': Hook(_patch_dynamic_loader, _NOT_FOUND),
    'patroni.dcs.etcd3': Hook(_patch_etcd3, _STOCK_SERVES),
    'patroni_etcd3_compat.client': Hook(_patch_etcd3, _STOCK_SERVES),
    'patroni_etcd3_compat.dcs': Hook(_patch_etcd3, _STOCK_SERVES),
    'patroni.config': Hook(
        _patch_config,
        f'nothing is read from PATRONI_{SECTION.upper()}_* and no option of this package from '
        'PATRONI_ETCD3_*, the configuration file counts',
    ),
    'patroni.validator': Hook(
        _patch_validator, f'--validate-config knows neither section {SECTION} nor the options of this package'
    ),
    'patroni.ctl': Hook(
        _patch_ctl, f'patronictl goes by section {SECTION} even if --dcs-url is given, and does not know {SECTION}://'
    ),
}
