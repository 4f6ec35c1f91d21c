"""The command that brings this package to a Python, which depends on who made its environment."""

from __future__ import annotations

import os
import shlex

from .ask import Answer

NAME = 'patroni-etcd3-compat'

#: Package of Debian and Ubuntu, and of Fedora and its kin, as this project builds them.
DEB, RPM = 'python3-patroni-etcd3-compat', NAME


def install(answer: Answer, again: bool = False) -> str:
    """Return the command.

    :param again: it is there already, and something of it is missing.
    """
    python, more = shlex.quote(answer.executable), ' --force-reinstall' * again
    if answer.made_by == 'pipx':
        return f'pipx inject{" --force" * again} {shlex.quote(os.path.basename(answer.prefix))} {NAME}'
    if answer.made_by == 'uv tool':
        return f'uv tool install{" --reinstall" * again} --with {NAME} {shlex.quote(os.path.basename(answer.prefix))}'
    if answer.venv and not answer.pip:
        return f'uv pip install --python {python}{" --reinstall" * again} {NAME}'
    if answer.managed or '/dist-packages/' in (answer.patroni_path or '') + '/':
        return package(answer, again)
    return f'{python} -m pip install{more}{" --no-deps" * again} {NAME}'


def package(answer: Answer, again: bool = False) -> str:
    """Return the same for the distribution's own Python, which pip must not change."""
    systems = answer.system.split()
    if 'debian' in systems:
        return f'apt install{" --reinstall" * again} ./{DEB}_*_all.deb'
    if {'fedora', 'rhel', 'centos'} & set(systems):
        return f'dnf {"reinstall" if again else "install"} ./{RPM}-*.noarch.rpm'
    return f'{shlex.quote(answer.executable)} -m pip install --break-system-packages {NAME}'


def readable(path: str) -> str:
    """Return the command that lets everybody read something."""
    return f'chmod -R a+rX {shlex.quote(path)}'


def restart(unit: str | None) -> str:
    """Return what restarts Patroni."""
    return f'restart Patroni (systemctl restart {shlex.quote(unit)})' if unit else 'restart Patroni'
