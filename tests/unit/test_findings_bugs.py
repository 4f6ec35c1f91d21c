"""Findings about known bugs in releases of etcd."""

from __future__ import annotations

import pytest

from patroni_etcd3_compat.check.findings.etcd_bugs import SUBJECT
from patroni_etcd3_compat.check.findings.registry import kinds
from tests.unit.finding_facts import etcd_facts, etcd_member, facts, found, of_versions, one

IDS = tuple(kind.id for kind in kinds() if kind.subject is SUBJECT)

#: identifier, severity, releases that have the bug, releases that do not
ROWS = [
    ('etcd-data-inconsistency', 'warning', ['3.5.0', '3.5.2'], ['3.4.45', '3.5.3', '3.6.0']),
    ('etcd-defrag-crash', 'warning', ['3.5.0', '3.5.5'], ['3.4.45', '3.5.6', '3.6.0']),
    (
        'etcd-start-fails',
        'warning',
        ['3.4.0', '3.4.7', '3.5.3', '3.5.4', '3.5.5', '3.5.6'],
        ['3.3.25', '3.4.8', '3.5.2', '3.5.7', '3.6.0'],
    ),
    ('etcd-read-panic', 'warning', ['3.4.20'], ['3.4.19', '3.4.21', '3.5.0']),
    ('etcd-lease-revoked', 'warning', ['3.4.0', '3.4.30', '3.5.12'], ['3.3.25', '3.4.31', '3.5.13', '3.6.0']),
    (
        'etcd-lease-renewed-late',
        'info',
        ['3.4.37', '3.5.22', '3.6.0', '3.6.4'],
        ['3.3.25', '3.4.38', '3.5.23', '3.6.5', '3.7.0'],
    ),
    (
        'etcd-stale-reads',
        'info',
        ['3.4.0', '3.4.41', '3.5.0', '3.5.27', '3.6.0', '3.6.8'],
        ['3.3.25', '3.4.42', '3.5.28', '3.6.9', '3.7.0'],
    ),
    (
        'etcd-defrag-snapshot',
        'info',
        ['3.4.0', '3.4.37', '3.5.0', '3.5.22', '3.6.0', '3.6.4'],
        ['3.3.25', '3.4.38', '3.5.23', '3.6.5', '3.7.0'],
    ),
    ('etcd-promotion-forgotten', 'info', ['3.5.1', '3.5.25'], ['3.4.45', '3.5.0', '3.5.26', '3.6.0']),
]

#: the same with authentication on
ROWS_WITH_AUTHENTICATION = [
    (
        'etcd-auth-inconsistency',
        'warning',
        ['3.4.0', '3.4.7', '3.4.20', '3.4.21', '3.5.5'],
        ['3.3.25', '3.4.8', '3.4.19', '3.4.22', '3.5.4', '3.5.6', '3.6.0'],
    ),
    ('etcd-lease-kept', 'warning', ['3.4.0', '3.4.18', '3.5.0', '3.5.4'], ['3.3.25', '3.4.19', '3.5.5', '3.6.0']),
    (
        'etcd-auth-bypass',
        'warning',
        ['3.4.0', '3.4.41', '3.5.0', '3.5.27', '3.6.0', '3.6.8'],
        ['3.3.25', '3.4.42', '3.5.28', '3.6.9', '3.7.0'],
    ),
]


def _check_ranges(id: str, severity: str, affected: list[str], free: list[str], auth: bool) -> None:
    for version in affected:
        finding = one(facts(of_versions(version, '3.7.3', auth=auth)), id)
        assert finding.severity == severity and finding.where == 'etcd infra1 (http://10.0.0.1:2379)'
        assert finding.seen.startswith(f'etcd {version}, fixed in 3.')
    for version in free:
        assert not found(facts(of_versions(version, auth=auth)), id)


@pytest.mark.parametrize('id, severity, affected, free', ROWS)
def test_ranges(id: str, severity: str, affected: list[str], free: list[str]) -> None:
    """Each row holds for its releases and no others."""
    _check_ranges(id, severity, affected, free, auth=False)


@pytest.mark.parametrize('id, severity, affected, free', ROWS_WITH_AUTHENTICATION)
def test_authentication(id: str, severity: str, affected: list[str], free: list[str]) -> None:
    """These hold for their releases only where authentication is on."""
    _check_ranges(id, severity, affected, free, auth=True)
    for version in affected:
        assert not found(facts(of_versions(version, auth=False)), id)
        assert not found(facts(of_versions(version, auth=None)), id)


def test_single_member() -> None:
    """Only a member without others can forget what it confirmed."""
    for version in ('3.4.0', '3.4.20', '3.5.0', '3.5.4'):
        assert one(facts(of_versions(version)), 'etcd-durability').severity == 'warning'
        assert not found(facts(of_versions(version, version)), 'etcd-durability')
    for version in ('3.3.25', '3.4.21', '3.5.5', '3.6.0'):
        assert not found(facts(of_versions(version)), 'etcd-durability')


def test_row_of_its_own() -> None:
    """Releases with different causes have a finding each, with its fix and page."""
    some = facts(of_versions('3.5.4', '3.5.5', '3.5.7'))
    first, second = found(some, 'etcd-start-fails')
    assert 'infra1' in first.where and 'fixed in 3.5.5' in first.seen and first.link.endswith('/issues/14382')
    assert 'infra2' in second.where and 'fixed in 3.5.7' in second.seen and second.link.endswith('/pull/15068')


def test_every_row() -> None:
    """No finding of this subject lacks a row here."""
    assert {*IDS} == {row[0] for row in (*ROWS, *ROWS_WITH_AUTHENTICATION)} | {'etcd-durability'}


def test_fixed_release() -> None:
    """The fix is that of the line of the members; all of them are in one finding."""
    finding = one(facts(of_versions('3.5.22', '3.6.4', '3.6.2')), 'etcd-lease-renewed-late')
    assert 'fixed in 3.5.23 or 3.6.5' in finding.seen and 'infra3' in finding.where
    assert '3.4.38' not in finding.remedy


def test_unknown_release() -> None:
    """A member whose release is unknown has no known bug."""
    assert not found(facts(etcd_facts(etcd_member(1, None), etcd_member(2, '3.5.30'))), *IDS)
