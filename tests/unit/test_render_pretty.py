"""What people see."""

from __future__ import annotations

import re

import click
import pytest

from patroni_etcd3_compat.check.facts import WRONG_SCHEME, Etcd, EtcdEndpoint, Facts, Finding
from patroni_etcd3_compat.check.judge import judge
from patroni_etcd3_compat.check.render import render
from tests.unit.render_samples import facts, findings

WHOLE = """\
etcd: 3 URLs, 2 answering, cluster version 3.3.0, leader infra1
+--------+----------------------+-----------+---------+------------------+--------+---------+-------+------------+
| Member | URL                  | Version   | Cluster | Gateway          | Raft   | Alarms  |  Size | Listed     |
+--------+----------------------+-----------+---------+------------------+--------+---------+-------+------------+
| infra1 | http://10.0.0.1:2379 | 3.3.25    | 3.3.0   | /v3beta /v3alpha | leader | NOSPACE | 25 kB | both       |
| infra2 | http://10.0.0.2:2379 | 3.4.23    | 3.3.0   | off              | -      | -       |     - | both       |
| -      | http://10.0.0.3:2379 | no answer | -       | -                | -      | -       |     - | configured |
+--------+----------------------+-----------+---------+------------------+--------+---------+-------+------------+
Columns hidden (terminal too narrow): Auth, Time, Term, Index

Patroni: batman, 2 members, leader node1, paused, ttl 30, loop_wait 10, failsafe_mode on
+--------+---------------+---------+----------+---------+------------+----+--------+-----------+--------+
| Member | PostgreSQL at | Role    | State    | Patroni | PostgreSQL | TL |    Lag | REST API  | pg_wal |
+--------+---------------+---------+----------+---------+------------+----+--------+-----------+--------+
| node1  | 10.0.0.7:5432 | leader  | running  | 3.2.1   | 15.6       |  4 |      - | ok        |  48 MB |
| node2  | 10.0.0.8:5432 | replica | starting | 4.0.2   | 15.6       |  4 | 3.0 MB | no answer |      - |
+--------+---------------+---------+----------+---------+------------+----+--------+-----------+--------+
Columns hidden (terminal too narrow): Tags

Replication slots: 2
+--------+-------+----------+--------+-----------+----------+------+--------------+----------+
| Member | Slot  | Type     | Active | Position  | Retained | xmin | catalog_xmin | WAL      |
+--------+-------+----------+--------+-----------+----------+------+--------------+----------+
| node1  | node2 | physical | yes    | 0/6000000 |  0 bytes |    - |            - | reserved |
| node1  | gone  | physical | no     | -         |        - |    - |            - | lost     |
+--------+-------+----------+--------+-----------+----------+------+--------------+----------+

CRITICAL slot-lost
  where  node1, slot gone
  seen   wal_status is lost
  means  nobody can use it any more
  do     on node1: SELECT pg_catalog.pg_drop_replication_slot('gone');
  more   https://example.org/slot-lost

WARNING etcd-gateway-off
  where  etcd infra2 (http://10.0.0.2:2379)
  seen   GET /version is answered with 3.4.23, every prefix with 404 page not found
  means  Patroni can not use this member; with stock Patroni each request that meets it fails, and one 404 while the
         leader key is renewed demotes the primary at once, without waiting for the ttl
  do     start it with --enable-grpc-gateway=true (in a configuration file: enable-grpc-gateway: true)
  more   https://example.org/gateway

INFO node-serves
  where  node1
  seen   this package 0.1.0 serves section etcd3
  means  nothing
  do     nothing
  more   https://example.org/node

CRITICAL: 1 critical, 1 warning, 1 info (exit status 2; 2026-01-02T03:04:05+00:00, 0.41 s)
"""


def test_whole() -> None:
    """Tables, findings and the sum of it; columns without anything of note, and those without room, are left out."""
    assert render('pretty', facts(), findings()) == WHOLE


@pytest.mark.parametrize('width', [70, 80, 100, 132, 240])
def test_width_is_respected(width: int) -> None:
    """No line is longer than the terminal is wide, and none ends in a blank."""
    lines = render('pretty', facts(), findings(), width).splitlines()
    assert [line for line in lines if len(line) > width or line != line.rstrip()] == []


def test_what_there_is_no_room_for() -> None:
    """The columns that matter least go first and are named; with room enough all are there."""
    narrow, wide = (render('pretty', facts(), findings(), width) for width in (80, 240))
    assert 'Columns hidden (terminal too narrow): Listed, Size, Cluster, Auth, Time, Term, Index ' in ' '.join(
        narrow.split()
    )
    assert 'Columns hidden (terminal too narrow)' not in wide
    assert 'nofailover: on' in wide and '1200' in wide


