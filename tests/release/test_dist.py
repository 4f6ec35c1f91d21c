"""What is uploaded: the wheel and the source distribution."""

from __future__ import annotations

import email
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from lab import ROOT
from lab.environments import clean_environ
from lab.processes import LabError
from tools import dist, patching

pytestmark = [
    pytest.mark.skipif(not (ROOT / '.git').exists(), reason='not in a checkout: a release is made of a commit'),
    pytest.mark.skipif(sys.version_info < (3, 10), reason='a release is made by setuptools for Python 3.10 or later'),
]

NAME = f'patroni_etcd3_compat-{patching.version()}'


def digests(files: list[Path]) -> dict[str, str]:
    """Return the digest of each file by its name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Wheel and source distribution, as ``make dist`` builds them."""
    folder = tmp_path_factory.mktemp('dist')
    dist.export(folder / 'tree')
    return dist.build(folder / 'out', folder / 'tree')


@pytest.fixture(scope='module')
def source(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source distribution."""
    folder = tmp_path_factory.mktemp('source')
    with tarfile.open(str(files[1])) as archive:
        archive.extractall(str(folder))
    return folder / NAME


def test_same_bytes(files: list[Path], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built in another folder, from the source distribution, with another umask and line ends: the same files.

    What is there already, such as a signature, is not taken for one of them.
    """
    dist.check(files)
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / f'{NAME}.tar.gz.asc').write_text('')
    settings = tmp_path / 'gitconfig'
    settings.write_text('[core]\nautocrlf = true\n[safe]\ndirectory = *\n')
    monkeypatch.setenv('GIT_CONFIG_GLOBAL', str(settings))
    tree = tmp_path / 'elsewhere' / 'tree'
    shutil.copytree(str(source), str(tree))
    monkeypatch.setenv('TAR_OPTIONS', '--no-same-permissions')  # tar applies the umask for everyone but root
    before = os.umask(0o077)
    try:
        dist.export(tmp_path / 'exported')
    finally:
        os.umask(before)
    monkeypatch.delenv('TAR_OPTIONS')
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / 'exported').rglob('*')}
    assert modes == {0o644, 0o755}, "those in debian/ become those of Debian's source package"
    for path in (tree, tmp_path / 'exported'):
        for file in path.rglob('*'):
            os.utime(str(file), (1, 1))
    assert digests(dist.build(tmp_path / 'a', tmp_path / 'exported')) == digests(files)
    assert digests(dist.build(tmp_path / 'b', tree)) == digests(files)


def test_source_of_others(tmp_path: Path) -> None:
    """Built without tools.dist by somebody with a strict umask, a source distribution has plain modes."""
    dist.export(tmp_path / 'tree')
    subprocess.run(
        [sys.executable, '-m', 'build', '--sdist', '--outdir', str(tmp_path / 'out'), str(tmp_path / 'tree')],
        env=dict(clean_environ(), SOURCE_DATE_EPOCH='1700000000'),
        stdout=subprocess.DEVNULL,
        check=True,
        preexec_fn=lambda: os.umask(0o077) and None,
    )
    with tarfile.open(str(tmp_path / 'out' / f'{NAME}.tar.gz')) as archive:
        assert {info.mode for info in archive} <= {0o644, 0o755}


def test_source_is_whole(source: Path) -> None:
    """It has all that a checkout has, except for what is of no use without one."""
    tracked = subprocess.run(
        ['git', 'ls-tree', '-r', '--name-only', 'HEAD'], cwd=str(ROOT), stdout=subprocess.PIPE, text=True, check=True
    ).stdout.splitlines()
    missing = [path for path in tracked if not (source / path).exists()]
    assert {path.partition('/')[0] for path in missing} <= {
        '.ci',
        '.github',
        '.gitignore',
        '.pre-commit-config.yaml',
        'debian',
    }, missing
    made = {str(path.relative_to(source)) for path in source.rglob('*') if path.is_file()} - set(tracked)
    assert {path.partition('/')[0] for path in made} == {'PKG-INFO', 'patroni_etcd3_compat.egg-info'}, made


