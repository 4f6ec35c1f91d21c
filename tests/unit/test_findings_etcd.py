"""Findings about etcd as such: each fires where it should, names what it is about, and not elsewhere."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from patroni_etcd3_compat.check.cluster import members, served
from patroni_etcd3_compat.check.facts import Etcd, EtcdEndpoint, ListedMember, ThisHost
from patroni_etcd3_compat.check.findings import exit_status, judge
from tests.unit.finding_facts import etcd_facts, etcd_member, facts, found, of_versions, one


def ids(etcd: Etcd, **other: Any) -> list[str]:
    """Identifiers of what was found, but for what every cluster has."""
    return [
        finding.id for finding in found(facts(etcd, **other)) if finding.id not in ('node-serves', 'etcd-end-of-life')
    ]


@pytest.mark.parametrize('versions', [['3.5.30'] * 3, ['3.4.45'], ['3.6.10'] * 5, ['3.3.25'] * 3])
def test_nothing_about_a_healthy_cluster(versions: list[str]) -> None:
    """One release on all members, all there: whatever serves."""
    for serves in ('stock', 'package', None):
        some = facts(of_versions(*versions), serves=serves)
        assert {finding.id for finding in judge(some)} <= {'node-serves', 'etcd-end-of-life'}
        assert exit_status(some, judge(some)) == 0


def test_nobody_answers() -> None:
    """With a configuration of Patroni this is critical, once for all members, with the reasons."""
    silent = etcd_member(3, None, error='cannot connect: Connection refused')
    some = facts(etcd_facts(etcd_member(1, None), etcd_member(2, None), silent, listed=False))
    finding = one(some, 'etcd-quorum-lost')
    assert finding.severity == 'critical' and ids(some.etcd) == ['etcd-quorum-lost']
    assert finding.seen == (
        'no configured member answers: http://10.0.0.1:2379 and http://10.0.0.2:2379: no answer within 5 s; '
        'http://10.0.0.3:2379: cannot connect: Connection refused'
    )
    assert 'start etcd' in finding.remedy and 'member remove' not in finding.remedy
    assert exit_status(some, judge(some)) == 2


def test_nobody_shows_a_certificate_that_is_trusted() -> None:
    """If TLS alone fails, the certificates are what to look at: etcd may be well."""
    some = facts(of_versions('3.5.30', '3.5.30'))
    for url in some.etcd.endpoints:
        url.version = url.protocol = None
        url.error = 'TLS: certificate verify failed: certificate has expired'
    finding = one(some, 'etcd-quorum-lost')
    assert finding.severity == 'critical' and 'certificate has expired' in finding.seen
    assert 'end dates' in finding.remedy and 'start etcd' not in finding.remedy


def test_nobody_answers_without_a_configuration() -> None:
    """The URLs may be wrong then: nothing is known, whatever else is found, and the exit status is 3."""
    some = facts(etcd_facts(etcd_member(1, None), etcd_member(2, None), listed=False))
    some.patroni, some.this_host = None, ThisHost()
    finding = one(some, 'etcd-unknown')
    assert finding.severity == 'unknown' and not found(some, 'etcd-quorum-lost')
    assert finding.seen == 'nobody answers at http://10.0.0.1:2379, http://10.0.0.2:2379'
    assert [f.where for f in found(some, 'etcd-unreachable')] == [
        'etcd infra1 (http://10.0.0.1:2379)',
        'etcd infra2 (http://10.0.0.2:2379)',
    ]
    assert exit_status(some, judge(some)) == 3
    assert one(facts(Etcd()), 'etcd-unknown').seen == 'there is no URL to ask'


def test_one_member_is_gone() -> None:
    """A warning with its name, URL and what came of asking it; the quorum is there."""
    etcd = etcd_facts(etcd_member(1), etcd_member(2), etcd_member(3, None))
    assert ids(etcd) == ['etcd-unreachable']
    finding = one(facts(etcd), 'etcd-unreachable')
    assert finding.severity == 'warning' and finding.where == 'etcd infra3 (http://10.0.0.3:2379)'
    assert 'no answer within 5 s' in finding.seen and 'etcdctl member remove a3' in finding.remedy


def test_member_behind_a_proxy() -> None:
    """What Patroni does not ask need not be reachable from here."""
    proxy = etcd_member(1, url='http://proxy:2379', advertised=False)
    etcd = etcd_facts(proxy, etcd_member(1, None, configured=False), etcd_member(2, None, configured=False))
    etcd.use_proxies = True
    assert ids(etcd) == ['etcd-unreachable'] and one(facts(etcd), 'etcd-unreachable').severity == 'info'
    etcd.use_proxies = False
    assert one(facts(etcd), 'etcd-unreachable').severity == 'warning'


def test_added_and_never_started() -> None:
    """It is in the member list without a URL."""
    etcd = of_versions('3.5.30', '3.5.30', '3.5.30')
    assert etcd.listed
    etcd.listed.append(ListedMember('b1', '', [], ['http://10.0.0.4:2380']))
    finding = one(facts(etcd), 'etcd-unreachable')
    assert finding.where == 'etcd b1' and 'never started' in finding.seen
    assert 'peer URL http://10.0.0.4:2380' in finding.seen and 'quorum' in finding.consequence
    assert finding.remedy.endswith('--initial-cluster-state existing, or etcdctl member remove b1')
    etcd.listed[-1].learner = True
    assert 'quorum' not in one(facts(etcd), 'etcd-unreachable').consequence


def test_quorum() -> None:
    """Critical if the ones that answer do not know of a leader; if they do, it is the way there that is broken."""
    lonely = etcd_member(1, leader=False, has_leader=False)
    etcd = etcd_facts(lonely, etcd_member(2, None), etcd_member(3, None))
    finding = one(facts(etcd), 'etcd-quorum-lost')
    assert finding.severity == 'critical' and '1 of 3 voting members answer, 2 are needed' in finding.seen
    assert 'infra2' in finding.seen and exit_status(facts(etcd), judge(facts(etcd))) == 2
    assert not any('member remove' in f.remedy for f in judge(facts(etcd)))  # etcd takes no such change then
    lonely.has_leader = True
    assert ids(etcd) == ['etcd-unreachable', 'etcd-unreachable']


def test_learner_has_no_vote() -> None:
    """It is named, and does not count for the quorum."""
    etcd = etcd_facts(etcd_member(1), etcd_member(2, None, leader=False, learner=True))
    finding = one(facts(etcd), 'etcd-learner')
    assert finding.severity == 'info' and 'etcdctl member promote a2' in finding.remedy
    assert not found(facts(etcd), 'etcd-quorum-lost')


def test_only_a_learner_is_configured() -> None:
    """A learner says nothing about the quorum: without a member list the voters are unknown."""
    for knows in (True, False):
        learner = etcd_member(1, leader=False, learner=True, has_leader=knows)
        assert 'etcd-quorum-lost' not in ids(etcd_facts(learner, listed=False))
    etcd = etcd_facts(learner, etcd_member(2, None), etcd_member(3, None))
    assert one(facts(etcd), 'etcd-quorum-lost').severity == 'critical'
    learner.has_leader = True  # so the voters are there, and only the way to them is broken
    assert 'etcd-quorum-lost' not in ids(etcd)


def test_no_leader() -> None:
    """All there and nobody leads."""
    without: dict[str, Any] = {'leader': False, 'has_leader': False}
    etcd = of_versions('3.5.30', '3.5.30', '3.5.30', **without)
    assert one(facts(etcd), 'etcd-no-leader').severity == 'critical'
    etcd.endpoints[2] = etcd_member(3, None)  # two of three: enough, and still nobody leads
    finding = one(facts(etcd), 'etcd-no-leader')
    assert '2 of 3 voting members answer' in finding.seen and not found(facts(etcd), 'etcd-quorum-lost')
    etcd.endpoints[1].has_leader = True
    assert not found(facts(etcd), 'etcd-no-leader', 'etcd-quorum-lost')


def test_hosts_of_another_cluster() -> None:
    """A configured host that answers and is no member."""
    etcd = etcd_facts(etcd_member(1), etcd_member(9, id='c9', advertised=False, name=None))
    finding = one(facts(etcd), 'etcd-hosts-differ')
    assert finding.severity == 'warning' and 'c9' in finding.seen and 'another cluster' in finding.consequence


def test_hosts_of_two_clusters() -> None:
    """Members of different clusters are critical, also if none of them gave a list; that host is not named twice."""
    etcd = etcd_facts(
        etcd_member(1, cluster_id='c1'),
        etcd_member(2, cluster_id='c1'),
        etcd_member(9, id='c9', advertised=False, name=None, cluster_id='c2'),
    )
    finding = one(facts(etcd), 'etcd-two-clusters')
    assert finding.severity == 'critical' and 'etcd-hosts-differ' not in ids(etcd)
    assert 'cluster c2: etcd http://10.0.0.9:2379' in finding.seen and 'two primaries' in finding.consequence
    assert 'get --prefix --keys-only /service/batman/' in finding.remedy
    etcd.listed = None
    assert found(facts(etcd), 'etcd-two-clusters')
    etcd.endpoints[2].cluster_id = None
    assert not found(facts(etcd), 'etcd-two-clusters')


def test_balancer_for_each_request() -> None:
    """Members that answer at a shared URL are there, though their own URLs cannot be reached; nothing is wrong."""
    balancer = etcd_member(
        9, '3.5.30', id=None, name=None, advertised=False, leader=None, learner=None, shared_by=['a1', 'a2', 'a3']
    )
    silent = [etcd_member(number, None, configured=False) for number in (1, 2, 3)]
    etcd = etcd_facts(balancer, *silent)
    assert ids(etcd) == ['etcd-shared-url']
    finding = one(facts(etcd), 'etcd-shared-url')
    assert finding.severity == 'info' and 'answered by infra1, infra2 and infra3 in turn' in finding.seen
    balancer.cluster_version, balancer.version = '3.4.0', '3.5.30'  # of different members
    etcd.listed = None
    assert 'etcd-cluster-version' not in ids(etcd)
    balancer.shared_by = ['a1', 'a2']
    etcd = etcd_facts(balancer, *silent)
    assert [f.where for f in found(facts(etcd), 'etcd-unreachable')] == ['etcd infra3 (http://10.0.0.3:2379)']


def test_balancer_without_a_common_prefix() -> None:
    """It is critical under stock Patroni, an information under the package, whether or not the members are known."""
    for shared_by, behind in (['a1', 'a2'], 'infra1 and infra2'), ([], 'several members'):
        balancer = etcd_member(
            9, '3.4.45', id=None, name=None, advertised=False, shared_by=shared_by, prefixes_vary=True
        )
        some = facts(etcd_facts(balancer, *(etcd_member(number, '3.4.45') for number in (1, 2, 3))))
        finding = one(some, 'etcd-shared-url')
        assert finding.severity == 'critical' and f'answered by {behind} in turn' in finding.seen
        assert 'in place of the balancer, or install patroni-etcd3-compat on ' in finding.remedy
        assert some.patroni is not None
        for member in some.patroni.members:
            member.serves = 'package'
        finding = one(some, 'etcd-shared-url')
        assert finding.severity == 'info' and 'package' in finding.consequence and 'install' not in finding.remedy


def test_hosts_that_are_gone() -> None:
    """A configured host that is no member and does not answer, unless Patroni does not compare (use_proxies)."""
    etcd = etcd_facts(etcd_member(1), etcd_member(9, None, id=None, advertised=False, name=None))
    finding = one(facts(etcd), 'etcd-hosts-differ')
    assert finding.severity == 'warning' and finding.where == 'etcd http://10.0.0.9:2379'
    etcd.use_proxies = True
    assert not found(facts(etcd), 'etcd-hosts-differ')


def test_hosts_that_are_down() -> None:
    """A member that is in the list and silent is no stranger; nor is one of a cluster that gave no list."""
    silent = etcd_member(2, None, id=None)
    etcd = etcd_facts(etcd_member(1), etcd_member(2))
    etcd.endpoints[1] = silent
    assert ids(etcd) == ['etcd-unreachable']
    etcd.listed = None
    assert ids(etcd) == ['etcd-unreachable']


def test_hosts_by_another_name() -> None:
    """Members configured by name and advertised by address are the same members; so are local ones."""
    local = etcd_member(1, advertised=False, url='http://localhost:2379')
    etcd = etcd_facts(local, etcd_member(1, configured=False))
    assert ids(etcd) == []
    etcd = etcd_facts(local, etcd_member(1, configured=False), etcd_member(2, configured=False))
    finding = one(facts(etcd), 'etcd-hosts-differ')
    assert finding.severity == 'info' and 'infra2' in finding.where and 'http://localhost:2379' in finding.seen
    local.id = None  # refused to tell: then nobody can say who is missing
    assert ids(etcd) == []


def test_silent_hosts_by_another_name() -> None:
    """A member that is down may be configured by a name that nobody can compare: it is not to be taken out then."""
    other = etcd_member(9, None, id=None, advertised=False, name=None, url='http://infra2.example.org:2379')
    etcd = etcd_facts(etcd_member(1), etcd_member(2, None, configured=False), other)
    finding = one(facts(etcd), 'etcd-hosts-differ')
    assert finding.severity == 'info' and finding.where == 'etcd http://infra2.example.org:2379'
    assert (
        finding.remedy == 'it may be another name of etcd infra2 (http://10.0.0.2:2379), which is silent as well: '
        'remove it from hosts only if it is not'
    )
    etcd = etcd_facts(etcd_member(1), etcd_member(2, None), other)  # the silent one is configured: it is no other name
    assert one(facts(etcd), 'etcd-hosts-differ').severity == 'warning'
    local = etcd_member(1, advertised=False, url='http://localhost:2379', id=None)
    etcd = etcd_facts(local, etcd_member(1, configured=False), etcd_member(2, None, configured=False))
    assert not found(facts(etcd), 'etcd-hosts-differ')


def test_login() -> None:
    """Wrong credentials are critical, once for all members; none where authentication is on as well."""
    refused = 'cannot log in as patroni: etcdserver: authentication failed, invalid user ID or password'
    etcd = of_versions('3.5.27', '3.5.27', auth=True, error=refused)
    etcd.credentials = True
    finding = one(facts(etcd), 'etcd-login-failed')
    assert finding.severity == 'critical' and 'infra1' in finding.where and 'infra2' in finding.where
    etcd.credentials = False
    assert 'etcd-auth-no-credentials' in ids(etcd) and 'etcd-login-failed' not in ids(etcd)
    assert one(facts(etcd), 'etcd-auth-no-credentials').severity == 'critical'
    alone = dataclasses.replace(facts(etcd), patroni=None)  # --endpoints: none can be given
    assert {f.id for f in judge(alone)} >= {'etcd-login-failed'}
    assert 'etcd-auth-no-credentials' not in {f.id for f in judge(alone)}


def test_what_could_not_be_told() -> None:
    """A member that answers and does not tell all: unknown, equal reasons once."""
    etcd = of_versions('3.5.30', '3.5.30', error='/kv/range: etcdserver: request timed out')
    finding = one(facts(etcd), 'etcd-unknown')
    assert finding.severity == 'unknown' and 'request timed out' in finding.seen
    assert exit_status(facts(etcd), judge(facts(etcd))) == 3
    strange = etcd_facts(etcd_member(1), etcd_member(2, 'master', prefixes=['/v3']))
    assert 'version master cannot be read' in one(facts(strange), 'etcd-unknown').seen


@pytest.mark.parametrize(
    'version, taken, since',
    [
        ('3.4.45', '2026-05-31', None),
        ('3.4.45', '2026-06-01', '2026-06-01'),
        ('3.3.25', '2026-01-01', '2021-10-15'),
        ('3.5.34', '2026-12-31', None),
        ('3.5.34', '2027-07-08', '2027-07-08'),
        ('3.6.1', '2030-01-01', None),
        ('3.0.17', '2026-01-01', '2017'),
        ('4.2.0', '2026-01-01', None),
    ],
)
def test_end_of_life(version: str, taken: str, since: str | None) -> None:
    """By the day on which the facts were taken, for information."""
    findings = found(facts(of_versions(version), taken=taken + 'T00:00:00+00:00'), 'etcd-end-of-life')
    assert bool(findings) is bool(since)
    for finding in findings:
        assert finding.severity == 'info' and version in finding.seen and str(since) in finding.seen


def test_cluster_version() -> None:
    """Not decided; below every member; and not when an older member may be the one that is silent."""
    undecided = of_versions('3.5.30', '3.5.30', cluster='not_decided')
    assert all(
        'not_decided' in finding.seen and finding.severity == 'warning'
        for finding in found(facts(undecided), 'etcd-cluster-version')
    )
    assert len(found(facts(undecided), 'etcd-cluster-version')) == 2
    below = of_versions('3.5.21', '3.5.30', cluster='3.0.0')
    finding = one(facts(below), 'etcd-cluster-version')
    assert finding.severity == 'warning' and 'cluster version 3.0.0' in finding.seen and '3.5.21' in finding.seen
    below.endpoints[1] = etcd_member(2, None)
    assert not found(facts(below), 'etcd-cluster-version')
    assert not found(facts(of_versions('3.4.23', '3.5.30', cluster='3.4.0')), 'etcd-cluster-version')


def test_urls_of_one_member() -> None:
    """URLs are put together by member: by id, or by what the list says of the URL; the one that tells most speaks."""
    plain = etcd_member(1, advertised=False, url='http://etcd1:2379', name=None)
    silent, grpc = etcd_member(1, None, id=None), etcd_member(2, None, protocol='grpc')
    stranger = etcd_member(7, None, id=None, name=None, advertised=False)
    etcd = etcd_facts(etcd_member(1), grpc)
    etcd.endpoints = [silent, plain, grpc, stranger]
    first, second, third = members(etcd)
    assert first.best is plain and first.version == (3, 5, 30) and first.name == 'infra1' and first.answers
    assert str(first) == 'etcd infra1 (http://10.0.0.1:2379, http://etcd1:2379)'
    assert second.best is grpc and second.answers and second.version is None and not second.learner
    assert str(third) == 'etcd http://10.0.0.7:2379' and not third.answers and third.listed is None
    etcd.endpoints = []
    assert [str(server) for server in members(etcd)] == [
        'etcd infra1 (http://10.0.0.1:2379)',
        'etcd infra2 (http://10.0.0.2:2379)',
    ]
    assert etcd.listed
    etcd.listed[0].learner = True
    assert members(etcd)[0].learner
    etcd.listed = None
    etcd.endpoints = [etcd_member(3, learner=True), dataclasses.replace(grpc, id=None)]
    assert [server.learner for server in members(etcd)] == [True, False]


@pytest.mark.parametrize(
    'member, expected',
    [
        (etcd_member(1, '3.3.25', prefixes=['/v3beta']), ('/v3beta',)),
        (etcd_member(1, '3.3.25', prefixes=[], gateway=None), ('/v3beta', '/v3alpha')),
        (etcd_member(1, '3.3.25', prefixes=[], gateway=False), ()),
        (etcd_member(1, None), ()),
        (etcd_member(1, '3.0.3', prefixes=[], gateway=None), ()),
        (etcd_member(1, None, protocol='grpc'), ()),
    ],
)
def test_served(member: EtcdEndpoint, expected: tuple[str, ...]) -> None:
    """What was tried out; the table where that was not possible."""
    assert served(member) == expected
