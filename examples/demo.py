"""Show on real servers, in about two minutes, what this project is for: ``python -m examples.demo``.

PATRONI_VERSION chooses the Patroni release, the newest by default. The exit code is 0 if each step showed what it
should, 1 with the reason if not, 130 if interrupted. Nothing is left behind in any case.
"""

from __future__ import annotations

import os
import sys
import time

from lab.environments import Environment, environment
from lab.etcd import EtcdCluster
from lab.load import WriteLoad
from lab.monitor import Monitor
from lab.node import PatroniNode
from lab.packages import etcd_binaries, line_of, postgres_bin
from lab.patroni import PatroniCluster
from lab.pids import descendants
from lab.processes import LabError
from lab.releases import NEWEST

STOCK_SECONDS = 20
"""How long stock Patroni gets to start."""

_STOCK_COMPLAINTS = ('404 page not found', 'Failed to get list of machines', 'AttributeError', 'EtcdException')
_OWN_LINES = ('patroni-etcd3-compat', 'gateway prefix')

_number = 0


def step(text: str) -> None:
    """Print the headline of the next step."""
    global _number
    _number += 1
    print(f'\n{_number}. {text}', flush=True)


def show(text: str) -> None:
    """Print lines that belong to the step."""
    for line in text.strip('\n').splitlines():
        print('   ' + line, flush=True)


def show_members(etcd: EtcdCluster) -> None:
    """Print the releases of the etcd members, and which of them are only imitated."""
    for member in etcd.members:
        real = (
            ''
            if member.version == member.real_version
            else f'  (no real one at hand: a facade in front of a real {member.real_version})'
        )
        show(f'{member.name}  {member.url}  {member.version}{real}')


def show_stock(stock: Environment, etcd: EtcdCluster) -> None:
    """Start stock Patroni with the newest member as its only host, and show how it fails.

    :raises LabError: when it does not.
    """
    cluster = PatroniCluster(stock, etcd, hosts=etcd.hosts[-1:])
    node = cluster.add_node()
    try:
        node.start()
        deadline = time.monotonic() + STOCK_SECONDS
        while node.alive and time.monotonic() < deadline:
            if cluster.primary() is not None:
                raise LabError('stock Patroni works on this etcd cluster')
            time.sleep(0.5)
        complaints = [line for line in node.log_text().splitlines() if any(c in line for c in _STOCK_COMPLAINTS)]
        if not complaints:
            raise LabError(
                f'stock Patroni did not start, but not for the reason this is about:\n{node.log_text()[-2000:]}'
            )
        show('its log: ' + complaints[-1].strip()[:300])
        if "'int' object" in complaints[-1]:
            show('(this is "404 page not found", with the number at its start read as JSON)')
        how = f'is still trying after {STOCK_SECONDS} s' if node.alive else 'has given up'
        show(f'It {how}. PostgreSQL was {"" if node.data.exists() else "never "}started.')
    finally:
        cluster.stop()


def own_lines(node: PatroniNode) -> list[str]:
    """Return the package's lines in Patroni's log."""
    return [line for line in node.log_text().splitlines() if any(own in line for own in _OWN_LINES)]


def rolling_upgrade(cluster: PatroniCluster, etcd: EtcdCluster) -> None:
    """Upgrade etcd under load, and show what Patroni and its clients noticed.

    :raises LabError: when they noticed more than they should.
    """
    with Monitor(cluster) as monitor, WriteLoad(cluster) as load:
        for i, member in enumerate(etcd.members):
            if line_of(member.version) == '3.4':
                continue
            time.sleep(4)  # two HA loops in each state
            before = member.version
            etcd.upgrade(i, '3.4')
            show(f'{member.name}: {before} -> {member.version}, rows written so far: {load.acknowledged}')
        time.sleep(6)
        show(cluster.patronictl('list').stdout)
    load.verify()

    step('What Patroni and its clients noticed of it')
    failed = sum(monitor.failed_loops(node) for node in cluster.nodes)
    show(f'longest time between two writes  {load.longest_gap:.2f} s (one every 0.05 s)')
    show(f'rows acknowledged                {load.acknowledged}, lost: 0')
    show(f'role changes                     {monitor.role_changes}')
    show(f'without leader key in etcd       {monitor.seconds_without_leader_key:.1f} s')
    show(f'failed HA loops                  {failed}')
    for node in cluster.nodes:
        show(f'log of {node.name}, the lines of this package:')
        show('\n'.join('  ' + line for line in own_lines(node)))
    if monitor.role_changes or monitor.leader_changes or failed:
        raise LabError('the upgrade of etcd did not pass Patroni by')


def run() -> None:
    """Run all steps.

    :raises LabError: when one does not show what it should.
    """
    release = os.environ.get('PATRONI_VERSION') or NEWEST

    step('What is at hand')
    show(f'etcd        {", ".join(etcd_binaries())}')
    show(f'PostgreSQL  {postgres_bin()}')
    stock, ours = environment(release, plugin=False), environment(release)
    version = ours.run(['-c', 'import patroni_etcd3_compat as p; print(p.__version__)']).stdout.strip()
    show(f'Patroni     {release}, stock and with patroni-etcd3-compat {version}')

    step('An etcd cluster in the middle of its upgrade from 3.2 to 3.4')
    pids: list[int] = []
    with EtcdCluster(['3.2', '3.2', '3.4']) as etcd:
        show_members(etcd)

        step(f'Stock Patroni {release}, started with the 3.4 member as its host')
        show_stock(stock, etcd)

        step(f'Patroni {release} with this package on the same etcd cluster')
        with PatroniCluster(ours, etcd) as cluster:
            show(cluster.patronictl('list').stdout)

            step('The rest of etcd is upgraded, one member at a time, while rows are written')
            rolling_upgrade(cluster, etcd)
            pids = [pid for pid in map(PatroniNode.postmaster_pid, cluster.nodes) if pid is not None]

            step('The end')
    left = descendants(os.getpid()) + [pid for pid in pids if os.path.exists(f'/proc/{pid}')]
    folders = [node.folder for node in cluster.nodes] + [member.folder for member in etcd.members]
    if left or any(folder.exists() for folder in folders):
        raise LabError(f'still there: processes {left}, or one of the folders {folders}')
    show('Everything is stopped and removed: no process and no data directory is left.')


def main() -> int:
    """Run the demo.

    :returns: the exit code.
    """
    try:
        run()
    except LabError as e:
        print(f'\nThe demo failed: {e}', flush=True)
        return 1
    except KeyboardInterrupt:
        print('\nThe demo was interrupted.', flush=True)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
