"""Packaging is in setup.cfg; what is here is the one thing that setup.cfg can't say.

The two start-up files have to lie at the top of site-packages, where Python's ``site`` module reads them.
"""

from __future__ import annotations

import os
import shutil

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

#: ``.pth`` for Python up to 3.17, ``.start`` (PEP 829) from 3.15 on.
START_UP_FILES = ('patroni_etcd3_compat.pth', 'patroni_etcd3_compat.start')


class BuildWithStartUpFiles(build_py):
    """Put the start-up files beside the package, so that wheels hold them and an uninstall removes them."""

    def run(self):
        super().run()
        for name in START_UP_FILES:
            os.makedirs(self.build_lib, exist_ok=True)
            shutil.copyfile(name, os.path.join(self.build_lib, name))

    def get_source_files(self):
        return super().get_source_files() + list(START_UP_FILES)

    def get_outputs(self, *args, **kwargs):
        return super().get_outputs(*args, **kwargs) + [os.path.join(self.build_lib, n) for n in START_UP_FILES]


class EditableWithStartUpFiles(editable_wheel):
    """Put them into the wheel of ``pip install -e`` as well, which takes nothing of what ``build_py`` copies.

    setuptools has no public place for that; tests/patroni/test_install.py notices if this one goes.
    """

    def _run_build_commands(self, dist_name, unpacked_wheel, *args):
        ret = super()._run_build_commands(dist_name, unpacked_wheel, *args)
        for name in START_UP_FILES:
            shutil.copyfile(name, os.path.join(str(unpacked_wheel), name))
        return ret


setup(cmdclass={'build_py': BuildWithStartUpFiles, 'editable_wheel': EditableWithStartUpFiles})
