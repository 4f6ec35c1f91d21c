"""Lines for whole machines, each run in a Debian of its own (root, debootstrap), with ``--all-platforms``.

There is no engine for images here. The lines of a Dockerfile are run by a small interpreter (`dockerfile`) in such a
Debian, which has what the image of their ``FROM`` has, as far as the lines go: a Patroni, a Python, pip or none. The
lines for an RPM are run by Debian's dnf, whose database has a package in place of the distribution's Python.
"""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import Callable, Iterator

import pytest

from lab.processes import LabError
from lab.root_tree import RootTree, fault
from tools import packages

from . import dockerfile
from .drill import drill
from .page import Block, platforms
from .places import InTree, hide, show_again

#: The platforms whose lines this module runs.
PLATFORMS = ('debian', 'debian-pip', 'rpm', 'container', 'spilo', 'ansible', 'user')

SUITES = ('bookworm', 'trixie', 'sid')
_PATRONI = ('patroni', 'python3-etcd', 'postgresql-common')  # the last one makes the user


@pytest.fixture(autouse=True)
def possible(request: pytest.FixtureRequest) -> None:
    """Skip where it takes too long, or is not possible."""
    if not request.config.getoption('--all-platforms'):
        pytest.skip('takes long: run with --all-platforms')
    why_not = fault()
    if why_not:
        pytest.skip(why_not)


@contextlib.contextmanager
def machine(suite: str, *more: str) -> Iterator[RootTree]:
    """Make a Debian with its own Patroni; skip where it cannot be made.

    :param more: more packages.
    """
    with contextlib.ExitStack() as stack:
        try:
            tree = stack.enter_context(RootTree(suite, *_PATRONI, *more))
        except LabError as e:
            pytest.skip(f'no Debian {suite}: {e}')
        yield tree


@pytest.fixture(params=SUITES)
def with_pip(request: pytest.FixtureRequest) -> Iterator[RootTree]:
    """A Debian with its own Patroni and pip."""
    with machine(request.param, 'python3-pip') as tree:
        yield tree


@pytest.fixture
def bookworm() -> Iterator[RootTree]:
    """Debian 12 with its own Patroni and pip."""
    with machine('bookworm', 'python3-pip') as tree:
        yield tree


@pytest.fixture
def without_pip() -> Iterator[RootTree]:
    """Debian 12 with its own Patroni, without pip."""
    with machine('bookworm') as tree:
        yield tree


def test_pip(with_pip: RootTree, wheels: Path) -> None:
    """pip beside Debian's Patroni: the plain line is refused, the other one moves nothing of Debian's."""
    place = InTree(with_pip, wheels)
    (refused,) = (block for block in platforms()['debian-pip'] if block.role == 'refused')
    assert 'externally-managed-environment' in place.run(refused).stderr
    show = "dpkg --verify patroni python3-urllib3 python3-etcd; dpkg -l | sed -n 's/^ii  *//p'"
    before = place.shell(show).stdout
    drill('debian-pip', place)
    assert place.shell(show).stdout == before


def test_umask(bookworm: RootTree, wheels: Path) -> None:
    """Installed by a root whose umask is 077, it serves for root alone; the verify line finds that."""
    place = InTree(bookworm, wheels)
    blocks = {block.role: block for block in platforms()['debian-pip']}
    done = place.shell('umask 077; ' + blocks['install'].text)
    assert done.returncode == 0, done.stderr
    assert 'runuser -u postgres' in blocks['verify'].text
    assert place.run(blocks['verify']).returncode
    assert place.shell(blocks['verify'].text.replace('runuser -u postgres -- ', '')).returncode == 0
    done = place.shell(blocks['back'].text + 'umask 022\n' + blocks['install'].text)
    assert done.returncode == 0, done.stderr
    assert place.run(blocks['verify']).returncode == 0


def test_user(with_pip: RootTree, wheels: Path) -> None:
    """``--user`` for Patroni's user; with another HOME the package is not there."""
    place = InTree(with_pip, wheels)
    drill('user', place)
    blocks = {block.role: block for block in platforms()['user']}
    assert place.run(blocks['install']).returncode == 0
    assert place.run(blocks['verify']).returncode == 0
    assert place.shell(blocks['verify'].text.replace('HOME=~postgres', 'HOME=/tmp')).returncode


def with_files(tree: RootTree, wheels: Path, files: list[Path]) -> InTree:
    """Return a machine whose administrator has some files in a folder dist at home."""
    place = InTree(tree, wheels)
    for path in files:
        tree.copy_in(path, f'{place.cwd}/dist/{path.name}')
    return place


@pytest.mark.parametrize('suite', SUITES)
def test_deb(suite: str, wheels: Path, built: Callable[[str], list[Path]]) -> None:
    """The package for Debian, beside the Patroni of each Debian."""
    with machine(suite) as tree:
        place = with_files(tree, wheels, [path for path in built('deb') if path.suffix == '.deb'])
        place.cwd += '/dist'
        drill('debian', place)


