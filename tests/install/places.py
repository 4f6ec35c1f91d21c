"""Where the lines of the page are run: in folders of this machine, or in a Debian of their own."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping, Protocol

from lab.environments import clean_environ

if TYPE_CHECKING:
    from lab.root_tree import RootTree

    from .page import Block

#: What reads at a start of Python what hooks this package in.
START_UP_FILES = ('patroni_etcd3_compat.pth', 'patroni_etcd3_compat.start')


class Place(Protocol):
    """A machine, as far as the page is concerned."""

    def run(self, block: Block) -> subprocess.CompletedProcess[str]:
        """Run a block. Its stdout is kept apart."""

    def left(self) -> list[Path]:
        """Return all files and folders that are named after this package."""


def named_after_it(*roots: Path) -> list[Path]:
    """Return the files and folders below some folders that are named after this package, without caches."""
    return sorted(
        path
        for root in roots
        for path in root.rglob('*')
        if re.search('patroni[_-]etcd3[_-]compat', path.name) and '.cache' not in path.relative_to(root).parts
    )


class Here:
    """Folders of this machine, for lines that need nothing else of it.

    :param folder: an empty folder: its users' home, and all that is written.
    :param wheels: the folder in which pip and uv find this package, as long as no index has it.
    :param tools: the folder of the programs that lines call, before those of this machine.
    :param instead: paths on the page, and what they are here, as a reader would replace them.
    """

    def __init__(self, folder: Path, wheels: Path, tools: Path, instead: Mapping[str, Path]) -> None:
        self.folder = folder
        self._instead = instead
        home = folder / 'home'
        temporary = folder / 'tmp'
        for it in (home, temporary):
            it.mkdir()
        self.environ = dict(
            clean_environ(),
            HOME=str(home),
            TMPDIR=str(temporary),  # uv leaves locks there
            PATH=os.pathsep.join([str(tools), str(home / '.local/bin'), os.environ['PATH']]),
            PIP_FIND_LINKS=str(wheels),
            UV_FIND_LINKS=str(wheels),
            PIP_DISABLE_PIP_VERSION_CHECK='1',
            PIPX_HOME=str(folder / 'pipx'),
            PIPX_BIN_DIR=str(home / '.local/bin'),
            UV_TOOL_DIR=str(folder / 'uv'),
            UV_TOOL_BIN_DIR=str(home / '.local/bin'),
        )

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run lines of a shell; the first one that fails ends them."""
        for path, here in self._instead.items():
            script = script.replace(path, str(here))
        return subprocess.run(
            ['bash', '-e', '-o', 'pipefail', '-c', script],
            env=self.environ,
            cwd=str(self.folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def run(self, block: Block) -> subprocess.CompletedProcess[str]:
        """See `Place.run`."""
        assert block.language == 'sh'
        return self.shell(block.text)

    def left(self) -> list[Path]:
        """See `Place.left`."""
        return named_after_it(self.folder)


class InTree:
    """A Debian of its own.

    :param tree: the Debian.
    :param wheels: the folder in which pip finds this package.
    """

    def __init__(self, tree: RootTree, wheels: Path) -> None:
        self.tree = tree
        #: the folder that lines are run in, and the umask of who runs them
        self.cwd = '/root'
        self.umask = '022'
        #: more environment variables
        self.more: dict[str, str] = {}
        #: parts of paths on the page, and what they are here, as a reader would replace them
        self.instead: dict[str, str] = {}
        tree.copy_in(wheels, '/wheels')

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run lines of a shell; the first one that fails ends them."""
        pip = {'PIP_FIND_LINKS': '/wheels', 'PIP_DISABLE_PIP_VERSION_CHECK': '1', 'PIP_ROOT_USER_ACTION': 'ignore'}
        script = f'cd {self.cwd}; umask {self.umask}\n{script}'
        environ: dict[str, Any] = {**pip, **self.more}
        return self.tree.attempt('bash', '-e', '-o', 'pipefail', '-c', script, **environ)

    def run(self, block: Block) -> subprocess.CompletedProcess[str]:
        """See `Place.run`."""
        assert block.language == 'sh'
        return self.shell(block.text)

    def left(self) -> list[Path]:
        """See `Place.left`."""
        return named_after_it(
            *(self.tree.path(path) for path in ('/usr', '/opt', '/etc', '/home', '/root', '/var/lib'))
        )


def hide(paths: list[Path]) -> list[Path]:
    """Take the start-up files away, as they are for whom cannot read them; return them."""
    ret = [path for path in paths if path.name in START_UP_FILES]
    for path in ret:
        path.rename(path.with_name(path.name + '.hidden'))
    return ret


def show_again(hidden: list[Path]) -> None:
    """Undo `hide`."""
    for path in hidden:
        path.with_name(path.name + '.hidden').rename(path)
