"""Findings about etcd and Patroni together: what stock Patroni would do here, and what this package changes."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
from patroni.dcs import etcd3

from patroni_etcd3_compat.check.facts import Etcd, ThisHost
from patroni_etcd3_compat.check.stock import outlook, stock_prefix
from tests.unit.finding_facts import (
    etcd_facts,
    etcd_member,
    facts,
    found,
    of_versions,
    one,
    patroni_facts,
    patroni_member,
    text_of,
)


@pytest.mark.parametrize(
    'cluster',
    [
        '3.0.0',
        '3.0',
        '3.1.0',
        '3.2.0',
        '3.3.0',
        '3.4.0',
        '3.5.0',
        '3.7',
        '4.0.0',
        '2.3.0',
        'not_decided',
        '',
        '3.6.0-rc.1',
    ],
)
@pytest.mark.parametrize('version', ['3.0.3', '3.0.4', '3.2.26', '3.5.16', '3.6.0-rc.0', '2.3.8'])
def test_prefix_is_the_one_that_stock_patroni_takes(version: str, cluster: str) -> None:
    """The model against Patroni's own method, for every kind of version."""
    client: Any = etcd3.Etcd3Client.__new__(etcd3.Etcd3Client)
    client.version_prefix, client.username, client.password, client._MGET = '/v3beta', None, None, 'GET'
    client.http = SimpleNamespace(urlopen=lambda *args: {'etcdserver': version, 'etcdcluster': cluster}, clear=list)
    client._handle_server_response = lambda answer: answer
    expected: str | None = None
    try:
        client._ensure_version_prefix('http://a:1')
        expected = client.version_prefix
    except (ValueError, etcd3.UnsupportedEtcdVersion):
        pass
    prefix, reason = stock_prefix(etcd_member(1, version, cluster))
    assert prefix == expected and bool(reason) is (prefix is None)


def on_one_host(etcd: Etcd, number: int) -> Etcd:
    """The configuration of a node that has only this member."""
    for place, member in enumerate(etcd.endpoints, 1):
        member.configured = place == number
    return etcd


MIXED = [
    # as in the measurements with real Patroni, see the README
    (of_versions('3.2.26', '3.2.26', '3.4.23'), None, ['infra3']),
    (of_versions('3.2.26', '3.4.23', '3.4.23'), None, ['infra2', 'infra3']),
    (of_versions('3.2.26', '3.2.26', '3.5.30'), None, ['infra3']),
    (of_versions('3.3.25', '3.3.25', '3.4.23'), True, []),
    (of_versions('3.3.25', '3.4.23', '3.5.30'), True, []),
    (of_versions('3.2.26', '3.3.25', '3.3.25'), True, []),
    (on_one_host(of_versions('3.2.26', '3.2.26', '3.4.23'), 3), False, []),
    (of_versions('3.5.21', '3.5.21', cluster='3.0.0'), False, []),
    (of_versions('3.5.21', '3.5.21', cluster='not_decided'), False, []),
    (of_versions('3.4.23', '3.3.25', cluster='3.4.0'), None, ['infra2']),  # went back without a wipe of all
]


@pytest.mark.parametrize('etcd, starts, lost', MIXED)
def test_outlook(etcd: Etcd, starts: bool | None, lost: list[str]) -> None:
    """Whether stock Patroni starts, and which members it loses."""
    look = outlook(etcd)
    assert look and look.starts is starts and [url.name for url in look.lost] == lost


def test_outlook_with_proxies() -> None:
    """Patroni stays with the configured members then."""
    etcd = on_one_host(of_versions('3.2.26', '3.2.26', '3.4.23'), 1)
    etcd.use_proxies = True
    look = outlook(etcd)
    assert look and look.fine
    etcd.use_proxies = False
    look = outlook(etcd)
    assert look and look.starts is None


def test_prefix_with_stock() -> None:
    """Critical; with versions and prefixes of each member, and what becomes of a start and of a running Patroni."""
    etcd = of_versions('3.2.26', '3.2.26', '3.4.23')
    etcd.endpoints.append(etcd_member(4, None))
    finding = one(facts(etcd), 'etcd-prefix-mixed')
    assert finding.severity == 'critical' and 'infra4' not in text_of(finding)
    assert 'only these members configured' not in finding.consequence
    for part in (
        'cluster version 3.2.0',
        'etcd infra3 (http://10.0.0.3:2379) 3.4.23: /v3 /v3beta',
        'uses /v3alpha for all members',
        'whether it starts depends',
        'gets no member list from infra3 (/v3alpha is not served there)',
        'as soon as it moves to infra3',
        'patroni-etcd3-compat',
    ):
        assert part in text_of(finding)
    finding = one(facts(of_versions('3.5.21', '3.5.21', cluster='3.0.0')), 'etcd-prefix-mixed')
    assert finding.severity == 'critical' and 'it does not start' in finding.consequence


