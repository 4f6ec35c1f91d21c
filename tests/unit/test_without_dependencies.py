"""The command in a Python that lacks what it needs: a sentence and status 3, never a traceback."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys

import pytest

#: Runs the command in a Python that does not have the modules which are named first.
_CODE = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in blocked:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

blocked, sys.argv[1:] = sys.argv[1].split(','), sys.argv[2:]
sys.meta_path.insert(0, Blocked())
from patroni_etcd3_compat.check.__main__ import main
main()
"""


def without(modules: str, *args: str) -> tuple[int, str, str]:
    """Run the command in a Python without some modules; return status, output and errors."""
    ended = subprocess.run(
        [sys.executable, '-c', _CODE, modules, *args], capture_output=True, text=True, env=dict(os.environ), timeout=60
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize(
    'modules, text',
    [
        ('patroni', 'patroni is missing in the environment of'),
        ('psycopg,psycopg2', 'so PostgreSQL cannot be asked, and Patroni itself cannot be loaded; to install: '),
        ('yaml', "so Patroni's configuration cannot be read; to install: "),
        ('click', "-m pip install 'click'"),
        ('prettytable', 'so no tables can be printed'),
        ('urllib3', 'so etcd and the REST APIs cannot be asked'),
        ('etcd', "-m pip install 'python-etcd'"),
        ('dateutil', 'dateutil is missing in the environment of'),
        ('patroni,yaml,click,etcd', 'patroni is missing in the environment of'),
        ('patroni,psycopg,psycopg2,click', "-m pip install 'patroni[etcd3]' 'psycopg[binary]'"),
        ('yaml,etcd', 'PyYAML and python-etcd are missing in the environment of'),
    ],
)
def test_what_is_missing(modules: str, text: str) -> None:
    """The sentence says what is missing, what for, and how to install it; Nagios reads it on standard output."""
    for args in (('check', '-c', 'patroni.yml'), ('plan', '--etcd-to', '3.5')):
        status, out, err = without(modules, *args)
        assert (status, out) == (3, '')
        assert err.startswith('patroni-etcd3-compat: ') and text in err and err.count('\n') == 1
    status, line, err = without(modules, 'check', '-f', 'nagios')
    assert (status, err) == (3, '')
    assert line.startswith('PATRONI-ETCD3 UNKNOWN - ') and text in line and line.count('\n') == 1


#: All that the command may find beside it, but for itself.
_EVERYTHING = 'patroni,psycopg,psycopg2,yaml,click,etcd,urllib3,dateutil,dns,prettytable,psutil,h2,ydiff,setuptools'


def test_doctor_needs_nothing() -> None:
    """``doctor``, which says why something is missing elsewhere, runs with none of it: its help, and a Python asked."""
    status, out, err = without(_EVERYTHING, 'doctor', '--help')
    assert (status, err) == (0, '') and out.startswith('Usage: patroni-etcd3-compat doctor [OPTIONS]\n')
    # The Python of these tests has all of it. The one that is asked is a new process, from which nothing is kept.
    me = ('--user', pwd.getpwuid(os.geteuid()).pw_name)
    status, out, err = without(_EVERYTHING, 'doctor', '--python', sys.executable, *me)
    assert (status, err) == (0, '') and out.startswith(f'OK        {sys.executable}: patroni-etcd3-compat ')
    status, out, err = without(_EVERYTHING, 'doctor', '--pid', '1')
    assert (status, out) == (3, '') and err.startswith('patroni-etcd3-compat doctor: no running Patroni is seen')
    status, _, err = without(_EVERYTHING, 'check')
    assert status == 3 and 'patroni and psycopg are missing' in err


def test_nothing_is_missing() -> None:
    """With everything there, the same way leads to the command."""
    status, out, err = without('no_such_module', '--version')
    assert (status, err) == (0, '') and out.startswith('patroni-etcd3-compat ')


def test_what_can_not_be_loaded(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A module that is there but cannot be loaded, such as psycopg without libpq, is told in its own first line."""
    from patroni_etcd3_compat.check import __main__ as script

    class Broken:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == 'patroni_etcd3_compat.check.cli':
                raise ImportError('no pq wrapper available.\nAttempts made: many')

    monkeypatch.delitem(sys.modules, 'patroni_etcd3_compat.check.cli', raising=False)
    monkeypatch.delattr('patroni_etcd3_compat.check.cli', raising=False)
    monkeypatch.setattr(sys, 'meta_path', [Broken(), *sys.meta_path])
    assert script.run(['check']) == 3
    out, err = capsys.readouterr()
    assert (out, err) == (
        '',
        f'patroni-etcd3-compat: {sys.executable} cannot load what this command needs: no pq wrapper available.\n',
    )
