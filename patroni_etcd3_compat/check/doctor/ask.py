"""Runs the probe in the Python of Patroni: as its user, in its folder, with the variables that count."""

from __future__ import annotations

import json
import os
import pwd
import re
import resource
import subprocess
import tempfile
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import IO, Callable, Sequence, TypeVar

from ..processes import is_python, python_file
from . import probe
from .host import Host, looking
from .model import Copy, StartUpFile

#: Seconds
_TIMEOUT = 10

#: The probe prints no more than this, nor does it write anything else, in bytes.
_LIMIT = 1 << 20

#: No file is from later, in seconds since 1970
_YEAR_3000 = 32_503_680_000

#: Options of Python that decide what it loads.
_FLAGS = 'EIOPSs'

#: Variables that decide what Python loads, or whether it starts. The rest is nobody's business.
_VARIABLES = (
    'HOME PATH LD_LIBRARY_PATH LANG LC_ALL PYTHONPATH PYTHONHOME PYTHONNOUSERSITE PYTHONUSERBASE PYTHONSAFEPATH '
    'PYTHONPLATLIBDIR VIRTUAL_ENV PATRONI_ETCD3_COMPAT'
).split()


#: What :func:`read` raises for what is no answer.
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)


class Failed(Exception):
    """The Python of Patroni did not answer; the text says why."""


@dataclass
class Answer:
    """What the probe says, see there."""

    version: str = ''
    executable: str = ''
    prefix: str = ''
    no_site: bool = False
    user_site: str | None = None
    no_user_site: bool = False
    user_site_on: bool = False
    home: str = ''
    switch: str | None = None
    started_up: bool = False
    hooked: bool = False
    copies: list[Copy] = field(default_factory=list)
    start_up_files: list[StartUpFile] = field(default_factory=list)
    venv: bool = False
    made_by: str | None = None
    pip: bool = False
    managed: bool = False
    system: str = ''
    patroni: str | None = None
    patroni_path: str | None = None
    patroni_changed: float | None = None
    serves: str | None = None
    error: str | None = None
    patched: str | None = None
    log: list[dict[str, str]] = field(default_factory=list)
    #: what Python printed about the start-up file, which it could not run
    start_up_error: str | None = None


def ask(host: Host) -> Answer:
    """Ask the Python of a process.

    :raises Failed: if it does not answer.
    """
    assert host.environ is not None
    process = host.process
    with looking(host):
        python = python_file(process, host.environ.get('PATH')) or process.called
    flags = ''.join(sorted({flag for flag in process.flags if flag in _FLAGS}))
    variables = {name: value for name, value in host.environ.items() if name in _VARIABLES}
    # With another name (exec -a), Python looks by that name for the virtual environment that it is in.
    called = python if is_python(process.called) else process.called
    try:
        return _ask(python, flags, [process.script or ''], variables, _become(host), called)
    except FileNotFoundError as e:
        raise Failed(f'{python} is not there any more') from e


def ask_python(python: str, user: pwd.struct_passwd | None) -> Answer:
    """Ask a Python that does not run Patroni now.

    :param user: who Patroni is going to run as, ``None`` for who this is.

    :raises Failed: if it does not answer.
    """
    variables = {name: os.environ[name] for name in ('HOME', 'PATH', 'LANG', 'LC_ALL') if name in os.environ}
    become = None
    if user:
        variables['HOME'] = user.pw_dir
        groups = os.getgrouplist(user.pw_name, user.pw_gid)
        become = _changing(user.pw_uid, user.pw_gid, groups)
    try:
        return _ask(python, '', [], variables, become)
    except FileNotFoundError as e:
        raise Failed(f'there is no {python}') from e


def _become(host: Host) -> Callable[[], None]:
    """Return what makes the child a process like that of Patroni; subprocess can do it from Python 3.9 on only.

    :param host: not to be asked by root if its user is unknown.
    """
    become = None
    if os.geteuid() == 0:
        assert host.uid is not None and host.gid is not None
        become = _changing(host.uid, host.gid, host.groups)

    def change() -> None:
        if become:
            become()
        try:
            os.chdir(host.process.folder / 'cwd')
        except OSError:  # it was removed
            os.chdir('/')

    return change


