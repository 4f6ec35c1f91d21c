"""The report of a record: verdict, spans, steps, the plan beside it, and the picture."""

from __future__ import annotations

import json
import re
import xml.dom.minidom
import xml.etree.ElementTree as ElementTree
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, List, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patroni_etcd3_compat.check import cli
from patroni_etcd3_compat.check.facts import Facts, Finding, Fleet
from patroni_etcd3_compat.check.record import Event, Record, changes, state_of
from patroni_etcd3_compat.check.record.changes import began
from patroni_etcd3_compat.check.record.event import line
from patroni_etcd3_compat.check.report.beside import PlanError, compare
from patroni_etcd3_compat.check.report.markdown import markdown
from patroni_etcd3_compat.check.report.picture import draw
from patroni_etcd3_compat.check.report.story import Story, outages_of, tell
from patroni_etcd3_compat.check.report.text import lasted, md
from tests.examples import examples
from tests.unit.finding_facts import etcd_member, facts, of_versions, patroni_facts, patroni_member
from tests.unit.test_findings_any import FACTS
from tests.unit.test_fleet import break_leader, fleet

NOW = datetime(2026, 7, 1, 12, 0, 0, 0, timezone.utc)

#: A look: seconds after the first one, facts, findings.
Look = Tuple[float, 'Facts | Fleet', List[Finding]]


def recorded(*looks: Look, of: str = 'Patroni cluster batman') -> Record:
    """What the recorder would have written, and that it was ended one second after the last look."""
    events: list[Event] = []
    state: Any = None
    for seconds, some, findings in looks:
        after = state_of(some, findings, state)
        made = [began(after, of)] if state is None else changes(state, after)
        for event in made:
            event.time, event.host = NOW + timedelta(seconds=seconds), 'db1'
        events, state = events + made, after
    events.append(Event('ended', 'the end', {}, None, NOW + timedelta(seconds=looks[-1][0] + 1), 'db1'))
    return Record(events)


def told(*looks: Look, of: str = 'Patroni cluster batman') -> Story:
    """The story of these looks."""
    story = tell(recorded(*looks, of=of))
    assert story
    return story


def upgrade() -> list[Look]:
    """An upgrade of three members, of which one is silent for 4 s, and a failover of Patroni meanwhile."""
    looks: list[Look] = []
    warning = Finding('etcd-end-of-life', 'warning', 'etcd infra1 (u) and etcd infra2 (u)', 'old', 'c', 'r', 'l')
    for seconds, versions, leader, findings in (
        (0, ('3.4.45', '3.4.45', '3.4.45'), 'node1', [warning]),
        (10, ('3.5.30', '3.4.45', '3.4.45'), 'node1', []),
        (20, ('3.5.30', None, '3.4.45'), '', []),
        (24, ('3.5.30', '3.5.30', '3.4.45'), 'node2', []),
        (30, ('3.5.30', '3.5.30', '3.5.30'), 'node2', []),
    ):
        some = facts(of_versions('3.4.45', '3.4.45', '3.4.45'))
        some.etcd.endpoints = [etcd_member(number, version) for number, version in enumerate(versions, 1)]
        assert some.patroni
        some.patroni.leader = leader or None
        looks.append((seconds, some, list(findings)))
    return looks


def test_story_of_an_upgrade() -> None:
    """Steps with how long they took, who led when, and the findings that went."""
    story = told(*upgrade())
    assert [(step.key.name, step.before, step.after, step.seconds) for step in story.steps] == [
        ('infra1', '3.4.45', '3.5.30', 0),
        ('infra2', '3.4.45', '3.5.30', 4),
        ('infra3', '3.4.45', '3.5.30', 0),
    ]
    assert [(span.value, span.seconds) for span in story.without_leader('patroni')] == [('', 4)]
    assert [(span.key.name, span.value, span.seconds) for span in outages_of(story)] == [('infra2', 'silent', 4)]
    assert story.without_leader('etcd') == [] and story.ended and story.gaps == []


