"""Run hundreds of Patronis on one mixed etcd cluster, and upgrade it under them: ``python -m bench.scale``.

Every client is the leader of its own Patroni cluster, with a watch and HA loops (loop_wait 10, ttl 30). Stock Patroni
is first, then this package, then the same over gRPC, each on a new cluster of 3.3, 3.4 and 3.5. Then the requests of an
HA loop are counted with real Patroni and PostgreSQL. It takes about nine minutes, prints tables and asserts nothing.
All variants together are written to ``scale.json``.
"""

from __future__ import annotations

import argparse
import base64
import collections
import json
import sys
import time
from pathlib import Path
from typing import Any

from prettytable import PrettyTable

from lab import say
from lab.environments import Environment, environment
from lab.etcd import EtcdCluster, b64
from lab.member import request
from lab.processes import LabError, remove_folder, scratch_folder, wait_until

from . import FOLDER, OPTIONS, PATRONI, loops, quantile
from .calls import VARIANTS, etcd_cpu
from .side import Side

VERSIONS = ('3.3', '3.4', '3.5.16')
UPGRADES = ((0, '3.4'), (1, '3.5.30'), (0, '3.5.30'), (2, '3.5.30'))
"""Index and next version, one step after the other."""

PROCESSES = 4
_CALLS = ('get_cluster', 'update_leader', 'write status', 'touch_member')


def _metric(etcd: EtcdCluster, name: str) -> float:
    """Return the sum of a metric over its labels and all members."""
    total = 0.0
    for member in etcd.members:
        text = str(request(member.real_url, 'GET', '/metrics')[1])
        total += sum(
            float(line.rpartition(' ')[2]) for line in text.splitlines() if line.startswith((name + '{', name + ' '))
        )
    return total


def _connections(etcd: EtcdCluster) -> int:
    """Return the open connections at the client ports, which include those of each gateway to its own member."""
    ports = {f'{member.port:04X}' for member in etcd.members}
    rows = [line.split() for line in Path('/proc/net/tcp').read_text().splitlines()[1:]]
    return sum(row[1].endswith(tuple(':' + port for port in ports)) and row[3] == '01' for row in rows)


def _leader_keys(etcd: EtcdCluster) -> dict[str, str]:
    """Return the revision at which each leader key was created."""
    status, answer = etcd.call(0, 'kv/range', {'key': b64('/service/'), 'range_end': b64('/service0')})
    if status != 200:
        raise LabError(f'etcd answered {status} {answer}')
    keys = {base64.b64decode(entry['key']).decode(): entry['create_revision'] for entry in answer.get('kvs', ())}
    return {key: revision for key, revision in keys.items() if key.endswith('/leader')}


