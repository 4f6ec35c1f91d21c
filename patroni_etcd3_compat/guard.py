"""Whether our class may serve in this Patroni: which releases were tried, and what ours need of Patroni's classes.

A Patroni that has changed what is listed here gets its own class and a log line. Without this, it would get ours and an
AttributeError or a TypeError in the HA loop.
"""

from __future__ import annotations

import inspect
import os
import re
from types import CodeType, FunctionType, ModuleType
from typing import Callable, Iterator, Mapping

#: Patroni before the first is refused, up to the second it is tried. Later ones are served as long as they have what
#: ours need, but for the third: a release that is so far away may have changed what no check finds.
OLDEST, TRIED, TOO_FAR = (3, 0, 2), (4, 1), (6, 0)

#: The same for urllib3, where older ones lack options that ours pass.
URLLIB3_OLDEST, URLLIB3_TRIED = (1, 26), (2,)

#: Methods and properties of Patroni's classes that ours replace or call.
METHODS = {
    'Retry': ('copy',),
    'PatroniEtcd3Client': (
        '__init__',
        '_calculate_timeouts',
        '_do_http_request',
        '_ensure_version_prefix',
        '_get_machines_cache_from_config',
        '_get_machines_list',
        '_get_members',
        '_handle_server_response',
        '_load_machines_cache',
        '_prepare_common_parameters',
        '_prepare_get_members',
        '_restart_watcher',
        '_wait_cache',
        'api_execute',
        'get_cluster',
        'machines_cache',
        'prefix',
        'put',
        'range',
        'reload_config',
        'set_base_uri',
        'txn',
        'watchrange',
    ),
    'Etcd3': (
        '__init__',
        '_delete_leader',
        '_update_leader',
        'attempt_to_acquire_leader',
        'get_cluster',
        'get_etcd_client',
        'leader_path',
        'reload_config',
        'retry',
        'set_socket_options',
        'take_leader',
        'touch_member',
    ),
}

#: Those among them that are properties.
PROPERTIES = ('leader_path', 'machines_cache')

#: Those that ours call and do not replace, each with the number of arguments.
CALLED = {'_prepare_common_parameters': 1, '_restart_watcher': 0, 'prefix': 1, 'retry': 2, 'set_base_uri': 1}

#: What ours use of ``patroni.dcs.etcd3`` besides its classes.
NAMES = ('AuthFailed', 'Etcd3Client', 'Etcd3Exception', 'base64_decode', 'base64_encode', 'errStringToClientError')

#: Attributes of their instances, which their own methods have to use under that name.
ATTRIBUTES = {
    'Retry': ('deadline', 'stoptime'),
    'PatroniEtcd3Client': (
        '_base_uri',
        '_cluster_version',
        '_config',
        '_etcd3',
        '_kv_cache',
        '_machines_cache',
        '_token',
        '_update_machines_cache',
        '_use_proxies',
        'http',
        'password',
        'read_timeout',
        'username',
        'version_prefix',
    ),
    'Etcd3': ('_client', '_lease', '_name', '_retry'),
}


