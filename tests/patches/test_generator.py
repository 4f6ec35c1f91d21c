"""The committed patches are what the generator makes of the current sources, and every tool accepts them."""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab import ROOT, sources
from lab.processes import LabError
from lab.programs import tool
from tools import patching
from tools.patching import COMMON, EDITS, NAME, PATCHES, RELEASES, SUB_PACKAGE, apply, committed, modules, unpack

SMALLEST = 'from .exceptions import ConfigParseError\nlogger = logging.getLogger(__name__)\n'

every_release = pytest.mark.parametrize('version', RELEASES)


def state(tree: Path) -> dict[str, bytes]:
    """Return all files below a folder with their content."""
    return {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob('*') if path.is_file()}


def run(cwd: Path, command: str, stdin: str = '') -> None:
    """Run a line of shell, which has to succeed."""
    path = os.pathsep.join([os.environ['PATH'], str(tool('patch').parent)])
    done = subprocess.run(
        ['bash', '-c', 'set -eo pipefail; ' + command],
        cwd=str(cwd),
        input=stdin,
        env=dict(os.environ, PATH=path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_committed_patches_are_up_to_date() -> None:
    """``make patches`` was run after the last change of a module, and nobody has edited a patch."""
    assert [str(path.relative_to(PATCHES)) for path in patching.differing()] == []


def test_nothing_but_the_generated_releases() -> None:
    """There is no patch for a release that the generator no longer knows."""
    assert {path.parent.name for path in PATCHES.glob('*/' + NAME)} == set(RELEASES)


def test_the_date_is_that_of_the_last_change(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A patch stays unchanged until its content changes; it then gets the date of that day."""
    monkeypatch.setattr(patching, 'PATCHES', tmp_path)
    for path, text in patching.differing().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(re.sub('(?m)^Last-Update: .*', 'Last-Update: 2020-02-20', text))
    assert patching.differing() == {}
    monkeypatch.setattr(patching, 'version', lambda: '9.9.9')
    common = patching.differing()[tmp_path / COMMON]
    assert "+__version__ = '9.9.9'\n" in common and 'Last-Update: 2020-02-20' not in common


def test_the_table_of_the_readme_is_generated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The table has one row per release; the rest of the page stays unchanged."""
    page = (PATCHES / 'README.md').read_text()
    monkeypatch.setattr(patching, 'PATCHES', tmp_path)
    row = f'| {RELEASES[-1]} |'
    (tmp_path / 'README.md').write_text('\n'.join(line for line in page.split('\n') if not line.startswith(row)))
    assert row not in (tmp_path / 'README.md').read_text() and row in page
    assert patching.differing()[tmp_path / 'README.md'] == page


def test_what_is_part_of_it() -> None:
    """The patch has all modules that the classes need, but none for finding the classes or checking a cluster."""
    names = {Path(path).stem for path in modules()}
    assert {'__init__', 'dcs', 'client', 'gateway', 'transport', 'wire', 'options', 'versions'} <= names
    assert not names & {'plugin', 'check'}
    for path, text in modules().items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.level:
                inside = path[len(SUB_PACKAGE) :].count('/')
                assert node.level <= inside and (node.module or '__init__').split('.')[-1] in names, path


def test_no_module_may_know_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A module that would not work under another name stops the generator, whichever module imports it."""
    package = tmp_path / 'patroni_etcd3_compat'
    package.mkdir()
    monkeypatch.setattr(patching, '_PACKAGE', package)
    (package / '__init__.py').write_text("__version__ = '1'\n")
    (package / 'options.py').write_text('')
    (package / 'dcs.py').write_text('def f():\n    from . import __version__, one\n')
    (package / 'one.py').write_text('from .two import x\n')
    (package / 'two.py').write_text('x = 1\n')
    assert set(modules()) == {SUB_PACKAGE + f'/{name}.py' for name in ('__init__', 'dcs', 'options', 'one', 'two')}
    (package / 'two.py').write_text('import patroni_etcd3_compat\n')
    with pytest.raises(LabError, match='two.py'):
        modules()


@pytest.mark.parametrize('text, found', [('', 0), (SMALLEST + SMALLEST, 2)])
def test_an_anchor_that_is_not_there_once(monkeypatch: pytest.MonkeyPatch, text: str, found: int) -> None:
    """A release that looks different stops the generator, with file, release and anchor in the error."""
    monkeypatch.setattr(patching, 'EDITS', EDITS[:1])

    class Archive:
        """An archive with the same text for each name."""

        def __enter__(self) -> Archive:
            return self

        def __exit__(self, *args: Any) -> None:
            pass

        def extractfile(self, name: str) -> Any:
            """Return a file."""
            return io.BytesIO(text.encode())

    monkeypatch.setattr('tarfile.open', lambda name: Archive())
    with pytest.raises(LabError, match=rf'patroni/dcs/etcd3.py of Patroni 3.0.2: .*logger.* is found {found} times'):
        patching.edited('3.0.2')


def fields_of(patch: Path) -> tuple[str, str]:
    """Check the DEP-3 header of a patch: each field that Debian requires, once. Return header and body."""
    header, body = patch.read_text().split('\n---\n', 1)
    fields = [line.partition(':')[0] for line in header.splitlines() if not line.startswith(' ')]
    assert fields == ['Description', 'Author', 'Origin', 'Bug', 'Forwarded', 'Last-Update']
    assert re.search(r'^Last-Update: \d{4}-\d\d-\d\d$', header, re.M)
    assert not re.search(r'^ *$', header, re.M)  # an empty line would end it
    return header, body


def changed(body: str) -> set[str]:
    """Return the paths that a patch changes; none may have a time stamp."""
    targets = re.findall(r'^\+\+\+ b/(\S+)(.*)$', body, re.M)
    assert targets and not any(stamp for _, stamp in targets)
    return {path for path, _ in targets}


def test_header_of_the_common_patch() -> None:
    """The common patch adds the modules and changes no file of Patroni."""
    _, body = fields_of(PATCHES / COMMON)
    assert changed(body) == set(modules())
    assert body.count('--- /dev/null\n') == len(modules())


@every_release
def test_header(version: str) -> None:
    """The small patch names its release; ``series`` names both files, the common one first."""
    common, plug = committed(version)
    header, body = fields_of(plug)
    assert header.startswith(f'Description: etcd3: plug patroni-etcd3-compat into Patroni {version}\n')
    assert changed(body) == {edit.path for edit in EDITS}
    assert common == PATCHES / COMMON
    assert plug.with_name('series').read_text() == f'{COMMON}\n{version}/{NAME}\n'


@every_release
def test_applies_and_comes_off(version: str, tmp_path: Path) -> None:
    """``patch`` without fuzz and offset and ``git apply`` apply the patches and revert them completely."""
    common, plug = committed(version)
    tree = unpack(version, tmp_path, patched=False)
    before = state(tree)
    for patch in (common, plug):
        sources.apply(patch, tree, '--dry-run')
    assert state(tree) == before
    apply(version, tree)
    after = state(tree)
    assert {path for path in after if after[path] != before.get(path)} == set(modules()) | {edit.path for edit in EDITS}
    apply(version, tree, '-R')
    assert state(tree) == before and not (tree / SUB_PACKAGE).exists()

    run(tree, f'git apply --check -p1 {common} {plug} && git apply -p1 {common} {plug}')
    assert state(tree) == after
    run(tree, f'git apply -R -p1 {plug} {common}')
    assert state(tree) == before


def test_the_common_patch_alone_changes_nothing(tmp_path: Path) -> None:
    """The common patch applies to every release and changes no existing file."""
    for version in RELEASES:
        tree = unpack(version, tmp_path, patched=False)
        before = state(tree)
        sources.apply(PATCHES / COMMON, tree)
        after = state(tree)
        assert {path for path in after if after[path] != before.get(path)} == set(modules())


@every_release
def test_command_lines_of_the_readme(version: str, tmp_path: Path) -> None:
    """All documented ways give the same result.

    These are both patches as one file, by ``patch``, by ``git apply``, with -p0, and on an installed Patroni.
    """
    readme = (PATCHES / 'README.md').read_text()
    tree = unpack(version, tmp_path)
    after = state(tree)
    (line,) = re.findall(r'^    (cat etcd3-compat-common.patch .* > \S+)$', readme, re.M)
    one = tmp_path / 'one.patch'
    run(PATCHES, line.replace('4.0.7', version).replace('/tmp/etcd3-compat.patch', str(one)))
    sources.apply(one, tree, '-R', '--dry-run')
    apply(version, tree, '-R')
    run(tree, f'git apply -p1 {one}')
    assert state(tree) == after
    (line,) = re.findall(r'^    (sed .* patch -p0)$', readme, re.M)
    apply(version, tree, '-R')
    run(tree, line.replace('etcd3-compat.patch', str(one)))
    assert state(tree) == after
    (line,) = re.findall(r'^    RUN (cd .*)$', readme, re.M)
    apply(version, tree, '-R')
    run(
        tmp_path,
        f'export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH={tree}; {line.replace("/tmp/etcd3-compat.patch", str(one))}',
    )
    assert state(tree) == after


@every_release
def test_compiles_on_python_37(version: str, tmp_path: Path, python37: str) -> None:
    """All new or changed files compile on Python 3.7 (or have its grammar), which Patroni 3.x supports."""
    tree = unpack(version, tmp_path)
    files = [str(tree / path) for path in sorted(set(modules()) | {edit.path for edit in EDITS})]
    if python37:
        run(tmp_path, ' '.join([python37, '-W', 'error', '-m', 'py_compile', *files]))
    else:
        for name in files:
            ast.parse(Path(name).read_text(), feature_version=(3, 7))


@pytest.mark.parametrize('number', ['2.1.7', '4.2.0', '5.0.0', 'master'])
def test_a_release_outside_of_the_range(number: str) -> None:
    """There is no patch for a release that the classes were not tested with; nothing is downloaded for it."""
    ret = subprocess.run(
        [sys.executable, '-m', 'tools.patching', number], cwd=str(ROOT), capture_output=True, text=True
    )
    assert (ret.returncode, ret.stdout) == (1, '')
    assert re.match(f'tools.patching: there is no patch for this release: .*{re.escape(number)}', ret.stderr)