def test_words_to_copy_stay_whole() -> None:
    """A URL or a command's option that is longer than the line is wide is not broken."""
    link = 'https://example.org/' + 'a-very-long-path/' * 10
    finding = Finding('slot-lost', 'info', 'here', 'seen', 'means', '--enable-grpc-gateway=true\nsecond', link)
    lines = render('pretty', facts(), [finding], 60).splitlines()
    assert '         ' + link in lines or '  more   ' + link in lines
    assert lines[lines.index('  do     --enable-grpc-gateway=true') + 1] == '         second'


def test_colours() -> None:
    """Colours change nothing but the colour; without them there is no escape sequence."""
    plain, coloured = (render('pretty', facts(), findings(), 100, colour) for colour in (False, True))
    assert '\x1b' not in plain
    assert click.unstyle(coloured) == plain
    assert {click.style(text, fg='red') for text in ('no answer', 'off', 'lost', 'starting')} <= set(
        re.findall(r'\x1b\[31m[a-z ]+\x1b\[0m', coloured)
    )


def test_names_can_not_drive_the_terminal() -> None:
    """What others wrote into etcd is shown, not obeyed."""
    evil = facts()
    assert evil.patroni is not None
    evil.patroni.members[1].name = 'node\x1b[2J\n2'
    evil.patroni.members[1].tags = {'a\x07': 'b\x1b]0;c'}
    evil.etcd.endpoints[0].name = '\u202einfra'
    text = render('pretty', evil, findings(), 240)
    assert not re.search('[\x00-\x09\x0b-\x1f\u202e]', text)
    assert r'node\x1b[2J' in text and r'\u202einfra' in text and r'a\x07: b\x1b]0;c' in text


def text_of(some: Facts, *some_findings: Finding) -> list[str]:
    """Its blocks."""
    return render('pretty', some, list(some_findings)).split('\n\n')


def test_wrong_scheme_is_an_answer() -> None:
    """Table, findings, Nagios and Prometheus agree: somebody is there, and speaks the other scheme."""
    for scheme, spoken in (('http', 'https'), ('https', 'http')):
        endpoint = EtcdEndpoint(f'{scheme}://10.0.0.1:2379', True, error=f'{WRONG_SCHEME}: this port speaks {spoken}')
        some = Facts('2026-01-02T03:04:05+00:00', 0.1, Etcd([endpoint.url], endpoints=[endpoint]))
        found = judge(some)
        text = render('pretty', some, found)
        assert 'no answer' not in text and 'nobody answers' not in text
        assert '1 answering' in text and '| wrong scheme |' in text and f'this port speaks {spoken}' in text
        assert "'etcd_answering'=1" in render('nagios', some, found)
        assert 'patroni_etcd3_etcd_up{url="' + endpoint.url + '",member=""} 1' in render('prometheus', some, found)
    endpoint.error = 'cannot connect'
    assert 'no answer' in render('pretty', some, judge(some))


def test_etcd_alone() -> None:
    """With --endpoints there is nothing about Patroni; a port that speaks gRPC alone is shown as one."""
    alone = Facts(
        '2026-01-02T03:04:05+00:00',
        0.1,
        Etcd(endpoints=[EtcdEndpoint('https://10.0.0.1:2379', True, True, 'infra1', protocol='grpc')]),
    )
    first, last = text_of(alone)
    assert '| infra1 | https://10.0.0.1:2379 | -       | -       | gRPC only | -' in first
    assert re.match(r'(OK|UNKNOWN): no findings \(exit status [03]; 2026-01-02T03:04:05\+00:00, 0.10 s\)\n$', last)


def test_nothing_to_show() -> None:
    """No members and no slots are words, not empty tables."""
    empty = facts()
    assert empty.patroni is not None
    empty.etcd.endpoints.clear()
    empty.patroni.members[0].postgres.slots.clear()  # type: ignore[union-attr]
    blocks = text_of(empty)
    assert blocks[0] == 'etcd: 0 URLs, 0 answering, cluster version -, leader -'
    assert blocks[2] == 'Replication slots: none seen'
    empty.patroni.members.clear()
    assert text_of(empty)[1].startswith('Patroni: batman, 0 members')
    empty.patroni.error = 'no member of etcd answers'
    assert text_of(empty)[1] == 'Patroni: batman: no member of etcd answers'


def test_two_samples() -> None:
    """With --slots-interval there is a column more."""
    later = facts()
    assert later.patroni is not None and later.patroni.members[0].postgres is not None
    later.patroni.members[0].postgres.slots[0].later_restart_lsn = 0x6000060
    assert '| Position  | Later     |' in render('pretty', later, [])
    assert '| 0/6000000 | 0/6000060 |' in render('pretty', later, [])