def test_markdown() -> None:
    """The whole report of an upgrade."""
    text = markdown(told(*upgrade()), picture='a.svg')
    head = text.split('## ')[0]
    assert '**2026-07-01 12:00:00 to 2026-07-01 12:00:31 UTC (31 s): etcd 3.4.45 -> 3.5.30; Patroni 4.1.5.**' in head
    assert '- etcd: 0 changes of leader seen, never seen without one.' in head
    assert '- Patroni: 1 change of leader seen, without a leader (batman) once, for 4.0 s at the longest.' in head
    assert '- 0 findings came, of which 0 stayed; 2 of those before went.' in head
    assert '(<a.svg>)' in head
    assert '| etcd infra1 | 3.4.45 | 3.5.30 |' in text
    assert '| etcd infra2 | 3.4.45 -> 3.5.30 | 2026-07-01 12:00:20 | 2026-07-01 12:00:24 | 4.0 s | 10 s |' in text
    assert '| 2026-07-01 12:00:20 | 2026-07-01 12:00:24 | 4.0 s | Patroni batman: no leader |' in text
    assert 'etcd: infra2 does not answer' in text


def test_a_leader_that_is_unknown_is_not_one_that_is_missing() -> None:
    """While etcd cannot be read, nobody says that nobody leads."""
    some = facts()
    dark = deepcopy(some)
    assert dark.patroni
    dark.patroni.error = 'no etcd member gave the keys'
    text = markdown(told((0, dark, []), (10, dark, [])))
    assert '- Patroni: the leader was unknown all the time.' in text
    story = told((0, some, []), (10, dark, []), (15, some, []))
    assert story.without_leader('patroni') == []
    assert '- Patroni: 0 changes of leader seen, never seen without one; it was unknown for 5.0 s.' in markdown(story)


def test_nobody_looked_on() -> None:
    """A session that was killed leaves a time of which nobody knows; so does a silence without a sign of life."""
    record = recorded(*upgrade())
    for event in record.events[-2:]:
        assert event.time
        event.time += timedelta(seconds=600)
    place = next(i for i, event in enumerate(record.events) if event.data.get('name') == 'infra2')
    assert record.events[place].time
    record.events.insert(place, Event('resumed', 'goes on', {}, None, record.events[place].time, 'db1'))
    record.broken = 1
    story = tell(record)
    assert story and [gap.seconds for gap in story.gaps] == [10, 606]
    text = markdown(story)
    assert '**Nobody looked on for 10 min 16 s** (2 times)' in text
    assert '**1 line of the file cannot be read** and is left out.' in text
    assert [step.unseen for step in story.steps] == [False, False, True]


def test_clock_that_is_set_back() -> None:
    """The order of the lines counts: nothing lasts a negative time, and the state at the end is the last one."""
    record = recorded(*upgrade())
    for event in record.events[5:]:
        assert event.time
        event.time -= timedelta(hours=1)
    story = tell(record)
    assert story and all(span.end >= span.start for span in story.spans)
    assert {value for key, value in story.last.items() if key[0] == 'etcd' and key.what == 'version'} == {'3.5.30'}


def test_no_look() -> None:
    """A record in which the first look is missing tells nothing."""
    assert tell(Record([Event('watching', 't', {}, None, NOW, 'db1')])) is None


def plan(*actions: dict[str, str], subject: str = 'etcd') -> dict[str, Any]:
    """A plan with these steps."""
    steps = [{'title': ' '.join(action.values()), 'action': action} for action in actions]
    return {'schema': 2, 'subject': subject, 'title': 'etcd 3.4 to 3.5', 'taken': 'then', 'steps': steps}


