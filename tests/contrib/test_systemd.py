"""The systemd units: as systemd itself reads them, and the command that they run."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from lab.patroni import PatroniCluster
from tests.check.command import program as command
from tests.contrib.conftest import CONTRIB, OWN, unit_command

UNITS = CONTRIB / 'systemd'
NAME = 'patroni-etcd3-compat-check@'


@pytest.fixture
def analyze(tmp_path: Path) -> list[str]:
    """``systemd-analyze``, if it is installed; it is part of a running system, so no other one is fetched."""
    found = shutil.which('systemd-analyze')
    if not found:
        pytest.skip('systemd is not installed')
    for unit in UNITS.iterdir():
        shutil.copy(str(unit), str(tmp_path))
    service = tmp_path / f'{NAME}.service'
    text = service.read_text()
    assert f'ExecStart={Path(OWN).name} ' in text
    service.write_text(text.replace(f'ExecStart={Path(OWN).name} ', f'ExecStart={OWN} '))
    return [found]


def verify(analyze: list[str], folder: Path) -> str:
    """Return what systemd has to say about the units; it ends with status 0 even where it ignores something."""
    units = [str(folder / f'{NAME}15-main.{kind}') for kind in ('service', 'timer')]
    done = subprocess.run(
        [*analyze, 'verify', '--man=no', *units],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    # Only what is about these units: verify reads those of the machine as well.
    complaints = [line for line in done.stdout.splitlines() if NAME in line]
    return '\n'.join(complaints) or (done.stdout if done.returncode else '')


def test_verify(analyze: list[str], tmp_path: Path) -> None:
    """systemd knows all settings, and complains about one that it does not know."""
    assert verify(analyze, tmp_path) == ''
    service = tmp_path / f'{NAME}.service'
    service.write_text(service.read_text().replace('NoNewPrivileges', 'NoMorePrivileges'))
    assert 'NoMorePrivileges' in verify(analyze, tmp_path)


def test_security(analyze: list[str], tmp_path: Path) -> None:
    """What systemd counts as the exposure of the service stays in its class OK (below 3 of 10)."""
    done = subprocess.run(
        [*analyze, 'security', '--offline=true', '--threshold=30', '--no-pager', str(tmp_path / f'{NAME}.service')],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    if 'offline' in done.stdout:  # an option of systemd 250
        pytest.skip('systemd is older than 250: ' + done.stdout)
    assert done.returncode == 0 and re.search(r'exposure level for \S+: [0-9.]+ OK', done.stdout), done.stdout


def test_statuses() -> None:
    """No status that the check ends with is a failure of the service, and it cannot hang for ever."""
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore
    unit.read(str(UNITS / f'{NAME}.service'))
    service = unit['Service']
    assert service['SuccessExitStatus'].split() == ['1', '2', '3'] and service['Type'] == 'oneshot'
    assert int(service['TimeoutStartSec']) <= 60
    assert f'{service["StateDirectory"]}/%i.prom' in service['ExecStart']


def test_command(cluster: PatroniCluster, tmp_path: Path) -> None:
    """The command line of the service, with options, writes a file that everyone may read."""
    folder = tmp_path / 'patroni-etcd3-compat'
    folder.mkdir()
    argv = unit_command(cluster.nodes[0].config_file.parent, tmp_path, '--wal 1MB --only patroni-wal-limit')
    done = subprocess.run(argv, env=command()[1], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    assert (done.returncode, done.stdout) == (1, b'')
    assert os.listdir(str(folder)) == ['patroni.prom']
    assert stat.S_IMODE((folder / 'patroni.prom').stat().st_mode) == 0o644
    text = (folder / 'patroni.prom').read_text()
    assert set(re.findall(r'check_finding{.*id="([^"]+)"', text)) == {'patroni-wal-limit'}
