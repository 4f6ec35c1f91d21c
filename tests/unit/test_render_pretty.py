"""Output for people."""

from __future__ import annotations

import dataclasses
import re
from types import SimpleNamespace

import click
import pytest

from patroni_etcd3_compat.check.facts import WRONG_SCHEME, Etcd, EtcdEndpoint, Facts, Finding, ListedMember, Slot
from patroni_etcd3_compat.check.findings import judge
from patroni_etcd3_compat.check.findings.examples import healthy
from patroni_etcd3_compat.check.render import render
from tests.unit import finding_facts
from tests.unit.render_samples import facts, findings

WHOLE = """\
CRITICAL  batman: 1 critical, 1 warning                                      2026-01-02 03:04:05 UTC, db1, 0.4 s, exit 2
  CRITICAL slot-lost         node1, slot gone: wal_status is lost
  WARNING  etcd-gateway-off  infra2: GET /version is answered with 3.4.23, every prefix with 404 page not found

etcd: 3 URLs, 2 answering, cluster version 3.3.0, leader infra1
| Member | URL                  | Version   | Cluster | Gateway          | Raft   | Alarms  |  Size | Listed     |
+--------+----------------------+-----------+---------+------------------+--------+---------+-------+------------+
| infra1 | http://10.0.0.1:2379 | 3.3.25    | 3.3.0   | /v3beta /v3alpha | leader | NOSPACE | 25 kB | both       |
| infra2 | http://10.0.0.2:2379 | 3.4.23    | 3.3.0   | off              | -      | -       |     - | both       |
| -      | http://10.0.0.3:2379 | no answer | -       | -                | -      | -       |     - | configured |
Hidden (narrow terminal): Auth, Time, Term, Index

Patroni: batman, 2 members, leader node1, paused, ttl 30, loop_wait 10, failsafe_mode on
| Member | PostgreSQL at | Role    | State    | Patroni | Served by | PostgreSQL | TL |    Lag | REST API  | pg_wal |
+--------+---------------+---------+----------+---------+-----------+------------+----+--------+-----------+--------+
| node1  | 10.0.0.7:5432 | leader  | running  | 3.2.1   | -         | 15.6       |  4 |      - | ok        |  48 MB |
| node2  | 10.0.0.8:5432 | replica | starting | 4.0.2   | -         | 15.6       |  4 | 3.0 MB | no answer |      - |
Hidden (narrow terminal): Tags

Replication slots: 1 of 2, the others are normal
| Member | Slot | Type     | Active | Position | Retained | WAL  |
+--------+------+----------+--------+----------+----------+------+
| node1  | gone | physical | no     | -        |        - | lost |

CRITICAL slot-lost
  where  node1, slot gone
  seen   wal_status is lost
  means  nobody can use it any more
  do     on node1: SELECT pg_catalog.pg_drop_replication_slot('gone');

WARNING etcd-gateway-off
  where  infra2
  seen   GET /version is answered with 3.4.23, every prefix with 404 page not found
  means  Patroni can not use this member; with stock Patroni each request that meets it fails, and one 404 while the
         leader key is renewed demotes the primary at once, without waiting for the ttl
  do     start it with --enable-grpc-gateway=true (in a configuration file: enable-grpc-gateway: true)

  INFO     node-serves  node1: this package 0.1.0 serves section etcd3

More about a finding: --explain ID; everything: -v
"""


def test_whole() -> None:
    """The output begins with the verdict and a line for each finding; then come tables, details, and information."""
    assert render('pretty', facts(), findings()) == WHOLE


@pytest.mark.parametrize('width', [70, 80, 100, 132, 240])
def test_width_is_respected(width: int) -> None:
    """No line is longer than the terminal is wide, and none ends with a blank."""
    lines = render('pretty', facts(), findings(), width).splitlines()
    assert [line for line in lines if len(line) > width or line != line.rstrip()] == []


def test_what_there_is_no_room_for() -> None:
    """The least important columns are hidden first and are named; with enough room all are shown."""
    narrow, wide = (render('pretty', facts(), findings(), width) for width in (80, 240))
    assert 'Hidden (narrow terminal): Listed, Size, Cluster, Auth, Time, Term, Index ' in ' '.join(narrow.split())
    assert 'Hidden' not in wide
    assert 'nofailover: on' in wide and '1200' in wide


