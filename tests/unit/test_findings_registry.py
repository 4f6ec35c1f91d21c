"""The register of findings: one object for each, and everything else made from it."""

from __future__ import annotations

from typing import Iterator

import pytest

from lab import ROOT
from patroni_etcd3_compat.check import cli
from patroni_etcd3_compat.check.facts import SEVERITIES, Facts
from patroni_etcd3_compat.check.findings import Kind, Seen, Subject, judge, kind_of, kinds, registry
from patroni_etcd3_compat.check.findings.examples import healthy
from patroni_etcd3_compat.check.findings.registry import ETCD_GATE, PATRONI_GATE, stopping
from patroni_etcd3_compat.check.plan import make_plan
from patroni_etcd3_compat.check.render.explain import example
from tests.unit.finding_facts import facts, of_versions
from tools import findings_page, proofs


@pytest.fixture
def dummy(monkeypatch: pytest.MonkeyPatch) -> Kind:
    """A finding that only this test has: some member runs 3.5."""
    monkeypatch.setattr(registry, '_register', dict(registry._register))

    subject = Subject(999, 'Dummies')

    @subject.finding(
        'etcd-dummy',
        'a member is a dummy',
        'https://etcd.io/dummy/',
        warning='on Tuesdays',
        stops=ETCD_GATE,
        example=lambda facts: None,
    )
    def check(facts: Facts) -> Iterator[Seen]:
        """Find dummies."""
        if any((url.version or '').startswith('3.5.') for url in facts.etcd.endpoints):
            yield Seen('warning', where='etcd', seen='a dummy', consequence='nothing moves', remedy='wake it up')

    return kind_of('etcd-dummy')


def test_one_place(dummy: Kind, capsys: pytest.CaptureFixture[str]) -> None:
    """What is registered is judged, listed, documented, and asked for by the gates of plans."""
    assert judge(facts())[0].id == 'etcd-dummy' and kinds()[-1] is dummy
    assert cli.run(['check', '--list']) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ['etcd-dummy', 'a', 'member', 'is', 'a', 'dummy']
    page = findings_page.page()
    assert '## Dummies\n\n### etcd-dummy\n\nA member is a dummy.\n\n- **warning**: on Tuesdays\n' in page
    assert 'WARNING etcd-dummy\n  where  etcd\n  seen   a dummy' in page
    assert stopping(ETCD_GATE)[-1] == 'etcd-dummy' and 'etcd-dummy' not in stopping(PATRONI_GATE)


def test_in_plans(dummy: Kind) -> None:
    """It fails a plan for etcd if it is there now, or if a step would cause it."""
    some = facts(of_versions('3.4.23', '3.4.23', '3.4.23'))
    made = make_plan(some, judge(some), '3.6', None, False)
    (check,) = [check for check in made.prechecks if check.id == 'etcd-dummy']
    assert (check.result, check.when, check.title) == (
        'failed',
        'while members run 3.4.23 and 3.5',
        'a member is a dummy',
    )
    assert (check.seen, check.consequence, check.remedy) == ('etcd: a dummy', 'Nothing moves.', 'Wake it up.')
    assert [variable.value for variable in made.variables if variable.name == ETCD_GATE][0].endswith(',etcd-dummy')
    some = facts()
    made = make_plan(some, judge(some), '3.6', None, False)
    assert [check.when for check in made.prechecks if check.id == 'etcd-dummy'] == ['now'] and not made.ready


def test_registration() -> None:
    """An identifier is there once, and a finding has a severity."""
    for id, condition in (('etcd-alarm', ''), ('etcd-new', None)):
        with pytest.raises(ValueError, match=id):
            Subject(1, 'x').finding(id, 'x', 'https://etcd.io/', example=lambda facts: None, critical=condition)
    with pytest.raises(KeyError):
        kind_of('etcd-new')


def test_the_healthy_cluster_of_the_examples() -> None:
    """There is nothing to say about it."""
    assert [finding.severity for finding in judge(healthy())] == ['info']


@pytest.mark.parametrize('id', [kind.id for kind in kinds()])
def test_examples(id: str) -> None:
    """Each shows its finding, with a severity that it is registered with."""
    kind = kind_of(id)
    assert set(kind.severities) <= set(SEVERITIES)
    found = example(kind)
    assert found.id == id and found.severity in kind.severities


def test_example_that_shows_nothing(dummy: Kind) -> None:
    """Is an error, not an empty section."""
    with pytest.raises(ValueError, match='patroni-paused'):
        example(Kind(**{**vars(kind_of('patroni-paused')), 'example': lambda facts: None}))


def test_proofs_exist() -> None:
    """Each test that a finding names as its proof is there, and runs against servers."""
    for name in proofs.proofs():
        path, _, test = name.partition('::')
        assert path.startswith('tests/') and not path.startswith('tests/unit')
        assert f'\ndef {test}(' in (ROOT / path).read_text(), name
