"""Measure DCS calls, starts and failovers with stock Patroni and with this package: ``python -m bench``.

It uses real servers on loopback and takes about five minutes. Prints tables, writes ``results.json`` and
``results.svg`` beside this file. Asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from typing import Any

from prettytable import PrettyTable

from lab import say
from lab.environments import environment
from lab.processes import LabError, remove_folder, scratch_folder

from . import FOLDER, PATRONI, calls, chart, failover, median

#: The bare call that each call is compared with.
FLOOR = 'http.client'


def _table(columns: list[str], rows: list[list[Any]]) -> None:
    table = PrettyTable(columns)
    table.align = 'r'
    table.align[columns[0]] = 'l'
    for row in rows:
        table.add_row(
            [
                '-'
                if cell is None
                else f'{cell:.3f}'
                if isinstance(cell, float) and cell < 1
                else f'{cell:.2f}'
                if isinstance(cell, float)
                else cell
                for cell in row
            ]
        )
    print(table)


def ratios(measured: dict[str, dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the ratios for each call: at p50 of each side to the floor and ``stock/this``, and of CPU to stock."""
    found: dict[str, dict[str, float]] = {}
    for call, sides in measured.items():
        found[call] = {'stock/this': sides['stock']['p50'] / sides['this']['p50']}
        for name in ('this', 'grpc'):
            found[call][f'cpu {name}/stock'] = sides[name]['cpu'] / sides['stock']['cpu']
        if FLOOR in sides:
            found[call].update({f'{name}/floor': it['p50'] / sides[FLOOR]['p50'] for name, it in sides.items()})
    return found


def show(results: dict[str, Any]) -> None:
    """Print all results as tables."""
    measured, compared = results['calls'], results['ratios']
    print(f'\nOne call, milliseconds; Patroni {results["patroni"]}, etcd 3 x {results["etcd"]}')
    _table(
        ['call']
        + [f'{name} {kind}' for name in (*calls.VARIANTS, FLOOR) for kind in ('p50', 'p99')]
        + ['urllib3 p50', 'grpcio p50', 'stock/this'],
        [
            [call]
            + [sides.get(name, {}).get(kind) for name in (*calls.VARIANTS, FLOOR) for kind in ('p50', 'p99')]
            + [sides.get(name, {}).get('p50') for name in ('urllib3', 'grpcio')]
            + [compared[call]['stock/this']]
            for call, sides in measured.items()
        ],
    )
    print(f'\np50 as a multiple of {FLOOR}')
    _table(
        ['call', *calls.SIDES],
        [
            [call] + [compared[call].get(f'{name}/floor') for name in calls.SIDES]
            for call, sides in measured.items()
            if FLOOR in sides
        ],
    )
    print('\nCPU of the calling thread for one call, milliseconds')
    _table(
        ['call', *calls.SIDES, 'this/stock', 'grpc/stock'],
        [
            [call]
            + [sides.get(name, {}).get('cpu') for name in calls.SIDES]
            + [compared[call]['cpu this/stock'], compared[call]['cpu grpc/stock']]
            for call, sides in measured.items()
        ],
    )
    print('\nCPU of all threads of the process for one call, milliseconds; Patroni has one that watches')
    _table(
        ['call', *calls.SIDES],
        [[call] + [sides.get(name, {}).get('process') for name in calls.SIDES] for call, sides in measured.items()],
    )
    print('\nCPU of all members of etcd for one call, milliseconds; get_cluster needs none')
    _table(
        ['call', *calls.SIDES],
        [[call] + [sides.get(name, {}).get('etcd') for name in calls.SIDES] for call, sides in measured.items()],
    )
    print('\nSeconds: median (least - most, runs)')
    rows = [('start to first write', results['start_to_first_write']), ('patronictl list', results['patronictl_list'])]
    rows += [(f'etcd member in use {what}', sides) for what, sides in results['member_loss'].items()]
    for what, label in (('kill_to_primary', 'primary killed'), ('key_gone_to_primary', '  of it after the leader key')):
        rows.append((label, {name: times[what] for name, times in results['primary_loss'].items()}))
    _table(
        ['', *calls.VARIANTS],
        [
            [label]
            + [
                f'{median(sides[name]):.3f} ({min(sides[name]):.3f} - {max(sides[name]):.3f}, {len(sides[name])})'
                if name in sides
                else None
                for name in calls.VARIANTS
            ]
            for label, sides in rows
        ],
    )


def main() -> None:
    """Read the arguments, measure, print and write the results."""
    parser = argparse.ArgumentParser(prog='python -m bench', description=__doc__)
    parser.add_argument('--samples', type=int, default=400, help='calls of each kind and side (%(default)s)')
    parser.add_argument('--runs', type=int, default=5, help='lost etcd members; twice as many starts (%(default)s)')
    parser.add_argument('--failovers', type=int, default=3, help='lost primaries (%(default)s)')
    parser.add_argument('--patroni', default=PATRONI, help='release of Patroni (%(default)s)')
    arguments = parser.parse_args()

    started = time.monotonic()
    folder = scratch_folder('bench-')
    try:
        environments = {
            'stock': environment(arguments.patroni, plugin=False),
            'this': environment(arguments.patroni),
            'grpc': environment(arguments.patroni, extras=('grpc',)),
        }
        results: dict[str, Any] = {
            'patroni': arguments.patroni,
            'python': platform.python_version(),
            'time': time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime()),
        }
        results.update(calls.run(environments, folder, arguments.samples, arguments.runs))
        results['ratios'] = ratios(results['calls'])
        del environments['grpc']
        results['primary_loss'] = failover.run(environments, arguments.failovers)
    except LabError as e:
        sys.exit(f'bench: {e}')
    finally:
        remove_folder(folder)
    show(results)
    (FOLDER / 'results.json').write_text(json.dumps(results, indent=1, sort_keys=True) + '\n')
    groups = {
        call: {name: data['p50'] for name, data in sides.items()}
        for call, sides in results['calls'].items()
        if FLOOR in sides
    }
    (FOLDER / 'results.svg').write_text(
        chart.draw(
            f'One DCS call, milliseconds at p50 (Patroni {results["patroni"]}, etcd {results["etcd"]})',
            groups,
            (*calls.VARIANTS, FLOOR),
        )
    )
    say(f'{time.monotonic() - started:.0f} s; written: results.json, results.svg in {FOLDER}')


if __name__ == '__main__':
    main()
