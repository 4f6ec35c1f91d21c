"""The patched tree can be built: a source distribution, and a wheel from it."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

from lab.environments import Environment, clean_environ
from tools.patching import EDITS, modules, unpack


def test_wheel_of_the_source_distribution(release: str, patched: Environment, tmp_path: Path) -> None:
    """The wheel contains our modules unchanged, and Patroni's with the edits."""
    tree = unpack(release, tmp_path)
    for command in (
        ['setup.py', '-q', 'sdist', '--dist-dir', str(tmp_path)],
        [
            '-m',
            'pip',
            'wheel',
            '-q',
            '--no-deps',
            '--no-build-isolation',
            '--wheel-dir',
            str(tmp_path),
            str(tmp_path / tree.name) + '.tar.gz',
        ],
    ):
        done = subprocess.run(
            [str(patched.python), *command],
            cwd=str(tree),
            env=clean_environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
    with zipfile.ZipFile(str(next(tmp_path.glob('*.whl')))) as wheel:
        for path, text in modules().items():
            assert wheel.read(path).decode() == text
        for path in {edit.path for edit in EDITS}:
            assert wheel.read(path) == (tree / path).read_bytes()
            assert b'etcd3_compat' in wheel.read(path)
