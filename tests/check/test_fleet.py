"""``check --all`` on a real etcd: clusters as keys, and real ones."""

from __future__ import annotations

import json
from typing import Any, Callable

import jsonschema

from bench.fleet import rest_api, silence, write_cluster
from lab import ROOT
from lab.etcd import EtcdCluster
from tests.check.command import run


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


def test_another_namespace(start: Callable[..., EtcdCluster]) -> None:
    """Where there are no clusters, the reason is said, and the way to name another path."""
    etcd = start(['3.5'])
    ended = run('check', '--all', '--namespace', '/elsewhere', '--endpoints', etcd.hosts[0])
    assert ended.status == 3 and 'no Patroni cluster has keys below /elsewhere/' in ended.out
    ended = run('check', '--all', 'lab', '--endpoints', etcd.hosts[0])
    assert ended.status == 3 and 'either one cluster (lab) or all of them (--all)' in ended.err
