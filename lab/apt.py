"""Packages of the machine's distribution, downloaded and unpacked without installing anything.

Works as any user, with package lists of its own: the configuration of the machine's apt is read, never changed.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from pathlib import Path

from .processes import LabError

_COMPONENTS = {'debian': 'main', 'ubuntu': 'main universe'}

_APT_CONF = """\
Dir::State::lists "{folder}/lists";
Dir::Cache "{folder}/cache";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "";
APT::Get::List-Cleanup "false";
APT::Update::Error-Mode "any";
Debug::NoLocking "true";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons-large::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::IndexTargets::deb::CNF::DefaultEnabled "false";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


class Apt:
    """An apt-get with its own lists and cache; those of the machine are not touched.

    :param folder: where lists, cache and downloads go.
    :param sources: the only line of its sources.list, None for the machine's own sources.
    :param installed: whether packages that dpkg has installed here count as installed.
    """

    def __init__(self, folder: Path, sources: str | None, installed: bool) -> None:
        self.folder = folder
        (folder / 'lists' / 'partial').mkdir(parents=True, exist_ok=True)
        (folder / 'cache' / 'archives' / 'partial').mkdir(parents=True, exist_ok=True)
        text = _APT_CONF.format(folder=folder)
        if sources is not None:
            (folder / 'sources.list').write_text(sources + '\n')
            text += f'Dir::Etc::sourcelist "{folder}/sources.list";\nDir::Etc::sourceparts "/dev/null";\n'
        if not installed:
            (folder / 'status').write_text('')
            text += f'Dir::State::status "{folder}/status";\n'
        (folder / 'apt.conf').write_text(text)

    def __call__(self, tool: str, *args: str) -> str:
        """Run a tool of apt, see `run`."""
        return run([tool, '-c', str(self.folder / 'apt.conf'), *args], self.folder)

    def unpack_whole(self, packages: list[str], target: Path) -> None:
        """Download packages with the dependencies that this machine lacks, and unpack them."""
        plan = self('apt-get', 'install', '--simulate', '--no-install-recommends', '--reinstall', *packages)
        target.mkdir(mode=0o755, parents=True)
        self.unpack(sorted(set(re.findall(r'^Inst (\S+)', plan, re.M)) | set(packages)), target)

    def unpack(self, packages: list[str], target: Path) -> None:
        """Download packages, in the versions this apt would install, and unpack them."""
        self('apt-get', 'download', *packages)
        for deb in self.folder.glob('*.deb'):
            run(['dpkg-deb', '-x', str(deb), str(target)], self.folder)
            deb.unlink()


def run(argv: list[str], cwd: Path, **more: str) -> str:
    """Run a program and return its stdout.

    :param more: environment variables.
    :raises LabError: with the last line of its error output.
    """
    environment = dict(os.environ, LC_ALL='C', DEBIAN_FRONTEND='noninteractive', **more)
    try:
        done = subprocess.run(
            argv,
            cwd=str(cwd),
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors='replace',
        )
    except OSError as e:
        raise LabError(f'{argv[0]}: {e.strerror}') from e
    if done.returncode:
        complaints = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(('E:', 'Err:'))]
        raise LabError((complaints or done.stderr.splitlines() or [f'exit code {done.returncode}'])[-1])
    return done.stdout


def os_release() -> dict[str, str]:
    """Return what /etc/os-release says about this machine: ``ID``, ``VERSION_CODENAME`` and more."""
    try:
        lines = Path('/etc/os-release').read_text().splitlines()
    except FileNotFoundError:
        return {}
    return {name: value.strip('"') for name, _, value in (line.partition('=') for line in lines)}


def mirror(folder: Path) -> str:
    """Return a sources.list line, with ``{suite}`` in it, for the mirror that this machine uses for its own release.

    :param folder: where to put this machine's package lists if it has none itself, as in a fresh container.
    :raises LabError: when the apt sources do not name the machine's own release.
    """
    release = os_release()
    question = (
        'indextargets',
        '--format',
        '$(CREATED_BY) $(COMPONENT) $(REPO_URI) $(CODENAME) $(RELEASE) $(SIGNED_BY)',
        'Created-By: Packages',
    )
    answer = run(['apt-get', *question], Path('/'))
    if not answer:
        apt = Apt(folder, None, installed=False)
        with contextlib.suppress(LabError):  # from another source
            apt('apt-get', 'update')
        answer = apt('apt-get', *question)
    for line in answer.splitlines():
        _, component, uri, codename, suite, signed_by = line.split(None, 5)
        if component == 'main' and release.get('VERSION_CODENAME') in (codename, suite):
            if not os.path.isfile(signed_by):  # older apt does not know the field; newer ones may return key material
                signed_by = f'/usr/share/keyrings/{release["ID"]}-archive-keyring.gpg'
            options = f'[signed-by={signed_by}] ' if os.path.isfile(signed_by) else ''
            return f'deb {options}{uri} {{suite}} {_COMPONENTS[release["ID"]]}'
    raise LabError('the apt sources of this machine do not name its own release')
