"""Members of a mixed etcd cluster that crash, hang and return."""

from __future__ import annotations

import time
from typing import Any, Callable

import pytest

MIXED = [['3.2', '3.4', '3.4'], ['3.3', '3.4', '3.5']]

TTL = 20


@pytest.mark.parametrize('versions', MIXED, ids='+'.join)
@pytest.mark.parametrize('fault', ['restart', 'kill -9', 'SIGSTOP'])
def test_each_member_in_turn(soak: Callable[..., Any], fault: str, versions: list[str]) -> None:
    """The failure of one member is not noticed."""
    with soak(f'{"+".join(versions)}, each member in turn: {fault}', versions, ttl=TTL) as run:
        for member in run.etcd.members:
            if fault == 'restart':
                member.restart()
            elif fault == 'kill -9':
                member.kill()
                run.settle()
                member.start()
            else:
                member.freeze()
                run.settle(TTL + 5)
                member.thaw()
            run.etcd.wait_healthy()
            run.settle()
    run.nothing_noticed()


@pytest.mark.parametrize('versions', MIXED, ids='+'.join)
@pytest.mark.parametrize('seconds', [2, 15])
def test_quorum_lost_for_a_moment(soak: Callable[..., Any], versions: list[str], seconds: float) -> None:
    """Patroni may demote, as stock does, but recovers within one ttl of the quorum's return."""
    what = f'{"+".join(versions)}, two members killed for {seconds} s'
    with soak(what, versions, ttl=TTL) as run:
        for victims in ((0, 1), (1, 2)):
            for i in victims:
                run.etcd.members[i].kill()
            run.settle(seconds)
            for i in victims:
                run.etcd.members[i].spawn()
            for i in victims:
                run.etcd.members[i].serve()
            run.etcd.wait_healthy()
            back = time.monotonic()
            run.patroni.wait_primary(TTL)
            before = run.load.acknowledged
            run.settle(max(0, back + TTL - time.monotonic()))
            assert run.load.acknowledged > before
            failed = run.failed_loops
            run.settle()
            assert run.failed_loops == failed