def test_plan_beside_it() -> None:
    """Each step has the event that shows it; what is out of order, missing or without a trace is said."""
    story = told(*upgrade())
    found = compare(
        story,
        plan(
            {'action': 'snapshot', 'before': '3.5'},
            {'action': 'upgrade', 'member': 'infra2', 'to': '3.5'},
            {'action': 'upgrade', 'member': 'infra1', 'to': '3.5'},
            {'action': 'move-leader', 'member': 'infra1', 'to': 'infra2'},
            {'action': 'upgrade', 'member': 'infra3', 'to': '3.4'},
            {'action': 'upgrade', 'member': 'infra3', 'to': '3.5.30'},
        ),
    )
    assert [(step.result, step.late) for step in found.steps] == [
        ('leaves no trace in a record', False),
        ('seen', False),
        ('seen', True),
        ('not seen', False),
        ('already so at the beginning', False),
        ('seen', False),
    ]
    assert [event.kind for event in found.others] == ['patroni-leader', 'patroni-leader']
    text = markdown(story, found)
    assert '3 of 6 steps were seen, 1 step not in the order of the plan.' in text
    assert '- 2026-07-01 12:00:24 Patroni batman: node2 leads, before nobody leads' in text


def test_plan_for_patroni() -> None:
    """The pause, the package and versions of Patroni are found, too."""
    some = facts(serves='stock')
    assert some.patroni
    looks: list[Look] = [(0, deepcopy(some), [])]
    some.patroni.paused = True
    looks.append((1, deepcopy(some), []))
    some.patroni.members[1].serves, some.patroni.members[1].compat = 'package', '0.1.0'
    looks.append((2, deepcopy(some), []))
    some.patroni.members[1].version = '4.1.6'
    looks.append((3, deepcopy(some), []))
    some.patroni.paused = False
    looks.append((4, deepcopy(some), []))
    found = compare(
        told(*looks),
        plan(
            {'action': 'save-config'},
            {'action': 'pause'},
            {'action': 'install-package', 'member': 'node2'},
            {'action': 'upgrade', 'member': 'node2', 'to': '4.1.6'},
            {'action': 'resume'},
            subject='patroni',
        ),
    )
    assert [step.result for step in found.steps] == ['leaves no trace in a record', *['seen'] * 4]
    assert found.others == [] and not any(step.late for step in found.steps)


def two_clusters(**changed: str) -> Story:
    """A record of the clusters a and b, whose members have the same names; those of b change."""
    some = fleet('a', 'b')
    for patroni in some.clusters:
        for member in patroni.members:
            member.serves = 'stock'
    after = deepcopy(some)
    for member in after.clusters[1].members:
        for name, value in changed.items():
            setattr(member, name, value)
    return told((0, some, []), (10, after, []), of='all Patroni clusters below /service/')


def test_members_of_the_same_name() -> None:
    """What happened in one cluster is not what a plan wants of another one, whose members have the same names."""
    installing = plan(*[{'action': 'install-package', 'member': 'node1'}] * 2)
    for step, name in zip(installing['steps'], 'ab'):
        step['cluster'] = name
    steps = compare(two_clusters(serves='package'), installing).steps
    assert [(step.result, step.event and step.event.cluster) for step in steps] == [('not seen', None), ('seen', 'b')]
    upgrading = plan({'action': 'upgrade', 'member': 'node1', 'to': '4.1.9'}, subject='patroni')
    for name, result in (('a', 'not seen'), ('b', 'seen')):
        upgrading['steps'][0]['cluster'] = name
        assert compare(two_clusters(version='4.1.9'), upgrading).steps[0].result == result
    # at the beginning, too
    some = fleet('a', 'b')
    for member in some.clusters[0].members:
        member.serves = 'package'
    assert [step.result for step in compare(told((0, some, [])), installing).steps] == [
        'already so at the beginning',
        'not seen',
    ]


def test_plan_that_names_no_cluster() -> None:
    """Of several clusters nobody knows which one it is about; of one there is no question."""
    upgrading = plan({'action': 'upgrade', 'member': 'node1', 'to': '4.1.9'}, subject='patroni')
    assert compare(two_clusters(version='4.1.9'), upgrading).steps[0].result.startswith('unknown')


@pytest.mark.parametrize(
    'document', [None, [], {}, {'schema': 2, 'subject': 'etcd', 'steps': [7]}, dict(plan(), schema=3)]
)
def test_no_plan(document: object) -> None:
    """What is no plan is refused."""
    with pytest.raises(PlanError):
        compare(told(*upgrade()), document)


