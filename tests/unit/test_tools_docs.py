"""The generated parts of docs/ are up to date."""

from __future__ import annotations

import sys

import pytest

#: As for the schemas: Python 3.8 and 3.9 cannot evaluate ``str | None``, which the annotations have.
pytestmark = pytest.mark.skipif(sys.version_info < (3, 10), reason='annotations cannot be evaluated')


def test_committed_files() -> None:
    """The committed files are up to date; if not, ``make docs`` writes them."""
    from tools import docs

    assert docs.differences() == ''


def test_every_command_has_its_manual() -> None:
    """Each subcommand has its help text on a page."""
    from patroni_etcd3_compat.check.cli import cli
    from tools import docs

    assert sorted(name for names in docs.MANUALS.values() for name in names) == sorted(cli.commands)
