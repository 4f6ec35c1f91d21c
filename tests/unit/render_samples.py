"""Facts and findings for the tests of the command's output."""

from __future__ import annotations

from patroni_etcd3_compat.check.facts import (
    Etcd,
    EtcdEndpoint,
    Facts,
    Finding,
    ListedMember,
    Patroni,
    PatroniMember,
    Postgres,
    Slot,
    ThisHost,
)

MB = 1024 * 1024


def facts() -> Facts:
    """Return a cluster with some of everything: a member of etcd with its gateway off, a dead one, a lost slot."""
    return Facts(
        taken='2026-01-02T03:04:05+00:00',
        asked_from='db1',
        seconds=0.412,
        etcd=Etcd(
            configured=['http://10.0.0.1:2379', 'http://10.0.0.2:2379', 'http://10.0.0.3:2379'],
            listed=[ListedMember('1f', 'infra1', ['http://10.0.0.1:2379'], ['http://10.0.0.1:2380'])],
            endpoints=[
                EtcdEndpoint(
                    'http://10.0.0.1:2379',
                    True,
                    True,
                    'infra1',
                    '1f',
                    '3.3.25',
                    '3.3.0',
                    ['/v3beta', '/v3alpha'],
                    True,
                    'http',
                    False,
                    True,
                    False,
                    3,
                    1200,
                    25 * 1024,
                    ['NOSPACE'],
                    False,
                    0.0021,
                ),
                EtcdEndpoint(
                    'http://10.0.0.2:2379',
                    True,
                    True,
                    'infra2',
                    '2f',
                    '3.4.23',
                    '3.3.0',
                    [],
                    False,
                    'http',
                    seconds=0.0034,
                ),
                EtcdEndpoint('http://10.0.0.3:2379', True, error='connection refused'),
            ],
        ),
        patroni=Patroni(
            scope='batman',
            leader='node1',
            paused=True,
            config={'ttl': 30, 'loop_wait': 10, 'failsafe_mode': True},
            members=[
                PatroniMember(
                    'node1',
                    True,
                    'leader',
                    'running',
                    '3.2.1',
                    '15.6',
                    4,
                    96 * MB,
                    api_url='http://10.0.0.7:8008',
                    postgres_address='10.0.0.7:5432',
                    postgres=Postgres(
                        '15.6',
                        False,
                        96 * MB,
                        [
                            Slot('node2', 'physical', True, 96 * MB, None, 0, wal_status='reserved'),
                            Slot('gone', 'physical', False, None, wal_status='lost'),
                        ],
                        48 * MB,
                    ),
                ),
                PatroniMember(
                    'node2',
                    True,
                    'replica',
                    'starting',
                    '4.0.2',
                    '15.6',
                    4,
                    lag=3 * MB,
                    tags={'nofailover': True},
                    postgres_address='10.0.0.8:5432',
                    error='timed out',
                    postgres=Postgres(error='connection refused'),
                ),
            ],
        ),
        this_host=ThisHost('node1', 'etcd3', 'package', '0.1.0', '3.2.1', '3.11.2'),
    )


def findings() -> list[Finding]:
    """Return some findings that fit it, with existing identifiers."""
    return [
        Finding(
            'slot-lost',
            'critical',
            'node1, slot gone',
            'wal_status is lost',
            'nobody can use it any more',
            "on node1: SELECT pg_catalog.pg_drop_replication_slot('gone');",
            'https://example.org/slot-lost',
        ),
        Finding(
            'etcd-gateway-off',
            'warning',
            'etcd infra2 (http://10.0.0.2:2379)',
            'GET /version is answered with 3.4.23, every prefix with 404 page not found',
            'Patroni can not use this member; with stock Patroni each request that meets it fails, and one 404 '
            'while the leader key is renewed demotes the primary at once, without waiting for the ttl',
            'start it with --enable-grpc-gateway=true (in a configuration file: enable-grpc-gateway: true)',
            'https://example.org/gateway',
        ),
        Finding(
            'node-serves',
            'info',
            'node1',
            'this package 0.1.0 serves section etcd3',
            'nothing',
            'nothing',
            'https://example.org/node',
        ),
    ]
