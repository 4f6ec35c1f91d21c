"""Findings about authentication, the shape of errors and the way of an upgrade."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from patroni_etcd3_compat.check.facts import Facts
from patroni_etcd3_compat.check.findings.registry import ETCD_GATE, kind_of, stopping
from patroni_etcd3_compat.check.log_snapshot import OPTION
from tests.unit.finding_facts import facts, found, of_versions, one, patroni_facts, patroni_member


def with_auth(*versions: str, patroni: str = '4.1.5', auth: bool | None = True, **other: Any) -> Facts:
    """A cluster with authentication, and two Patroni members of one release."""
    etcd = of_versions(*versions, auth=auth)
    etcd.credentials = True
    return facts(etcd, patroni_facts(patroni_member('node1', patroni), patroni_member('node2', patroni)), **other)


def test_members_that_take_no_token() -> None:
    """Before 3.3, with authentication on only."""
    finding = one(with_auth('3.2.26', '3.3.25'), 'etcd-auth-no-token')
    assert finding.severity == 'critical' and 'infra1' in finding.where and 'infra2' not in finding.where
    assert one(with_auth('3.2.26', '3.3.25', serves='package'), 'etcd-auth-no-token').severity == 'warning'
    assert one(with_auth('3.2.26', '3.2.26', serves='package'), 'etcd-auth-no-token').severity == 'critical'
    assert not found(with_auth('3.3.25', '3.4.23'), 'etcd-auth-no-token')
    assert not found(with_auth('3.2.26', '3.3.25', auth=False), 'etcd-auth-no-token')


@pytest.mark.parametrize(
    'etcd, patroni, expected',
    [
        ('3.5.30', '4.1.0', True),
        ('3.5.30', '4.0.7', True),
        ('3.5.30', '4.0.8', False),
        ('3.5.30', '3.3.8', True),
        ('3.5.30', '3.3.9', False),
        ('3.5.30', '4.1.1', False),
        ('3.5.27', '4.0.7', False),
        ('3.4.42', '3.0.4', True),
        ('3.6.9', '4.0.7', True),
        ('3.7.0', '4.0.7', True),
        ('3.3.25', '4.0.7', False),
    ],
)
def test_guard_of_the_member_list(etcd: str, patroni: str, expected: bool) -> None:
    """CVE-2026-33413 against Patroni before 3.3.9, 4.0.8 and 4.1.1."""
    findings = found(with_auth(etcd, etcd, patroni=patroni), 'etcd-auth-guard')
    assert bool(findings) is expected
    for finding in findings:
        assert finding.severity == 'critical' and f'node1 ({patroni})' in finding.seen
    assert not found(with_auth(etcd, etcd, patroni=patroni, auth=False), 'etcd-auth-guard')


def test_guard_with_the_package() -> None:
    """An information if the package serves the members of older releases, whatever serves the others."""
    some = with_auth('3.5.30', patroni='4.0.7', serves='package')
    finding = one(some, 'etcd-auth-guard')
    assert finding.severity == 'info' and 'serves every Patroni member' in finding.consequence
    assert some.patroni
    some.patroni.members[1].serves = 'stock'
    assert one(some, 'etcd-auth-guard').severity == 'critical'
    some.patroni.members[1].version = '4.1.5'
    assert one(some, 'etcd-auth-guard').severity == 'info'


@pytest.mark.parametrize('version, again', [('3.4.42', '3.4.43'), ('3.5.28', '3.5.29'), ('3.6.9', '3.6.10')])
def test_list_for_admins_only(version: str, again: str) -> None:
    """In three releases."""
    finding = one(with_auth(version, serves='package'), 'etcd-auth-admin-list')
    assert finding.severity == 'warning' and again in finding.remedy
    assert not found(with_auth(again), 'etcd-auth-admin-list')


@pytest.mark.parametrize(
    'versions, auth, expected',
    [
        (['3.4.23', '3.5.16'], True, 'warning'),
        (['3.3.25', '3.5.16'], True, 'warning'),
        (['3.4.23', '3.4.45'], True, None),
        (['3.4.23', '3.5.16'], False, None),
        (['3.5.26', '3.6.1'], True, None),
        (['3.3.25', '3.4.23'], True, None),
    ],
)
def test_upgrade_with_auth(versions: list[str], auth: bool, expected: str | None) -> None:
    """From 3.4 or older to 3.5 or newer."""
    findings = found(with_auth(*versions, auth=auth), 'etcd-upgrade-auth')
    assert [finding.severity for finding in findings] == [expected][: bool(expected)]


def test_auth_not_told() -> None:
    """Unknown where it matters, and nowhere else."""
    for versions, matters in (
        (['3.4.23', '3.5.16'], True),
        (['3.2.26'], True),
        (['3.5.30'], True),
        (['3.5.16'], False),
    ):
        assert [f.severity for f in found(with_auth(*versions, auth=None), 'etcd-unknown')] == ['unknown'][:matters]


@pytest.mark.parametrize(
    'etcd, patroni, serves, expected',
    [
        ('3.6.0', '4.1.0', 'stock', 'warning'),
        ('3.5.0', '4.1.0', 'stock', 'info'),
        ('3.6.10', '4.1.0', 'package', 'info'),
        ('3.6.10', '4.1.1', 'stock', None),
        ('3.6.10', '4.0.11', 'stock', None),
        ('3.6.10', '3.3.8', 'stock', 'warning'),
        ('3.5.16', '4.1.0', 'stock', 'info'),
        ('3.4.23', '3.0.2', 'stock', None),
    ],
)
def test_shape_of_errors(etcd: str, patroni: str, serves: str, expected: str | None) -> None:
    """Sure from 3.6 on, possible in 3.5."""
    findings = found(with_auth(etcd, patroni=patroni, auth=False, serves=serves), 'etcd-error-shape')
    assert [finding.severity for finding in findings] == [expected][: bool(expected)]


def test_shape_of_errors_of_mixed_members() -> None:
    """Those that are sure to be so are named."""
    finding = one(with_auth('3.4.45', '3.5.30', '3.6.10', patroni='4.1.0', auth=False), 'etcd-error-shape')
    assert finding.where == 'etcd infra3 (http://10.0.0.3:2379)' and 'errors of etcd 3.6.10 have no' in finding.seen
    finding = one(with_auth('3.4.45', '3.5.16', patroni='4.1.0', auth=False), 'etcd-error-shape')
    assert finding.where == 'etcd infra2 (http://10.0.0.2:2379)' and 'some distributions' in finding.seen


@pytest.mark.parametrize(
    'versions, skips',
    [
        (['3.3.25', '3.5.16'], '3.4'),
        (['3.2.26', '3.3.25', '3.4.23'], '3.3'),
        (['3.4.23', '3.5.16'], None),
        (['3.5.16', '3.5.30'], None),
        (['3.7.0', '4.0.0'], '4.0'),
    ],
)
def test_minor_versions_apart(versions: list[str], skips: str | None) -> None:
    """Two or more: the remedy names the one between."""
    findings = found(facts(of_versions(*versions)), 'etcd-upgrade-skips')
    assert bool(findings) is bool(skips)
    for finding in findings:
        assert finding.severity == 'warning' and all(version in finding.seen for version in versions)
        assert f'then all to {skips}, then on' in finding.remedy
        last = len(versions)
        assert f': etcd infra{last} (http://10.0.0.{last}:2379) back to {versions[0][:3]}, ' in finding.remedy
        assert 'infra2' not in finding.remedy or last == 2
        assert finding.remedy.endswith('upgrade etcd infra1 (http://10.0.0.1:2379) at once')


def test_three_minor_versions() -> None:
    """All that are too far ahead have to go back, and nobody else."""
    remedy = one(facts(of_versions('3.2.26', '3.4.23', '3.5.30')), 'etcd-upgrade-skips').remedy
    assert 'infra2 (http://10.0.0.2:2379) and etcd infra3 (http://10.0.0.3:2379) back to 3.2, then all to 3.3' in remedy


@pytest.mark.parametrize(
    'versions, least',
    [
        (['3.5.16', '3.6.1'], '3.5.26'),
        (['3.5.25', '3.5.26', '3.6.1'], '3.5.26'),
        (['3.5.26', '3.6.1'], None),
        (['3.6.10', '3.7.1'], '3.6.11'),
        (['3.6.11', '3.7.1'], None),
        (['3.4.3', '3.5.0'], None),
        (['3.4.3', '3.6.0'], None),
    ],
)
def test_patch_release_before_an_upgrade(versions: list[str], least: str | None) -> None:
    """3.5.26 before 3.6 and 3.6.11 before 3.7, while both are there."""
    findings = found(facts(of_versions(*versions)), 'etcd-upgrade-patch')
    assert bool(findings) is bool(least)
    for finding in findings:
        assert finding.severity == 'warning' and str(least) in finding.remedy
        assert finding.where == 'etcd infra1 (http://10.0.0.1:2379)'
        assert finding.link.endswith(f'/upgrade_{"_".join(versions[-1].split(".")[:2])}/')


def test_without_a_configuration() -> None:
    """``--endpoints``: what holds for etcd alone."""
    alone = dataclasses.replace(with_auth('3.5.30', patroni='4.0.7'), patroni=None)
    assert not found(alone, 'etcd-auth-guard', 'etcd-error-shape')
    assert found(dataclasses.replace(facts(of_versions('3.3.25', '3.5.16')), patroni=None), 'etcd-upgrade-skips')


def test_downgrade() -> None:
    """A downgrade that is enabled is a finding of its own; the low cluster version is right then."""
    etcd = of_versions('3.6.16', '3.6.16', cluster='3.5.0', storage_version='3.5.0', downgrade='')
    assert found(facts(etcd), 'etcd-cluster-version') and not found(facts(etcd), 'etcd-downgrade')
    etcd.endpoints[1].downgrade = '3.5.0'
    assert not found(facts(etcd), 'etcd-cluster-version')
    finding = one(facts(etcd), 'etcd-downgrade')
    assert finding.severity == 'warning' and 'a downgrade to 3.5.0 is enabled; storage version 3.5.0' in finding.seen
    assert 'infra1' in finding.seen and 'still at 3.6.16' in finding.seen
    assert finding.remedy.endswith('etcdctl --endpoints=http://10.0.0.1:2379 downgrade cancel')
    assert 'etcd-downgrade' in stopping(ETCD_GATE)


def test_downgrade_is_unknown() -> None:
    """Releases that do not tell of a downgrade lead to no finding about it."""
    assert not found(facts(of_versions('3.5.30', '3.5.30')), 'etcd-downgrade')


@pytest.mark.parametrize(
    'versions, there',
    [
        (['3.5.30', '3.5.30'], False),
        (['3.5.30', '3.6.11'], True),
        (['3.5.30', '3.5.31'], True),
        (['3.4.45', '3.6.11'], False),
    ],
)
def test_versions_differ(versions: list[str], there: bool) -> None:
    """Members of neighbouring releases are an information; those further apart are a finding of their own."""
    findings = found(facts(of_versions(*versions)), 'etcd-versions-differ')
    assert [finding.severity for finding in findings] == ['info'] * there
    for finding in findings:
        assert f'infra2 (http://10.0.0.2:2379) ({versions[1]})' in finding.seen and versions[1] in finding.remedy


@pytest.mark.parametrize(
    'version, v2_reads, raft_snapshots, severity',
    [
        ('3.4.45', 1, 0, 'info'),
        ('3.4.45', 0, 0, None),
        ('3.4.45', None, None, None),
        ('3.3.25', 5, 0, None),
        ('3.5.30', 1, 0, None),
        ('3.5.30', 2, 0, 'warning'),
        ('3.5.30', 2, 1, 'info'),
        ('3.5.30', 2, None, 'info'),
        ('3.5.30', None, 0, None),
        ('3.6.16', 9, 0, None),
    ],
)
def test_v2_requests(version: str, v2_reads: int | None, raft_snapshots: int | None, severity: str | None) -> None:
    """Requests made on 3.4 are an information, a warning once 3.5 has them in its log; unknown numbers say nothing."""
    etcd = of_versions(version, version, v2_reads=v2_reads, raft_snapshots=raft_snapshots)
    findings = found(facts(etcd), 'etcd-v2-requests')
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
    for finding in findings:
        assert 'infra1' in finding.where and 'infra2' in finding.where and f'{OPTION} ' in finding.remedy


def test_v2_requests_are_no_reason_to_hurry() -> None:
    """An upgrade does not end them, it fails at them."""
    assert not kind_of('etcd-v2-requests').ended_by
