"""``check --all`` on a real etcd: clusters as keys, and real ones."""

from __future__ import annotations

import json
from typing import Any, Callable

import jsonschema

from bench.fleet import rest_api, silence, write_cluster
from lab import ROOT
from lab.etcd import EtcdCluster, b64
from tests.check.command import run
from tests.check.follow import Follower, Shell, etcd_site


def check(*args: str) -> tuple[int, dict[str, Any]]:
    """Return the exit status of ``check --all`` and its document, which fits the schema."""
    ended = run('check', '--all', '-f', 'json', *args)
    assert ended.err == ''
    document: dict[str, Any] = json.loads(ended.out)
    schema = json.loads((ROOT / 'docs' / 'check-all.schema.json').read_text())
    jsonschema.Draft7Validator(schema).validate(document)
    return ended.status, document


def test_clusters(start: Callable[..., EtcdCluster], configuration: Callable[..., str]) -> None:
    """All clusters are found, each with its findings; those of etcd are there once."""
    etcd = start(['3.4', '3.4', '3.4'])
    with rest_api('primary') as primary, rest_api('replica') as replica, silence() as none:
        for number in range(40):
            write_cluster(etcd, f'db{number:02}', {'a': primary, 'b': replica, 'c': none if number == 7 else replica})
        write_cluster(etcd, 'citus/1', {'w': primary})
        found = [
            check('--endpoints', etcd.hosts[0], '--timeout', '3'),
            check('-c', configuration({'hosts': etcd.hosts[0]}), '--timeout', '3'),
        ]
        text = run('check', '--all', '--endpoints', etcd.hosts[0], '--timeout', '3').out
    for status, document in found:
        assert status == 1
        assert [(each['scope'], each['group']) for each in document['clusters']] == [
            ('citus', 1),
            *((f'db{number:02}', None) for number in range(40)),
        ]
        findings = {(each['id'], each['cluster']) for each in document['findings'] if each['cluster']}
        assert findings == {('patroni-api-unreachable', 'db07')}
        assert [each['cluster'] for each in document['findings'] if each['id'] == 'etcd-end-of-life'] == [None]
        assert all(member['serves'] == 'stock' for each in document['clusters'] for member in each['members'])
    assert text.startswith('WARNING  41 clusters: ') and '1 of them here, 40 without findings' in text


def test_plan(start: Callable[..., EtcdCluster], configuration: Callable[..., str]) -> None:
    """An upgrade of etcd under two clusters is followed to the letter; a cluster without a leader closes its gates."""
    etcd = start(['3.4', '3.4', '3.4'])
    command = ('plan', '-c', configuration({'hosts': etcd.hosts}), '--all', '--etcd-to', '3.5')
    with rest_api('primary') as primary, rest_api('replica') as replica:
        for scope in ('one', 'other'):
            write_cluster(etcd, scope, {'a': primary, 'b': replica})
        ended = run(*command, '-f', 'json')
        assert ended.status == 0, ended
        plan = json.loads(ended.out)
        assert plan['title'].endswith('to 3.5, under 2 Patroni clusters')
        shell = Shell(plan)
        follower = Follower(plan, shell, etcd_site(etcd))
        follower.follow(1)
        assert shell.succeeds('$CHECK_PATRONI')
        leader = {'key': b64('/service/other/leader')}
        assert etcd.call(0, 'kv/deleterange', leader)[0] == 200
        assert not shell.succeeds('$CHECK_PATRONI')
        ended = run(*command)
        assert ended.status == 1 and 'other: ' in ended.out
        assert etcd.call(0, 'kv/put', dict(leader, value=b64('a')))[0] == 200
        follower = Follower(plan, shell, etcd_site(etcd))
        follower.follow()
    assert {member.version.rpartition('.')[0] for member in etcd.members} == {'3.5'}


def test_another_namespace(start: Callable[..., EtcdCluster]) -> None:
    """Where there are no clusters, the reason is said, and the way to name another path."""
    etcd = start(['3.5'])
    ended = run('check', '--all', '--namespace', '/elsewhere', '--endpoints', etcd.hosts[0])
    assert ended.status == 3 and 'no Patroni cluster has keys below /elsewhere/' in ended.out
    ended = run('check', '--all', 'lab', '--endpoints', etcd.hosts[0])
    assert ended.status == 3 and 'either one cluster (lab) or all of them (--all)' in ended.err
