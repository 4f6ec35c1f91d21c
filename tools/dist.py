"""Build the source distribution and the wheel of the last commit: ``python -m tools.dist``, into ``dist/``.

Both are the same files whoever builds them: from the commit alone, with its date as SOURCE_DATE_EPOCH, by one release
of setuptools. ``--release`` first refuses whatever must not be uploaded: a working tree with changes, a version without
a dated section in CHANGELOG.md, a tag of that version on another commit, and an address that is still a placeholder.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from lab import ROOT, say
from lab.environments import call
from lab.processes import LabError, remove_folder, scratch_folder

from .patching import version

#: The files with the project's address: setup.cfg, of which all links are made, and the maintainer of Debian's package.
_ADDRESSES = ('setup.cfg', 'debian/control', 'debian/changelog')

#: A host that nobody can have (RFC 2606).
_PLACEHOLDER = re.compile(r'\bexample\.(org|com|net)\b')


#: What somebody's own settings of git must not change.
_PLAIN = ('core.autocrlf=false', 'core.eol=lf', 'log.showSignature=false', 'tar.umask=0022')
_GIT = ['git', *(word for setting in _PLAIN for word in ('-c', setting))]

#: The release of setuptools, which is told by the metadata. It needs Python 3.10.
SETUPTOOLS = '84.2.1'


def _in_a_checkout() -> None:
    """Raise an error in an unpacked source distribution, which may lie in somebody else's repository."""
    if not (ROOT / '.git').exists():
        raise LabError('this is no checkout of the project: a release is made of a commit')


def _git(*args: str) -> str:
    ret = subprocess.run([*_GIT, *args], cwd=str(ROOT), capture_output=True, text=True)
    if ret.returncode:
        raise LabError(f'git {args[0]}: {ret.stderr.strip()}')
    return ret.stdout.strip()


def obstacles() -> list[str]:
    """Return what must not be released as it is, and what to do about it."""
    _in_a_checkout()
    ret = []
    if sys.version_info < (3, 10):
        ret.append('Python before 3.10 cannot run the release of setuptools that others build with: use a newer one')
    for name in _ADDRESSES:
        host = _PLACEHOLDER.search((ROOT / name).read_text())
        if host:
            ret.append(f"{name} has a placeholder ({host.group(0)}): write the project's own address there")
    if _git('status', '--porcelain'):
        ret.append('the working tree has changes: commit them')
    number = version()
    if not re.search(rf'^## \[{re.escape(number)}\] - \d{{4}}-\d\d-\d\d$', (ROOT / 'CHANGELOG.md').read_text(), re.M):
        ret.append(
            f'CHANGELOG.md has no section "## [{number}] - YYYY-MM-DD": give the section of this release its date'
        )
    tagged = _git('tag', '--list', f'v{number}') and _git('rev-list', '-1', f'v{number}')
    if tagged and tagged != _git('rev-parse', 'HEAD'):
        ret.append(f'tag v{number} is on another commit: raise __version__ in patroni_etcd3_compat/__init__.py')
    return ret


def epoch() -> str:
    """Return the date of the last commit in seconds, for SOURCE_DATE_EPOCH."""
    return _git('log', '-1', '--format=%ct')


def export(folder: Path) -> None:
    """Write the files of the last commit into a folder that does not exist yet."""
    _in_a_checkout()
    folder.mkdir()
    archive = subprocess.run([*_GIT, 'archive', 'HEAD'], cwd=str(ROOT), stdout=subprocess.PIPE, check=True)
    subprocess.run(['tar', '-C', str(folder), '-xpf', '-'], input=archive.stdout, check=True)


def build(target: Path, tree: Path) -> list[Path]:
    """Build both from a tree, and return them: wheel, source distribution.

    :param target: the folder for them.
    :param tree: the files of the project.
    :raises LabError: when it fails.
    """
    with tempfile.NamedTemporaryFile('w', suffix='.txt') as constraint:
        print(f'setuptools=={SETUPTOOLS}; python_version >= "3.10"', file=constraint, flush=True)
        argv = [sys.executable, '-m', 'build', '--outdir', str(target), str(tree)]
        call(argv, 'build', SOURCE_DATE_EPOCH=epoch(), PIP_CONSTRAINT=constraint.name)
    # Others may be there: signatures of these, a release candidate.
    return [target / f'patroni_etcd3_compat-{version()}{rest}' for rest in ('-py3-none-any.whl', '.tar.gz')]


def check(files: list[Path]) -> None:
    """Check both as an index does.

    :raises LabError: with the complaints.
    """
    wheels = [path for path in files if path.suffix == '.whl']
    # The start-up files have to be at the top of site-packages.
    for argv in (
        ['twine', 'check', '--strict', *map(str, files)],
        ['check_wheel_contents', '--ignore', 'W003,W009', *map(str, wheels)],
    ):
        ret = subprocess.run([sys.executable, '-m', *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if ret.returncode:
            raise LabError(f'{argv[0]}:\n{ret.stdout}')


def main() -> None:
    """Build, check, and print the digests."""
    parser = argparse.ArgumentParser(prog='python -m tools.dist', description=__doc__)
    parser.add_argument('--release', action='store_true', help='refuse what must not be uploaded')
    args = parser.parse_args()
    scratch = scratch_folder('lab-dist-')
    try:
        reasons = obstacles()
        if reasons:
            say(f'{"refused" if args.release else "NOT FOR UPLOAD"}: {"; ".join(reasons)}')
            if args.release:
                sys.exit(1)
        export(scratch / 'tree')
        files = build(ROOT / 'dist', scratch / 'tree')
        check(files)
    except LabError as e:
        sys.exit(f'tools.dist: {e}')
    finally:
        remove_folder(scratch)
    for path in files:
        print(f'{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(ROOT)}')


if __name__ == '__main__':
    main()
