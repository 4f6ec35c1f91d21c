"""The same events with Patroni's own class, for comparison: only the figures matter."""

from __future__ import annotations

from typing import Any, Callable

import pytest

from lab.processes import LabError

STOCK = {'PATRONI_ETCD3_COMPAT': 'off'}


def upgrade(run: Any, *lines: str) -> None:
    """Upgrade every member in place, in the configured order."""
    for line in lines:
        for i in range(3):
            run.etcd.upgrade(i, line)
            run.settle()


def one_and_back(run: Any, new: str, old: str) -> None:
    """Upgrade each member in turn, then replace it with the old release."""
    for i in range(3):
        run.etcd.upgrade(i, new)
        run.settle()
        run.etcd.replace(i, old)
        run.settle()


def lose_quorum(run: Any, seconds: float) -> None:
    """Kill two members for that many seconds."""
    for member in run.etcd.members[:2]:
        member.kill()
    run.settle(seconds)
    for member in run.etcd.members[:2]:
        member.spawn()
    for member in run.etcd.members[:2]:
        member.serve()
    run.etcd.wait_healthy()


#: what is done, to which members, and whether it is known to cost the primary
ACTS: dict[str, tuple[list[str], Callable[[Any], None], bool]] = {
    'upgrade 3.2 -> 3.4 in place': (['3.2'] * 3, lambda run: upgrade(run, '3.4'), True),
    'upgrade 3.3 -> 3.5 in place': (['3.3'] * 3, lambda run: upgrade(run, '3.5'), False),
    'one member 3.2 -> 3.4 and back': (['3.2'] * 3, lambda run: one_and_back(run, '3.4', '3.2'), False),
    'all members 3.4 -> wiped, 3.3': (['3.4'] * 3, lambda run: run.etcd.wipe(['3.3'] * 3), True),
    '3.4, two members killed for 15 s': (['3.4'] * 3, lambda run: lose_quorum(run, 15), True),
}


@pytest.mark.parametrize('what', ACTS)
def test_stock(soak: Callable[..., Any], what: str) -> None:
    """The figures are recorded, after up to four minutes without a primary and then a restart of Patroni."""
    versions, act, loses = ACTS[what]
    with soak('stock: ' + what, versions, env=STOCK) as run:
        act(run)
        run.settle(25)
        try:
            run.patroni.wait_primary(240)
        except LabError:
            for node in run.patroni.nodes:
                node.restart()
            run.patroni.wait_primary()
        run.settle()
    figures = run.figures()
    assert not loses or figures['demotions'] or figures['longest_gap'] > 1, figures
