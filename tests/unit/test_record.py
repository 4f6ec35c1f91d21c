"""The record: what counts as a change, replaying it, and the file that it is in."""

from __future__ import annotations

import errno
import json
import os
from copy import deepcopy
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patroni_etcd3_compat.check.collect import ConfigError
from patroni_etcd3_compat.check.facts import Facts, Finding, Fleet
from patroni_etcd3_compat.check.findings import judge
from patroni_etcd3_compat.check.fleet import judge_fleet
from patroni_etcd3_compat.check.record import (
    Event,
    Key,
    RecordError,
    RecordFile,
    State,
    changes,
    read,
    replay,
    state_of,
)
from patroni_etcd3_compat.check.record.changes import began
from patroni_etcd3_compat.check.record.event import line, parse
from patroni_etcd3_compat.check.record.recorder import Recorder, recording
from tests.examples import examples
from tests.unit.finding_facts import etcd_facts, etcd_member, facts, of_versions, patroni_facts, patroni_member
from tests.unit.test_findings_any import FACTS, SECRET
from tests.unit.test_fleet import break_leader, fleet

NOW = datetime(2026, 7, 1, 12, 0, 0, 250000, timezone.utc)

#: Findings that a look had.
FINDINGS = st.lists(
    st.builds(
        Finding,
        st.sampled_from(['etcd-alarm', 'patroni-paused', 'slot-lost']),
        st.sampled_from(['info', 'unknown', 'warning', 'critical']),
        st.sampled_from(['etcd', 'node1', 'a\nb']),
        st.just('seen'),
        st.just(''),
        st.just(''),
        st.just(''),
        st.sampled_from([None, 'batman']),
    ),
    max_size=4,
)


def told(before: Facts | Fleet, after: Facts | Fleet) -> list[str]:
    """What the record says about two looks, one after the other, without findings."""
    state = state_of(before, [])
    return [f'{event.kind}: {event.text}' for event in changes(state, state_of(after, [], state))]


def events(number: int, kind: str = 'watching') -> list[Event]:
    """Some events, each with its number."""
    return [Event(kind, f'event {each}', {'number': each}, None, NOW, 'db1') for each in range(number)]


@given(st.lists(st.tuples(FACTS, FINDINGS), min_size=1, max_size=4))
@settings(max_examples=examples(300))
def test_replaying_leads_to_what_was_seen(looks: list[tuple[Facts, list[Finding]]]) -> None:
    """Whatever the looks were, the events, read back from their lines, lead to the state at each of them."""
    state: State = {}
    replayed: State = {}
    for number, (some, findings) in enumerate(looks):
        after = state_of(some, findings, state)
        made = changes(state, after) if number else [began(after, 'etcd')]
        assert made or after == state
        for event in made:
            event.time, event.host = NOW, 'db1'
            content = line(event)
            assert content.count(b'\n') == 1 and SECRET.encode() not in content
            again = parse(content)
            assert again == event and again.text.isprintable()
            replay(replayed, again)
        assert replayed == after
        # The same look again is no change. Arbitrary facts may name one URL twice, so that names settle first.
        settled = state_of(some, findings, state_of(some, findings, after))
        assert changes(settled, state_of(some, findings, settled)) == []
        state = after


@given(FACTS, FACTS)
@settings(max_examples=examples(200))
def test_order_and_completeness(before: Facts, after: Facts) -> None:
    """The events depend on the two states alone, and there is exactly one for each difference."""
    one, two = state_of(before, judge(before)), state_of(after, judge(after))
    made = changes(one, two)
    assert made == changes(dict(reversed(list(one.items()))), dict(reversed(list(two.items()))))
    assert len(made) == len({key for key in {*one, *two} if one.get(key) != two.get(key)})


def test_upgrade_of_a_member() -> None:
    """A member that is restarted as another release: it does not answer, then it does, and its version is another."""
    old = facts(of_versions('3.4.45', '3.4.45', '3.4.45'))
    away, new = deepcopy(old), deepcopy(old)
    away.etcd.endpoints[1] = etcd_member(2, None)
    new.etcd.endpoints[1].version = '3.5.30'
    state = state_of(old, [])
    silent = state_of(away, [], state)
    assert [event.text for event in changes(state, silent)] == ['etcd: infra2 does not answer']
    assert [(event.kind, event.text) for event in changes(silent, state_of(new, [], silent))] == [
        ('etcd-member', 'etcd: infra2 answers again'),
        ('etcd-version', 'etcd: infra2 runs etcd 3.5.30, before 3.4.45'),
    ]


