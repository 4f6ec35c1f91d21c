"""What ``patches/upstream`` promises a maintainer of Patroni, for each patch alone and for the whole series."""

from __future__ import annotations

import email.policy
import re

import pytest

from tools.upstream_lint import LINTERS
from tools.upstream_patches import FOLDER, PATHS, Outcome, baseline, changed_files, check_all, series

EACH = [patch.name for patch in series()]


@pytest.fixture(scope='module')
def outcomes() -> dict[str, Outcome]:
    """The outcome of each patch, and of all of them under ``series``."""
    return {outcome.name: outcome for outcome in check_all(baseline()[0], quick=True)}


def test_series_is_complete() -> None:
    """The file ``series`` names every patch once."""
    assert sorted(EACH) == sorted(path.name for path in FOLDER.glob('*.patch'))


@pytest.mark.parametrize('name', EACH)
def test_applies_alone_where_it_says(outcomes: dict[str, Outcome], name: str) -> None:
    """``patch --fuzz=0`` finds each hunk at its line, and ``git am`` makes a commit of it."""
    assert outcomes[name].remarks == []
    assert len(outcomes[name].subjects) == 1


def test_series_applies(outcomes: dict[str, Outcome]) -> None:
    """All patches apply in order, each as a commit with the same subject as alone."""
    assert outcomes['series'].subjects == [subject for name in EACH for subject in outcomes[name].subjects]


@pytest.mark.parametrize('name', EACH + ['series'])
def test_patronis_tests_pass(outcomes: dict[str, Outcome], name: str) -> None:
    """Patroni's own etcd tests pass, and none is missing."""
    assert outcomes[name].failed == []
    assert len(outcomes[name].passed) >= 65  # as many as in the release


@pytest.mark.parametrize(
    ('name', 'linter'),
    [(name, linter) for linter in ('isort', 'flake8') for name in EACH] + [('series', it) for it in LINTERS],
)
def test_patronis_linters_find_nothing_new(outcomes: dict[str, Outcome], name: str, linter: str) -> None:
    """isort, flake8 and pyright with Patroni's settings complain about nothing that they do not find in the release."""
    found = outcomes[name].lint[linter]
    if isinstance(found, str):
        pytest.skip(found)
    assert found == []


@pytest.mark.parametrize('name', EACH)
def test_what_the_patch_tests_fails_without_it(outcomes: dict[str, Outcome], name: str) -> None:
    """Each patch adds or extends unit tests that fail on the original release; all others pass there."""
    assert outcomes[name].without


def test_series_tests_everything(outcomes: dict[str, Outcome]) -> None:
    """In a series, no patch removes what another one tests."""
    assert sorted(outcomes['series'].without) == sorted({test for name in EACH for test in outcomes[name].without})


@pytest.mark.parametrize('name', EACH)
def test_form(name: str) -> None:
    """A patch is a mail in the format of ``git format-patch``, with a reason, and changes only the etcd modules."""
    mail = email.message_from_string((FOLDER / name).read_text(), policy=email.policy.default)
    assert re.match(r'patroni-etcd3-compat maintainers <\S+@\S+>$', mail['From'])
    assert re.match(r'\[PATCH\] \S', mail['Subject'])
    assert len(mail.get_content().partition('\n---\n')[0].split()) > 50
    assert set(changed_files(FOLDER / name)) <= set(PATHS)
