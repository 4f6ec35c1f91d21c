"""The table of findings, its documentation, and what holds for each finding of any facts."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patroni_etcd3_compat.check.facts import (
    SEVERITIES,
    Etcd,
    EtcdEndpoint,
    Facts,
    Finding,
    ListedMember,
    Patroni,
    PatroniMember,
    Postgres,
    Slot,
    Switchover,
    Synchronous,
    ThisHost,
)
from patroni_etcd3_compat.check.findings import exit_status, judge, kinds
from patroni_etcd3_compat.hazards import HAZARDS
from tests.examples import examples
from tests.unit.finding_facts import etcd_facts, etcd_member, facts, of_versions, text_of

#: Stands where a password may be: in the configuration and in tags; URLs come without one, see test_collect_redaction.
SECRET = 'pla1n-s3cret'


def test_kinds() -> None:
    """Each with an identifier of its own, a summary of one line, and a link to a project's own pages."""
    assert len({kind.id for kind in kinds()}) == len(kinds())
    assert {hazard.id for hazard in HAZARDS} <= {kind.id for kind in kinds()}
    for kind in kinds():
        assert re.match(r'(etcd|patroni|slot|node)(-[a-z0-9.]+)+$', kind.id)
        assert kind.title and '\n' not in kind.title and len(kind.title) < 100
        assert re.match(
            'https://(github.com/(patroni|etcd-io)/|etcd.io/|patroni.readthedocs.io/|www.postgresql.org/)', kind.link
        )


def test_order() -> None:
    """Most severe first, then as in the table."""
    etcd = of_versions('3.2.26', '3.4.23', auth=True)
    etcd.endpoints.append(etcd_member(3, None))
    findings = judge(facts(etcd))
    severities = [SEVERITIES.index(finding.severity) for finding in findings]
    assert severities == sorted(severities, reverse=True) and len(set(severities)) > 2
    order = [kind.id for kind in kinds()]
    for severity in SEVERITIES:
        rows = [order.index(finding.id) for finding in findings if finding.severity == severity]
        assert rows == sorted(rows)


def a_finding(severity: str) -> Finding:
    """Any finding of that severity."""
    return Finding('node-serves', severity, '', '', '', '', '')


@pytest.mark.parametrize(
    'severities, status',
    [
        ([], 0),
        (['info'], 0),
        (['unknown', 'info'], 3),
        (['unknown', 'warning'], 1),
        (['warning', 'critical'], 2),
        (['unknown', 'critical'], 2),
    ],
)
def test_exit_status(severities: list[str], status: int) -> None:
    """2 before 1 before 3; only what is left of the findings counts. If nothing was read it is 2 or 3, never better."""
    assert exit_status(facts(), [a_finding(severity) for severity in severities]) == status
    silent = facts(etcd_facts(etcd_member(1, None)))
    assert exit_status(silent, [a_finding(severity) for severity in severities]) == (2 if status == 2 else 3)