def test_words_to_copy_stay_whole() -> None:
    """A URL or an option of a command is not broken, even if it is longer than the line."""
    link = 'https://example.org/' + 'a-very-long-path/' * 10
    finding = Finding('slot-lost', 'info', 'here', 'seen', 'means', '--enable-grpc-gateway=true\nsecond', link)
    lines = render('pretty', facts(), [finding], 60, verbose=True).splitlines()
    assert '         ' + link in lines or '  more   ' + link in lines
    assert lines[lines.index('  do     --enable-grpc-gateway=true') + 1] == '         second'


def test_colours() -> None:
    """Colours change nothing else; without them there is no escape sequence."""
    plain, coloured = (render('pretty', facts(), findings(), 100, colour) for colour in (False, True))
    assert '\x1b' not in plain
    assert click.unstyle(coloured) == plain
    assert {click.style(text, fg='red') for text in ('no answer', 'off', 'lost', 'starting')} <= set(
        re.findall(r'\x1b\[31m[a-z ]+\x1b\[0m', coloured)
    )


def test_names_can_not_drive_the_terminal() -> None:
    """Control sequences in names from etcd are shown, not executed."""
    evil = facts()
    assert evil.patroni is not None
    evil.patroni.members[1].name = 'node\x1b[2J\n2'
    evil.patroni.members[1].tags = {'a\x07': 'b\x1b]0;c'}
    evil.etcd.endpoints[0].name = '\u202einfra'
    text = render('pretty', evil, findings(), 240)
    assert not re.search('[\x00-\x09\x0b-\x1f\u202e]', text)
    assert r'node\x1b[2J' in text and r'\u202einfra' in text and r'a\x07: b\x1b]0;c' in text


def text_of(some: Facts, *some_findings: Finding) -> list[str]:
    """Return its blocks."""
    return render('pretty', some, list(some_findings)).split('\n\n')


def test_wrong_scheme_is_an_answer() -> None:
    """Table, findings, Nagios and Prometheus agree that a member answers with the other scheme."""
    for scheme, spoken in (('http', 'https'), ('https', 'http')):
        endpoint = EtcdEndpoint(f'{scheme}://10.0.0.1:2379', True, error=f'{WRONG_SCHEME}: this port speaks {spoken}')
        some = Facts('2026-01-02T03:04:05+00:00', 0.1, Etcd([endpoint.url], endpoints=[endpoint]))
        found = judge(some)
        text = render('pretty', some, found)
        assert 'no answer' not in text and 'nobody answers' not in text
        assert '1 answering' in text and '| wrong scheme |' in text and f'this port speaks {spoken}' in text
        assert "'etcd_answering'=1" in render('nagios', some, found)
        assert 'patroni_etcd3_etcd_up{scope="",url="' + endpoint.url + '"} 1' in render('prometheus', some, found)
    endpoint.error = 'cannot connect'
    assert 'no answer' in render('pretty', some, judge(some))


def test_etcd_alone() -> None:
    """With --endpoints, nothing is shown about Patroni; a port that speaks only gRPC is shown as such."""
    alone = Facts(
        '2026-01-02T03:04:05+00:00',
        0.1,
        Etcd(endpoints=[EtcdEndpoint('https://10.0.0.1:2379', True, True, 'infra1', protocol='grpc')]),
    )
    first, last = text_of(alone)
    assert re.fullmatch(r'OK  etcd: no findings {40,}2026-01-02 03:04:05 UTC, 0.1 s, exit 0', first)
    assert '| infra1 | https://10.0.0.1:2379 | -       | -       | gRPC only | -' in last


def test_nothing_to_show() -> None:
    """Missing members and slots are stated in words, not as empty tables."""
    empty = facts()
    assert empty.patroni is not None
    empty.etcd.endpoints.clear()
    empty.patroni.members[0].postgres.slots.clear()  # type: ignore[union-attr]
    blocks = text_of(empty)
    assert blocks[0].startswith('UNKNOWN  batman: no findings: no URL of etcd is known  ')
    assert blocks[1] == 'etcd: 0 URLs, 0 answering, cluster version -, leader -'
    assert blocks[2].endswith('\nReplication slots: none seen\n')
    empty.patroni.members.clear()
    assert text_of(empty)[2].startswith('Patroni: batman, 0 members')
    empty.patroni.error = 'no member of etcd answers'
    assert text_of(empty)[2] == 'Patroni: batman: no member of etcd answers\n'