def _take(sides: list[Side]) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Return the notes of all processes: seconds by call, and failures."""
    times: dict[str, list[float]] = collections.defaultdict(list)
    failures: dict[str, int] = collections.Counter()
    for it in sides:
        notes = it.do('take')
        for call, values in notes['times'].items():
            times[call] += values
        for what, number in notes['failures'].items():
            failures[what] += number
    return times, dict(failures)


def _figures(sides: list[Side], seconds: float) -> dict[str, Any]:
    times, failures = _take(sides)
    return {
        'seconds': seconds,
        'failures': failures,
        'number': sum(map(len, times.values())),
        'failed': sum(failures.get(call, 0) for call in times),
        'calls': {
            call: {
                'number': len(values),
                'p50': quantile(values, 0.5) * 1000,
                'p99': quantile(values, 0.99) * 1000,
                'max': max(values) * 1000,
            }
            for call, values in times.items()
        },
    }


def _steady(sides: list[Side], etcd: EtcdCluster, seconds: float) -> dict[str, Any]:
    """Let the clients run undisturbed; return the figures of the calls and the resources used."""
    _take(sides)
    requests, cpu, began = _metric(etcd, 'grpc_server_started_total'), etcd_cpu(etcd), time.monotonic()
    before = [it.do('usage')['cpu'] for it in sides]
    time.sleep(seconds)
    took = time.monotonic() - began
    figures = _figures(sides, took)
    figures['etcd requests/s'] = (_metric(etcd, 'grpc_server_started_total') - requests) / took
    figures['etcd cpu'] = (etcd_cpu(etcd) - cpu) / took
    figures['client cpu'] = (sum(it.do('usage')['cpu'] for it in sides) - sum(before)) / took
    figures['etcd connections'] = _connections(etcd)
    figures['etcd files'] = _metric(etcd, 'process_open_fds')
    figures['etcd MB'] = _metric(etcd, 'process_resident_memory_bytes') / 1e6
    figures['etcd watches'] = _metric(etcd, 'etcd_debugging_mvcc_watcher_total')
    return figures


def _upgrade(sides: list[Side], etcd: EtcdCluster, pause: float) -> dict[str, Any]:
    """Upgrade all members under the clients; return the figures of the calls and the lost leader keys."""
    before, began = _leader_keys(etcd), time.monotonic()
    for i, version in UPGRADES:
        say(f'  {etcd.members[i].name}: {etcd.members[i].version} -> {version}')
        etcd.upgrade(i, version)
        time.sleep(pause)
    figures = _figures(sides, time.monotonic() - began)
    after = _leader_keys(etcd)
    figures['leader keys'] = len(before)
    figures['leader keys lost'] = sum(after.get(key) != revision for key, revision in before.items())
    return figures


def run(name: str, itself: Environment, clients: int, seconds: float, pause: float, folder: Path) -> dict[str, Any]:
    """Run one variant on its own etcd cluster.

    :param name: what to call it.
    :param clients: how many.
    :param seconds: how long they run undisturbed.
    :param pause: seconds after the upgrade of each member.
    """
    with EtcdCluster(VERSIONS) as etcd:
        dcs: dict[str, Any] = {'ttl': 30, 'loop_wait': 10, 'retry_timeout': 10, 'namespace': 'service'}
        dcs['etcd3'] = dict(OPTIONS.get(name, {}), hosts=etcd.hosts)
        sides: list[Side] = []
        try:
            for number in range(PROCESSES):
                first, end = clients * number // PROCESSES, clients * (number + 1) // PROCESSES
                sides.append(
                    Side(itself, 'clients.py', folder / f'{name}-{number}.log', dcs=dcs, first=first, count=end - first)
                )
            empty = [it.do('usage') for it in sides]
            say(f'{name}: starting {clients} clients')
            for it in sides:
                it.do('start')
            wait_until(lambda: sum(it.do('started') for it in sides) == clients, 90, 'the clients to start', 1)
            time.sleep(10)
            starts = _figures(sides, 0)
            say(f'{name}: {seconds:g} s undisturbed')
            results = {'steady': _steady(sides, etcd, seconds), 'start': starts}
            full = [it.do('usage') for it in sides]
            for kind in ('kB', 'threads', 'files', 'connections'):
                results[f'{kind}/client'] = (
                    sum(after[kind] - before[kind] for before, after in zip(empty, full)) / clients
                )
            say(f'{name}: rolling upgrade')
            results['upgrade'] = _upgrade(sides, etcd, pause)
            return results
        finally:
            for it in sides:
                it.__exit__(None, None, None)


def show(results: dict[str, Any]) -> None:
    """Print all results as a table."""
    variants = [name for name in VARIANTS if name in results]
    table = PrettyTable([f'{results["clients"]} clients', *variants])
    table.align = 'r'
    table.align[table.field_names[0]] = 'l'

    def row(label: str, *path: str) -> None:
        cells = []
        for name in variants:
            value = results[name]
            for key in path:
                value = value.get(key, 0)
            cells.append(f'{value:.4g}' if isinstance(value, (int, float)) else value)
        table.add_row([label, *cells])

    for key in (
        'etcd requests/s',
        'etcd cpu',
        'client cpu',
        'etcd connections',
        'etcd files',
        'etcd MB',
        'etcd watches',
    ):
        row(key, 'steady', key)
    for key in ('kB/client', 'threads/client', 'files/client', 'connections/client'):
        row(key, key)
    for phase in ('steady', 'upgrade'):
        for call in _CALLS:
            for kind in ('p50', 'p99', 'max'):
                row(f'{phase}: {call} {kind}, ms', phase, 'calls', call, kind)
    for phase in ('start', 'steady', 'upgrade'):
        row(f'{phase}: calls', phase, 'number')
        row(f'{phase}: calls that failed', phase, 'failed')
        for what in sorted({what for name in variants for what in results[name][phase]['failures']}):
            row(f'{phase}: {what}, failed', phase, 'failures', what)
    row('leader keys', 'upgrade', 'leader keys')
    row('leader keys lost in the upgrade', 'upgrade', 'leader keys lost')
    for what in next(iter(results['loops'].values()), {}):
        table.add_row(
            [
                'requests per HA loop: ' + what,
                *[f'{results["loops"][name][what]:.2f}' if name in results['loops'] else '-' for name in variants],
            ]
        )
    print(table)


def main() -> None:
    """Read the arguments, measure, print and write the results."""
    parser = argparse.ArgumentParser(prog='python -m bench.scale', description=__doc__)
    parser.add_argument('--clients', type=int, default=500, help='how many (%(default)s)')
    parser.add_argument('--seconds', type=float, default=40, help='undisturbed time (%(default)s)')
    parser.add_argument('--pause', type=float, default=12, help='seconds after each upgrade (%(default)s)')
    parser.add_argument('--only', choices=VARIANTS, nargs='+', help='some variants; then scale.json stays as it is')
    arguments = parser.parse_args()

    folder = scratch_folder('bench-')
    try:
        environments = {
            'stock': environment(PATRONI, plugin=False),
            'this': environment(PATRONI),
            'grpc': environment(PATRONI, extras=('grpc',)),
        }
        chosen = {name: it for name, it in environments.items() if name in (arguments.only or VARIANTS)}
        results: dict[str, Any] = {
            'clients': arguments.clients,
            'patroni': PATRONI,
            'time': time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime()),
        }
        for name, itself in chosen.items():
            results[name] = run(name, itself, arguments.clients, arguments.seconds, arguments.pause, folder)
        results['loops'] = loops.run({name: itself for name, itself in chosen.items() if name not in OPTIONS})
    except LabError as e:
        sys.exit(f'bench.scale: {e}')
    finally:
        remove_folder(folder)
    show(results)
    if not arguments.only:
        (FOLDER / 'scale.json').write_text(json.dumps(results, indent=1, sort_keys=True) + '\n')


if __name__ == '__main__':
    main()
