"""Findings about the size of etcd's database."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.finding_facts import MB, etcd_member, facts, found, of_versions, one

IDS = ('etcd-alarm', 'etcd-quota', 'etcd-no-compaction')


def test_alarm_for_all_members() -> None:
    """NOSPACE is one finding for all members, with sizes and the revision for compact."""
    etcd = of_versions('3.6.16', '3.6.16', '3.6.16', alarms=['NOSPACE'], db_size=5 * MB, quota=3 * MB)
    etcd.endpoints[1].revision = 4711
    finding = one(facts(etcd), 'etcd-alarm')
    assert finding.severity == 'critical' and all(f'infra{number}' in finding.where for number in (1, 2, 3))
    assert 'infra1 5.0 MB of 3.0 MB (167%)' in finding.seen
    assert ' compact 4711, then ' in finding.remedy and 'etcdctl alarm disarm' in finding.remedy
    assert 'http://10.0.0.1:2379,http://10.0.0.2:2379,http://10.0.0.3:2379' in finding.remedy
    assert not found(facts(etcd), 'etcd-quota')
    etcd.endpoints[1].revision = None
    assert ' compact REVISION, ' in one(facts(etcd), 'etcd-alarm').remedy


def test_corrupt() -> None:
    """Each member with corrupt data is named, beside the one without space."""
    etcd = of_versions('3.5.30', '3.5.30')
    etcd.endpoints[0].alarms = ['NOSPACE']
    etcd.endpoints[1].alarms = ['CORRUPT']
    full, corrupt = found(facts(etcd), 'etcd-alarm')
    assert (full.where, corrupt.where) == ('etcd infra1 (http://10.0.0.1:2379)', 'etcd infra2 (http://10.0.0.2:2379)')
    assert 'remove this member' in corrupt.remedy


@pytest.mark.parametrize(
    'db_size, quota, severity',
    [
        (79, 100, None),
        (80, 100, 'warning'),
        (94, 100, 'warning'),
        (95, 100, 'critical'),
        (120, 100, 'critical'),
        (95, None, None),
        (95, 0, None),
        (95, -1, None),
        (None, 100, None),
    ],
)
def test_quota(db_size: int | None, quota: int | None, severity: str | None) -> None:
    """Near the quota a warning, closer critical; nothing if size or quota is unknown, or there is no limit."""
    etcd = of_versions('3.5.30', '3.5.30', '3.5.30')
    etcd.endpoints[2] = etcd_member(3, '3.5.30', db_size=db_size and db_size * MB, quota=quota and quota * MB)
    findings = found(facts(etcd), *IDS)
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
    for finding in findings:
        assert finding.where == 'etcd infra3 (http://10.0.0.3:2379)'
        assert f'infra3 {db_size} MB of {quota} MB ({db_size}%)' in finding.seen


def test_defragmentation() -> None:
    """What defragmentation alone would free is said if the size in use is known."""
    etcd = of_versions('3.5.30', db_size=90 * MB, quota=100 * MB, db_size_in_use=20 * MB)
    assert 'defrag alone frees 70 MB of infra1' in one(facts(etcd), 'etcd-quota').remedy


@pytest.mark.parametrize(
    'different, severity',
    [
        ({'revision': 100_000, 'compacted': 0}, 'info'),
        ({'revision': 99_999, 'compacted': 0}, None),
        ({'revision': 5_100_000, 'compacted': 5_000_000}, 'info'),
        ({'revision': 5_099_999, 'compacted': 5_000_000}, None),
        ({'revision': 100_000, 'compacted': None}, None),
        ({'revision': None, 'compacted': 0}, None),
        ({'revision': 100_000, 'compacted': 0, 'db_size': 50 * MB, 'quota': 100 * MB}, 'warning'),
        ({'revision': 100_000, 'compacted': 0, 'db_size': 49 * MB, 'quota': 100 * MB}, 'info'),
    ],
)
def test_history(different: dict[str, Any], severity: str | None) -> None:
    """A long history is an information, and a warning once it fills half of the quota."""
    findings = found(facts(of_versions('3.5.30', **different)), *IDS)
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
    for finding in findings:
        assert f'revision {different["revision"]}' in finding.seen and '--auto-compaction-retention' in finding.remedy
        assert ('never compacted' in finding.seen) is (different['compacted'] == 0)
