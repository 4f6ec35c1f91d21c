"""What lab.root_tree keeps in CACHE; the trees themselves are made in tests/packages and tests/install."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab import cache, root_tree


def test_lists_of_packages_are_fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Packages are installed by the archive's lists of today, however old the release is that they are added to."""
    monkeypatch.setattr(cache, 'CACHE', tmp_path)
    monkeypatch.setattr(root_tree, '_ROOTS', tmp_path)
    (tmp_path / 'sid').mkdir()
    ran: list[str] = []

    def run(self: object, *argv: str, **_: Any) -> str:
        ran.append(argv[1])
        return ''

    monkeypatch.setattr(root_tree.RootTree, 'run', run)
    assert root_tree.RootTree('sid', 'patroni')._kept() == tmp_path / 'sid+patroni'
    assert ran == ['update', 'install', 'clean']