def test_two_samples() -> None:
    """With --slots-interval, there is one more column."""
    later = facts()
    assert later.patroni is not None and later.patroni.members[0].postgres is not None
    later.patroni.members[0].postgres.slots[0].later_restart_lsn = 0x6000060
    text = render('pretty', later, [], verbose=True)
    assert '| Position  | Later     |' in text
    assert '| 0/6000000 | 0/6000060 |' in text


def test_healthy_cluster_fits_a_small_terminal() -> None:
    """Three members of etcd and three of Patroni with their slots fit 80 x 24, with room for a prompt."""
    some = healthy()
    assert some.patroni is not None
    some.patroni.config['retry_timeout'] = 10
    some.patroni.members.append(dataclasses.replace(some.patroni.members[1], name='node3'))
    slot = Slot('node', 'physical', True, 900, wal_status='reserved')
    for member in some.patroni.members:
        member.lag = None if member.name == 'node1' else 0
        assert member.postgres is not None
        active = member.name == 'node1'
        member.postgres = dataclasses.replace(
            member.postgres, slots=[dataclasses.replace(slot, name=f'node{i}', active=active) for i in (2, 3)]
        )
    text = render('pretty', some, judge(some), 80)
    assert text.startswith('OK  batman: ')
    assert len(text.splitlines()) <= 23 and max(map(len, text.splitlines())) <= 80
    assert 'Replication slots: 6, all normal' in text and '| stock     |' in text


def test_one_line_for_the_same_finding() -> None:
    """Findings of one kind share a line and a block, whoever they are about."""
    texts = [f'etcd etcd{i} (http://10.0.0.{i}:2379)' for i in range(6)]
    same = [Finding('etcd-alarm', 'critical', text, 'NOSPACE', 'It is full. More.', 'free it', 'l') for text in texts]
    first, *rest = text_of(facts(), *same)
    assert first.splitlines()[0].startswith('CRITICAL  batman: 6 critical  ')
    assert first.splitlines()[1:] == ['  CRITICAL etcd-alarm  etcd0, etcd1, etcd2, etcd3, etcd4, etcd5: NOSPACE']
    assert [block for block in rest if block.startswith('CRITICAL')] == [
        'CRITICAL etcd-alarm\n  where  etcd0, etcd1, etcd2, etcd3, etcd4, etcd5\n'
        '  seen   NOSPACE\n  means  It is full. More.\n  do     free it'
    ]
    assert render('pretty', facts(), same, verbose=True).count('means  It is full. More.\n') == 6
    for i, finding in enumerate(same):
        finding.seen = f'{i} MB'
    text = render('pretty', facts(), same)
    assert 'etcd5: an alarm is raised: no space, or corrupt data\n' in text
    assert '  seen   etcd0: 0 MB\n         etcd1: 1 MB\n         etcd2: 2 MB\n         and 3 more, see -v\n' in text


def test_place_is_not_said_twice() -> None:
    """A URL that the place names is left out of what was seen, so that members with the same fault share a line."""
    same = [
        Finding('etcd-unreachable', 'warning', f'etcd {name} ({url})', f'{url}: cannot connect', '', '', '')
        for name, url in (('a', 'http://10.0.0.1:2379'), ('b', 'http://10.0.0.2:2379'))
    ]
    assert '  WARNING  etcd-unreachable  a, b: cannot connect\n' in render('pretty', facts(), same)


def test_column_with_a_red_cell_is_never_hidden() -> None:
    """What is wrong is shown however narrow the terminal is."""
    for width in (30, 60, 80):
        text = render('pretty', facts(), [], width)
        shown = [line for line in text.splitlines() if line.startswith('| Member')]
        assert 'Alarms' in shown[0] and 'REST' in shown[1] and 'pg_wal' not in shown[1]


def test_verbose_shows_all_columns() -> None:
    """With -v, what there is no room for is in further tables, and every slot and every text is there."""
    text = render('pretty', facts(), findings(), 80, verbose=True)
    for title in ('Index', 'Listed', 'Tags', 'TL'):
        assert re.search(rf'^\|.* {title} +\|', text, re.M), title
    assert 'Hidden' not in text and '| node1  | node2 | physical | yes' in text
    assert all(finding.link in text for finding in findings())
    assert max(map(len, text.splitlines())) <= 80


