"""Resources that several test runs on one machine share: free ports, downloads and builds."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab import ROOT, cache, golang, packages
from lab.member import release
from lab.ports import free_port
from lab.processes import LabError

PORTS = (
    'from lab.ports import free_port; import time; print(*(free_port() for _ in range(200)), flush=True); '
    'time.sleep(60)'
)


def test_no_port_is_given_to_two_processes() -> None:
    """Four processes that pick 200 ports each at the same time, out of one range, get different ones."""
    processes = [
        subprocess.Popen([sys.executable, '-c', PORTS], cwd=str(ROOT), stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    try:
        given = [port for process in processes if process.stdout for port in process.stdout.readline().split()]
        given += [str(free_port()) for _ in range(200)]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert len(given) == 1000 == len(set(given))


def test_the_second_process_waits_for_what_the_first_one_makes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A lock holds across processes, and a process that waits says so."""
    code = 'import time; from lab.cache import locked\nwith locked("x"): print(flush=True); time.sleep(0.5)'
    monkeypatch.setenv('LAB_CACHE', str(tmp_path))
    monkeypatch.setattr(cache, 'CACHE', tmp_path)
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, '-c', code], cwd=str(ROOT), stdout=subprocess.PIPE)
    try:
        assert process.stdout and process.stdout.readline()
        with cache.locked('x'):
            assert time.monotonic() - started >= 0.5
    finally:
        process.kill()
        process.communicate()
    assert 'waiting for another process that works on x' in capfd.readouterr().err


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Provide etcd 3.3.25 and 3.5.30 and a Go that can build the rest; return what it was asked to build."""
    asked: list[str] = []

    def build(version: str, folder: Path) -> Path:
        asked.append(version)
        (folder / 'etcd').write_text(f'#!/bin/sh\necho "etcd Version: {version}"\n')
        (folder / 'etcd').chmod(0o755)
        return folder / 'etcd'

    monkeypatch.setattr(packages, 'CACHE', tmp_path)
    monkeypatch.setattr(cache, 'CACHE', tmp_path)
    monkeypatch.setattr(packages, '_fetched_etcd', lambda: {'3.3.25': tmp_path / 'a', '3.5.30': tmp_path / 'b'})
    monkeypatch.setattr(packages, '_found_etcd', dict)
    monkeypatch.setattr(golang, 'at_hand', lambda: True)
    monkeypatch.setattr(golang, 'build_etcd', build)
    return asked


def test_etcd_is_built_when_it_is_asked_for(built: list[str]) -> None:
    """A version is built only when it is asked for, not to list what exists, nor for a line that cannot be used."""
    newest = golang.ETCD_VERSIONS[0]
    assert packages.etcd_versions() == ['3.3.25', '3.5.30', *golang.ETCD_VERSIONS]
    assert packages.missing() == ['3.2', '3.4'] and list(packages.etcd_binaries()) == ['3.3.25', '3.5.30']
    assert packages.etcd_version('3.5') == '3.5.30' and release('3.2').real_version == '3.3.25'
    assert release('3.6', beside=['3.3.25']).real_version == '3.5.30'
    assert built == []
    for _ in range(2):
        assert packages.etcd_version('3.6') == newest
    assert built == [newest]
    assert list(packages.etcd_binaries()) == ['3.3.25', '3.5.30', newest]


def test_a_build_that_failed_is_not_tried_again_at_once(built: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed build, its substitute is used in this process and in others."""

    def fail(version: str, folder: Path) -> Path:
        built.append(version)
        raise LabError('no network')

    monkeypatch.setattr(golang, 'build_etcd', fail)
    for _ in range(2):
        assert release('3.6').real_version == '3.5.30'
    assert built == [golang.ETCD_VERSIONS[0]]
    assert packages.missing() == ['3.2', '3.4', '3.6']
