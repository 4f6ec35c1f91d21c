"""What is changed in each of Patroni's modules when it is imported; ``plugin`` calls these.

=========================== =====================================================================================
``patroni.dcs.etcd3``       our class goes in front of the stock one; Patroni takes the first name that matches
``patroni.dcs``             up to 3.2: section ``etcd3_compat`` joins the list of DCS modules
``patroni.dynamic_loader``  the same since 3.3
``patroni.config``          our options in the environment, and ``PATRONI_ETCD3_COMPAT_*``, reach their sections
``patroni.validator``       ``--validate-config`` knows ``etcd3_compat`` and our options
``patroni.ctl``             ``--dcs-url`` of patronictl replaces a section ``etcd3_compat``, and may name it
=========================== =====================================================================================

Each hook finds all that it needs before it changes anything, so that one that fails changes nothing.

The stock class itself stays what it is: its methods call ``super(Etcd3, self)`` through the name in their module.
A Patroni that was patched with these classes (``patches/``) keeps section ``etcd3`` to itself, see :func:`_patched`.
In a Patroni that ours are not for (``guard``) all of it stays as it is, but for the section ``etcd3_compat``, which is
refused.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Callable, Dict, Mapping

from . import SECTION, guard

#: Sections of a configuration, each with its options.
_Sections = Dict[str, Dict[str, object]]

_BY_NAME = 'patroni.dcs.' + SECTION

#: The hooks that only add the section by name.
_LISTS = ('patroni.dcs', 'patroni.dynamic_loader')

_why_not: str | None = None


def hook(module: ModuleType) -> None:
    """Change one of Patroni's modules, or leave it alone if ours are not for this Patroni.

    :param module: one of :data:`HOOKS`, just loaded.

    :raises Exception: if it is not as expected; it is unchanged then.
    """
    if module.__name__ in _LISTS or not why_not():
        HOOKS[module.__name__](module)
    elif module.__name__ == 'patroni.dcs.etcd3':
        _stand_back()


def why_not() -> str | None:
    """Return why ours do not serve in this Patroni; ``None`` if they do, or if that is not known yet."""
    global _why_not
    if _why_not is None and not guard.forced():
        _why_not = guard.outside(*_versions())
    return _why_not


def _versions() -> tuple[str, str | None]:
    """Return the versions of Patroni and urllib3."""
    from patroni.version import __version__ as patroni

    try:
        import urllib3
    except ImportError:  # without it Patroni has no etcd either, and says so
        return patroni, None
    return patroni, getattr(urllib3, '__version__', None)


def _stand_back() -> None:
    """Tell the log why Patroni's own class serves."""
    _log(
        'warning',
        "stands back: %s. Section etcd3 is served by Patroni's own class, section %s is refused; "
        'PATRONI_ETCD3_COMPAT=force in the environment overrides that',
        _why_not,
        SECTION,
    )


def _log(level: str, text: str, *args: object) -> None:
    """Log what this package does; most Pythons that load it never do, and import no logging for it.

    :param level: name of the logger's method.
    :param text: what follows the name and version of the package.
    :param args: for *text*.
    """
    import logging

    from . import __version__

    getattr(logging.getLogger(__name__), level)('patroni-etcd3-compat %s ' + text, __version__, *args)


def _patched() -> str | None:
    """Return the version of the classes that this Patroni was patched with, ``None`` if it was not."""
    try:
        from patroni.etcd3_compat import __version__
    except ImportError:
        return None
    return str(__version__)


def _patch_etcd3(module: ModuleType) -> None:
    """Put our class in front of the stock one.

    Whichever of ``patroni.dcs.etcd3`` and our three modules is imported first imports the others, so this is called for
    each of them, from the innermost outwards. It acts as soon as none of ours is half imported; acting twice does no
    harm.
    """
    version = _patched()
    if version:
        if module.__name__ == 'patroni.dcs.etcd3':  # once
            _log('info', 'stands back: section etcd3 is served by version %s, which is part of this Patroni', version)
        return
    for name, cls in (('dispatch', 'DispatchClient'), ('client', 'CompatClient'), ('dcs', 'Etcd3_Compat')):
        half = sys.modules.get(f'{__package__}.{name}')
        if half and not hasattr(half, cls):
            return  # it is being imported just now, and this is called again when that is done
    from patroni.utils import Retry

    from . import client, dcs  # which calls this for each of them

    etcd3 = sys.modules['patroni.dcs.etcd3']
    ours, names = dcs.Etcd3, etcd3.__dict__
    stock = names['Etcd3']
    if _why_not or names.get('ETCD3') is ours:
        return
    _examine(etcd3, {ours: stock, client.CompatClient: etcd3.PatroniEtcd3Client, dcs.LeaderRetry: Retry})
    if _why_not:
        return
    del names['Etcd3']
    names['ETCD3'] = ours  # the first name that is "etcd3" but for case is taken
    names['Etcd3'] = stock