@given(st.lists(st.tuples(st.floats(0, 1e6), FACTS), min_size=1, max_size=3))
@settings(max_examples=examples(200))
def test_anything(looks: list[tuple[float, Facts]]) -> None:
    """Whatever was recorded, there is a report without control characters, and a picture that is XML."""
    story = told(*((seconds, some, []) for seconds, some in looks))
    text = markdown(story)
    assert all(char.isprintable() or char == '\n' for char in text)
    xml.dom.minidom.parseString(draw(story).encode())


def test_names_are_escaped() -> None:
    """A name is neither a tag nor a mark nor a new cell: anybody with access to etcd may have chosen it."""
    evil = '<script>alert(1)</script>|[x](http://y)`\x1b[31m\n# head'
    some = facts(patroni=patroni_facts(patroni_member(evil), patroni_member('node2')))
    other = deepcopy(some)
    assert other.patroni
    break_leader(other.patroni)
    story = told((0, some, []), (5, other, []), of=evil)
    for text in (markdown(story, picture=evil), draw(story)):
        assert '<script' not in text and '\x1b' not in text and '\n# head' not in text
    assert re.search(r'(?<!\\)\]\(http', markdown(story)) is None and md('a|b') == 'a\\|b'
    xml.dom.minidom.parseString(draw(story))


def test_picture() -> None:
    """Members' versions, leaders and outages are bars; of many clusters and findings, the rest is counted."""
    text = draw(told(*upgrade()))
    titles = [node.text or '' for node in ElementTree.fromstring(text).iter('{http://www.w3.org/2000/svg}title')]
    assert 'infra2: silent, 2026-07-01 12:00:20 to 2026-07-01 12:00:24' in titles
    assert 'infra1: 3.5.30, 2026-07-01 12:00:10 to 2026-07-01 12:00:31' in titles
    assert 'leader: nobody, 2026-07-01 12:00:20 to 2026-07-01 12:00:24' in titles
    assert any(title.startswith('warning: finding etcd-end-of-life at etcd infra1') for title in titles)
    some = fleet(*(f'db{number:03}' for number in range(100)))
    broken = deepcopy(some)
    for patroni in broken.clusters[50:]:
        break_leader(patroni)
    findings = [
        Finding('patroni-no-leader', 'critical', 'x', 's', 'c', 'r', 'l', f'db{each:03}') for each in range(50, 100)
    ]
    text = draw(told((0, some, []), (3, broken, findings)))
    assert 'leader of db050' in text and 'leader of db000' not in text
    assert 'and 88 more Patroni clusters' in text and 'and 10 more findings' in text


def test_durations() -> None:
    """Short ones have tenths, long ones no seconds."""
    assert [lasted(each) for each in (0, 9.94, 59.4, 60, 3599, 3600, 90000)] == [
        '0.0 s',
        '9.9 s',
        '59 s',
        '1 min 0 s',
        '59 min 59 s',
        '1 h 0 min',
        '25 h 0 min',
    ]


