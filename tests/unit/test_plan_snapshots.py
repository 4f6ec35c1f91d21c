"""The gates of a snapshot, run with programs that behave as the releases of etcdctl and etcdutl do."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from patroni_etcd3_compat.check.plan.snapshots import gates

#: What etcdctl 3.6.16 prints for "snapshot status", whatever the file; it ends with 0.
_HELP = """NAME:
  snapshot - Manages etcd node snapshots

USAGE:
  etcdctl snapshot <subcommand> [flags]
"""

#: What the releases that know it print of a file that is there.
_TABLE = """+----------+----------+------------+------------+
|   HASH   | REVISION | TOTAL KEYS | TOTAL SIZE |
+----------+----------+------------+------------+
| 418f28e9 |        2 |          7 |      29 kB |
+----------+----------+------------+------------+
"""


def passed(folder: Path, programs: dict[str, str]) -> list[bool]:
    """Which of the gates pass with these programs, by name with what they print."""
    for name, text in programs.items():
        program = folder / name
        program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{text}EOF\n")
        program.chmod(0o755)
    environ = dict(os.environ, PATH=f'{folder}{os.pathsep}{os.environ["PATH"]}', BACKUP=str(folder))
    if not {'etcdctl', 'etcdutl'} <= programs.keys():  # not those of this machine
        for name in {'etcdctl', 'etcdutl'} - programs.keys():
            (folder / name).write_text('#!/bin/sh\nexit 127\n')
            (folder / name).chmod(0o755)
    return [
        subprocess.run(
            ['sh', '-c', gate.command], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ).returncode
        == 0
        for gate in gates('3.6')
    ]


def snapshot(folder: Path) -> bytes:
    """Write one as etcd does: data, then its SHA-256."""
    data = os.urandom(20000)
    whole = data + hashlib.sha256(data).digest()
    (folder / 'etcd-before-3.6.db').write_bytes(whole)
    return whole


@pytest.mark.parametrize(
    'programs, readable',
    [
        ({'etcdctl': _TABLE}, True),
        ({'etcdctl': _HELP, 'etcdutl': _TABLE}, True),
        ({'etcdctl': _HELP}, False),
        ({}, False),
    ],
)
def test_complete(tmp_path: Path, programs: dict[str, str], readable: bool) -> None:
    """A snapshot passes if one of the programs can read it; a help text with status 0 does not count."""
    snapshot(tmp_path)
    assert passed(tmp_path, programs) == [True, readable]


@pytest.mark.parametrize('left', [None, 0, 31, 32, 8192, 20000, 20031])
def test_truncated_or_missing(tmp_path: Path, left: int | None) -> None:
    """It does not pass, whatever the programs say."""
    whole = snapshot(tmp_path)
    file = tmp_path / 'etcd-before-3.6.db'
    if left is None:
        file.unlink()
    else:
        file.write_bytes(whole[:left])
    assert not passed(tmp_path, {'etcdctl': _TABLE, 'etcdutl': _TABLE})[0]


def test_damaged(tmp_path: Path) -> None:
    """One changed byte is enough."""
    whole = bytearray(snapshot(tmp_path))
    whole[1000] ^= 1
    (tmp_path / 'etcd-before-3.6.db').write_bytes(whole)
    assert not passed(tmp_path, {'etcdctl': _TABLE})[0]