def test_source_runs(source: Path) -> None:
    """Its tests run, with the package that is in it."""
    ret = subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'tests/unit/test_versions.py'],
        cwd=str(source),
        env=dict(clean_environ(), PYTHONPATH=str(source)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ret.returncode == 0 and ' passed' in ret.stdout, ret.stdout


def test_metadata(files: list[Path]) -> None:
    """The wheel requires nothing, has its licence as SPDX, and its page's links lead to the address in setup.cfg."""
    with zipfile.ZipFile(str(files[0])) as wheel:
        names = wheel.namelist()
        text = wheel.read(f'{NAME}.dist-info/METADATA').decode()
        builder = wheel.read(f'{NAME}.dist-info/WHEEL').decode()
    assert f'({dist.SETUPTOOLS})' in builder
    metadata = email.message_from_string(text)
    assert [it for it in metadata.get_all('Requires-Dist', []) if 'extra ==' not in it] == []
    assert metadata['License-Expression'] == 'MIT'
    urls = dict(it.split(', ', 1) for it in metadata.get_all('Project-URL', []))
    assert sorted(urls) == ['Changelog', 'Documentation', 'Issues', 'Source']
    links = {line.partition('](')[2].partition(')')[0] for line in text.splitlines() if '](' in line}
    assert len(links) > 5 and all(link.startswith(urls['Source'] + '/blob/v') for link in links), links
    top = {name.partition('/')[0] for name in names}
    assert top == {
        'patroni_etcd3_compat',
        'patroni_etcd3_compat.pth',
        'patroni_etcd3_compat.start',
        f'{NAME}.dist-info',
    }


def test_no_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is built of an unpacked source distribution; the reason is a sentence."""
    monkeypatch.setattr(dist, 'ROOT', tmp_path)
    for step in (dist.obstacles, lambda: dist.export(tmp_path / 'tree')):
        with pytest.raises(LabError, match='no checkout of the project'):
            step()


def test_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What must not be uploaded is named with its remedy; nothing of that is left once it is in order."""
    repository = tmp_path / 'repository'
    dist.export(repository)
    monkeypatch.setattr(dist, 'ROOT', repository)
    monkeypatch.setattr(dist, 'version', lambda: '9.9.9')

    def git(*args: str) -> None:
        subprocess.run(
            ['git', '-c', 'user.name=t', '-c', 'user.email=t@localhost', *args], cwd=str(repository), check=True
        )

    git('init', '-q')
    git('add', '-A')
    git('commit', '-q', '-m', 'first')
    git('tag', 'v9.9.9')
    (repository / 'CHANGELOG.md').write_text('# Changelog\n')
    reasons = dist.obstacles()
    assert [reason.partition(' ')[0] for reason in reasons] == [
        'setup.cfg',
        'debian/control',
        'debian/changelog',
        'the',
        'CHANGELOG.md',
    ], reasons
    for name in ('setup.cfg', 'debian/control', 'debian/changelog'):
        text = (repository / name).read_text()
        (repository / name).write_text(text.replace('example.org', 'forge.localhost'))
    (repository / 'CHANGELOG.md').write_text('# Changelog\n\n## [9.9.9] - 2026-01-01\n')
    git('commit', '-q', '-a', '-m', 'second')
    (reason,) = dist.obstacles()
    assert reason.startswith('tag v9.9.9 is on another commit')
    git('tag', '-f', 'v9.9.9')
    assert dist.obstacles() == []


def test_one_version() -> None:
    """The package, the changelogs and the packages of distributions have the same version."""
    number = patching.version()
    for path, pattern in {
        'CHANGELOG.md': r'^## \[([\d.]+)\]',
        'debian/changelog': r'\(([\d.]+)-\d+\)',
        'packaging/rpm/patroni-etcd3-compat.spec': r'^Version: +(\S+)$',
    }.items():
        assert re.findall(pattern, (ROOT / path).read_text(), re.M)[0] == number, path
    assert re.search(rf'^\* .* - {re.escape(number)}-\d+$', (ROOT / path).read_text(), re.M)
