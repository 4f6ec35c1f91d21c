"""Findings about the way to etcd: schemes, certificates, and refusals of whoever asks."""

from __future__ import annotations

from typing import Any

import pytest

from patroni_etcd3_compat.check.facts import TLS_FAULTS, WRONG_SCHEME, EtcdEndpoint, Facts, TlsFile
from patroni_etcd3_compat.check.findings import exit_status, judge
from patroni_etcd3_compat.errors import CommonNameRefused
from tests.unit.finding_facts import etcd_facts, etcd_member, facts, found, one, text_of


def spoken(number: int, scheme: str) -> EtcdEndpoint:
    """A member that was asked in the other scheme than this one, which it speaks."""
    asked = 'https' if scheme == 'http' else 'http'
    return etcd_member(
        number,
        None,
        url=f'{asked}://10.0.0.{number}:2379',
        tls=asked == 'https',
        error=f'{WRONG_SCHEME}: this port speaks {scheme}',
    )


def without_configuration(some: Facts) -> Facts:
    """The same facts, collected with ``--endpoints``."""
    some.this_host.section = some.patroni = None
    return some


@pytest.mark.parametrize('scheme', ['http', 'https'])
def test_wrong_scheme(scheme: str) -> None:
    """The remedy is the option of the section; no other finding says the same of this URL."""
    finding = one(facts(etcd_facts(spoken(1, scheme))), 'etcd-wrong-scheme')
    assert finding.severity == 'critical' and f'this port speaks {scheme}' in finding.seen
    assert f'set protocol: {scheme} in section etcd3' in finding.remedy
    assert ('cacert' in finding.remedy) is (scheme == 'https')
    finding = one(facts(etcd_facts(spoken(1, scheme), etcd_member(2))), 'etcd-wrong-scheme')
    assert finding.severity == 'warning'
    others = ('etcd-configured-unusable', 'etcd-unreachable', 'etcd-unknown')
    assert not found(facts(etcd_facts(spoken(1, scheme))), *others)
    bare = one(without_configuration(facts(etcd_facts(spoken(1, scheme)))), 'etcd-wrong-scheme')
    assert bare.remedy == f'--endpoints {scheme}://10.0.0.1:2379'


def test_wrong_scheme_that_is_only_advertised() -> None:
    """It is not in Patroni's configuration, so the remedy is not there."""
    wrong = spoken(2, 'https')
    wrong.configured = False
    some = facts(etcd_facts(etcd_member(1), wrong))
    assert not found(some, 'etcd-wrong-scheme') and one(some, 'etcd-advertised-unusable')


def with_fault(number: int, fault: str) -> EtcdEndpoint:
    """A member with this fault of TLS."""
    return etcd_member(
        number, None, url=f'https://10.0.0.{number}:2379', tls=True, tls_fault=fault, error=f'TLS: {fault}'
    )


@pytest.mark.parametrize(
    'fault, words',
    [
        ('unknown-authority', ['/etc/ca.pem', 'cacert in section etcd3', '--cert-file']),
        ('expired', ['renew', '--cert-file']),
        ('not-yet-valid', ['clocks']),
        ('name', ['hosts in section etcd3', 'subject alternative name']),
        ('certificate-wanted', ['set cert and key in section etcd3', '--client-cert-auth']),
        ('certificate-refused', ['/etc/client.pem, which ends 2026-07-30', '--trusted-ca-file']),
        ('files', ['correct key in section etcd3']),
    ],
)
def test_tls(fault: str, words: list[str]) -> None:
    """Each fault has the option, the file and the remedy; one finding for all members, and no other one says it."""
    etcd = etcd_facts(*(with_fault(number, fault) for number in (1, 2, 3)), listed=False)
    etcd.files = [
        TlsFile('cacert', '/etc/ca.pem', '2030-01-01T00:00:00+00:00'),
        TlsFile('cert', '/etc/client.pem', '2026-07-30T00:00:00+00:00'),
        TlsFile('key', '/etc/client.key', None, 'holds no private key' if fault == 'files' else None),
    ]
    some = facts(etcd)
    finding = one(some, 'etcd-tls')
    assert fault in TLS_FAULTS and finding.severity == 'critical' and finding.seen == f'TLS: {fault}'
    assert all(word in finding.remedy for word in words), finding.remedy
    assert '10.0.0.1' in finding.where and '10.0.0.3' in finding.where
    assert not found(some, 'etcd-unreachable', 'etcd-unknown', 'etcd-configured-unusable', 'etcd-hosts-differ')
    assert exit_status(some, judge(some)) == 2
    etcd.endpoints.append(etcd_member(4))
    assert one(facts(etcd), 'etcd-tls').severity == 'warning'
    etcd.endpoints.pop()
    bare = one(without_configuration(facts(etcd)), 'etcd-tls')
    assert bare.severity == 'unknown' and 'section' not in text_of(bare)


