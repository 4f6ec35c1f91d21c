"""Findings about certificates: those of REST APIs, and the days until any of them ends."""

from __future__ import annotations

import pytest

from patroni_etcd3_compat.check.facts import TlsFile
from tests.unit.finding_facts import etcd_facts, etcd_member, facts, found, one, patroni_facts, patroni_member, text_of

#: The time of the facts is noon of the first of July.
IN_A_MONTH, IN_TWO_DAYS, OVER = '2026-07-30T12:00:00+00:00', '2026-07-03T13:00:00+00:00', '2026-06-30T12:00:00+00:00'
LATER = '2026-08-01T12:00:00+00:00'


@pytest.mark.parametrize(
    'fault, severity, option',
    [
        ('certificate-wanted', 'unknown', 'set ctl.certfile and ctl.keyfile'),
        ('certificate-refused', 'unknown', 'ctl.certfile'),
        ('unknown-authority', 'unknown', 'ctl.cacert'),
        ('expired', 'warning', 'restapi.certfile'),
        ('name', 'warning', 'subject alternative name'),
    ],
)
def test_rest_api(fault: str, severity: str, option: str) -> None:
    """What this command lacks says nothing about load balancers; the fault is named once for all members."""
    members = [patroni_member(name, tls_fault=fault, error=f'TLS: {fault}') for name in ('a', 'b')]
    some = facts(patroni=patroni_facts(*members))
    finding = one(some, 'patroni-api-tls')
    assert finding.severity == severity and finding.where == 'a and b' and option in finding.remedy
    assert ('load balancers' in text_of(finding)) is (severity == 'warning')
    assert not found(some, 'patroni-api-unreachable')


@pytest.mark.parametrize(
    'until, severity, words',
    [
        (LATER, None, ''),
        (None, None, ''),
        (IN_A_MONTH, 'warning', 'ends on 2026-07-30, in 29 days'),
        (IN_TWO_DAYS, 'critical', 'ends on 2026-07-03, in 2 days'),
        (OVER, 'critical', 'ended on 2026-06-30'),
    ],
)
def test_ends(until: str | None, severity: str | None, words: str) -> None:
    """A warning 30 days before, critical 3 days before; those with the same end are named together."""
    etcd = etcd_facts(*(etcd_member(number, tls=True, certificate_expires=until) for number in (1, 2)))
    patroni = patroni_facts(*(patroni_member(name, certificate_expires=until) for name in ('a', 'b')))
    some = facts(etcd, patroni)
    for id, where in (('etcd-certificate-expires', 'infra2'), ('patroni-certificate-expires', 'a and b')):
        findings = found(some, id)
        assert [finding.severity for finding in findings] == ([severity] if severity else [])
        assert all(words in finding.seen and where in finding.where for finding in findings)


def test_files_end() -> None:
    """Those of the configuration, if any URL is an https one."""
    etcd = etcd_facts(etcd_member(1, tls=True))
    etcd.files = [TlsFile('cacert', '/etc/ca.pem', IN_A_MONTH), TlsFile('cert', '/etc/client.pem', IN_TWO_DAYS)]
    findings = found(facts(etcd), 'etcd-certificate-expires')
    assert [(finding.severity, finding.where) for finding in findings] == [
        ('critical', 'cert /etc/client.pem'),
        ('warning', 'cacert /etc/ca.pem'),
    ]
    etcd.endpoints[0].tls = False
    assert not found(facts(etcd), 'etcd-certificate-expires')


def test_other_days() -> None:
    """As the option says."""
    some = facts(etcd_facts(etcd_member(1, tls=True, certificate_expires=LATER)))
    some.certificate_days = [60, 31]
    assert one(some, 'etcd-certificate-expires').severity == 'critical'
    some.certificate_days = [60, 1]
    assert one(some, 'etcd-certificate-expires').severity == 'warning'


def test_one_that_expired_is_named_once() -> None:
    """What kept the connection from being made has said it."""
    member = etcd_member(1, None, tls=True, tls_fault='expired', error='TLS: expired', certificate_expires=OVER)
    assert not found(facts(etcd_facts(member)), 'etcd-certificate-expires')
