"""A leader whose etcd falls silent lets go before another member can have its key.

Everything happens at the same time, once, and each test examines one of the leaders. A leader is a separate process
(``A``) behind its own relays. Its rival (``B``) reaches the same members all the time.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import multiprocessing
import queue
import signal
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Iterator, NamedTuple, Tuple

import pytest

from bench import at_once
from bench.silent_leader import WAYS, NamedCluster, SilentLeader
from lab.environments import Environment

from .conftest import DEFAULTS

MEMBERS = (1, 2, 3, 5)
SILENT = ('refused', 'stalled', 'half')
CELLS = list(itertools.product(SILENT, MEMBERS))

#: They comply with Patroni's rule: loop_wait + 2 * retry_timeout <= ttl.
TIMES = {'ttl': 10, 'loop_wait': 2, 'retry_timeout': 4}

LIMIT = 3 * TIMES['ttl']

Cell = Tuple[str, int]


class Outcome(NamedTuple):
    """What happened to one leader key."""

    why: str  # why A let go; empty if it did not
    let_go: float  # monotonic clock
    taken: float | None  # when B's successful attempt to take the key began, None if there was none


def _scope(cell: Cell) -> str:
    return f'{cell[0]}-{cell[1]}'


def _contend(scope: str, section: dict[str, Any], told: Any) -> None:
    """Take the leader key as soon as nobody has it."""
    from patroni.dcs import get_dcs

    dcs = get_dcs(dict(TIMES, name='b', scope=scope, namespace='service', etcd3=section))
    waiting = False
    while True:
        cluster = dcs.get_cluster()
        before = time.monotonic()
        if (not cluster.leader or not cluster.leader.name) and dcs.attempt_to_acquire_leader():
            told.put((scope, before))
            return
        if not waiting:
            waiting = True
            told.put((scope, None))
        dcs.watch(None, 0.2)  # ends when the leader key changes


def rivals(sections: dict[str, dict[str, Any]], told: Any) -> None:
    """Act as B for all leaders; this is the main function of a process.

    :param sections: by scope the section of the configuration, with the member to use.
    :param told: takes scope and None when B waits for the key, scope and time when it got it.
    """
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: do not outlive the parent
    for scope, section in sections.items():
        threading.Thread(target=_contend, args=(scope, section, told), daemon=True).start()
    threading.Event().wait()


def _told(told: Any, number: int, seconds: float) -> dict[str, float | None]:
    """Collect what the rivals report, from that many of them or for that long."""
    found: dict[str, float | None] = {}
    deadline = time.monotonic() + seconds
    while len(found) < number:
        try:
            scope, when = told.get(timeout=max(deadline - time.monotonic(), 0.01))
        except queue.Empty:
            break
        found[scope] = when
    return found


@pytest.fixture(scope='module')
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Cell, Outcome]]:
    """Cut all leaders off from etcd, with nothing else changed, and yield what happened to their keys."""
    folder: Path = tmp_path_factory.mktemp('lets-go')
    here = Environment(Path(sys.prefix), '')
    with ExitStack() as ends:
        clusters = {str(members): NamedCluster(members, options=DEFAULTS) for members in MEMBERS}
        for cluster in clusters.values():
            ends.callback(cluster.stop)
        at_once({members: cluster.start for members, cluster in clusters.items()})
        leaders = {
            _scope(cell): ends.enter_context(
                SilentLeader(
                    here, clusters[str(cell[1])], WAYS[cell[0]], folder / _scope(cell), scope=_scope(cell), **TIMES
                )
            )
            for cell in CELLS
        }
        at_once({scope: leader.good for scope, leader in leaders.items()})

        context = multiprocessing.get_context('spawn')
        told = context.Queue()
        sections = {_scope(cell): dict(DEFAULTS, proxy=clusters[str(cell[1])].members[0].real_url) for cell in CELLS}
        rival = context.Process(target=rivals, args=(sections, told), daemon=True)
        rival.start()
        ends.callback(rival.join)
        ends.callback(rival.kill)
        waiting = _told(told, len(CELLS), 60)
        assert sorted(waiting) == sorted(leaders) and set(waiting.values()) == {None}, waiting

        at_once({scope: functools.partial(leader.lose_etcd, LIMIT) for scope, leader in leaders.items()})
        ended = at_once({scope: leader.outcome for scope, leader in leaders.items()})
        taken = _told(told, len(CELLS), LIMIT)
    yield {
        cell: Outcome(ended[_scope(cell)]['why'], ended[_scope(cell)]['time'], taken.get(_scope(cell)))
        for cell in CELLS
    }


@pytest.mark.parametrize('members', MEMBERS)
@pytest.mark.parametrize('way', SILENT)
def test_lets_go(outcomes: dict[Cell, Outcome], way: str, members: int) -> None:
    """The loop of A has ended, with an error or a refusal, before B's successful attempt to take the key begins."""
    outcome = outcomes[way, members]
    assert outcome.taken is not None, 'B never got the key'
    assert outcome.why, 'A goes on to lead'
    assert outcome.let_go < outcome.taken, (
        f'two leaders for {outcome.let_go - outcome.taken:.1f} s, until A let go: {outcome.why}'
    )
