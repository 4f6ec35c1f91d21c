"""Findings about known bugs in releases of etcd."""

from __future__ import annotations

import pytest

from tests.unit.finding_facts import etcd_facts, etcd_member, facts, found, of_versions, one

IDS = ('etcd-data-inconsistency', 'etcd-lease-revoked', 'etcd-lease-renewed-late', 'etcd-promotion-forgotten')


@pytest.mark.parametrize(
    'id, severity, affected, free',
    [
        ('etcd-data-inconsistency', 'warning', ['3.5.0', '3.5.2'], ['3.4.45', '3.5.3', '3.6.0']),
        ('etcd-lease-revoked', 'warning', ['3.4.0', '3.4.30', '3.5.12'], ['3.3.25', '3.4.31', '3.5.13', '3.6.0']),
        (
            'etcd-lease-renewed-late',
            'info',
            ['3.4.37', '3.5.22', '3.6.0', '3.6.4'],
            ['3.3.25', '3.4.38', '3.5.23', '3.6.5', '3.7.0'],
        ),
        ('etcd-promotion-forgotten', 'info', ['3.5.1', '3.5.25'], ['3.4.45', '3.5.0', '3.5.26', '3.6.0']),
    ],
)
def test_ranges(id: str, severity: str, affected: list[str], free: list[str]) -> None:
    """Each row holds for its releases and no others."""
    for version in affected:
        finding = one(facts(of_versions(version, '3.7.3')), id)
        assert finding.severity == severity and finding.where == 'etcd infra1 (http://10.0.0.1:2379)'
        assert finding.seen.startswith(f'etcd {version}, fixed in 3.')
    for version in free:
        assert not found(facts(of_versions(version)), id)


def test_fixed_release() -> None:
    """The fix is that of the line of the members; all of them are in one finding."""
    finding = one(facts(of_versions('3.5.22', '3.6.4', '3.6.2')), 'etcd-lease-renewed-late')
    assert 'fixed in 3.5.23 or 3.6.5' in finding.seen and 'infra3' in finding.where
    assert '3.4.38' not in finding.remedy


def test_unknown_release() -> None:
    """A member whose release is unknown has no known bug."""
    assert not found(facts(etcd_facts(etcd_member(1, None), etcd_member(2, '3.5.30'))), *IDS)
