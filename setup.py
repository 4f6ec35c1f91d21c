"""The one part of the packaging that setup.cfg cannot express.

The two start-up files have to be at the top of site-packages, where Python's ``site`` module reads them.
"""

from __future__ import annotations

import os
import shutil

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel
from setuptools.errors import SetupError

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


setup(cmdclass={'build_py': BuildWithStartUpFiles, 'editable_wheel': EditableWithStartUpFiles})
