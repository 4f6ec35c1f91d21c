"""The monitoring systems themselves, from Debian's packages, and a real cluster for them to look at."""

from __future__ import annotations

import functools
import grp
import os
import pwd
import re
import shlex
import sys
from pathlib import Path
from typing import Callable, Iterator

import pytest

from lab import ROOT
from lab.environments import environment
from lab.etcd import EtcdCluster
from lab.node import unprivileged_user
from lab.patroni import PatroniCluster
from lab.processes import LabError
from lab.programs import archive_fault, fetched

CONTRIB = ROOT / 'contrib'

#: The command of this Python, and where the files in contrib/ expect it.
OWN, EXPECTED = str(Path(sys.executable).parent / 'patroni-etcd3-compat'), '/usr/local/bin/patroni-etcd3-compat'


@functools.lru_cache(None)
def _fault() -> str | None:
    return archive_fault()


@pytest.fixture(scope='session')
def program() -> Callable[..., Path]:
    """Fetch a program, see `lab.programs.fetched`; the test is left out only if the archive cannot be reached."""

    def fetch(name: str, package: str = '', path: str = '', alone: bool = True) -> Path:
        try:
            return fetched(name, package, path, alone)
        except LabError as e:
            fault = _fault()
            if fault is None:
                raise
            pytest.skip(f"{package or name}: the distribution's archive cannot be reached: {fault} ({e})")

    return fetch


@pytest.fixture(scope='session')
def cluster() -> Iterator[PatroniCluster]:
    """Two members of Patroni on three of etcd. Whoever stops a member starts it again."""
    newest = environment().for_user(unprivileged_user())
    with EtcdCluster(['3.5'] * 3) as etcd, PatroniCluster(newest, etcd) as patroni:
        yield patroni


def copy(source: Path, folder: Path) -> Path:
    """Copy a file of contrib/ that names the command, with this Python's in its place."""
    text = source.read_text()
    assert EXPECTED in text
    target = folder / source.name
    target.write_text(text.replace(EXPECTED, OWN))
    return target


def own_user() -> tuple[str, str]:
    """Return the names of this user and its group, which daemons are told to stay."""
    return pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name


def unit_command(folder: Path, state: Path, options: str = '') -> list[str]:
    """Return the command line of the systemd service, with this Python's command.

    :param folder: where the configurations are, in place of /etc/patroni; that of instance ``patroni`` is used.
    :param state: the folder in place of /var/lib.
    :param options: ``$OPTIONS``.
    """
    text = (CONTRIB / 'systemd' / 'patroni-etcd3-compat-check@.service').read_text()
    (line,) = re.findall('^ExecStart=(.*)', text, re.M)
    for old, new in (('/etc/patroni', str(folder)), ('%S', str(state)), ('%i', 'patroni'), ('$OPTIONS', options)):
        assert old in line
        line = line.replace(old, new)
    command, *arguments = shlex.split(line)
    assert command == Path(OWN).name
    return [OWN, *arguments]
