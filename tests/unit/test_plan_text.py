"""Plans as text: the whole Markdown of some, and JSON."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patroni_etcd3_compat.check.facts import Facts
from patroni_etcd3_compat.check.findings import judge
from patroni_etcd3_compat.check.plan import Plan, make_plan, render_plan
from patroni_etcd3_compat.check.plan.model import SCHEMA, Gate, PreCheck, Refusal, Step, Variable
from tests.examples import examples
from tests.unit.finding_facts import facts, of_versions, patroni_facts, patroni_member
from tests.unit.test_findings_any import FACTS, SECRET

#: Markdown that is expected, one file for each case; ``EXPECTED=write`` in the environment writes them anew.
EXPECTED = Path(__file__).resolve().parent / 'plans'

SCHEMA_FILE = Path(__file__).resolve().parent.parent.parent / 'docs' / 'plan.schema.json'


def made(
    some: Facts,
    etcd_to: str | None = None,
    patroni_to: str | None = None,
    direct: bool = False,
    config_file: str | None = None,
) -> Plan:
    """The plan for these facts, judged as the command judges them."""
    if some.etcd.listed:
        for number, entry in enumerate(some.etcd.listed, 1):
            entry.peer_urls = [f'http://10.0.0.{number}:2380']
    return make_plan(some, judge(some), etcd_to, patroni_to, direct, config_file)


CASES = {
    'etcd-3.3-to-3.4': lambda: made(
        facts(of_versions('3.3.25', '3.3.25', '3.3.25')), etcd_to='3.4', config_file='/etc/patroni/main.yml'
    ),
    'etcd-3.4-to-3.5-with-auth': lambda: made(facts(of_versions('3.4.23', '3.4.23', auth=True)), etcd_to='3.5'),
    'etcd-3.2-to-3.4-direct': lambda: made(
        facts(of_versions('3.2.26'), patroni_facts(patroni_member('node1'))), etcd_to='3.4', direct=True
    ),
    'etcd-3.7-to-3.5': lambda: made(
        facts(of_versions('3.7.3', '3.7.3', '3.7.3', storage_version='3.7.0', downgrade='')), etcd_to='3.5'
    ),
    'etcd-3.5-to-3.4': lambda: made(facts(of_versions('3.5.30', '3.5.30', '3.5.30')), etcd_to='3.4'),
    'etcd-3.4-to-3.3': lambda: made(facts(of_versions('3.4.45', '3.4.45', '3.4.45')), etcd_to='3.3'),
    'patroni-3.3-to-4.0.2': lambda: made(
        facts(
            None,
            patroni_facts(
                patroni_member('node1', '3.3.2'), patroni_member('node2', '3.3.2'), patroni_member('node3', '3.3.2')
            ),
        ),
        patroni_to='4.0.2',
    ),
}


@pytest.mark.parametrize('case', list(CASES))
def test_markdown(case: str) -> None:
    """Compared as a whole."""
    text = render_plan(CASES[case](), 'markdown', anyway=True)
    path = EXPECTED / (case + '.md')
    if os.environ.get('EXPECTED') == 'write':
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def test_verdict_comes_first() -> None:
    """The second paragraph says whether the plan can be begun, and how much it is."""
    first = render_plan(CASES['etcd-3.3-to-3.4'](), 'markdown').split('\n\n')[1]
    assert first == ('**Ready:** 5 steps, 3 restarts of etcd members, 1 point of no return. 2 checks to make by hand.')
    first = render_plan(CASES['etcd-3.4-to-3.5-with-auth'](), 'markdown').split('\n\n')[1]
    assert first.startswith('**Not possible:**')


def test_steps_of_a_plan_that_is_not_ready() -> None:
    """They are shown on request only: nobody pastes them by mistake. A program sees that it is not ready."""
    plan = CASES['patroni-3.3-to-4.0.2']()
    short, whole = (render_plan(plan, 'markdown', anyway) for anyway in (False, True))
    assert short.split('\n\n')[1].startswith('**Not ready:** 1 of ') and 'no point of no return' in short
    assert '## Steps' not in short and '## Variables' not in short and '## Afterwards' not in short
    assert '--anyway' in short and 'FAILED' in short
    assert '## Steps' in whole and '## Variables' in whole and '--anyway' not in whole
    assert json.loads(render_plan(plan, 'json'))['steps']


def test_warning_before_a_point_of_no_return() -> None:
    """It stands before the commands, and only there."""
    text = render_plan(CASES['etcd-3.3-to-3.4'](), 'markdown')
    steps = text.split('\n### ')[1:]
    assert [step.partition('Do:')[0].count('stop and think') for step in steps] == [0, 0, 0, 0, 1]
    assert text.count('stop and think') == 1


@pytest.mark.parametrize('fmt', ['markdown', 'json'])
def test_no_text_can_drive_the_terminal(fmt: str) -> None:
    """A server's error text, for example, is shown and not obeyed."""
    plan = CASES['etcd-3.3-to-3.4']()
    plan.notes = ['a\x1b[2J\x9b\u202eb']
    plan.prechecks[0].seen = plan.notes[0]
    text = render_plan(plan, fmt)
    assert not any(char in text for char in '\x1b\x9b\u202e') and '[2J' in text


@pytest.mark.parametrize('case', list(CASES))
def test_json(case: str) -> None:
    """All of the plan, and whether it can be begun."""
    plan = CASES[case]()
    found = json.loads(render_plan(plan, 'json'))
    assert found.pop('ready') is plan.ready
    assert found == dataclasses.asdict(plan) and found['schema'] == SCHEMA


@pytest.mark.parametrize('case', list(CASES))
def test_json_is_as_documented(case: str) -> None:
    """Valid by the schema, which names everything that is there."""
    schema = json.loads(SCHEMA_FILE.read_text())
    document = json.loads(render_plan(CASES[case](), 'json'))
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft7Validator(schema).validate(document)
    assert set(schema['properties']) == set(document) and schema['properties']['schema']['const'] == SCHEMA
    for definition, cls in (
        ('Refusal', Refusal),
        ('Variable', Variable),
        ('PreCheck', PreCheck),
        ('Gate', Gate),
        ('Step', Step),
    ):
        assert set(schema['definitions'][definition]['properties']) == {field.name for field in dataclasses.fields(cls)}


def test_other_format() -> None:
    """There is none."""
    with pytest.raises(ValueError, match='html'):
        render_plan(made(facts(), etcd_to='3.6'), 'html')


@settings(max_examples=examples(300))
@given(FACTS, st.sampled_from(['3.1', '3.3.10', '3.5', '3.6.12', '3.7', '4.0.1', '4.1']), st.booleans(), st.booleans())
def test_any_facts(some: Facts, to: str, of_patroni: bool, direct: bool) -> None:
    """A plan or a refusal for whatever was collected, none for odd URLs, and nothing that may hold a secret in it."""
    before: Any = dataclasses.asdict(some)
    findings = judge(some)
    if of_patroni and some.patroni is None:
        return
    try:
        plan = make_plan(
            some, findings, None if of_patroni else to, to if of_patroni else None, direct and not of_patroni
        )
    except ValueError as e:
        assert 'could have put a command there' in str(e) and SECRET not in str(e)
        return
    assert dataclasses.asdict(some) == before
    text = render_plan(plan, 'markdown') + render_plan(plan, 'json')
    assert SECRET not in text
    assert bool(plan.steps) != bool(
        plan.refusals or plan.notes[0].startswith(('Nothing to do', 'Every member that answers'))
    )