Run = Callable[..., Tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command and return exit status, output and errors."""

    def do(*args: str) -> tuple[int, str, str]:
        return (cli.run(args), *capsys.readouterr())

    return do


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The record of an upgrade."""
    path = tmp_path / 'upgrade.jsonl'
    path.write_bytes(b''.join(map(line, recorded(*upgrade()).events)))
    return path


def test_command(run: Run, file: Path) -> None:
    """Report, picture and plan, on standard output or in files; the report refers to the picture."""
    status, out, err = run('report', str(file))
    assert (status, err) == (0, '') and out.startswith('# Record of Patroni cluster batman\n')
    folder = file.parent / 'docs'
    folder.mkdir()
    document = file.parent / 'plan.json'
    document.write_text(json.dumps(plan({'action': 'upgrade', 'member': 'infra1', 'to': '3.5'})))
    args = ['-o', str(folder / 'a.md'), '--svg', str(file.parent / 'a.svg'), '--plan', str(document)]
    assert run('report', str(file), *args) == (0, '', '')
    text = (folder / 'a.md').read_text()
    assert '(<../a.svg>)' in text and '1 of 1 steps were seen, in the order of the plan.' in text
    xml.dom.minidom.parse(str(file.parent / 'a.svg'))


@pytest.mark.parametrize(
    'args, text',
    [
        ([], 'missing argument'),
        (['/no/such'], 'cannot read /no/such: No such file or directory'),
        (['FOLDER'], 'cannot read '),
        (['EMPTY'], 'is empty: nothing has been recorded'),
        (['FOREIGN'], 'is no record of check --record'),
        (['LATE'], 'has no look in it'),
        (['FILE', '--plan', '/no/such'], 'cannot read /no/such'),
        (['FILE', '--plan', 'FOREIGN'], 'is no JSON: make a plan with plan -f json'),
        (['FILE', '--plan', 'OTHER'], 'it is no plan: make one with plan -f json'),
        (['FILE', '-o', '/no/such/file'], 'cannot write /no/such/file'),
        (['FILE', '--svg', '/no/such/file'], 'cannot write /no/such/file'),
    ],
)
def test_used_wrongly(run: Run, file: Path, args: list[str], text: str) -> None:
    """One line says what is wrong, and the status is 3."""
    contents = {
        'FILE': file.read_bytes(),
        'EMPTY': b'',
        'FOREIGN': b'hello\n',
        'OTHER': b'{}',
        'LATE': line(Event('watching', 't', {}, None, NOW, 'db1')),
    }
    for name, content in contents.items():
        (file.parent / name).write_bytes(content)
    places = {name: str(file.parent / name) for name in contents}
    status, out, err = run('report', *(places.get(arg, str(file.parent) if arg == 'FOLDER' else arg) for arg in args))
    assert (status, out) == (3, '') and err.count('\n') == 1
    assert text.lower() in err.lower()


def test_usage_of_record(run: Run, tmp_path: Path) -> None:
    """``--record`` without ``--watch`` is wrong usage, and so is a file that holds something else."""
    status, out, err = run('check', '--endpoints', 'a:1', '--record', str(tmp_path / 'file'))
    assert (status, out) == (3, '') and '--record needs --watch' in err and not (tmp_path / 'file').exists()
    (tmp_path / 'file').write_text('precious\n')
    status, out, err = run('check', '--endpoints', 'a:1', '-W', '--record', str(tmp_path / 'file'))
    assert (status, out) == (3, '') and 'is no record' in err and (tmp_path / 'file').read_text() == 'precious\n'


@pytest.mark.parametrize('args', [('-o', 'FILE'), ('--svg', 'FILE'), ('-o', 'LINK'), ('--svg', 'LINK')])
def test_never_over_the_record(run: Run, file: Path, args: tuple[str, str]) -> None:
    """A report is not written over what it is made of, by whatever name."""
    link, before = file.with_name('link'), file.read_bytes()
    link.symlink_to(file)
    status, out, err = run('report', str(file), args[0], str(file if args[1] == 'FILE' else link))
    assert (status, out) == (3, '') and 'would be overwritten' in err
    assert file.read_bytes() == before


def test_never_over_another_file_of_the_report(
    run: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the plan is written over, nor the picture by the text."""
    monkeypatch.chdir(tmp_path)
    planned = tmp_path / 'plan.json'
    planned.write_text(json.dumps(plan({'action': 'upgrade', 'member': 'infra1', 'to': '3.5'})))
    before = planned.read_bytes()
    for args in (['--plan', str(planned), '-o', str(planned)], ['--svg', 'same', '-o', './same']):
        status, out, err = run('report', str(file), *args)
        assert (status, out) == (3, '') and 'would be overwritten' in err
    assert planned.read_bytes() == before and not Path('same').exists()


def test_check_does_not_write_over_its_record(run: Run, tmp_path: Path) -> None:
    """The output of a look would replace the record; no file is made."""
    path = tmp_path / 'record'
    for output in (path, tmp_path / '..' / tmp_path.name / 'record'):
        args = ['check', '--endpoints', '127.0.0.1:1', '--watch', '1', '--record', str(path), '-o', str(output)]
        status, out, err = run(*args)
        assert (status, out) == (3, '') and 'would be overwritten' in err
    assert not path.exists()
