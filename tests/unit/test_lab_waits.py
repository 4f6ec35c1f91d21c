"""The lab on a slow machine, and with unavailable members: scripted answers replace those of etcd."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Iterator

import pytest

from lab import etcd, etcd_calls
from lab.etcd import EtcdCluster, EtcdMember
from lab.facade import Shape
from lab.member import Release, live_together
from lab.processes import LabError, wait_until


class Scripted(EtcdCluster):
    """A cluster whose members answer from a script.

    :param versions: of the members.
    :param script: status and answer for each call, or what it raises.
    """

    def __init__(self, versions: list[str], script: list[Any]) -> None:
        super().__init__([])
        self.script = iter(script)
        self.calls: list[tuple[int, str, Any]] = []
        for version in versions:
            member = EtcdMember(version, Path('/nowhere'), None, [])
            member.release = Release(version, version, Shape())
            self.members.append(member)

    def call(self, i: int, rpc: str, body: Any, token: Any = None) -> tuple[int, Any]:
        self.calls.append((i, rpc, token))
        answer = next(self.script)
        if isinstance(answer, Exception):
            raise answer
        return answer[0], answer[1]


@pytest.fixture(autouse=True)
def _running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EtcdMember, 'running', True)
    sleep = time.sleep
    monkeypatch.setattr(time, 'sleep', lambda seconds: sleep(seconds / 20))
    for module in (etcd, etcd_calls):
        monkeypatch.setattr(module, 'PATIENCE', 0.2)
        monkeypatch.setattr(module, 'request', lambda *args: (200, {'etcdcluster': '3.2.0'}))


def test_an_error_of_the_network_means_not_yet() -> None:
    """A socket time-out does not end a wait; it is named if nothing else arrives."""
    answers: Iterator[Any] = iter([TimeoutError('timed out'), ConnectionRefusedError(111, 'refused'), 'there'])

    def look() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    def never() -> bool:
        raise TimeoutError('timed out')

    assert wait_until(look, 5, 'it') == 'there'
    with pytest.raises(LabError, match=r"^waited 0.1 s in vain for it: TimeoutError\('timed out'\)$"):
        wait_until(never, 0.1, 'it')


def test_members_that_read_no_token() -> None:
    """With authentication on, a 3.2 member is asked without a token, and its refusal proves that it is alive."""
    cluster = Scripted(
        ['3.2.26', '3.4.23'],
        [(400, {'error': 'etcdserver: user name is empty', 'code': 3}), (200, {'token': 'T'}), (200, {'kvs': []})],
    )
    cluster.auth = ('root', 'sesame')
    cluster.wait_healthy(0.1)
    assert cluster.calls == [(0, 'kv/range', None), (1, 'auth/authenticate', None), (1, 'kv/range', 'T')]
    assert cluster._any_running() == 1  # requests of an administrator go to the member that reads tokens


def test_any_other_refusal_is_none() -> None:
    """Neither the same refusal from a member that reads tokens nor another one proves that."""
    for version, text in (('3.4.23', 'etcdserver: user name is empty'), ('3.2.26', 'etcdserver: corrupt cluster')):
        cluster = Scripted([version], [(400, {'error': text})] * 1000)
        with pytest.raises(LabError, match='in vain'):
            cluster.wait_healthy(0.1)


def test_a_change_whose_answer_came_too_late() -> None:
    """A change whose answer was late is requested again; "already done" then counts as success."""
    late = Scripted(
        ['3.4.23'],
        [
            TimeoutError('timed out'),
            (503, {'error': 'etcdserver: request timed out'}),
            (400, {'error': 'etcdserver: Peer URLs already exists'}),
        ],
    )
    assert late._change(0, 'cluster/member/add', {}, 'Peer URLs already exists') == {}
    assert len(late.calls) == 3
    with pytest.raises(LabError, match='answered 400'):
        Scripted(['3.4.23'], [(400, {'error': 'no'})])._change(0, 'cluster/member/add', {}, 'Peer URLs already exists')
    with pytest.raises(LabError, match='in vain .* unhealthy cluster'):
        Scripted(['3.4.23'], [(500, {'error': 'etcdserver: unhealthy cluster'})] * 99)._change(0, 'cluster/x', {})


@pytest.mark.parametrize(
    'lines, together',
    [
        ('3.2 3.3 3.4 3.5', True),
        ('3.5 3.6', True),
        ('3.6 3.7', True),
        ('3.4.23 3.6.16', False),
        ('3.5 3.6 3.7', False),
        ('3.7', True),
    ],
)
def test_what_lives_together(lines: str, together: bool) -> None:
    """Real members on 3.6 can join a cluster from 3.5 on, those on 3.7 from 3.6 on."""
    assert live_together(lines.split()) is together