def _changing(uid: int, gid: int, groups: Sequence[int]) -> Callable[[], None]:
    def change() -> None:
        os.setgroups(groups)
        os.setgid(gid)
        os.setuid(uid)

    return change


def _ask(
    python: str,
    flags: str,
    script: Sequence[str],
    variables: dict[str, str],
    change: Callable[[], None] | None,
    called: str | None = None,
) -> Answer:
    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (_LIMIT, _LIMIT))
        if change:
            change()

    code = Path(probe.__file__).read_text(encoding='utf-8')
    argv = [called or python, *(['-' + flags] if flags else []), '-B', '-c', code, *script]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            ended = subprocess.run(
                argv,
                executable=python,
                env={**variables, 'PYTHONDONTWRITEBYTECODE': '1', 'PYTHONIOENCODING': 'utf-8:backslashreplace'},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                timeout=_TIMEOUT,
                start_new_session=True,
                preexec_fn=prepare,
            )
        except FileNotFoundError:
            raise
        except OSError as e:
            raise Failed(f'{python} cannot be run: {e.strerror}') from e
        except subprocess.SubprocessError as e:
            slow = isinstance(e, subprocess.TimeoutExpired)
            raise Failed(
                f'{python} has not answered after {_TIMEOUT} s' if slow else f'{python} cannot be run as its user'
            ) from e
        said, complaints = (_content(stream) for stream in (output, errors))
    found = [line for line in said.splitlines() if line.startswith(probe.MARK)]
    if not found:
        last = next((line for line in reversed(complaints.splitlines()) if line.strip()), '')
        raise Failed(f'{python} ended with status {ended.returncode}{": " + last if last else ""}')
    try:
        answer = read(json.loads(found[-1][len(probe.MARK) :]))
    except UNREADABLE as e:
        raise Failed(f'the answer of {python} cannot be read') from e
    answer.start_up_error = _start_up_error(complaints)
    return answer


def _content(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read(_LIMIT).decode('utf-8', 'backslashreplace')


def read(found: object) -> Answer:
    """Return an answer from its JSON. It comes from a process of another user, who may have written anything.

    :raises: one of :data:`UNREADABLE` if it is not what the probe prints.
    """
    if not isinstance(found, dict) or set(found) | {'start_up_error'} != {it.name for it in fields(Answer)}:
        raise TypeError('fields')
    answer, usual = Answer(**found), Answer()
    for name, value in found.items():
        wanted = type(getattr(usual, name))
        if name == 'patroni_changed':
            _check_time(value)
        elif not isinstance(value, (str, type(None)) if wanted is type(None) else wanted):
            raise TypeError(name)
    if answer.serves not in (None, 'package', 'patch', 'stock') or not re.fullmatch(
        '[0-9]{1,9}([.][0-9]{1,9})*', answer.version
    ):
        raise ValueError('serves or version')
    answer.copies = [_record(Copy, value) for value in found['copies']]
    answer.start_up_files = [_record(StartUpFile, value) for value in found['start_up_files']]
    answer.log = [{'level': str(line['level']), 'text': str(line['text'])} for line in answer.log]
    return answer


_Record = TypeVar('_Record')


def _record(cls: type[_Record], value: dict[str, object]) -> _Record:
    for name, entry in value.items():
        good = {'readable': bool, 'importable': bool, 'path': str}
        if name == 'changed':
            _check_time(entry)
        elif not isinstance(entry, good.get(name, (str, type(None)))):
            raise TypeError(name)
    return cls(**value)


def _check_time(value: object) -> None:
    """Raise a ValueError if it is neither ``None`` nor seconds since 1970."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < _YEAR_3000:
        raise ValueError('time')


def _start_up_error(complaints: str) -> str | None:
    """Return why Python could not run the start-up file, from what it prints then."""
    _, found, rest = complaints.partition(probe.PACKAGE + '.')
    if not found or 'rror' not in complaints:
        return None
    lines = [line.strip() for line in rest.splitlines() if line.strip() and not line.startswith('Remainder of file')]
    return next((line for line in lines if line.partition(':')[0].endswith('Error')), None)
