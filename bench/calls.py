"""Single calls, starts and the loss of an etcd member: stock and this package take turns on the same etcd cluster."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import yaml

from lab import say
from lab.environments import Environment, clean_environ
from lab.etcd import EtcdCluster
from lab.processes import LabError

from . import OPTIONS, median, quantile
from .side import Side

CALLS = ('get_cluster', 'range', 'put', 'keepalive', 'update_leader', 'update_leader + status', 'touch_member')
"""What is measured; all but the first are requests and have a bare counterpart."""

SIDES = ('stock', 'this', 'grpc', 'http.client', 'urllib3', 'grpcio')
"""Who makes the calls; ``grpc`` is this package over gRPC. The last three are bare; the last one may be missing."""

VARIANTS = ('stock', 'this', 'grpc')
"""Those of them that are Patroni."""

_ROUND = 20
_LEAD_IN = 5


def raft_leader(etcd: EtcdCluster) -> int:
    """Return the index of the member that is the raft leader.

    :raises LabError: when there is none.
    """
    for i in range(len(etcd.members)):
        status, answer = etcd.call(i, 'maintenance/status', {})
        if status == 200 and answer['leader'] == answer['header']['member_id']:
            return i
    raise LabError('no member of the etcd cluster leads')


def grpcio(environment: Environment, folder: Path) -> bool:
    """Install grpcio into a folder, where no other use of the environment finds it.

    :param environment: whose Python will import it.
    :returns: whether it could be installed.
    """
    done = environment.run(['-m', 'pip', '-q', 'install', '--only-binary', ':all:', '--target', str(folder), 'grpcio'])
    if done.returncode:
        say(f'bare grpcio is left out, it cannot be installed: {done.stdout.strip().rpartition(chr(10))[2]}')
    return not done.returncode


def side(
    name: str, scope: str, environments: dict[str, Environment], etcd: EtcdCluster, member: int, folder: Path
) -> Side:
    """Start a measuring process.

    :param name: one of `SIDES`.
    :param scope: name of its Patroni cluster.
    :param member: index of the etcd member to use.
    :param folder: where its log goes, and where grpcio is.
    """
    return Side(
        environments['grpc'] if name == 'grpcio' else environments.get(name, environments['stock']),
        'worker.py',
        folder / (name + '.log'),
        library='patroni' if name in environments else name,
        url=etcd.urls[member],
        options=dict(OPTIONS.get(name, {}), hosts=etcd.hosts),
        scope=scope,
        packages=str(folder / 'grpcio'),
    )


def etcd_cpu(etcd: EtcdCluster) -> float:
    """Return the CPU that all members have used, in seconds."""
    nanoseconds = 0
    for member in etcd.members:
        if member.process is not None:
            for task in Path(f'/proc/{member.process.pid}/task').glob('*/schedstat'):
                with contextlib.suppress(OSError):  # the thread has just ended
                    nanoseconds += int(task.read_text().split()[0])
    return nanoseconds / 1e9


def measure_calls(sides: dict[str, Side], etcd: EtcdCluster, samples: int) -> dict[str, dict[str, dict[str, float]]]:
    """Measure each call on each side, in rounds that take turns.

    :param samples: how many of each, after a warm-up.
    :returns: by call and side ``p50``, ``p99``, and as means ``cpu`` (of the calling thread), ``process`` (of all its
        threads) and ``etcd`` (of all members together), in milliseconds, and ``samples``.
    """
    # Every call in every round, so that no lease expires, and other load on the machine affects all sides equally.
    raw: dict[str, dict[str, dict[str, list[float]]]] = {
        call: {
            name: {kind: [] for kind in ('wall', 'cpu', 'process', 'etcd')}
            for name in sides
            if call != 'get_cluster' or name in VARIANTS
        }
        for call in CALLS
    }
    rounds = -(-samples // _ROUND)
    for number in range(-1, rounds):  # the first one warms up
        say(f'calls: round {number + 1} of {rounds}' if number >= 0 else 'calls: warm-up')
        for call, chosen in raw.items():
            names = list(chosen)
            start = number % len(names)  # take turns in running after the slow one, which leaves caches cold
            for name in names[start:] + names[:start]:
                sides[name].do('measure', call=call, times=_LEAD_IN)
                before = etcd_cpu(etcd)
                answer = sides[name].do('measure', call=call, times=_ROUND)
                answer['etcd'] = [(etcd_cpu(etcd) - before) / _ROUND]
                if number >= 0:
                    for kind, values in answer.items():
                        chosen[name][kind] += values
    return {
        call: {
            name: {
                'p50': median(data['wall']) * 1000,
                'p99': quantile(data['wall'], 0.99) * 1000,
                **{kind: sum(data[kind]) / len(data[kind]) * 1000 for kind in ('cpu', 'process', 'etcd')},
                'samples': len(data['wall']),
            }
            for name, data in chosen.items()
        }
        for call, chosen in raw.items()
    }


def measure_starts(
    environments: dict[str, Environment], etcd: EtcdCluster, member: int, folder: Path, runs: int
) -> dict[str, list[float]]:
    """Measure the seconds from creating the DCS object to the first key written, in a new process each time."""
    say(f'start to first write: {runs} runs a side')
    times: dict[str, list[float]] = {name: [] for name in environments}
    for number in range(runs):
        for name in environments:
            with side(name, f'start-{name}-{number}', environments, etcd, member, folder) as it:
                times[name].append(it.do('first_write'))
    return times


def measure_patronictl(
    environments: dict[str, Environment], etcd: EtcdCluster, scope: str, folder: Path, runs: int
) -> dict[str, list[float]]:
    """Measure the seconds that the whole process ``patronictl list`` takes.

    :raises LabError: when it fails.
    """
    say(f'patronictl list: {runs} runs a side')
    config = folder / 'patronictl.yml'
    config.write_text(
        yaml.safe_dump({'scope': scope, 'namespace': 'service', 'name': 'a', 'etcd3': {'hosts': etcd.hosts}})
    )
    times: dict[str, list[float]] = {name: [] for name in environments}
    for _ in range(runs):
        for name, environment in environments.items():
            before = time.perf_counter()
            done = environment.run(
                [str(environment.patronictl), '-c', str(config), 'list'], env=clean_environ(), timeout=60
            )
            times[name].append(time.perf_counter() - before)
            if done.returncode:
                raise LabError(f'patronictl list failed: {done.stdout[-1000:]}')
    return times


def measure_member_loss(sides: dict[str, Side], etcd: EtcdCluster, runs: int) -> dict[str, dict[str, list[float]]]:
    """Measure the seconds from the loss of the member in use until the leader key is held through another one.

    Both sides use the same member, which is not the raft leader, so that the figures include no election.

    :returns: by what happened to the member (``killed``, ``frozen``), and by side.
    """
    results: dict[str, dict[str, list[float]]] = {}
    for what, times in (('killed', runs), ('frozen', max(runs // 2, 1))):
        say(f'etcd member {what}: {times} runs')
        results[what] = {name: [] for name in sides}
        for _ in range(times):
            i = (raft_leader(etcd) + 1) % len(etcd.members)
            for it in sides.values():
                it.do('use', url=etcd.urls[i])
                it.do('until_good')
            member = etcd.members[i]
            try:
                member.kill() if what == 'killed' else member.freeze()
                for it in sides.values():
                    it.ask('until_good')
                for name, it in sides.items():
                    results[what][name].append(it.answer())
            finally:
                member.start() if what == 'killed' else member.thaw()
            etcd.wait_healthy()
    return results


def run(environments: dict[str, Environment], folder: Path, samples: int, runs: int) -> dict[str, Any]:
    """Run all measurements of this module on a new etcd cluster of three members on 3.5.

    :param environments: of ``stock``, ``this`` and ``grpc``.
    :param folder: for logs.
    :param samples: how many calls of each kind and side.
    :param runs: how many starts, lost members and so on.
    """
    with EtcdCluster(['3.5', '3.5', '3.5']) as etcd:
        member = raft_leader(etcd)
        results: dict[str, Any] = {'etcd': etcd.members[member].version}
        running: dict[str, Side] = {}
        try:
            there = grpcio(environments['grpc'], folder / 'grpcio')
            for name in SIDES if there else SIDES[:-1]:
                running[name] = side(name, 'bench-' + name, environments, etcd, member, folder)
            results['calls'] = measure_calls(running, etcd, samples)
            without = {name: it for name, it in environments.items() if name not in OPTIONS}
            results['patronictl_list'] = measure_patronictl(without, etcd, 'bench-stock', folder, 2 * runs)
            variants = {name: running[name] for name in environments}
            results['member_loss'] = measure_member_loss(variants, etcd, runs)
        finally:
            for it in running.values():
                it.__exit__(None, None, None)
        results['start_to_first_write'] = measure_starts(environments, etcd, member, folder, 2 * runs)
    return results