@pytest.mark.parametrize('serves', ['package', 'patch'])
def test_prefix_with_the_package(serves: str) -> None:
    """With every Patroni member served by the package or the patch, mixed prefixes are an information."""
    some = facts(of_versions('3.2.26', '3.2.26', '3.4.23'), serves=serves)
    finding = one(some, 'etcd-prefix-mixed')
    assert finding.severity == 'info' and 'the package or the patch serves every Patroni member' in finding.consequence


@pytest.mark.parametrize(
    'node2, text', [('stock', 'stock Patroni serves node2'), (None, 'what serves node2 is unknown')]
)
def test_one_member_without_the_package(node2: str | None, text: str) -> None:
    """One member that may be stock makes it critical, wherever the command runs, and the text names that member."""
    patroni = patroni_facts(patroni_member('node1', serves='package'), patroni_member('node2'), patroni_member('node3'))
    some = facts(of_versions('3.2.26', '3.2.26', '3.4.23'), patroni, serves='package')
    patroni.members[1].serves = node2
    for id in ('etcd-prefix-mixed', 'etcd-nested-transactions'):
        finding = one(some, id)
        assert finding.severity == 'critical' and text in finding.consequence and 'node1' not in finding.consequence
        assert 'install patroni-etcd3-compat on node2 and restart' in finding.remedy


def test_nothing_known_about_patroni() -> None:
    """Without facts about Patroni it counts as stock, and nothing is said about this host."""
    some = facts(of_versions('3.2.26', '3.2.26', '3.4.23'))
    some.patroni, some.this_host = None, ThisHost(section='etcd3')
    for id in ('etcd-prefix-mixed', 'etcd-nested-transactions'):
        finding = one(some, id)
        assert finding.severity == 'critical' and 'what serves Patroni is unknown' in finding.consequence
        assert 'on every Patroni node' in finding.remedy
    assert not found(some, 'node-serves')


def test_prefix_harmless_with_all_hosts() -> None:
    """One member in a state that stock Patroni cannot read, the others are fine: a warning."""
    etcd = of_versions('3.5.30', '3.5.30')
    etcd.endpoints[1].version = '3.6.0-rc.1'
    finding = one(facts(etcd), 'etcd-prefix-mixed')
    assert finding.severity == 'warning' and 'it starts' in finding.consequence
    assert 'does not start on a node that has only these members configured' in finding.consequence
    assert 'it cannot read version 3.6.0-rc.1' in finding.consequence


@pytest.mark.parametrize(
    'etcd',
    [of_versions('3.3.25', '3.4.23', '3.5.30'), of_versions('3.2.26', '3.3.25'), etcd_facts(etcd_member(1, None))],
)
def test_no_prefix_finding(etcd: Etcd) -> None:
    """Members that share the prefix that stock Patroni takes, or nobody there."""
    assert not found(facts(etcd), 'etcd-prefix-mixed')


@pytest.mark.parametrize(
    'serves, severity', [('stock', 'critical'), (None, 'critical'), ('package', 'warning'), ('patch', 'warning')]
)
def test_nested_transactions(serves: str | None, severity: str) -> None:
    """Critical unless every member is safe, and still a warning then."""
    finding = one(facts(of_versions('3.2.26', '3.2.26', '3.4.23'), serves=serves), 'etcd-nested-transactions')
    assert finding.severity == severity and 'the cluster is lost' in finding.consequence
    assert 'infra1' in finding.where and 'infra3' not in finding.where and 'infra3' in finding.seen
    assert ('install patroni-etcd3-compat on node1 and node2' in finding.remedy) is (severity == 'critical')


def test_no_nested_transactions() -> None:
    """Members of one kind, or no Patroni that sends them."""
    for versions in (['3.2.26', '3.2.26'], ['3.3.0', '3.5.30']):
        assert not found(facts(of_versions(*versions)), 'etcd-nested-transactions')
    mixed = of_versions('3.2.26', '3.3.25')
    old = patroni_facts(patroni_member('a', '3.0.2'), patroni_member('b', '3.0.3'))
    assert not found(facts(mixed, old), 'etcd-nested-transactions')
    for version in (None, '3.0.4', '4.1.5'):
        old.members[1].version = version
        assert found(facts(mixed, old), 'etcd-nested-transactions')
    assert found(dataclasses.replace(facts(mixed), patroni=None), 'etcd-nested-transactions')


def test_gateway_off() -> None:
    """One: a warning. All: critical, whatever serves."""
    off = etcd_member(2, prefixes=[], gateway=False)
    some = facts(etcd_facts(etcd_member(1), off))
    finding = one(some, 'etcd-gateway-off')
    assert finding.severity == 'warning' and 'infra2' in finding.where and 'demotes' in finding.consequence
    assert 'enable-grpc-gateway' in finding.remedy and not found(some, 'etcd-prefix-mixed')
    off.configured = False  # the other URL of the same member serves: split ports
    assert not found(facts(etcd_facts(etcd_member(2, url='http://10.0.0.2:2381'), off)), 'etcd-gateway-off')
    untold = etcd_member(2, prefixes=[], gateway=None)
    assert not found(facts(etcd_facts(etcd_member(1), untold)), 'etcd-gateway-off')
    finding = one(facts(etcd_facts(off), serves='package'), 'etcd-gateway-off')
    assert finding.severity == 'critical' and 'cannot use any member' in finding.consequence
    assert not found(facts(), 'etcd-gateway-off')