def test_slots_that_are_shown() -> None:
    """A slot is shown if its WAL is gone or about to be, nobody uses it on the leader, or a finding is about it."""

    def slots(some: Facts, *some_findings: Finding) -> str:
        return render('pretty', some, list(some_findings)).partition('Replication slots: ')[2].split('\n')[0]

    some = facts()
    assert some.patroni is not None and some.patroni.members[0].postgres is not None
    first, gone = some.patroni.members[0].postgres.slots
    assert slots(some) == '1 of 2, the others are normal'
    gone.wal_status, gone.active = 'extended', True
    assert slots(some) == '2, all normal'
    assert slots(some, Finding('slot-stuck', 'critical', 'node1, slot gone', '', '', '', '')).startswith('1 of 2')
    gone.active = False
    assert slots(some).startswith('1 of 2')
    some.patroni.leader = 'node2'
    assert slots(some) == '2, all normal'
    first.wal_status = 'unreserved'
    assert slots(some).startswith('1 of 2')


def test_what_serves_the_members() -> None:
    """The table tells what serves each Patroni member, with the release only if there are several, and who has gRPC."""
    some = facts()
    assert some.patroni is not None
    one, two = some.patroni.members
    one.serves, one.compat, two.serves = 'package', '0.1.0', 'stock'
    assert '| package   |' in render('pretty', some, []) and '| stock     |' in render('pretty', some, [])
    two.serves, two.compat = 'patch', '0.2.0'
    text = render('pretty', some, [], verbose=True)
    assert '| package 0.1.0 |' in text and '| patch 0.2.0   |' in text
    one.grpc = True
    assert '| package 0.1.0, gRPC |' in render('pretty', some, [], verbose=True)


def test_lags_of_receiving_and_replaying() -> None:
    """They are columns if a member reports them, and the first ones to go where there is no room."""
    some = facts()
    assert some.patroni is not None
    assert 'Receive' not in render('pretty', some, [], 200, False, True)
    vars(some.patroni.members[1]).update(receive_lag=3 << 20, replay_lag=5 << 20)
    text = render('pretty', some, [], 200)
    assert re.search(r'^\|.* Lag \| Receive lag \| Replay lag \|', text, re.M)
    assert re.search(r'^\|.*\| +3.0 MB \| +5.0 MB \|', text, re.M)
    narrow = render('pretty', some, [], 80)
    assert '| Receive lag' not in narrow and 'Replay lag, Receive lag,' in narrow and '| Role ' in narrow


def test_what_waits() -> None:
    """A restart that settings wait for is a column, a scheduled switchover is in the title."""
    some = facts()
    assert some.patroni is not None
    assert 'Restart' not in render('pretty', some, [], verbose=True)
    vars(some.patroni.members[1])['pending_restart'] = True
    vars(some.patroni)['switchover'] = SimpleNamespace(at='2026-07-01T03:00:00+00:00', leader=None, candidate='node2')
    text = render('pretty', some, [])
    vars(some.patroni)['group'] = 0
    assert 'Patroni: batman, Citus group 0, 2 members' in render('pretty', some, [])
    assert re.search(r'^\|.* Restart \|$', text, re.M) and '| pending |\n' in text
    assert 'paused, switchover to node2 at 2026-07-01T03:00:00+00:00, ttl 30' in ' '.join(text.split())


def test_what_etcd_has_beside_versions() -> None:
    """Quota, storage version, a downgrade and a member that was never started have their places."""
    some = finding_facts.facts(finding_facts.of_versions('3.6.16', '3.6.16', quota=102400, storage_version='3.5.0'))
    assert some.etcd.listed is not None
    some.etcd.endpoints[1].db_size = 90 * 1024
    some.etcd.endpoints[0].downgrade = '3.5.0'
    some.etcd.listed.append(ListedMember('c3', '', [], ['http://10.0.0.3:2380']))
    text = render('pretty', some, [], 200, True)
    for part in ('Quota', '\x1b[31m100 kB', 'Storage', 'Downgrade', 'never started', 'etcd: 2 URLs'):
        assert part in text
    healthy = render('pretty', finding_facts.facts(), [], 200, False)
    assert not {'Quota', 'Storage', 'Downgrade'} & set(healthy.split())