def forced() -> bool:
    """Return whether the environment says ``PATRONI_ETCD3_COMPAT=force``: ours serve whatever is found here."""
    return os.environ.get('PATRONI_ETCD3_COMPAT', '').strip().lower() == 'force'


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with, at least two, none if it begins with something else.

    :param version: such as ``'4.1.5'`` or ``'5.0.dev1'``.
    """
    match = re.match(r'\d+(\.\d+)*', str(version))
    found = tuple(int(number) for number in match.group(0).split('.')) if match else ()
    return found + (0,) if len(found) == 1 else found


def outside(patroni: str, urllib3: str | None) -> str | None:
    """Return why ours must not serve, judged by versions alone; ``None`` if they may.

    :param patroni: version of Patroni.
    :param urllib3: version of urllib3, ``None`` if there is none.
    """
    release = numbers(patroni)
    if not release:
        return f'the version of Patroni is unknown ({patroni!r})'
    if release < OLDEST:
        return f'Patroni {patroni} is older than {_dotted(OLDEST)}'
    if release >= TOO_FAR:
        return f'Patroni {patroni} is newer than what this release of the package is for'
    if urllib3 and numbers(urllib3) < URLLIB3_OLDEST:
        return f'urllib3 {urllib3} is older than {_dotted(URLLIB3_OLDEST)}'
    return None


def untried(patroni: str, urllib3: str | None) -> str | None:
    """Return what is newer than all that ours were tested with, ``None`` if nothing is.

    :param patroni: version of Patroni.
    :param urllib3: version of urllib3, ``None`` if there is none.
    """
    if numbers(patroni)[: len(TRIED)] > TRIED:
        return f'Patroni {patroni} (tested: {_dotted(OLDEST)} to {_dotted(TRIED)})'
    if urllib3 and numbers(urllib3)[: len(URLLIB3_TRIED)] > URLLIB3_TRIED:
        return f'urllib3 {urllib3} (tested: {_dotted(URLLIB3_OLDEST)} and {_dotted(URLLIB3_TRIED)}.x)'
    return None


def _dotted(version: tuple[int, ...]) -> str:
    return '.'.join(str(number) for number in version)


def changed(module: ModuleType, pairs: Mapping[type[object], type[object]]) -> list[str]:
    """Return what has changed in Patroni so that ours cannot be put in the place of its classes.

    :param module: ``patroni.dcs.etcd3``.
    :param pairs: our classes, each with that of Patroni which it is made of.
    """
    from patroni.dcs import etcd

    from .names import Names

    ret = [f'{module.__name__}.{name}' for name in NAMES if not hasattr(module, name)]
    resolve = inspect.getattr_static(getattr(etcd, 'DnsCachingResolver', None), 'resolve', None)
    if not isinstance(resolve, FunctionType) or not _alike(Names.resolve, resolve):
        ret.append('DnsCachingResolver.resolve')
    return ret + sorted({what for ours, stock in pairs.items() for what in _changed(ours, stock)})


def _changed(ours: type[object], stock: type[object]) -> list[str]:
    name = stock.__name__
    # What python-etcd has under a name is not what Patroni's methods, which ours extend, do under it.
    own = [cls for cls in stock.__mro__ if cls.__module__.partition('.')[0] != 'etcd']
    values = {key: value for cls in reversed(own) for key, value in vars(cls).items()}
    words = {word for cls in own for value in vars(cls).values() for word in _words(value)}
    ret = [
        f'{name}.{method}'
        for method in METHODS[name]
        if method not in values
        or isinstance(values[method], property) != (method in PROPERTIES)
        or (method in CALLED and not _accepts(_behind(values[method], method), CALLED[method]))
    ]
    ret += [f'{name}.{it}' for it in ATTRIBUTES[name] if it not in values and it not in words]
    for cls in ours.__mro__[: ours.__mro__.index(stock)]:
        for method, mine in vars(cls).items():
            own_arguments = method == '__init__' and method not in METHODS[name]  # only ours create it
            if not isinstance(mine, FunctionType) or own_arguments:
                continue
            if not _alike(mine, _behind(values.get(method), method)):
                ret.append(f'{name}.{method}')
    return ret


def _behind(value: object, name: str) -> object:
    """Return a method of Patroni without its decorators, which take anything.

    :param name: its name.
    """
    while isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        inner = [it for it in cells if isinstance(it, FunctionType) and it.__name__ == name]
        if not inner:
            break
        value = inner[0]
    return value


def _words(value: object) -> Iterator[str]:
    """Return the names that the code of a method or property uses, with functions inside of it."""
    if isinstance(value, property):
        yield from _words(value.fget)
        yield from _words(value.fset)
    code = value if isinstance(value, CodeType) else getattr(getattr(value, '__func__', value), '__code__', None)
    if code:
        yield from code.co_names
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                yield from _words(constant)


def _alike(mine: Callable[..., object], theirs: object) -> bool:
    """Return whether each of two methods takes what the other takes, as far as that can be seen."""
    if not isinstance(theirs, FunctionType):  # there is none, it is static, or something else that can be called
        return True
    one, other = inspect.signature(mine), inspect.signature(theirs)
    return _takes(one, other) and _takes(other, one)


def _accepts(method: object, count: int) -> bool:
    """Return whether a method can be called with so many arguments, as far as that can be seen."""
    try:
        return not isinstance(method, FunctionType) or bool(inspect.signature(method).bind(*range(1 + count)))
    except TypeError:
        return False


def _takes(one: inspect.Signature, other: inspect.Signature) -> bool:
    """Return whether the arguments of *other*, by position and the optional ones by name, can be given to *one*."""
    parameters = list(other.parameters.values())
    kinds = {it.kind for it in one.parameters.values()}
    if any(it.kind is it.VAR_POSITIONAL for it in parameters):
        return True  # anybody's guess
    named = [it.name for it in parameters if it.kind is it.POSITIONAL_OR_KEYWORD]
    needed = [it.name for it in parameters if it.kind is it.POSITIONAL_OR_KEYWORD and it.default is it.empty]
    optional = [it.name for it in parameters if it.default is not it.empty]
    if inspect.Parameter.VAR_POSITIONAL in kinds:  # passed on as they come, but for the first ones, which are used
        first = [it.name for it in one.parameters.values() if it.kind is it.POSITIONAL_OR_KEYWORD]
        if named[: len(first)] != first:
            return False
    try:
        one.bind(*named)
        one.bind(*needed, **dict.fromkeys(optional))
    except TypeError:
        return False
    return True