VERSIONS = st.sampled_from(
    [
        '3.0.3',
        '3.2.26',
        '3.3.25',
        '3.4.42',
        '3.5.16',
        '3.5.30',
        '3.6.0-rc.1',
        '3.7.0',
        '2.3.8',
        'not_decided',
        '',
        '4.0.2',
        '3.1.2',
        '4.1.5',
        '3.0.2',
    ]
)
IDS = st.sampled_from(['', 'a1', 'a2', 'a3'])
URLS = st.sampled_from(
    [
        'http://10.0.0.1:2379',
        'http://10.0.0.2:2379',
        'https://10.0.0.1:2379',
        'http://127.0.0.1:2379',
        'http://[::1]:1',
        'http://[',
        'etcd1',
        '',
    ]
)
NAMES = st.sampled_from(['node1', 'node-2', 'node_2', 'é'])
NUMBERS = st.integers(-1, 2**64)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    st.just(SECRET),
    st.just('quorum'),
    st.lists(st.just(SECRET)),
    st.dictionaries(
        NAMES,
        st.none() | st.dictionaries(st.sampled_from(['type', 'database', 'plugin']), st.just('physical') | st.none()),
        max_size=2,
    ),
)
CONFIG = st.dictionaries(
    st.sampled_from(
        [
            'ttl',
            'loop_wait',
            'slots',
            'permanent_slots',
            'failsafe_mode',
            'pause',
            'synchronous_mode',
            'synchronous_mode_strict',
            'synchronous_node_count',
            'maximum_lag_on_failover',
            'postgresql',
            'member_slots_ttl',
            'ignore_slots',
        ]
    ),
    VALUES,
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Or ``None``."""
    return st.none() | strategy


LISTED = st.builds(
    ListedMember, IDS, NAMES | st.just(''), st.lists(URLS, max_size=2), st.lists(URLS, max_size=1), st.booleans()
)
MEMBERS = st.builds(
    EtcdEndpoint,
    url=URLS,
    configured=st.booleans(),
    advertised=st.booleans(),
    name=maybe(NAMES),
    id=maybe(IDS),
    version=maybe(VERSIONS),
    cluster_version=maybe(VERSIONS),
    prefixes=st.lists(st.sampled_from(['/v3', '/v3beta', '/v3alpha']), max_size=2),
    gateway=maybe(st.booleans()),
    protocol=st.sampled_from([None, 'http', 'grpc']),
    leader=maybe(st.booleans()),
    learner=maybe(st.booleans()),
    has_leader=maybe(st.booleans()),
    db_size=maybe(NUMBERS),
    db_size_in_use=maybe(NUMBERS),
    quota=maybe(NUMBERS),
    revision=maybe(NUMBERS),
    compacted=maybe(NUMBERS),
    cluster_id=maybe(IDS),
    storage_version=maybe(VERSIONS),
    downgrade=maybe(VERSIONS),
    v2_reads=maybe(NUMBERS),
    raft_snapshots=maybe(NUMBERS),
    shared_by=st.lists(IDS, max_size=3),
    alarms=st.lists(st.sampled_from(['NOSPACE', 'CORRUPT']), max_size=2),
    auth=maybe(st.booleans()),
    error=maybe(
        st.sampled_from(
            [
                'timed out',
                'wrong scheme: this port speaks https',
                'x: etcdserver: authentication failed, invalid user ID or password',
            ]
        )
    ),
)
ETCD = st.builds(
    Etcd,
    st.lists(URLS, max_size=2),
    st.booleans(),
    maybe(st.sampled_from(['/v3', '/v3beta'])),
    st.booleans(),
    maybe(st.lists(LISTED, max_size=3)),
    st.lists(MEMBERS, max_size=4),
)
SLOT = st.builds(
    Slot,
    NAMES,
    st.sampled_from(['physical', 'logical']),
    st.booleans(),
    maybe(NUMBERS),
    maybe(NUMBERS),
    maybe(NUMBERS),
    maybe(st.just('745')),
    maybe(st.just('745')),
    maybe(st.sampled_from(['reserved', 'extended', 'unreserved', 'lost'])),
)
POSTGRES = st.builds(
    Postgres,
    maybe(VERSIONS),
    maybe(st.booleans()),
    maybe(NUMBERS),
    st.lists(SLOT, max_size=3),
    maybe(NUMBERS),
    maybe(NUMBERS),
    maybe(NUMBERS),
    maybe(NUMBERS),
    maybe(NUMBERS),
    maybe(st.just('refused')),
    maybe(st.booleans()),
)
PATRONI_MEMBERS = st.builds(
    PatroniMember,
    name=NAMES,
    in_dcs=st.booleans(),
    state=maybe(st.sampled_from(['running', 'streaming', 'stopped', 'x'])),
    version=maybe(VERSIONS),
    position=maybe(NUMBERS),
    later_position=maybe(NUMBERS),
    lag=maybe(NUMBERS),
    tags=st.dictionaries(NAMES | st.sampled_from(['nofailover', 'failover_priority', 'nostream']), VALUES, max_size=1),
    api_url=maybe(st.just('http://a:8008/patroni')),
    error=maybe(st.just('timed out')),
    postgres=maybe(POSTGRES),
    state_from=st.sampled_from([None, 'api', 'key']),
    api_role=st.sampled_from([None, 'primary', 'standby_leader', 'replica']),
    pending_restart=maybe(st.booleans()),
    timeline=maybe(NUMBERS),
    postgres_version=maybe(VERSIONS),
)
PATRONI = st.builds(
    Patroni,
    NAMES,
    st.sampled_from(['/service', '/', '']),
    maybe(NAMES),
    maybe(st.booleans()),
    CONFIG,
    st.dictionaries(NAMES, NUMBERS, max_size=2),
    st.lists(PATRONI_MEMBERS, max_size=3),
    maybe(st.just('nothing was read')),
    maybe(st.booleans()),
    maybe(NUMBERS),
    st.lists(NAMES, max_size=2),
    maybe(st.builds(Synchronous, maybe(NAMES), st.lists(NAMES, max_size=2), maybe(NUMBERS))),
    maybe(st.builds(Switchover, st.just('2030-01-01T00:00:00+00:00'), maybe(NAMES), maybe(NAMES))),
    st.lists(NAMES, max_size=2),
    maybe(st.integers(0, 9)),
)
FACTS = st.builds(
    Facts,
    st.sampled_from(['2026-07-01T00:00:00+00:00', '']),
    st.floats(0, 9),
    ETCD,
    maybe(PATRONI),
    st.builds(
        ThisHost,
        maybe(NAMES),
        maybe(st.just('etcd3')),
        maybe(st.sampled_from(['package', 'patch', 'stock'])),
        maybe(VERSIONS),
        maybe(VERSIONS),
        maybe(VERSIONS),
    ),
    maybe(st.floats(0.1, 100)),
)


@settings(max_examples=examples(400), deadline=None, derandomize=True)
@given(FACTS)
def test_any_facts(some: Facts) -> None:
    """No exception; every text is there; nothing of what may hold a secret shows; the facts stay as they are."""
    before = dataclasses.asdict(some)
    findings = judge(some)
    assert dataclasses.asdict(some) == before
    assert exit_status(some, findings) in (0, 1, 2, 3)
    known = {kind.id for kind in kinds()}
    for finding in findings:
        assert finding.id in known and finding.severity in SEVERITIES and finding.link.startswith('https://')
        assert finding.where and finding.seen and finding.consequence and finding.remedy
        assert SECRET not in text_of(finding) and '{0}' not in text_of(finding) and '\n' not in finding.seen
        assert 'None' not in text_of(finding), finding