def test_leaders() -> None:
    """Another raft leader, none, and one that is unknown are three things; so it is with Patroni's."""
    some = facts()
    other = deepcopy(some)
    other.etcd.endpoints[0].leader, other.etcd.endpoints[2].leader = False, True
    assert told(some, other) == ['etcd-leader: etcd: infra3 leads, before infra1 leads']
    for url in other.etcd.endpoints:
        url.leader, url.has_leader = False, False
    assert told(some, other) == ['etcd-leader: etcd: nobody leads, before infra1 leads']
    other.etcd.endpoints[2].has_leader = True
    assert told(some, other) == ['etcd-leader: etcd: the leader is unknown, before infra1 leads']
    other = deepcopy(some)
    assert other.patroni
    break_leader(other.patroni)
    assert told(some, other) == ['patroni-leader: Patroni batman: nobody leads, before node1 leads']
    assert told(other, some) == ['patroni-leader: Patroni batman: node1 leads, before nobody leads']


def test_of_two_leaders_the_newer_one_counts() -> None:
    """A leader that was cut off does not know yet; the term tells."""
    etcd = of_versions('3.5.30', '3.5.30', '3.5.30', raft_term=7)
    etcd.endpoints[1].leader, etcd.endpoints[1].raft_term = True, 8
    assert state_of(facts(etcd), [])[Key('etcd', '', '', 'leader')] == 'infra2'


def test_outage_of_etcd_is_no_change_of_patroni() -> None:
    """Without etcd nothing is known about the leader, members and findings about them; nobody says they went."""
    some = facts()
    dark = facts(
        etcd_facts(*(etcd_member(number, None, id=None, name=None) for number in (1, 2, 3)), listed=False),
        patroni_facts(),
    )
    assert dark.patroni
    dark.patroni.error = 'no etcd member gave the keys below /service/batman/'
    findings = [Finding('patroni-paused', 'info', 'batman', 's', 'c', 'r', 'l')]
    state = state_of(some, findings)
    after = state_of(dark, [], state)
    assert [event.kind for event in changes(state, after)] == [
        *['etcd-member'] * 3,
        'etcd-leader',
        'patroni-cluster',
        'patroni-leader',
    ]
    assert after[Key('etcd', '', 'infra1', 'state')] == 'silent'
    back = state_of(some, findings, after)
    assert back == state
    cured = changes(after, state_of(some, [], after))[-1]
    assert (cured.kind, cured.text) == ('finding-went', 'no longer found: patroni-paused at batman, which was info')


def test_members_gone_and_back() -> None:
    """A Patroni member without a key, an etcd member that is not in the list: gone, and back with what is new."""
    some = facts()
    less = facts(
        of_versions('3.5.30', '3.5.30'), patroni_facts(patroni_member('node1'), leader='node1'), serves='stock'
    )
    assert told(some, less) == [
        'etcd-member: etcd: infra3 is no longer in the member list',
        'patroni-member: Patroni batman: node2 has no key in etcd any more',
    ]
    state = state_of(less, [], state_of(some, []))
    assert some.patroni
    some.patroni.members[1].version = '4.1.6'
    assert [event.text for event in changes(state, state_of(some, [], state))] == [
        'etcd: infra3 is back',
        'Patroni batman: node2 is back',
        'Patroni batman: node2 runs Patroni 4.1.6, before 4.1.5',
    ]


def test_a_name_that_becomes_known() -> None:
    """A member that was silent from the start is followed under its URL until it tells its name."""
    etcd = of_versions('3.5.30', '3.5.30')
    early = deepcopy(etcd)
    early.listed = None
    early.endpoints[1] = etcd_member(2, None, id=None, name=None)
    state = state_of(facts(early), [])
    assert state[Key('etcd', '', 'http://10.0.0.2:2379', 'state')] == 'silent'
    after = state_of(facts(etcd), [], state)
    assert not [key for key in after if key.name.startswith('http:')]
    assert after == state_of(facts(etcd), [])


def test_findings_come_get_worse_and_go() -> None:
    """Each is an event with what was seen; of two at the same place, the worse one counts."""

    def state(*severities: str) -> State:
        return state_of(facts(), [Finding('slot-lost', each, 'node1', 'so', 'c', 'r', 'l') for each in severities])

    kinds = [
        event.kind
        for before, after in [
            ((), ('info',)),
            (('info',), ('info', 'critical')),
            (('critical',), ('info',)),
            (('info',), ()),
        ]
        for event in changes(state(*before), state(*after))
    ]
    assert kinds == ['finding-came', 'finding-worse', 'finding-better', 'finding-went']


