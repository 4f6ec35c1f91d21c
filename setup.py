"""What setup.cfg cannot express.

- The two start-up files have to be at the top of site-packages, where Python's ``site`` module reads them.
- On an index page, README's links lead to the project's address.
- A source distribution is the same file whoever builds it, if SOURCE_DATE_EPOCH is set.
"""

from __future__ import annotations

import configparser
import gzip
import os
import re
import shutil
import tarfile

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel
from setuptools.command.sdist import sdist
from setuptools.errors import SetupError

_SETUP = configparser.ConfigParser()
_SETUP.read('setup.cfg')
URL = _SETUP['metadata']['url']
with open('patroni_etcd3_compat/__init__.py') as _module:
    VERSION = re.search("^__version__ = '(.*)'$", _module.read(), re.M).group(1)

#: Where a file of this release can be read.
BLOB = f'{URL}/blob/v{VERSION}/'

#: ``.pth`` for Python up to 3.17, ``.start`` (PEP 829) from 3.15 on.
START_UP_FILES = ('patroni_etcd3_compat.pth', 'patroni_etcd3_compat.start')


def copy_start_up_files(folder):
    """Copy the start-up files into a folder, and return their paths in it."""
    os.makedirs(folder, exist_ok=True)
    return [shutil.copyfile(name, os.path.join(folder, name)) for name in START_UP_FILES]


class BuildWithStartUpFiles(build_py):
    """Put the start-up files beside the package, so that wheels contain them and an uninstall removes them."""

    def run(self):
        super().run()
        copy_start_up_files(self.build_lib)

    def get_source_files(self):
        return super().get_source_files() + list(START_UP_FILES)

    def get_outputs(self, *args, **kwargs):
        return super().get_outputs(*args, **kwargs) + [os.path.join(self.build_lib, n) for n in START_UP_FILES]


class EditableWithStartUpFiles(editable_wheel):
    """Put them into the wheel of ``pip install -e``, too, which ignores what ``build_py`` has copied.

    setuptools has no public hook for that. Without the files, the package would silently do nothing, so it is an error
    if setuptools no longer calls this method.
    """

    placed = ()

    def run(self):
        super().run()
        if not self.placed:
            raise SetupError('this release of setuptools cannot add the start-up files: install without -e')

    def _run_build_commands(self, dist_name, unpacked_wheel, *args, **kwargs):
        self.placed = copy_start_up_files(str(unpacked_wheel))
        return super()._run_build_commands(dist_name, unpacked_wheel, *args, **kwargs)


class ReproducibleSource(sdist):
    """Write the archive with one date and owner, its files in order and with plain modes."""

    def make_archive(self, base_name, format, root_dir=None, base_dir=None, owner=None, group=None):
        epoch = os.environ.get('SOURCE_DATE_EPOCH')
        if not epoch or format != 'gztar':
            return super().make_archive(base_name, format, root_dir, base_dir, owner, group)

        def plain(info):
            mode = 0o755 if info.isdir() or info.mode & 0o100 else 0o644
            info.mode, info.mtime, info.uid, info.gid, info.uname, info.gname = mode, int(epoch), 0, 0, '', ''
            return info

        name = base_name + '.tar.gz'
        paths = sorted(os.path.join(folder, it) for folder, _, files in os.walk(base_dir) for it in files)
        with open(name, 'wb') as file, gzip.GzipFile('', 'wb', 9, file, int(epoch)) as packed:
            with tarfile.open(mode='w', fileobj=packed, format=tarfile.PAX_FORMAT) as archive:
                for path in paths:
                    archive.add(path, filter=plain)
        return name


def long_description():
    """Return README for an index page, where a link to a file of the project needs its address."""
    with open('README.md', encoding='utf-8') as readme:
        return re.sub(r'\]\((?![a-z]+:|#)', '](' + BLOB, readme.read())


setup(
    cmdclass={
        'build_py': BuildWithStartUpFiles,
        'editable_wheel': EditableWithStartUpFiles,
        'sdist': ReproducibleSource,
    },
    long_description=long_description(),
    project_urls={
        'Documentation': f'{URL}#readme',
        'Changelog': BLOB + 'CHANGELOG.md',
        'Source': URL,
        'Issues': f'{URL}/issues',
    },
)
