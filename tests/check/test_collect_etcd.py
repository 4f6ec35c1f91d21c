"""The facts that are collected about real etcd members."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

import pytest
import trustme

from lab.etcd import EtcdCluster, b64
from lab.member import EtcdMember as LabMember
from lab.member import release
from lab.ports import free_port
from lab.processes import wait_until
from patroni_etcd3_compat.check.collect import collect, load_settings
from patroni_etcd3_compat.check.facts import EtcdEndpoint, Facts

QUESTIONS = {
    '/version',
    '/metrics',
    'maintenance/status',
    'maintenance/alarm',
    'cluster/member/list',
    'kv/range',
    'auth/authenticate',
}


def look(urls: Sequence[str], timeout: float = 5) -> Facts:
    """Collect without a configuration."""
    return collect(load_settings(None, urls, timeout=timeout))


def by_name(facts: Facts) -> dict[str | None, EtcdEndpoint]:
    """Return the members by name."""
    return {member.name: member for member in facts.etcd.endpoints}


@pytest.fixture(scope='module')
def mixed() -> Iterator[EtcdCluster]:
    """Members of four releases, behind facades that record the requests."""
    with EtcdCluster(['3.2', '3.3', '3.4', '3.5'], facade=True) as cluster:
        yield cluster


def test_members_of_four_releases(mixed: EtcdCluster) -> None:
    """Facts about each member are complete, even if three are found through the first one's member list."""
    for urls in (mixed.urls, mixed.urls[3:]):
        facts = look(urls)
        assert facts.patroni is None and facts.etcd.configured == urls
        members = [by_name(facts)[member.name] for member in mixed.members]
        assert [member.url for member in members] == mixed.urls
        assert [member.version for member in members] == [member.version for member in mixed.members]
        assert {member.cluster_version for member in members} == {'3.2.0'}
        assert [member.prefixes for member in members] == [
            ['/v3alpha'],
            ['/v3beta', '/v3alpha'],
            ['/v3', '/v3beta'],
            ['/v3', '/v3beta'],
        ]
        assert [member.configured for member in members] == [url in urls for url in mixed.urls]
        assert sum(bool(member.leader) for member in members) == 1
        assert len({member.id for member in members}) == 4
        listed = {entry.name: entry for entry in facts.etcd.listed or ()}
        for member in members:
            assert member.error is None and member.auth is False and member.alarms == []
            assert member.gateway and member.protocol == 'http' and member.advertised and not member.tls
            assert member.has_leader and member.learner is False
            assert (member.db_size or 0) > 0 and (member.raft_term or 0) > 0 and (member.raft_index or 0) > 0
            assert 0 < (member.seconds or 0) < facts.seconds
            entry = listed[str(member.name)]
            assert (entry.id, entry.client_urls) == (member.id, [member.url]) and entry.peer_urls


def test_only_questions(mixed: EtcdCluster) -> None:
    """No call changes anything, and none is sent twice; 404s only show that a prefix is not served."""
    before = len(mixed.requests())
    look(mixed.urls)
    requests = mixed.requests()[before:]
    assert {request.rpc for request in requests} == QUESTIONS - {'auth/authenticate'}
    assert {request.body for request in requests if request.rpc.endswith('alarm')} == {b'{"action": "GET"}'}
    asked = [(request.member, request.path) for request in requests if request.path != '/version']
    assert len(asked) == len(set(asked))


SECRET = 'pAssw0rd-of-the-etcd-user'


@pytest.fixture
def authenticated(mixed: EtcdCluster) -> Iterator[EtcdCluster]:
    """Turn authentication on."""
    mixed.enable_auth('patroni', SECRET)
    yield mixed
    mixed.disable_auth()


def test_authentication(authenticated: EtcdCluster, configuration: Callable[..., str]) -> None:
    """Facts are collected without, with wrong and with right credentials; over gRPC if the gateway takes no token."""
    facts = look(authenticated.urls)
    assert {member.auth for member in facts.etcd.endpoints} == {True}
    assert {member.error for member in facts.etcd.endpoints} == {
        'authentication is on, and there are no credentials (username, password) to log in with'
    }
    assert not facts.etcd.credentials and facts.etcd.listed  # these releases show the list to everybody
    for password in ('wr0ng-password', SECRET):
        facts = collect(
            load_settings(configuration({'hosts': authenticated.hosts, 'username': 'patroni', 'password': password}))
        )
        old, *others = (by_name(facts)[member.name] for member in authenticated.members)
        assert old.over_grpc and old.version == '3.2.26' and not any(member.over_grpc for member in others)
        for member in (old, *others):
            assert member.auth is True and member.prefixes
            assert member.error == (
                None
                if password == SECRET
                else 'cannot log in as patroni: etcdserver: authentication failed, invalid user ID or password'
            )
        assert facts.etcd.credentials and password not in repr(facts)
        assert facts.patroni and str(facts.patroni.error).startswith(
            'there are no keys below /service/lab/'
            if password == SECRET
            else 'no etcd member gave the keys below /service/lab/'
        )


