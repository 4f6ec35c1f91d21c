"""etcd that returns to an older release, one member or all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Callable

import pytest

from lab.apt import run as run_program
from lab.etcd import EtcdCluster, EtcdMember, release
from lab.packages import etcdctl

STOCK = {'PATRONI_ETCD3_COMPAT': 'off'}

TTL = 20


@pytest.mark.parametrize('old, new', [('3.2', '3.4'), ('3.3', '3.4'), ('3.3', '3.5')])
def test_one_member(soak: Callable[..., Any], old: str, new: str) -> None:
    """The upgrade of one member and its rollback, empty, are not noticed."""
    with soak(f'one member {old} -> {new} and back, wiped, each in turn', [old] * 3) as run:
        for i in range(3):
            run.etcd.upgrade(i, new)
            run.settle()
            run.etcd.replace(i, old)
            run.settle()
    run.nothing_noticed()


# With the same release before and after, stock Patroni shows what is possible.
ALL = [
    ('stock', '3.4', '3.4'),
    ('compat', '3.4', '3.4'),
    ('compat', '3.4', '3.3'),
    ('compat', '3.4', '3.2'),
    ('compat', '3.5', '3.3'),
]


def recovers(run: Any) -> None:
    """Check that within one ttl a primary takes writes, a replica follows, and no HA loop fails any more."""
    run.settle(TTL)
    run.patroni.wait_primary(1)
    run.patroni.wait_replicas(10)
    before, failed = run.load.acknowledged, run.failed_loops
    run.settle(10)
    assert run.load.acknowledged > before
    assert run.failed_loops == failed


@pytest.mark.parametrize('which, new, old', ALL)
def test_all_members_wiped(soak: Callable[..., Any], which: str, new: str, old: str) -> None:
    """Patroni works without a restart when the whole cluster returns empty and older.

    Stock 4.1.5 does only if it is not older.
    """
    env = STOCK if which == 'stock' else {}
    with soak(f'{which}: all members {new} -> wiped, {old}', [new] * 3, facade=True, ttl=TTL, env=env) as run:
        run.etcd.wipe([old] * 3)
        recovers(run)


def restore(etcd: EtcdCluster, line: str, put_back: Callable[[EtcdMember, Path], Any]) -> None:
    """Stop all members and start them as another release.

    :param put_back: makes the data directory of a member.
    """
    for member in etcd.members:
        member.kill()
    for member in etcd.members:
        data = member.folder / 'data'
        shutil.rmtree(str(data))
        put_back(member, data)
        member.release = release(line)
        member.spawn()
    for member in etcd.members:
        member.serve()
    etcd.wait_healthy()


@pytest.mark.parametrize(
    'which, old, new',
    [('stock', '3.4', '3.4'), ('compat', '3.4', '3.4'), ('compat', '3.3', '3.4'), ('compat', '3.3', '3.5')],
)
def test_all_members_from_a_snapshot(soak: Callable[..., Any], tmp_path: Path, which: str, old: str, new: str) -> None:
    """Patroni works without a restart when all upgraded members are restored from a snapshot of the older release."""
    control, snapshot = etcdctl(), tmp_path / 'snapshot'
    env = STOCK if which == 'stock' else {}
    with soak(f'{which}: all members {old} -> {new} -> {old} from a snapshot', [old] * 3, ttl=TTL, env=env) as run:
        members = run.etcd.members
        peers = ','.join(f'{member.name}={member.peer_url}' for member in members)

        def put_back(member: EtcdMember, data: Path) -> None:
            run_program(
                [
                    str(control),
                    'snapshot',
                    'restore',
                    str(snapshot),
                    '--name',
                    member.name,
                    '--initial-cluster',
                    peers,
                    '--initial-cluster-token',
                    'restored',
                    '--initial-advertise-peer-urls',
                    member.peer_url,
                    '--data-dir',
                    str(data),
                ],
                tmp_path,
                ETCDCTL_API='3',
            )

        run_program(
            [str(control), '--endpoints', members[0].real_url, 'snapshot', 'save', str(snapshot)],
            tmp_path,
            ETCDCTL_API='3',
        )
        for i in range(3):
            run.etcd.upgrade(i, new)
        run.settle()
        restore(run.etcd, old, put_back)
        recovers(run)


@pytest.mark.parametrize('old, new', [('3.3', '3.4'), ('3.3', '3.5')])
def test_all_members_from_a_copy(soak: Callable[..., Any], old: str, new: str) -> None:
    """After a restart, Patroni works on members restored from a copy of the data directories.

    Such a copy is not a snapshot: the cluster keeps its name and goes back in time. Patroni takes such members for
    stale ones, with the stock class too.
    """
    with soak(f'all members {old} -> {new} -> {old} from a copy, Patroni restarted', [old] * 3, ttl=TTL) as run:
        for member in run.etcd.members:
            member.kill()
        for member in run.etcd.members:
            shutil.copytree(str(member.folder / 'data'), str(member.folder / 'copy'))
            member.spawn()
        for member in run.etcd.members:
            member.serve()
        run.etcd.wait_healthy()
        for i in range(3):
            run.etcd.upgrade(i, new)
        run.settle()
        restore(run.etcd, old, lambda member, data: shutil.move(str(member.folder / 'copy'), str(data)))
        for node in run.patroni.nodes:
            node.restart()
        recovers(run)