#: Stands for the distribution's own packages in a database of RPM, with another python3 than Patroni's.
_DISTRIBUTION = """\
Name: distribution
Version: 1
Release: 1
Summary: What rpmbuild and dnf take for the Python that is there
License: MIT
BuildArch: noarch
Provides: python3 = 3.6 python(abi) = 3.6 python(abi) = 3.11 /usr/bin/python3.11 /bin/sh
Provides: python3.11dist(pip) python3.11dist(setuptools) = 66 python3.11dist(wheel)
%description
A stand-in.
%files
"""


def test_rpm(wheels: Path, built: Callable[[str], list[Path]]) -> None:
    """The RPM, built again for Patroni's Python, by dnf.

    Debian's Python is told to look where that of the RPM world looks by itself.
    """
    with machine('bookworm', 'dnf', *packages.NEEDED['rpm'][1].split()) as tree:
        tree.path('/srv/distribution.spec').write_text(_DISTRIBUTION)
        tree.run('rpmbuild', '-bb', '--define', '_topdir /srv/rpmbuild', '/srv/distribution.spec')
        tree.run('sh', '-c', 'rpm --initdb && rpm --install --nodeps /srv/rpmbuild/RPMS/noarch/*.rpm')
        folder = '/usr/lib/python3.11/site-packages'
        tree.path('/usr/lib/python3/dist-packages/as-rpm.pth').write_text(f'import site; site.addsitedir("{folder}")\n')
        place = with_files(tree, wheels, built('rpm'))
        (build,) = (block for block in platforms()['rpm'] if block.role == 'build')
        done = place.shell(build.text.replace('python3.12', 'python3.11'))
        assert done.returncode == 0, done.stderr
        place.cwd += '/rpmbuild/RPMS/noarch'
        drill('rpm', place)


def dockerfile_serves(platform: str, place: InTree, stage: InTree) -> None:
    """Run the lines of a Dockerfile; the last one fails before, and when the start-up files are missing."""
    install, verify = platforms()[platform]
    assert (install.role, verify.role) == ('install', 'verify')
    with pytest.raises(dockerfile.BuildError):
        dockerfile.build(verify.text, place, {})
    user = dockerfile.build(install.text, place, {'plugin': stage})
    dockerfile.build(verify.text, place, {}, user)
    hidden = hide(place.left())
    assert hidden
    with pytest.raises(dockerfile.BuildError):
        dockerfile.build(verify.text, place, {}, user)
    show_again(hidden)
    dockerfile.build(verify.text, place, {}, user)


def test_container(bookworm: RootTree, wheels: Path) -> None:
    """Lines of a Dockerfile on top of an image with Debian's Patroni and pip."""
    place = InTree(bookworm, wheels)
    dockerfile_serves('container', place, place)


def test_spilo(bookworm: RootTree, without_pip: RootTree, wheels: Path) -> None:
    """Lines of a Dockerfile on top of an image without pip; the folder is that of its Python."""
    place, stage = InTree(without_pip, wheels), InTree(bookworm, wheels)
    stage.more['PIP_BREAK_SYSTEM_PACKAGES'] = '1'  # the image python:3 has no Python of a distribution's packages
    assert place.shell('pip --version').returncode
    place.instead['python3.10'] = 'python3.11'
    dockerfile_serves('spilo', place, stage)


class Ansible(InTree):
    """Tasks of a playbook, run by ansible-core from an environment in the Debian, with the connection ``local``."""

    def run(self, block: Block) -> subprocess.CompletedProcess[str]:
        """See `Place.run`."""
        assert block.language == 'yaml'
        tasks = ''.join('    ' + line + '\n' for line in block.text.splitlines())
        self.tree.path('/srv/play.yml').write_text(
            '- hosts: localhost\n  connection: local\n  gather_facts: false\n'
            '  vars: {ansible_python_interpreter: /usr/bin/python3}\n  tasks:\n' + tasks
        )
        return self.shell('/srv/ansible/bin/ansible-playbook /srv/play.yml')


@pytest.mark.parametrize('umask', ['022', '077'])
def test_ansible(bookworm: RootTree, wheels: Path, umask: str) -> None:
    """The tasks serve whatever umask root has, and a second run changes nothing."""
    bookworm.run('apt-get', 'install', '-y', '--no-install-recommends', 'python3-venv')
    bookworm.run('sh', '-c', 'python3 -m venv /srv/ansible && /srv/ansible/bin/pip install -q ansible-core')
    place = Ansible(bookworm, wheels)
    place.umask = umask
    drill('ansible', place)
    install = next(block for block in platforms()['ansible'] if block.role == 'install')
    assert 'changed=1' in place.run(install).stdout
    assert 'changed=0' in place.run(install).stdout
