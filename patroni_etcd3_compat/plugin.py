"""How Patroni finds the class: a finder for imports, which has ``hooks`` change a few of Patroni's modules.

Python calls :func:`install` at every start (files ``patroni_etcd3_compat.pth`` and ``.start`` beside the package),
whether or not Patroni is going to run. So this module imports next to nothing, and :func:`install` only puts a finder
in place, which does something when one of :data:`HOOKED` comes to be imported. Module ``patroni.dcs.etcd3_compat`` does
not exist in Patroni: the finder makes it, with our class, for the section of that name.

A hook that fails changes nothing, and the log says what does not work then, see :data:`HOOKED`. Without our class
section ``etcd3`` is served by the stock one, and ``etcd3_compat`` by none: Patroni refuses to start with it. The same
holds in a Patroni that our class is not for, see ``guard``; ``PATRONI_ETCD3_COMPAT=force`` in the environment ignores
what that says, and ``PATRONI_ETCD3_COMPAT=off`` keeps all of this out.
"""

from __future__ import annotations

import os
import sys

from . import SECTION

TYPE_CHECKING = False  # typing is too heavy to be imported at every start of Python
if TYPE_CHECKING:  # pragma: no cover
    from importlib.abc import SourceLoader
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType
    from typing import Mapping, Sequence

_OFF_SWITCH = 'PATRONI_ETCD3_COMPAT'

#: Its values that keep all of this out, in any case of letters.
OFF = ('off', 'false', 'no', '0')
_BY_NAME = 'patroni.dcs.' + SECTION

_NOT_FOUND = f'section {SECTION} is not found, section etcd3 is served as ever'
_STOCK_SERVES = f"section etcd3 is served by Patroni's own class, section {SECTION} is refused"

#: The modules that ``hooks`` changes once they are loaded, each with what follows when that fails, for the log.
HOOKED: dict[str, str] = {
    'patroni.dcs': _NOT_FOUND,
    'patroni.dynamic_loader': _NOT_FOUND,
    'patroni.dcs.etcd3': _STOCK_SERVES,
    'patroni_etcd3_compat.dispatch': _STOCK_SERVES,
    'patroni_etcd3_compat.client': _STOCK_SERVES,
    'patroni_etcd3_compat.dcs': _STOCK_SERVES,
    'patroni.config': f'nothing is read from PATRONI_{SECTION.upper()}_* and no option of this package from '
    'PATRONI_ETCD3_*, the configuration file counts',
    'patroni.validator': f'--validate-config knows neither section {SECTION} nor the options of this package',
    'patroni.ctl': f'patronictl goes by section {SECTION} even if --dcs-url is given, and does not know {SECTION}://',
}


def install() -> None:
    """Make Patroni use our class; to be called before Patroni is imported, later calls do nothing.

    Does nothing either if the environment says ``PATRONI_ETCD3_COMPAT=off`` (or ``false``, ``no``, ``0``).
    """
    if os.environ.get(_OFF_SWITCH, '').strip().lower() in OFF:
        return
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())


class Finder:
    """Finder for ``sys.meta_path``: finds Patroni's modules as the others do, and patches them once they are loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See :meth:`importlib.abc.MetaPathFinder.find_spec`."""
        if fullname == _BY_NAME:
            from importlib.machinery import ModuleSpec

            return ModuleSpec(fullname, ByNameLoader())  # type: ignore[arg-type]
        if fullname not in HOOKED:
            return None
        for finder in sys.meta_path:
            find_spec = None if finder is self else getattr(finder, 'find_spec', None)
            spec: ModuleSpec | None = find_spec and find_spec(fullname, path, target)
            if spec:
                if hasattr(spec.loader, 'exec_module'):
                    spec.loader = PatchingLoader(spec.loader)  # type: ignore[arg-type, assignment]
                elif spec.loader:  # such as zipimport before Python 3.10, which loads a module in one step
                    import logging

                    logging.getLogger(__name__).warning(
                        'patroni-etcd3-compat cannot hook into %s, which %s loads: %s',
                        fullname,
                        type(spec.loader).__name__,
                        HOOKED[fullname],
                    )
                return spec
        return None


class PatchingLoader:
    """Loads a module with its own loader, then patches it. A patch that fails is logged, and the module is as stock.

    A module that is loaded has its own loader again. Who looks at this one has found the module and not loaded it:
    ``python -m`` (``runpy``) asks it for the code, :func:`pkgutil.get_data` for data, others for source and file name.

    :param loader: the module's own loader. Where it has no such method either, the call is its AttributeError.
    """

    def __init__(self, loader: SourceLoader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """See :meth:`importlib.abc.Loader.create_module`."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """See :meth:`importlib.abc.Loader.exec_module`."""
        module.__loader__ = self._loader
        if module.__spec__:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        try:
            from .hooks import hook

            hook(module)
        except Exception:
            import logging

            logging.getLogger(__name__).exception(
                'patroni-etcd3-compat could not hook into %s: %s', module.__name__, HOOKED[module.__name__]
            )

    def is_package(self, fullname: str) -> bool:
        """See :meth:`importlib.abc.InspectLoader.is_package`."""
        return self._loader.is_package(fullname)

    def get_code(self, fullname: str) -> CodeType | None:
        """See :meth:`importlib.abc.InspectLoader.get_code`."""
        return self._loader.get_code(fullname)

    def get_source(self, fullname: str) -> str | None:
        """See :meth:`importlib.abc.InspectLoader.get_source`."""
        return self._loader.get_source(fullname)

    def get_filename(self, fullname: str) -> str:
        """See :meth:`importlib.abc.ExecutionLoader.get_filename`."""
        return self._loader.get_filename(fullname)

    def get_data(self, path: str) -> bytes:
        """See :meth:`importlib.abc.ResourceLoader.get_data`."""
        return self._loader.get_data(path)


class ByNameLoader:
    """Loader of the module that Patroni imports for section ``etcd3_compat``."""

    def create_module(self, spec: ModuleSpec) -> None:
        """See :meth:`importlib.abc.Loader.create_module`."""

    def exec_module(self, module: ModuleType) -> None:
        """See :meth:`importlib.abc.Loader.exec_module`."""
        import patroni.dcs.etcd3  # noqa: F401  # what Patroni itself lacks for etcd is an ImportError, as in stock

        from . import hooks

        try:
            why_not = hooks.why_not()
            if why_not:
                cls = _refusing(f'patroni-etcd3-compat stands back: {why_not}')
            else:
                from . import dcs

                cls = dcs.Etcd3_Compat
        except Exception as e:  # with its traceback in the log already, from the hook of patroni.dcs.etcd3
            cls = _refusing(f'patroni-etcd3-compat could not be loaded: {e!r}')
        module.__dict__['Etcd3_Compat'] = cls


def _refusing(why: str) -> type[object]:
    """Make a class instead of ours that refuses to serve section ``etcd3_compat``.

    An ImportError instead would make Patroni go on to section ``etcd3``, if there is one, with its own class.

    :param why: why ours cannot be had, for the message.
    """
    from patroni.dcs import AbstractDCS
    from patroni.exceptions import PatroniFatalException

    text = f'Section {SECTION} cannot be served, {why}'

    class Etcd3_Compat(AbstractDCS):  # type: ignore[misc]
        def __new__(cls, config: Mapping[str, object], *args: object) -> Etcd3_Compat:
            if config.get('patronictl'):
                raise PatroniFatalException(text)
            import logging

            logging.getLogger(__name__).fatal(text)
            sys.exit(1)

    return Etcd3_Compat
