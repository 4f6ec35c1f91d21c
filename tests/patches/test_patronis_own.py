"""Patroni's own tests of the release, on the original tree and on the patched one."""

from __future__ import annotations

from pathlib import Path

from lab import ROOT
from lab.environments import Environment, clean_environ
from tools.patching import unpack
from tools.upstream import FILES, outcomes, run

TESTS = FILES + ('test_validator.py',)


def results(release: str, env: Environment, tree: Path, tmp_path: Path) -> dict[str, str]:
    """Outcomes of the tests on a tree; the environment has what else they need."""
    environ = dict(clean_environ(), PYTHONPATH=str(tree))
    where = env.run(['-c', 'import patroni.dcs.etcd3 as m; print(m.__file__)'], env=environ, cwd='/').stdout
    assert where == f'{tree}/patroni/dcs/etcd3.py\n'
    report = tmp_path / (tree.parent.name + '.xml')
    run(release, stock=True, python=env.python, environ=environ, files=TESTS, report=report)
    return outcomes(report)


def test_same_result_with_the_patch(release: str, patched: Environment, tmp_path: Path) -> None:
    """Each test has the same outcome as without the patch."""
    found = []
    for name in ('stock', 'patched'):
        folder = tmp_path / name
        folder.mkdir()
        found.append(results(release, patched, unpack(release, folder, patched=name == 'patched'), tmp_path))
    before, after = found
    assert before == after
    passed = {name.split('.')[1] for name, outcome in before.items() if outcome == 'passed'}
    assert passed == {name.partition('.')[0] for name in TESTS}, 'no test of some file passed at all'


def test_with_the_classes_of_the_patch(release: str, patched: Environment, tmp_path: Path) -> None:
    """The tests of the etcd classes pass with those of ``patroni.etcd3_compat``, too."""
    environ = dict(
        clean_environ(), PYTHONPATH=str(ROOT / 'tests' / 'patches' / 'alias'), PYTEST_ADDOPTS='-p patched_alias'
    )
    report = tmp_path / 'report.xml'
    assert run(release, python=patched.python, environ=environ, report=report) == 0
    assert 'passed' in outcomes(report).values()
