"""The command as an operator runs it, and its output without what differs from run to run."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Mapping, NamedTuple

from lab.environments import clean_environ
from lab.etcd import EtcdCluster
from lab.patroni import PatroniCluster

#: Expected output, one file for each case; ``EXPECTED=write`` in the environment rewrites the files.
EXPECTED = Path(__file__).resolve().parent / 'expected'

#: Columns of tables whose values differ from run to run.
_VARYING = {
    'Raft',
    'Size',
    'Term',
    'Index',
    'Time',
    'Lag',
    'pg_wal',
    'Position',
    'Later',
    'Retained',
    'xmin',
    'TL',
    'PostgreSQL',
}

_PATTERNS = (
    (r'leader etcd\d', 'leader etcdN'),
    (r'\n? {2,}\d{4}-\d\d-\d\d [0-9:]{8} UTC, [^ ,]+, [0-9.]+ s,', '  TIME,'),
    (r'(?m)^.*(serves|Patroni|unknown) here.*', lambda match: re.sub(r'\d+\.[0-9.]+', 'X.Y.Z', match.group())),
    (r'which runs in [^ ,]+', 'which runs in PYTHON'),
    (r'/\S+/test_\w+\d+/', 'FOLDER/'),
    (r'\b[0-9a-f]{9,16}\b', 'ID'),
    (r'\b\d+(\.\d+)? (bytes|kB|MB|GB)\b', '# MB'),
    (r'\b\d+(\.\d+)? (ms|s)\b', r'# \2'),
    (r'\b[0-9A-F]{1,8}/[0-9A-F]{6,8}\b', '#/#'),
)


class Ended(NamedTuple):
    """The result of a command."""

    status: int
    out: str
    err: str
    #: seconds it took
    seconds: float


def program(*args: str, **env: str) -> tuple[list[str], dict[str, str]]:
    """Return the command line for the ``patroni-etcd3-compat`` that is installed beside this Python.

    :param env: environment variables.
    :returns: the command line and the whole environment.
    """
    return [str(Path(sys.executable).parent / 'patroni-etcd3-compat'), *args], dict(
        clean_environ(), LC_ALL='C.UTF-8', **_python_path(), **env
    )


def run(*args: str, **env: str) -> Ended:
    """Run it to its end, see `program`."""
    argv, environ = program(*args, **env)
    started = time.monotonic()
    done = subprocess.run(argv, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - started)


def _python_path() -> dict[str, str]:
    """Return what the tests were told to test, if it is not the installed wheel."""
    return {name: os.environ[name] for name in ('PYTHONPATH',) if name in os.environ}


def etcd_names(cluster: EtcdCluster) -> dict[str, str]:
    """Return names for the ports and versions of a cluster: ``127.0.0.1:etcd0``, ``3.5.Z``."""
    names = {}
    for member in cluster.members:
        names[member.url.partition('//')[2]] = '127.0.0.1:' + member.name
        names[member.version] = member.version.rpartition('.')[0] + '.Z'
    return names


def patroni_names(cluster: PatroniCluster) -> dict[str, str]:
    """Return names for the ports of the nodes: ``127.0.0.1:node1`` (PostgreSQL), ``127.0.0.1:rest1`` (REST API)."""
    names = {}
    for node in cluster.nodes:
        names[f'127.0.0.1:{node.port}'] = '127.0.0.1:' + node.name
        names[f'port {node.port}'] = 'port ' + node.name
        names[f'127.0.0.1:{node.rest_port}'] = '127.0.0.1:' + node.name.replace('node', 'rest')
    return names


def _row(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip('|').split('|')]


def _cell(title: str, cell: str) -> str:
    if cell in ('extended', 'unreserved'):  # as 'reserved', until the next checkpoint
        return 'reserved'
    return '#' if title in _VARYING and cell != '-' else cell


def normalise(text: str, names: Mapping[str, str]) -> str:
    """Remove from the output for people what differs from run to run.

    :param names: texts to be replaced, and what by.
    """
    for old, new in names.items():
        text = re.sub(rf'(?<![0-9.]){re.escape(old)}(?![0-9])', new, text)
    lines, titles = [], None
    for line in text.splitlines():
        if line.startswith('|'):
            cells = _row(line)
            if titles is None:
                titles = cells
            else:
                cells = [_cell(title, cell) for title, cell in zip(titles, cells)]
            line = f'| {" | ".join(cells)} |'
        elif line.startswith('+-'):
            continue
        else:
            titles = None
        lines.append(line)
    text = '\n'.join(lines) + '\n'
    for pattern, replacement in _PATTERNS:
        text = re.sub(pattern, replacement, text)
    return text


def compare(case: str, ended: Ended, names: Mapping[str, str]) -> None:
    """Compare output and exit status with the file of that case.

    :param names: as for `normalise`.
    """
    assert ended.err == ''
    found = normalise(ended.out, names) + f'exit status {ended.status}\n'
    path = EXPECTED / (case + '.txt')
    if os.environ.get('EXPECTED') == 'write':
        path.parent.mkdir(exist_ok=True)
        path.write_text(found)
    expected = path.read_text()
    assert found == expected, '\n'.join(
        difflib.unified_diff(expected.splitlines(), found.splitlines(), path.name, 'found', lineterm='')
    )
