"""What the answer of a Python means: what serves, why not, and what to do. No I/O.

Each function yields reasons; those that stop this package are critical.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Iterator

from ...plugin import OFF
from .ask import Answer
from .host import Host
from .model import STATUS, Diagnosis, Reason, worst
from .remedies import NAME, install, readable, restart

#: The oldest Python for this package.
_OLDEST = (3, 8)

#: Seconds by which the clocks of files and of processes may be apart.
_CLOCKS = 0.05


@dataclass
class Here:
    """What the command itself has seen on this host, for a package that is in the wrong place."""

    #: the Python of the command, and the package in its environment
    python: str = ''
    package: str = ''
    #: copies that users have installed for themselves, in their homes, for the release of Patroni's Python
    in_homes: list[str] = field(default_factory=list)


def diagnose(host: Host | None, answer: Answer, here: Here) -> Diagnosis:
    """Return what an answer means.

    :param host: the process, ``None`` for a Python that was named.
    """
    found = describe(host) if host else Diagnosis()
    found.python, found.python_version = answer.executable, answer.version
    found.patroni, found.patroni_path, found.serves = answer.patroni, answer.patroni_path, answer.serves
    found.copies, found.start_up_files = answer.copies, answer.start_up_files
    unit = host.unit if host else None
    if answer.serves == 'package':
        found.compat = next((copy.version for copy in answer.copies), None)
    elif answer.serves == 'patch':
        found.compat = answer.patched
    if answer.serves in ('package', 'patch'):
        return concluded(found, [*_serving(answer), *_since(host, answer)])
    reasons = [*_not_served(answer, here, unit)]
    return concluded(found, reasons)


def describe(host: Host) -> Diagnosis:
    """Return what the process itself tells."""
    return Diagnosis(
        pid=host.process.pid,
        user=host.user,
        config=host.process.config,
        started=host.started,
        unit=host.unit,
        container=host.container,
        python=None if host.process.frozen else host.process.called,
    )


def concluded(found: Diagnosis, reasons: list[Reason]) -> Diagnosis:
    """Add the reasons, the worst first, and the exit status."""
    found.reasons = sorted(reasons, key=lambda it: ['critical', 'unknown', 'warning', 'info'].index(it.severity))
    found.exit_status = worst([STATUS[reason.severity] for reason in reasons] or [STATUS['info']])
    return found


def frozen(host: Host) -> Diagnosis:
    """Return what there is to say about a program with a Python of its own in it."""
    return concluded(
        describe(host),
        [
            Reason(
                'frozen',
                'critical',
                f'{host.process.called} is a program with Python in it (as PyInstaller makes them), which reads no '
                f'start-up file: what is installed on this host has no effect on it',
                f'build it from a patched Patroni (patches/README.md of {NAME}), or run Patroni in a virtual '
                'environment',
            )
        ],
    )


def hidden(host: Host) -> Diagnosis:
    """Return the same about a process of another user, or in a container.

    What is in a container was not installed by whoever rules this host, so nothing of it is run outside.
    """
    if host.container:
        seen = 'it runs in a container, or with mounts of its own'
        where = f'in the container (docker exec, podman exec, kubectl exec, nsenter -m -t {host.process.pid})'
    else:
        user = host.user or 'another user'
        seen, where = f'it is a process of {user}, and this user cannot look at it', f'as root or {user}'
    return concluded(describe(host), [Reason('hidden', 'unknown', seen, f'run patroni-etcd3-compat doctor {where}')])


def failed(host: Host | None, why: str, python: str | None = None) -> Diagnosis:
    """Return the same about a Python that does not answer."""
    found = describe(host) if host else Diagnosis(python=python)
    remedy = 'name the Python of Patroni with --python'
    if host and host.user:
        remedy += f', or run this as {host.user}'
    return concluded(found, [Reason('no-answer', 'unknown', why, remedy)])


def _serving(answer: Answer) -> Iterator[Reason]:
    if answer.serves == 'patch' and answer.hooked:
        yield Reason('patched', 'info', 'this Patroni is patched, so the installed package stands back', '')
    for line in answer.log:
        if line['level'] in ('WARNING', 'ERROR', 'CRITICAL'):
            untried = 'was not tested with' in line['text']
            yield Reason(
                'untried' if untried else 'logged',
                'warning',
                line['text'],
                'see docs/tested.md' if untried else 'see the log of Patroni, which says the same when it is started',
            )
    others = [copy for copy in answer.copies if copy.importable][1:]
    if others and answer.serves == 'package':
        first = answer.copies[0]
        text = ', '.join(f'{copy.path} ({copy.version or "version unknown"})' for copy in others)
        yield Reason(
            'second-copy',
            'warning',
            f'{first.path} ({first.version or "version unknown"}) counts, it hides {text}',
            'uninstall one of them',
        )


def _since(host: Host | None, answer: Answer) -> Iterator[Reason]:
    """Find what the running process cannot have loaded, because it is older."""
    if not host or host.started is None:
        return
    times = {'Patroni': answer.patroni_changed or 0}
    if answer.serves == 'package':
        changes = [copy.changed for copy in answer.copies[:1]] + [file.changed for file in answer.start_up_files]
        times[NAME] = max((changed or 0 for changed in changes), default=0)
    for name, changed in times.items():
        if changed > host.started + _CLOCKS:
            yield Reason(
                'restart',
                'warning',
                f'{name} was installed at {_utc(changed)}, after Patroni was started at {_utc(host.started)}: the '
                'running process does not have it',
                restart(host.unit),
            )
    if host.replaced:
        yield Reason('python-replaced', 'warning', 'its Python was replaced while it runs', restart(host.unit))


def _utc(time: float) -> str:
    return f'{datetime.fromtimestamp(time, timezone.utc):%Y-%m-%d %H:%M:%S} UTC'


def _not_served(answer: Answer, here: Here, unit: str | None) -> Iterator[Reason]:
    then = '; then ' + restart(unit)
    if answer.patroni_path is None:
        yield Reason(
            'no-patroni',
            'unknown',
            f'there is no Patroni in {answer.executable}',
            'name the Python of Patroni with --python: it is in the first line of its script (head -1 "$(command -v '
            'patroni)")',
        )
        return
    if answer.error:
        yield Reason(
            'stock-broken',
            'critical',
            f"Patroni's own class for etcd3 cannot be loaded, so none can: {answer.error}",
            f"{shlex.quote(answer.executable)} -m pip install 'patroni[etcd3]=={answer.patroni}'"
            if answer.venv and answer.pip
            else 'install what is missing',
        )
    known = [*_switched_off(answer, then), *_not_there(answer, here, then), *_not_loaded(answer, then)]
    yield from known
    if not known and not answer.error:
        yield Reason(
            'unexplained',
            'critical',
            f'{NAME} is installed and does not serve, and it is not known why',
            'search the log of Patroni for "patroni-etcd3-compat"',
        )


def _switched_off(answer: Answer, then: str) -> Iterator[Reason]:
    if (answer.switch or '').strip().lower() in OFF:
        yield Reason(
            'switched-off',
            'critical',
            f'PATRONI_ETCD3_COMPAT={answer.switch} in the environment of Patroni switches the package off',
            'remove that variable (unit, its EnvironmentFile, or container)' + then,
        )
    if answer.no_site:
        yield Reason(
            'no-site',
            'critical',
            'Python is started with -S, so that it reads no start-up file',
            'start it without -S' + then,
        )
    if tuple(int(part) for part in answer.version.split('.')[:2] if part.isdigit()) < _OLDEST:
        yield Reason(
            'python-too-old',
            'critical',
            f'{NAME} needs Python 3.8 or newer, this is {answer.version}',
            'run Patroni in a newer Python',
        )


def _not_there(answer: Answer, here: Here, then: str) -> Iterator[Reason]:
    copies = [copy for copy in answer.copies if copy.importable]
    if not copies:
        apart = [copy.path for copy in answer.copies] or here.in_homes
        if answer.start_up_files:
            path = answer.start_up_files[0].path
            seen = f'the start-up file {path} is there, and the package is not'
            yield Reason('incomplete', 'critical', seen, install(answer, True) + then)
        elif apart:
            why = 'the Python of a virtual environment does not look there'
            if answer.user_site_on:
                why = f'Patroni has HOME={answer.home}, so its Python does not look there'
            elif answer.no_user_site:
                why = 'Python does not look there with -s, -I or PYTHONNOUSERSITE, as Patroni is started'
            seen = f'it is installed with --user, in {apart[0]}: {why}'
            yield Reason('user-site', 'critical', seen, install(answer) + then)
        else:
            seen = f'{NAME} is not installed in {answer.executable}'
            if here.package:
                seen += f'; the one in {here.package} belongs to {here.python}'
            yield Reason('not-installed', 'critical', seen, install(answer) + then)
        return
    if copies[0].unreadable:
        yield _unreadable(copies[0].unreadable, copies[0].path, then)
    unreadable = [file for file in answer.start_up_files if not file.readable]
    for file in unreadable[:1]:
        yield _unreadable(file.path, file.path, then)
    if not answer.start_up_files and not answer.no_site:
        yield Reason(
            'no-start-up-file',
            'critical',
            f'the package is in {copies[0].path}, and its start-up file patroni_etcd3_compat.pth is in no folder where '
            'this Python reads such files: a source tree, PYTHONPATH, pip install --target, or an old setuptools',
            install(answer, True) + then,
        )


def _unreadable(path: str, tree: str, then: str) -> Reason:
    seen = f'the user of Patroni cannot read {path} (it was installed with a umask such as 077)'
    return Reason('unreadable', 'critical', seen, readable(tree) + then)


def _not_loaded(answer: Answer, then: str) -> Iterator[Reason]:
    readable_copy = any(copy.importable and not copy.unreadable for copy in answer.copies)
    if answer.start_up_error and readable_copy:
        seen = f'Python cannot run the start-up file: {answer.start_up_error}'
        yield Reason('broken', 'critical', seen, install(answer, True) + then)
    for line in answer.log:
        if 'stands back' in line['text']:
            yield Reason(
                'stands-back',
                'critical',
                line['text'],
                f'run a release of Patroni that it is for (Patroni {answer.patroni} is here, see docs/tested.md)',
            )
        elif line['level'] in ('WARNING', 'ERROR', 'CRITICAL'):
            yield Reason('broken', 'critical', line['text'], install(answer, True) + then)