def test_dead_and_frozen(mixed: EtcdCluster) -> None:
    """Dead and frozen members are named with the reason, and the others report what they can, even without a quorum."""
    mixed.call(1, 'kv/put', {'key': b64('/service/quorum/leader'), 'value': b64('node7')})
    mixed.members[0].kill()
    try:
        members = by_name(look(mixed.urls))
        assert members['etcd0'].error == 'cannot connect: Connection refused' and members['etcd0'].protocol is None
        wait_until(
            lambda: [member.name for member in look(mixed.urls).etcd.endpoints if member.error] == ['etcd0'],
            20,
            'the others to have a leader',
        )
        frozen = mixed.members[1:3]
        for member in frozen:
            member.freeze()
        try:
            wait_until(lambda: by_name(look(mixed.urls, 1))['etcd3'].has_leader is False, 20, 'the last one to notice')
            members = by_name(look(mixed.urls, 1))
            assert {members[member.name].error for member in frozen} == {'no answer within 1 s'}
            last = members['etcd3']
            assert (last.error, last.leader, last.auth) == (None, False, False)
            patroni = collect(load_settings(None, mixed.urls, 'quorum', timeout=1)).patroni
            assert patroni and patroni.error is None and patroni.leader == 'node7'
        finally:
            for member in frozen:
                member.thaw()
    finally:
        mixed.members[0].start()
        mixed.wait_healthy()


def test_guarded_release(start: Callable[..., EtcdCluster], configuration: Callable[..., str]) -> None:
    """With authentication on, 3.5.30 reports little without a token, and its status only to admins."""
    cluster = start(['3.5.30'], auth=('patroni', SECRET))
    (member,) = look(cluster.urls).etcd.endpoints
    assert (member.version, member.prefixes, member.auth) == ('3.5.30', ['/v3', '/v3beta'], True)
    assert member.id is None and member.error and 'no credentials' in member.error
    assert member.leader is member.has_leader is True and (member.db_size or 0) > 0
    for rpc, body in (
        ('role/add', {'name': 'some'}),
        ('user/add', {'name': 'limited', 'password': SECRET}),
        ('user/grant', {'user': 'limited', 'role': 'some'}),
        (
            'role/grant',
            {'name': 'some', 'perm': {'permType': 'READWRITE', 'key': b64('/service/'), 'range_end': b64('/service0')}},
        ),
    ):
        assert cluster.call(0, 'auth/' + rpc, body, cluster.token(0))[0] == 200
    for user in ('patroni', 'limited'):
        path = configuration({'url': cluster.urls[0].replace('//', f'//{user}:{SECRET}@')})
        facts = collect(load_settings(path))
        (member,) = facts.etcd.endpoints
        assert (member.error, member.auth, member.leader, member.has_leader) == (None, True, True, True)
        assert member.name == 'etcd0' and member.alarms == [] and (member.raft_term or 0) > 0
        assert (member.db_size or 0) > 0 and (member.raft_index or 0) > 0
        assert facts.patroni and 'no keys below /service/lab/' in str(facts.patroni.error)


def test_gateway_off(start: Callable[..., EtcdCluster]) -> None:
    """A member whose gateway is off counts as alive and serves no prefix."""
    cluster = start(['3.4'], extra_flags=[])
    cluster.members[0].flags = ['--enable-grpc-gateway=false']
    cluster.members[0].restart()
    (member,) = look(cluster.urls).etcd.endpoints
    assert (member.gateway, member.prefixes, member.error) == (False, [], None)
    assert member.version == cluster.members[0].version and member.protocol == 'http'


