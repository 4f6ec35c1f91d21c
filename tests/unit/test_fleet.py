"""Every Patroni cluster of an etcd: its keys told apart, findings about etcd once, and all formats."""

from __future__ import annotations

import json
import sys
from copy import deepcopy

import jsonschema
import pytest
import yaml

from lab import ROOT
from patroni_etcd3_compat.check.collect.collection import _split
from patroni_etcd3_compat.check.collect.interview import Keys
from patroni_etcd3_compat.check.facts import Finding, Fleet, Patroni
from patroni_etcd3_compat.check.findings import exit_status
from patroni_etcd3_compat.check.fleet import judge_fleet, name_of, worst_first
from patroni_etcd3_compat.check.render import render
from tests.unit.finding_facts import TAKEN, facts, of_versions


def fleet(*names: str, versions: tuple[str, ...] = ('3.5.30',) * 3) -> Fleet:
    """Healthy clusters of these names."""
    some = facts(of_versions(*versions))
    assert some.patroni is not None
    clusters = []
    for name in names:
        patroni = deepcopy(some.patroni)
        patroni.scope, _, group = name.partition('/')
        patroni.group = int(group) if group else None
        clusters.append(patroni)
    return Fleet(TAKEN, 0.5, some.etcd, '/service', clusters, asked_from='db1')


def break_leader(patroni: Patroni) -> None:
    """Take the leader away."""
    patroni.leader = None


def test_keys_are_told_apart() -> None:
    """By cluster and Citus group; what is no key of Patroni's makes no cluster, and no key gets lost."""
    values = {
        'a/leader': 'node1',
        'a/members/x/y': '{}',
        'b/optime/leader': '1',
        'citus/0/config': '{}',
        'citus/1/members/w': '{}',
        'elsewhere/data': '',
        '1/leader': 'n',
        '/leader': 'n',
        'leader': '',
    }
    found = {name: keys.values for name, keys in _split(Keys(values, 7, True)).items()}
    assert found == {
        ('a', ''): {'leader': 'node1', 'members/x/y': '{}'},
        ('b', ''): {'optime/leader': '1'},
        ('citus', '0'): {'config': '{}'},
        ('citus', '1'): {'members/w': '{}'},
        ('1', ''): {'leader': 'n'},
    }


def test_findings() -> None:
    """Those about etcd are there once, the others carry the name of their cluster; the worst clusters come first."""
    some = fleet('a', 'b', 'c/1', versions=('3.4.45',) * 3)
    break_leader(some.clusters[1])
    findings = judge_fleet(some)
    assert [(found.id, found.cluster) for found in findings if found.severity == 'critical'] == [
        ('patroni-no-leader', 'b')
    ]
    assert [found.cluster for found in findings if found.id == 'etcd-end-of-life'] == [None]
    assert [name_of(patroni) for patroni, _ in worst_first(some, findings)] == ['b', 'a', 'c/1']
    assert exit_status(some, findings) == 2


def test_severity_depends_on_what_serves_a_cluster() -> None:
    """A finding about etcd is as severe as for the worst cluster, which it names."""
    some = fleet('a', 'b', 'c', versions=('3.2.26', '3.4.23', '3.4.23'))
    for patroni in some.clusters[:2]:
        for member in patroni.members:
            member.serves = 'package'
    (finding,) = (found for found in judge_fleet(some) if found.id == 'etcd-prefix-mixed')
    assert finding.severity == 'critical' and finding.seen.endswith('. This is about c')
    for member in some.clusters[2].members:
        member.serves = 'package'
    (finding,) = (found for found in judge_fleet(some) if found.id == 'etcd-prefix-mixed')
    assert finding.severity == 'info' and 'This is about' not in finding.seen


@pytest.mark.parametrize('error', [None, 'no etcd member gave the keys below /service/'])
def test_no_cluster(error: str | None) -> None:
    """Without any cluster the reason is a finding, not an empty table that looks healthy."""
    some = fleet()
    some.error = error
    (finding,) = (found for found in judge_fleet(some) if found.id == 'patroni-unknown')
    assert finding.severity == 'unknown' and (error or '--namespace') in finding.seen
    assert exit_status(some, judge_fleet(some)) == 3


def many(number: int) -> Fleet:
    """So many clusters, of which every third has no leader."""
    some = fleet(*(f'db{place:03}' for place in range(number)))
    for patroni in some.clusters[::3]:
        break_leader(patroni)
    return some


def test_for_people() -> None:
    """Verdict, a line per kind with the first few clusters, and the worst clusters in the table; -v shows all."""
    some = many(30)
    findings = judge_fleet(some)
    text = render('pretty', some, findings)
    first = text.splitlines()[0]
    assert first.startswith('CRITICAL  30 clusters: 10 critical') and first.endswith('UTC, db1, 0.5 s, exit 2')
    assert 'db000: ' in text and 'and 5 more' in text and 'db001' not in text
    assert 'Patroni: 30 clusters below /service/, 10 of them here, 20 without findings (-v shows all)' in text
    assert text.count('patroni-no-leader\n') == 1  # one block of details
    whole = render('pretty', some, findings, verbose=True)
    assert 'db001' in whole and whole.count('CRITICAL patroni-no-leader\n') == 10


def test_for_programs() -> None:
    """JSON, YAML and TSV say for each finding which cluster it is about."""
    some = many(3)
    findings = judge_fleet(some)
    document = json.loads(render('json', some, findings))
    assert document == yaml.safe_load(render('yaml', some, findings))
    assert [cluster['scope'] for cluster in document['clusters']] == ['db000', 'db001', 'db002']
    assert {found['cluster'] for found in document['findings'] if found['severity'] == 'critical'} == {'db000'}
    head, *rows = render('tsv', some, findings).splitlines()
    assert head.split('\t')[-1] == 'cluster' and rows[0].split('\t')[-1] == 'db000'


@pytest.mark.skipif(sys.version_info < (3, 10), reason='annotations cannot be evaluated')
def test_schema() -> None:
    """The document fits the schema, which refuses another one."""
    schema = json.loads((ROOT / 'docs' / 'check-all.schema.json').read_text())
    some = many(3)
    document = json.loads(render('json', some, judge_fleet(some)))
    jsonschema.Draft7Validator(schema).validate(document)
    del document['clusters'][0]['scope']
    assert not jsonschema.Draft7Validator(schema).is_valid(document)


def test_for_monitoring() -> None:
    """One line for Nagios; the series of each cluster have its name, and those of etcd have none."""
    some = fleet('a', 'c/1')
    break_leader(some.clusters[1])
    findings = judge_fleet(some)
    line = render('nagios', some, findings)
    assert ' CRITICAL - 1 critical: ' in line and 'patroni-no-leader at c/1: ' in line
    assert "'patroni_clusters'=2" in line
    series = render('prometheus', some, findings).splitlines()
    assert 'patroni_etcd3_patroni_has_leader{scope="a"} 1' in series
    assert 'patroni_etcd3_patroni_has_leader{scope="c",group="1"} 0' in series
    assert 'patroni_etcd3_etcd_up{scope="",url="http://10.0.0.1:2379"} 1' in series
    assert any(
        each.startswith('patroni_etcd3_check_finding{scope="c",group="1",id="patroni-no-leader"') for each in series
    )


def test_one_cluster_has_no_cluster_in_its_findings() -> None:
    """The field is for several clusters only."""
    assert Finding('etcd-alarm', 'critical', '', '', '', '', '').cluster is None
