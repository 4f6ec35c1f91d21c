"""Findings about disks and elections of etcd."""

from __future__ import annotations

import pytest

from patroni_etcd3_compat.check.facts import EtcdEndpoint
from tests.unit.finding_facts import etcd_member, facts, found, of_versions, one


@pytest.mark.parametrize(
    'p99, severity',
    [(None, None), (0.016, None), (0.5, None), (0.512, 'warning'), (1.0, 'warning'), (1.024, 'critical')],
)
def test_slow_disk(p99: float | None, severity: str | None) -> None:
    """The limits are those of etcd's alerts; members are named in one finding, with what Patroni can bear."""
    etcd = of_versions('3.5.30', '3.5.30', '3.5.30')
    etcd.endpoints[1].fsync_p99 = p99
    some = facts(etcd)
    assert [finding.severity for finding in found(some, 'etcd-slow-disk')] == ([severity] if severity else [])
    if severity and p99:
        assert some.patroni is not None
        some.patroni.config.update(ttl=40, retry_timeout=7)
        finding = one(some, 'etcd-slow-disk')
        assert finding.where == 'etcd infra2 (http://10.0.0.2:2379)' and f'takes {p99:.2f} s' in finding.seen
        assert 'retry_timeout (7 s)' in finding.consequence and 'ttl (40 s)' in finding.consequence
        some.patroni = None
        assert 'retry_timeout' in one(some, 'etcd-slow-disk').consequence


@pytest.mark.parametrize(
    'changes, uptime, there',
    [
        (None, 3600.0, False),
        (40, None, False),
        (40, 0.0, False),
        (11, 600.0, False),
        (12, 600.0, True),
        (12, 3 * 3600.0, True),
        (12, 3.1 * 3600, False),
        (500, 365 * 86400.0, False),
    ],
)
def test_elections(changes: int | None, uptime: float | None, there: bool) -> None:
    """Many in a short time are a warning; as many as an upgrade causes, or as add up over a year, are none."""
    quiet: EtcdEndpoint = etcd_member(1, leader_changes=1, uptime=1e6)
    etcd = of_versions('3.5.30', '3.5.30')
    etcd.endpoints = [quiet, etcd_member(2, leader_changes=changes, uptime=uptime)]
    assert bool(found(facts(etcd), 'etcd-elections')) is there
    if there:
        assert f'has seen {changes} changes' in one(facts(etcd), 'etcd-elections').seen