GRPC = 'a port for gRPC alone, no HTTP/1.1 there'


def split(**different: Any) -> Etcd:
    """Two members with gRPC on a port of its own, which is what they advertise."""
    members = []
    for number in (1, 2):
        members.append(etcd_member(number, url=f'http://10.0.0.{number}:2381', advertised=False))
        members.append(etcd_member(number, None, configured=False, protocol='grpc', error=GRPC))
    return etcd_facts(*members, **different)


def test_split_ports() -> None:
    """All advertised URLs are for gRPC: stock Patroni exits, unless it keeps to its hosts."""
    findings = found(facts(split()), 'etcd-advertised-unusable')
    assert [finding.severity for finding in findings] == ['critical', 'critical']
    assert findings[0].where == 'etcd infra1 (http://10.0.0.1:2379)' and GRPC in findings[0].seen
    assert 'use_proxies: true' in findings[0].remedy
    assert {f.severity for f in found(facts(split(), serves='package'), 'etcd-advertised-unusable')} == {'info'}
    assert not found(facts(split(use_proxies=True)), 'etcd-advertised-unusable')
    assert not found(facts(split()), 'etcd-unreachable', 'etcd-hosts-differ', 'etcd-unknown')


def test_some_advertised_urls() -> None:
    """A loopback address, a wrong scheme, a URL that nobody answers at while the member is there."""
    loopback = etcd_member(2, url='http://127.0.0.1:2379', configured=False)
    finding = one(facts(etcd_facts(etcd_member(1), loopback)), 'etcd-advertised-unusable')
    assert finding.severity == 'warning' and 'loopback' in finding.seen
    remote = etcd_facts(etcd_member(1), loopback, etcd_member(3, url='http://127.0.0.1:3379'))
    assert len(found(facts(remote), 'etcd-advertised-unusable')) == 2  # one configured host is elsewhere
    alone = etcd_facts(etcd_member(1, advertised=False), dataclasses.replace(loopback, id='a1'))
    assert one(facts(alone), 'etcd-advertised-unusable').severity == 'critical'  # none left
    wrong = etcd_member(
        2, None, url='https://10.0.0.2:2379', configured=False, error='wrong scheme: this port speaks http'
    )
    finding = one(facts(etcd_facts(etcd_member(1), wrong)), 'etcd-advertised-unusable')
    assert finding.severity == 'warning' and 'wrong scheme' in finding.seen
    nobody = etcd_member(2, None, url='http://172.16.0.2:2379', configured=False)
    etcd = etcd_facts(etcd_member(1), etcd_member(2, advertised=False), nobody)
    finding = one(facts(etcd), 'etcd-advertised-unusable')
    assert 'the same member answers at http://10.0.0.2:2379' in finding.seen


def test_good_advertised_urls() -> None:
    """All on this machine; members that are down are just that."""
    local = etcd_facts(*(etcd_member(number, url=f'http://127.0.0.1:2{number}379') for number in (1, 2, 3)))
    assert not found(facts(local), 'etcd-advertised-unusable')
    down = etcd_facts(etcd_member(1), etcd_member(2, None, configured=False))
    assert not found(facts(down), 'etcd-advertised-unusable')


def test_configured_urls() -> None:
    """A configured port for gRPC: critical if there is no other."""
    grpc = etcd_member(1, None, protocol='grpc', error=GRPC)
    assert one(facts(etcd_facts(grpc)), 'etcd-configured-unusable').severity == 'critical'
    finding = one(facts(etcd_facts(grpc, etcd_member(2))), 'etcd-configured-unusable')
    assert finding.severity == 'warning' and finding.where == 'etcd infra1 (http://10.0.0.1:2379)'


def test_version_prefix() -> None:
    """An option that some members do not serve; any other is fine."""
    etcd = of_versions('3.3.25', '3.4.23')
    etcd.version_prefix = '/v3'
    finding = one(facts(etcd, serves='package'), 'etcd-prefix-option')
    assert finding.severity == 'warning' and finding.where == 'etcd infra1 (http://10.0.0.1:2379)'
    etcd.version_prefix = 'v3'
    for serves, severity in (('package', 'critical'), ('patch', 'critical'), ('stock', 'warning')):
        finding = one(facts(etcd, serves=serves), 'etcd-prefix-option')
        assert finding.severity == severity and 'auto, /v3, /v3beta or /v3alpha' in finding.remedy
    for prefix in ('/v3beta', None):
        etcd.version_prefix = prefix
        assert not found(facts(etcd), 'etcd-prefix-option')