def test_all_clusters() -> None:
    """Of several clusters each event carries the name of its own; one whose keys are deleted is gone."""
    some = fleet('a', 'b', 'c/1')
    other = deepcopy(some)
    break_leader(other.clusters[1])
    del other.clusters[2]
    state = state_of(some, judge_fleet(some))
    made = changes(state, state_of(other, judge_fleet(other), state))
    assert {(event.kind, event.cluster) for event in made} >= {
        ('patroni-leader', 'b'),
        ('finding-came', 'b'),
        ('patroni-cluster', 'c/1'),
        ('patroni-leader', 'c/1'),
    }
    assert {event.cluster for event in made} == {'b', 'c/1'}
    other.error = 'no etcd member gave the keys below /service/'
    other.clusters = []
    after = state_of(other, [], state)
    assert {after[Key('patroni', name, '', 'state')] for name in ('a', 'b', 'c/1')} == {'silent'}


def test_goes_on_after_every_byte(tmp_path: Path) -> None:
    """Cut off anywhere, the file keeps what it has; the rest of a line is ended, and new lines follow."""
    content = b''.join(map(line, events(3)))
    path = tmp_path / 'record'
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        file = RecordFile(str(path))
        file.add(events(1, 'resumed'))
        file.close()
        assert path.read_bytes().startswith(content[:size])
        record = read(str(path))
        whole = content[:size].count(b'\n') + (size in [content.index(b'\n'), *_ends(content)])
        assert [event.kind for event in record.events] == ['watching'] * min(whole, 3) + ['resumed']
        assert record.broken == (0 if whole == content[:size].count(b'\n') + 1 or content[:size][-1:] in b'\n' else 1)


def _ends(content: bytes) -> list[int]:
    """Where lines end, but for their line feeds."""
    return [place for place, byte in enumerate(content) if byte == 10]


@pytest.mark.parametrize(
    'content, text',
    [
        (b'', 'is empty'),
        (b'hello\n', 'is no record'),
        (b'[]\n', 'is no record'),
        (b'{\n  "schema": 1}\n', 'is no record'),
        (b'\n', 'is no record'),
        (line(events(1)[0]).replace(b'"schema": 1', b'"schema": 9'), 'is from a later release'),
    ],
)
def test_foreign_files(tmp_path: Path, content: bytes, text: str) -> None:
    """What is no record is neither read nor written to."""
    path = tmp_path / 'file'
    path.write_bytes(content)
    with pytest.raises(RecordError, match=text):
        read(str(path))
    if content:
        with pytest.raises(RecordError, match=text):
            RecordFile(str(path))
        assert path.read_bytes() == content


def test_broken_lines(tmp_path: Path) -> None:
    """Lines that are no events are counted, whatever they are; a line that is there twice is one event."""
    good = line(events(1)[0])
    bad = [
        b'{"schema": 1',
        b'\xff\xfe',
        b'null',
        b'[' * 100000,
        b'{}',
        good.replace(b'2026', b'20x6').strip(),
        good.replace(b'"watching"', b'7').strip(),
        good.replace(b'"data": {"number": 0}', b'"data": []').strip(),
        good.replace(b'"schema": 1', b'"schema": "1"').strip(),
    ]
    path = tmp_path / 'record'
    path.write_bytes(good + b'\n'.join(bad) + b'\n' + good)
    record = read(str(path))
    assert (len(record.events), record.broken) == (1, len(bad))


def test_one_recorder_at_a_time(tmp_path: Path) -> None:
    """A second one is told so; when the first has ended it may."""
    path = str(tmp_path / 'record')
    first = RecordFile(path)
    with pytest.raises(RecordError, match='another process records'):
        RecordFile(path)
    first.close()
    RecordFile(path).close()
    for wrong in (str(tmp_path), str(tmp_path / 'no' / 'such')):
        with pytest.raises(RecordError, match='cannot write'):
            RecordFile(wrong)
    pipe = tmp_path / 'pipe'
    os.mkfifo(str(pipe))
    with pytest.raises(RecordError, match='it is no file'):
        RecordFile(str(pipe))