def certificates(folder: Path) -> trustme.CA:
    """Create an authority, and certificates of a server and a client."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / 'ca.pem'))
    trustme.CA().cert_pem.write_to_path(str(folder / 'other.pem'))
    for name in ('server', 'client'):
        leaf = authority.issue_cert('127.0.0.1', common_name=name)
        leaf.cert_chain_pems[0].write_to_path(str(folder / (name + '.pem')))
        leaf.private_key_pem.write_to_path(str(folder / (name + '.key')))
    return authority


def test_tls_and_split_ports(
    start: Callable[..., EtcdCluster], configuration: Callable[..., str], tmp_path: Path
) -> None:
    """An unverifiable certificate, the wrong scheme and a port that speaks only gRPC are each named."""
    certificates(tmp_path)
    files = {
        name: str(tmp_path / name)
        for name in ('ca.pem', 'other.pem', 'server.pem', 'server.key', 'client.pem', 'client.key')
    }
    member = start(['3.5.30']).members[0]
    for scheme in ('http', 'https'):
        http, grpc = (f'{scheme}://127.0.0.1:{free_port()}' for _ in range(2))
        member.flags = [
            '--listen-client-http-urls',
            member.real_url + ',' + http,
            '--listen-client-urls',
            grpc,
            '--advertise-client-urls',
            grpc,
        ]
        if scheme == 'https':
            member.flags += [
                '--cert-file',
                files['server.pem'],
                '--key-file',
                files['server.key'],
                '--client-cert-auth',
                '--trusted-ca-file',
                files['ca.pem'],
            ]
        member.restart()
        options = {'hosts': [http.partition('//')[2]], 'protocol': scheme}
        tls = {'cacert': files['ca.pem'], 'cert': files['client.pem'], 'key': files['client.key']}
        first, second = collect(load_settings(configuration(dict(options, **tls)))).etcd.endpoints
        assert first.error is None and first.leader and first.configured and not first.advertised
        assert (second.url, second.protocol, second.advertised, second.configured) == (grpc, 'grpc', True, False)
        assert second.error and 'this port speaks gRPC only' in second.error and second.version is None
        assert first.name == second.name == 'etcd0' and first.tls is second.tls is (scheme == 'https')
        wrong = 'https' if scheme == 'http' else 'http'
        (found,) = look([http.replace(scheme, wrong, 1)]).etcd.endpoints
        assert found.error == f'wrong scheme: this port speaks {scheme}'
    for untrusted in ({'cacert': files['other.pem']}, {}):
        (found,) = collect(load_settings(configuration(dict(options, **untrusted)))).etcd.endpoints
        assert found.error and 'issued by' in found.error and found.version is None
        assert found.tls_fault == 'unknown-authority'
    (found,) = collect(load_settings(configuration(dict(options, cacert=files['ca.pem'])))).etcd.endpoints
    assert found.error == 'TLS: the server requires a client certificate'


def test_learner(start: Callable[..., EtcdCluster], tmp_path: Path) -> None:
    """A learner answers few questions, which is not an error; what it reports is kept."""
    cluster = start(['3.5'])
    learner = LabMember('learner', tmp_path / 'learner', None, [])
    learner.release = release('3.5')
    status, answer = cluster.call(0, 'cluster/member/add', {'peerURLs': [learner.peer_url], 'isLearner': True})
    assert status == 200, answer
    learner.bootstrap = [
        '--initial-cluster',
        ','.join(f'{m.name}={m.peer_url}' for m in (cluster.members[0], learner)),
        '--initial-cluster-state',
        'existing',
    ]
    learner.start()
    try:
        wait_until(lambda: 'learner' in by_name(look(cluster.urls)), 20, 'the learner to be listed with its name')
        facts = look(cluster.urls)
        member = by_name(facts)['learner']
        assert (member.learner, member.leader, member.has_leader, member.error) == (True, False, True, None)
        assert member.version == learner.version and member.auth is False and not member.configured
        assert [entry.learner for entry in facts.etcd.listed or ()] == [
            entry.name == 'learner' for entry in facts.etcd.listed or ()
        ]
    finally:
        learner.kill()


@pytest.mark.parametrize('version', ['3.3', '3.4', '3.5'])
def test_alarm(start: Callable[..., EtcdCluster], version: str) -> None:
    """If the database is full, the alarm is shown, and everything else as before."""
    cluster = start([version], extra_flags=['--quota-backend-bytes', '100000'])

    def full() -> bool:
        return bool(cluster.call(0, 'kv/put', {'key': b64('a'), 'value': b64('x' * 30000)})[0] != 200)

    wait_until(full, 20, 'the quota')
    (member,) = look(cluster.urls).etcd.endpoints
    assert member.alarms == ['NOSPACE'] and member.error is None and member.leader


def test_loopback_advertised_by_another_machine(mixed: EtcdCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loopback URL that another machine advertises is not asked, since a different etcd might answer here."""
    import socket

    resolve: Any = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        'getaddrinfo',
        lambda host, *args, **kwargs: resolve('127.0.0.1' if host == 'etcd0.example' else host, *args, **kwargs),
    )
    members: list[EtcdEndpoint] = look(['etcd0.example:' + mixed.hosts[0].partition(':')[2]]).etcd.endpoints
    assert members[0].error is None and members[0].name == 'etcd0'
    assert {member.url for member in members[1:]} == set(mixed.urls)
    assert {member.error for member in members[1:]} == {'a loopback address, advertised by a member on another machine'}
