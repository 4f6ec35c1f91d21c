"""What ``patches/upstream`` promises a maintainer of Patroni, each patch alone and all in a row."""

from __future__ import annotations

import email.policy
import re

import pytest

from tools.upstream_patches import FOLDER, Outcome, changed_files, check_all, series

EACH = [patch.name for patch in series()]


@pytest.fixture(scope='module')
def outcomes() -> dict[str, Outcome]:
    """What came of each patch, and under ``series`` of all."""
    return {outcome.name: outcome for outcome in check_all()}


def test_series_is_complete() -> None:
    """The file ``series`` names every patch there is, once."""
    assert sorted(EACH) == sorted(path.name for path in FOLDER.glob('*.patch'))


@pytest.mark.parametrize('name', EACH)
def test_applies_alone_where_it_says(outcomes: dict[str, Outcome], name: str) -> None:
    """``patch --fuzz=0`` finds each hunk at its line, ``git am`` makes a commit of it."""
    assert outcomes[name].remarks == []
    assert len(outcomes[name].subjects) == 1


def test_series_applies(outcomes: dict[str, Outcome]) -> None:
    """All of them apply in a row, each as a commit with the subject that it has alone."""
    assert outcomes['series'].subjects == [subject for name in EACH for subject in outcomes[name].subjects]


@pytest.mark.parametrize('name', EACH + ['series'])
def test_patronis_tests_pass(outcomes: dict[str, Outcome], name: str) -> None:
    """Patroni's own etcd tests pass, none is gone, and the checks of its flake8 find nothing."""
    assert outcomes[name].failed == []
    assert len(outcomes[name].passed) >= 65  # as many as the release has
    assert outcomes[name].lint == ''


@pytest.mark.parametrize('name', EACH)
def test_what_the_patch_tests_fails_without_it(outcomes: dict[str, Outcome], name: str) -> None:
    """Each patch adds or extends one unit test, which fails on the release as it is; all others pass there."""
    assert len(outcomes[name].without) == 1


def test_series_tests_everything(outcomes: dict[str, Outcome]) -> None:
    """In a row no patch takes away what another one tests."""
    assert sorted(outcomes['series'].without) == sorted(test for name in EACH for test in outcomes[name].without)


@pytest.mark.parametrize('name', EACH)
def test_form(name: str) -> None:
    """A patch is a mail as ``git format-patch`` makes it, with a reason, and touches the etcd modules only."""
    mail = email.message_from_string((FOLDER / name).read_text(), policy=email.policy.default)
    assert re.match(r'patroni-etcd3-compat maintainers <\S+@\S+>$', mail['From'])
    assert re.match(r'\[PATCH\] \S', mail['Subject'])
    assert len(mail.get_content().partition('\n---\n')[0].split()) > 50
    assert set(changed_files(FOLDER / name)) <= {'patroni/dcs/etcd.py', 'patroni/dcs/etcd3.py', 'tests/test_etcd3.py'}