def test_session(tmp_path: Path) -> None:
    """Began, a change, ended; then resumed, with what changed while nobody looked."""
    path = str(tmp_path / 'record')
    some = facts()
    with recording(path, 5) as saw:
        saw(some, [])
        saw(some, [])
        some.etcd.endpoints[2].version = '3.5.31'
        saw(some, [])
    some.etcd.endpoints[1].version = '3.5.31'
    with recording(path, 5) as saw:
        saw(some, [])
    record = read(path)
    assert [event.kind for event in record.events] == [
        'began',
        'etcd-version',
        'ended',
        'resumed',
        'etcd-version',
        'ended',
    ]
    assert record.events[0].data['of'] == 'Patroni cluster batman' and record.events[0].data['every'] == 5
    assert record.events[4].data['name'] == 'infra2'
    times = [event.time for event in record.events]
    assert times == sorted(times, key=str)


def test_a_sign_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If nothing changes, the record says once a minute that somebody looks on."""
    monkeypatch.setattr('patroni_etcd3_compat.check.record.recorder._QUIET', 0)
    path = str(tmp_path / 'record')
    with recording(path, 5) as saw:
        saw(facts(), [])
        saw(facts(), [])
    assert [event.kind for event in read(path).events] == ['began', 'watching', 'ended']


def test_record_of_something_else(tmp_path: Path) -> None:
    """A file is the record of one thing: another cluster does not go on in it."""
    path = str(tmp_path / 'record')
    with recording(path, 5) as saw:
        saw(facts(), [])
    before = Path(path).read_bytes()
    with pytest.raises(ConfigError, match='is the record of Patroni cluster batman, not of all Patroni clusters'):
        with recording(path, 5) as saw:
            saw(fleet('a'), [])
    assert Path(path).read_bytes() == before


def test_needs_watch(tmp_path: Path) -> None:
    """Without ``--watch`` there is nothing to record, and no file is made."""
    path = tmp_path / 'record'
    with pytest.raises(click.UsageError, match='--record needs --watch'), recording(str(path), None):
        pass
    assert not path.exists()


@pytest.mark.parametrize('written', [0, 10])
def test_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], written: int
) -> None:
    """It is said once, the watch goes on, and when there is room again nothing is missing."""
    path = str(tmp_path / 'record')
    real, full = os.write, False
    recorder = Recorder(RecordFile(path), 5)

    def write(handle: int, content: bytes) -> int:
        if full and len(content) <= written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if full:
            if not written or getattr(write, 'cut', False):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write.cut = True  # type: ignore[attr-defined]
            return real(handle, content[:written])
        return real(handle, content)

    monkeypatch.setattr('patroni_etcd3_compat.check.record.file.os.write', write)
    some = facts()
    recorder.saw(some, [])
    full = True
    for version in ('3.5.31', '3.5.32', '3.5.33'):
        some.etcd.endpoints[0].version = version
        recorder.saw(some, [])
    err = capsys.readouterr().err
    assert err == f'patroni-etcd3-compat: cannot write {path}: No space left on device; goes on, and tries again\n'
    full = False
    recorder.saw(some, [])
    recorder.end()
    assert 'is written again' in capsys.readouterr().err
    record = read(path)
    assert [event.data.get('after') for event in record.events[1:-1]] == ['3.5.31', '3.5.32', '3.5.33']
    assert record.broken == (1 if written else 0)


def test_full_disk_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has an end, too: what changes after so many events is one change once there is room."""
    path = str(tmp_path / 'record')
    monkeypatch.setattr('patroni_etcd3_compat.check.record.recorder._WAITING', 2)
    recorder = Recorder(RecordFile(path), 5)
    some = facts()
    recorder.saw(some, [])
    with monkeypatch.context() as broken:
        broken.setattr('patroni_etcd3_compat.check.record.file.os.write', _no_space)
        for patch in range(31, 39):
            some.etcd.endpoints[0].version = f'3.5.{patch}'
            recorder.saw(some, [])
    recorder.saw(some, [])
    recorder.end()
    assert [event.data.get('after') for event in read(path).events[1:-1]] == ['3.5.31', '3.5.32', '3.5.38']


def _no_space(*_: Any) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_lines_for_others(tmp_path: Path) -> None:
    """A line is one JSON object with time in UTC, host, schema, kind, text and data."""
    path = str(tmp_path / 'record')
    with recording(path, 5) as saw:
        some = facts()
        some.asked_from = 'db1'
        saw(some, judge(some))
    first = json.loads(Path(path).read_text().splitlines()[0])
    assert list(first) == ['schema', 'time', 'host', 'kind', 'cluster', 'text', 'data']
    assert (first['schema'], first['host'], first['kind']) == (1, 'db1', 'began')
    assert first['time'].endswith('+00:00')
    assert os.stat(path).st_mode & 0o777 == 0o644
    assert 'the record of Patroni cluster batman begins: etcd 3.5.30, infra1 leads; Patroni 4.1.5; ' in first['text']
