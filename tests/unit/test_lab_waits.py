"""The lab on a slow machine, and on members that are not to be had: scripted answers in the place of etcd's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Iterator

import pytest

from lab import etcd, etcd_calls
from lab.etcd import EtcdCluster, EtcdMember
from lab.facade import Shape
from lab.member import Release, live_together
from lab.processes import LabError, wait_until


class Scripted(EtcdCluster):
    """A cluster whose members give the answers of a script.

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
    for module in (etcd, etcd_calls):
        monkeypatch.setattr(module, 'PATIENCE', 2)
        monkeypatch.setattr(module, 'request', lambda *args: (200, {'etcdcluster': '3.2.0'}))


def test_an_error_of_the_network_means_not_yet() -> None:
    """A socket time-out is waited over, and named when nothing else comes."""
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
    """With authentication on, a 3.2 member is asked without one, and its refusal is a sign of life."""
    cluster = Scripted(
        ['3.2.26', '3.4.23'],
        [(400, {'error': 'etcdserver: user name is empty', 'code': 3}), (200, {'token': 'T'}), (200, {'kvs': []})],
    )
    cluster.auth = ('root', 'sesame')
    cluster.wait_healthy(0.1)
    assert cluster.calls == [(0, 'kv/range', None), (1, 'auth/authenticate', None), (1, 'kv/range', 'T')]
    assert cluster._any_running() == 1  # what only an administrator may do goes to the one that reads tokens


def test_any_other_refusal_is_none() -> None:
    """The same words from a member that reads tokens, and other words from one that does not."""
    for version, text in (('3.4.23', 'etcdserver: user name is empty'), ('3.2.26', 'etcdserver: corrupt cluster')):
        cluster = Scripted([version], [(400, {'error': text})] * 1000)
        with pytest.raises(LabError, match='in vain'):
            cluster.wait_healthy(0.1)


def test_a_change_whose_answer_came_too_late() -> None:
    """It is asked for again, and what says that it is done already is as good as an answer."""
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
    """A cluster of real members takes 3.6 from 3.5 on, and 3.7 from 3.6 on."""
    assert live_together(lines.split()) is together