def _examine(etcd3: ModuleType, pairs: Mapping[type[object], type[object]]) -> None:
    """Find out whether ours fit this Patroni, and tell the log if they do not, or if nobody has tried.

    :param etcd3: ``patroni.dcs.etcd3``.
    :param pairs: our classes, each with that of Patroni.
    """
    global _why_not
    patroni, urllib3 = _versions()
    changed = guard.changed(etcd3, pairs)
    if changed and not guard.forced():
        _why_not = f'Patroni {patroni} lacks or has changed {", ".join(changed)}'
        _stand_back()
        return
    untried = guard.untried(patroni, urllib3)
    if untried:
        _log('warning', 'was not tested with %s', untried)


def _with_section(names: list[str]) -> list[str]:
    """Put our module in front of those of etcd3: when both sections are there, the explicit one is meant."""
    if _BY_NAME in names or not any(name == 'patroni.dcs.etcd3' for name in names):
        return names
    return [n for name in names for n in ((_BY_NAME, name) if name == 'patroni.dcs.etcd3' else (name,))]


def _patch_dynamic_loader(module: ModuleType) -> None:
    stock = module.iter_modules

    def iter_modules(package: str) -> list[str]:
        return _with_section(stock(package))

    module.__dict__['iter_modules'] = iter_modules


def _patch_dcs(module: ModuleType) -> None:
    if hasattr(module, 'iter_modules'):  # since 3.3 the list is made in patroni.dynamic_loader
        return
    stock = module.dcs_modules

    def dcs_modules() -> list[str]:
        return _with_section(stock())

    module.__dict__['dcs_modules'] = dcs_modules


def _patch_config(module: ModuleType) -> None:
    from .options import OPTIONS

    stock = module.Config._build_environment_configuration
    if not isinstance(vars(module.Config)['_build_environment_configuration'], staticmethod):
        raise TypeError('_build_environment_configuration is not called as in Patroni 3.0 to 4.1')
    of_etcd3 = () if _patched() else tuple(OPTIONS)

    def _build_environment_configuration() -> _Sections:
        # Patroni splits PATRONI_<section>_<option> at the first underscore, so it is given a name without one.
        by_name, plain = f'PATRONI_{SECTION.upper()}_', SECTION.replace('_', '')
        own: _Sections = {}
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

        ret: _Sections = stock()
        if plain in ret:
            ret[SECTION] = ret.pop(plain)
        for section, options in own.items():
            ret.setdefault(section, {}).update(options)
        return ret

    module.Config._build_environment_configuration = staticmethod(_build_environment_configuration)


def _patch_validator(module: ModuleType) -> None:
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


def _patch_ctl(module: ModuleType) -> None:
    stock = module.parse_dcs
    # load_config drops the sections that are listed there when --dcs-url is given. That of etcd comes first: for a port
    # without a scheme the first section with that port is taken, and port 2379 means etcd.
    default = dict(module.DCS_DEFAULTS['etcd'], template=SECTION + ":\n host: '{host}:{port}'")

    def parse_dcs(dcs: str | None) -> _Sections | None:
        scheme, separator, rest = (dcs or '').partition('://')
        if not separator or scheme.strip().lower() != SECTION:
            ret: _Sections | None = stock(dcs)
            return ret
        # For urllib a scheme has no underscore. The rest is read as after etcd://, since 3.0.2 knows no etcd3://.
        parsed: _Sections = stock('etcd://' + rest)
        parsed[SECTION] = parsed.pop('etcd')
        return parsed

    module.DCS_DEFAULTS[SECTION] = default
    module.__dict__['parse_dcs'] = parse_dcs


#: What is done to which module, when it is imported. It does all of it, or nothing and raises an exception.
HOOKS: dict[str, Callable[[ModuleType], None]] = {
    'patroni.dcs': _patch_dcs,
    'patroni.dynamic_loader': _patch_dynamic_loader,
    'patroni.dcs.etcd3': _patch_etcd3,
    'patroni_etcd3_compat.dispatch': _patch_etcd3,
    'patroni_etcd3_compat.client': _patch_etcd3,
    'patroni_etcd3_compat.dcs': _patch_etcd3,
    'patroni.config': _patch_config,
    'patroni.validator': _patch_validator,
    'patroni.ctl': _patch_ctl,
}