def test_authority_that_expired() -> None:
    """OpenSSL says the same as of a server's certificate; the file tells them apart."""
    etcd = etcd_facts(with_fault(1, 'expired'))
    etcd.files = [TlsFile('cacert', '/etc/ca.pem', '2026-06-30T00:00:00+00:00')]
    assert 'into /etc/ca.pem (cacert in section etcd3): it expired' in one(facts(etcd), 'etcd-tls').remedy


def test_own_certificate_that_expired() -> None:
    """Its date is known, whatever the server says about it."""
    etcd = etcd_facts(with_fault(1, 'certificate-refused'))
    etcd.files = [TlsFile('cert', '/etc/client.pem', '2026-06-30T00:00:00+00:00')]
    remedy = one(facts(etcd), 'etcd-tls').remedy
    assert remedy == 'renew cert in section etcd3 (/etc/client.pem), which expired on 2026-06-30'


def test_tls_without_options() -> None:
    """What is not set is to be set."""
    finding = one(facts(etcd_facts(with_fault(1, 'unknown-authority'))), 'etcd-tls')
    assert finding.remedy.startswith('set cacert in section etcd3')


def test_files_that_only_this_user_cannot_read() -> None:
    """Nothing is claimed about Patroni, which may run as another user."""
    etcd = etcd_facts(with_fault(1, 'files'))
    etcd.files = [TlsFile('key', '/etc/client.key', None, 'permission denied')]
    finding = one(facts(etcd), 'etcd-tls')
    assert finding.severity == 'unknown' and 'as the user that Patroni runs as' in finding.remedy
    etcd.files.append(TlsFile('cacert', '/etc/ca.pem', None, 'no such file or directory'))
    assert one(facts(etcd), 'etcd-tls').severity == 'critical'


def test_common_name() -> None:
    """The remedy is that of the class; nothing else is said about these answers."""
    refused: dict[str, Any] = {
        'refuses': 'common-name',
        'error': '/v3/kv/range: CommonName of client ...',
        'auth': None,
    }
    etcd = etcd_facts(*(etcd_member(number, **refused) for number in (1, 2, 3)))
    etcd.files = [TlsFile('cert', '/etc/client.pem')]
    finding = one(facts(etcd), 'etcd-common-name')
    assert finding.severity == 'critical' and '(/etc/client.pem) has a CommonName' in finding.seen
    assert finding.remedy.startswith(f'{CommonNameRefused.remedy}; or let Patroni use gRPC itself: ')
    assert not found(facts(etcd), 'etcd-unknown')
    etcd.endpoints[0].refuses = etcd.endpoints[0].error = None
    assert one(facts(etcd), 'etcd-common-name').severity == 'warning'


def test_host_whitelist() -> None:
    """The remedy is that of the class; nothing else is said about these answers."""
    refused = etcd_member(1, None, refuses='host', protocol='http', error='Host header was unrecognized ...')
    some = facts(etcd_facts(refused))
    finding = one(some, 'etcd-host-whitelist')
    assert finding.severity == 'critical' and '--host-whitelist' in finding.remedy
    assert not found(some, 'etcd-unknown', 'etcd-unreachable', 'etcd-configured-unusable')
    assert one(facts(etcd_facts(refused, etcd_member(2))), 'etcd-host-whitelist').severity == 'warning'


def test_permission_denied() -> None:
    """The remedy names the role and the command, for the whole namespace."""
    denied: dict[str, Any] = {'auth': True, 'error': '/kv/range: etcdserver: permission denied'}
    etcd = etcd_facts(*(etcd_member(number, denied_roles=['dba'], **denied) for number in (1, 2)), credentials=True)
    finding = one(facts(etcd), 'etcd-permission-denied')
    assert finding.severity == 'critical' and '/service/batman/' in finding.seen and 'its roles: dba' in finding.seen
    assert finding.remedy.startswith('etcdctl role grant-permission dba --prefix=true readwrite /service/; or ')
    assert not found(facts(etcd), 'etcd-unknown')
    for member in etcd.endpoints:
        member.denied_roles = []
    finding = one(facts(etcd), 'etcd-permission-denied')
    assert 'roles are unknown, or it has none' in finding.seen and 'etcdctl user grant-role USER' in finding.remedy


@pytest.mark.parametrize(
    'tls, ahead, severity',
    [(False, None, None), (True, 9.0, None), (True, -11.0, 'info'), (False, 400.0, 'info'), (True, 400.0, 'warning')],
)
def test_clock_skew(tls: bool, ahead: float | None, severity: str | None) -> None:
    """It matters for certificates alone; a clock that all members differ from is the wrong one."""
    etcd = etcd_facts(etcd_member(1, clock_ahead=0.0), etcd_member(2, tls=tls, clock_ahead=ahead))
    findings = found(facts(etcd), 'etcd-clock-skew')
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
    assert all(finding.where == 'etcd infra2 (http://10.0.0.2:2379)' for finding in findings)
    assert all('on these members' in finding.remedy for finding in findings)
    etcd.endpoints[0].clock_ahead = ahead
    assert all('on this host first' in finding.remedy for finding in found(facts(etcd), 'etcd-clock-skew'))
