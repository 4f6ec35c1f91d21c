"""Lines for environments: they need no other machine, and no root."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from .conftest import make_environment
from .drill import drill
from .page import ROLES, blocks, platforms
from .places import Here
from .test_trees import PLATFORMS as IN_TREES

#: The platforms whose lines this module runs.
PLATFORMS = ('venv', 'venv-file', 'uv', 'uv-tool', 'pipx', 'pyinstaller')

PATRONI = 'patroni[etcd3,psycopg3]'
SCRIPT = "from patroni.__main__ import main\n\nif __name__ == '__main__':\n    main()\n"


def test_every_block_is_run() -> None:
    """Each code block of the page has a mark, and a test runs all blocks of its platform."""
    for block in blocks():
        assert block.role in ROLES, f'line {block.line} of the page has no mark above it, so no test runs it'
    assert sorted(platforms()) == sorted([*PLATFORMS, *IN_TREES])


def test_blocks_without_a_mark_are_found() -> None:
    """A fenced block without a mark and an indented one are found as such."""
    text = 'a\n\n<!-- x: install -->\n```sh\none\n```\n\n```sh\ntwo\n```\n\n    three\n'
    assert [(it.line, it.role, it.text) for it in blocks(text)] == [
        (5, 'install', 'one\n'),
        (9, '', 'two\n'),
        (12, '', 'three\n'),
    ]


def test_venv(tmp_path: Path, wheels: Path, tools: Path) -> None:
    """pip in Patroni's virtual environment."""
    make_environment(tmp_path / 'env', PATRONI)
    drill('venv', Here(tmp_path, wheels, tools, {'/opt/patroni': tmp_path / 'env'}))


def test_venv_file(tmp_path: Path, wheels: Path, tools: Path) -> None:
    """pip gets the file alone: no index, and no folder that stands in for one."""
    make_environment(tmp_path / 'env', PATRONI)
    place = Here(tmp_path, wheels, tools, {'/opt/patroni': tmp_path / 'env'})
    del place.environ['PIP_FIND_LINKS']
    (wheel,) = wheels.iterdir()
    shutil.copy(str(wheel), str(tmp_path))
    drill('venv-file', place)


def test_uv(tmp_path: Path, wheels: Path, tools: Path) -> None:
    """uv from outside of Patroni's virtual environment."""
    make_environment(tmp_path / 'env', PATRONI)
    drill('uv', Here(tmp_path, wheels, tools, {'/opt/patroni': tmp_path / 'env'}))


def test_uv_tool(tmp_path: Path, wheels: Path, tools: Path) -> None:
    """Patroni as a tool of uv keeps its release and its driver."""
    place = Here(tmp_path, wheels, tools, {})
    done = place.shell(f"uv tool install '{PATRONI}' --with 'patroni<4.1'")
    assert done.returncode == 0, done.stderr
    show = '"$(uv tool dir)/patroni/bin/python" -c "from patroni import version, psycopg; print(version.__version__)"'
    before = place.shell(show).stdout
    assert re.match(r'4\.0\.\d+$', before)
    drill('uv-tool', place)
    assert place.shell(show).stdout == before


def test_pipx(tmp_path: Path, wheels: Path, tools: Path) -> None:
    """Patroni as an application of pipx."""
    place = Here(tmp_path, wheels, tools, {})
    done = place.shell(f"pipx install '{PATRONI}'")
    assert done.returncode == 0, done.stderr
    drill('pipx', place)


def test_pyinstaller(tmp_path: Path, wheels: Path, tools: Path) -> None:
    """Patroni frozen by PyInstaller: only what it was built with counts, there are no start-up files to take away."""
    make_environment(tmp_path / 'env', PATRONI, 'pyinstaller')
    place = Here(tmp_path, wheels, tools, {'/opt/patroni': tmp_path / 'env'})
    (tmp_path / 'patroni.py').write_text(SCRIPT)  # as in Patroni's source, where the package is beside it
    (package,) = (tmp_path / 'env').glob('lib/python3.*/site-packages/patroni')
    shutil.copytree(str(package), str(tmp_path / 'patroni'))
    by_role = {block.role: block for block in platforms()['pyinstaller']}
    assert sorted(by_role) == ['back', 'install', 'verify'] and len(platforms()['pyinstaller']) == 3
    for role, serves in (('install', True), ('back', False)):
        done = place.run(by_role[role])
        assert done.returncode == 0, done.stderr[-2000:]
        assert place.shell('dist/patroni/patroni --version').stdout.startswith('patroni ')
        done = place.run(by_role['verify'])
        assert (done.returncode == 0) is serves, done
    # With the package installed, but without the hook, which is what people do first.
    without = re.sub(' --runtime-hook "[^"]*"', '', by_role['install'].text)
    assert without != by_role['install'].text
    done = place.shell(without)
    assert done.returncode == 0, done.stderr[-2000:]
    assert place.run(by_role['verify']).returncode
