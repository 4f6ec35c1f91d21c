"""Measure how long the HA loop of a leader is blocked when its etcd falls silent: ``python -m bench.silence``.

Stock Patroni and this package are measured in the same run, on real etcd members behind relays, with Patroni's
defaults. Each leader runs a good loop, then its etcd falls silent, and ``loop_wait`` later its next loop begins. This
calls get_cluster, touch_member and update_leader, until one of them tells it to demote. That has to happen before its
key can expire: ttl seconds after the last keepalive was sent. The program prints tables, writes ``silence.json`` beside
this file and the tables into docs/silence.md, and asserts nothing. It takes 4 minutes for each release of Patroni.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Sequence

from prettytable import PrettyTable

from lab import ROOT, say
from lab.environments import Environment, environment
from lab.packages import etcd_version
from lab.processes import LabError, remove_folder, scratch_folder
from lab.releases import NEWEST

from . import FOLDER, at_once, median
from .silent_leader import WAYS, Certificates, NamedCluster, SilentLeader

RELEASES = ('3.0.2', '3.2.2', '3.3.11', '4.0.7', NEWEST)
"""The last release of each line of Patroni but 3.1, and Debian's own; see also `lab.releases`."""

MEMBERS = (1, 2, 3, 5)
DEFAULTS = {'ttl': 30, 'loop_wait': 10, 'retry_timeout': 10}
"""Those of Patroni."""

PAGE = ROOT / 'docs' / 'silence.md'
BEGIN, END = '<!-- begin: python -m bench.silence -->', '<!-- end: python -m bench.silence -->'

_SIDES = ('stock', 'this')
_LIMIT = 45.0
_HEAD = ['etcd falls silent', 'members', 'blocked: stock', 'this', 'this / stock', 'lets go at: stock', 'this']


def measure(
    environments: dict[str, Environment], cluster: NamedCluster, way: str, title: str, folder: Path
) -> dict[str, Any]:
    """Let a leader of each side lose the same etcd cluster at the same time.

    :param environments: by side.
    :param title: what distinguishes this measurement from others, for the log files.
    :returns: the result of `SilentLeader.outcome` for each side.
    """
    with ExitStack() as ends:
        leaders: dict[str, SilentLeader] = {}
        for side, itself in environments.items():
            scope = f'{title}-{side}'
            leaders[side] = ends.enter_context(
                SilentLeader(itself, cluster, WAYS[way], folder / (scope + '.log'), scope=scope, **DEFAULTS)
            )
        for leader in leaders.values():
            leader.good()
        for leader in leaders.values():
            leader.lose_etcd(_LIMIT)
        outcomes = {side: leader.outcome() for side, leader in leaders.items()}
    for outcome in outcomes.values():
        del outcome['time']
    texts = (f'{side} {it["blocked"]:.1f} s ({it["why"] or "still leads"})' for side, it in outcomes.items())
    say(f'{title}: {", ".join(texts)}')
    return outcomes


def run(
    releases: Sequence[str], ways: Sequence[str], members: Sequence[int], runs: int, at_a_time: int, folder: Path
) -> list[dict[str, Any]]:
    """Measure every combination.

    :param at_a_time: how many pairs of leaders run side by side; nearly all of their time is waiting.
    :returns: for each ``patroni``, ``way``, ``members`` and, by side, a list with an outcome for each run.
    """
    environments = {
        release: {'stock': environment(release, plugin=False), 'this': environment(release)} for release in releases
    }
    cells: list[dict[str, Any]] = []
    certificates = Certificates(folder, max(members))
    for count in members:
        with NamedCluster(count) as plain, NamedCluster(count, certificates=certificates) as secure:
            jobs, keys = {}, {}
            for release in releases:
                for way in sorted(ways, key=lambda way: not WAYS[way].names):  # the longest first
                    for number in range(runs):
                        title = f'{release}-{way}-{count}-{number + 1}'
                        jobs[title] = functools.partial(
                            measure, environments[release], secure if WAYS[way].tls else plain, way, title, folder
                        )
                        keys[title] = (release, way)
            outcomes = at_once(jobs, at_a_time)
        for release in releases:
            for way in ways:
                found = [outcomes[title] for title, key in keys.items() if key == (release, way)]
                cells.append(
                    {
                        'patroni': release,
                        'way': way,
                        'members': count,
                        **{side: [it[side] for it in found] for side in _SIDES},
                    }
                )
    return cells


def _shown(outcomes: Sequence[dict[str, Any]], key: str) -> str:
    """Return the median, and the longest if there is more than one."""
    more = '> ' if any(it['why'].startswith('still') for it in outcomes) else ''
    values = [it[key] for it in outcomes]
    text = f'{more}{median(values):.1f}'
    return text if len(values) == 1 else f'{text} ({max(values):.1f})'


def _lets_go(outcomes: Sequence[dict[str, Any]], ttl: float) -> str:
    text = _shown(outcomes, 'unrenewed')
    if max(it['unrenewed'] for it in outcomes) > ttl:
        text = f'**{text}**'
    return text + (' renewed' if any(not it['why'] for it in outcomes) else '')


def rows(cells: Sequence[dict[str, Any]], release: str) -> list[list[str]]:
    """Return the lines of the table of one release."""
    found = []
    for cell in sorted(
        (cell for cell in cells if cell['patroni'] == release),
        key=lambda cell: (list(WAYS).index(cell['way']), cell['members']),
    ):
        blocked = {side: [it['blocked'] for it in cell[side]] for side in _SIDES}
        found.append(
            [
                WAYS[cell['way']].text,
                str(cell['members']),
                *(_shown(cell[side], 'blocked') for side in _SIDES),
                f'{median(blocked["this"]) / median(blocked["stock"]):.2f}',
                *(_lets_go(cell[side], DEFAULTS['ttl']) for side in _SIDES),
            ]
        )
    return found


def summary(cells: Sequence[dict[str, Any]]) -> list[str]:
    """Return the main results in a few lines."""
    found = []
    for side in _SIDES:
        late = [cell for cell in cells if max(it['unrenewed'] for it in cell[side]) > DEFAULTS['ttl']]
        worst = max(max(it['unrenewed'] for it in cell[side]) for cell in cells)
        found.append(
            f'{side}: in {len(late)} of {len(cells)} cells later than the ttl of {DEFAULTS["ttl"]} s, at worst at '
            f'{worst:.1f} s'
        )
    longer: list[tuple[float, dict[str, Any]]] = [
        (median([it['blocked'] for it in cell['this']]) - median([it['blocked'] for it in cell['stock']]), cell)
        for cell in cells
    ]
    worse = [difference for difference, _ in longer if difference > 1]
    at_worst = f', at worst for {max(worse):.1f} s' if worse else ''
    found.append(f'this blocked for more than 1 s longer than stock in {len(worse)} of {len(cells)} cells{at_worst}')
    return found


def show(results: dict[str, Any]) -> None:
    """Print everything as tables."""
    for release in results['patroni']:
        # Two columns have the same name, which PrettyTable does not accept.
        table = PrettyTable([*_HEAD[:3], 'blocked: this', _HEAD[4], _HEAD[5], 'lets go at: this'])
        table.align = 'r'
        table.align[_HEAD[0]] = 'l'
        table.add_rows(rows(results['cells'], release))
        print(f'\nPatroni {release}, etcd {results["etcd"]}, seconds')
        print(table)
    print('\n'.join(summary(results['cells'])))


def markdown(results: dict[str, Any]) -> str:
    """Write everything as Markdown."""
    times = ', '.join(f'{name} {DEFAULTS[name]}' for name in ('ttl', 'loop_wait', 'retry_timeout'))
    runs = f'{results["runs"]} run{"" if results["runs"] == 1 else "s"}'
    lines = [f'etcd {results["etcd"]}, {times}; {runs} of each; {results["time"]}.', '']
    lines += [f'- {line}' for line in summary(results['cells'])]
    for release in results['patroni']:
        lines += ['', f'### Patroni {release}', '', f'| {" | ".join(_HEAD)} |', '|---|' + '---:|' * (len(_HEAD) - 1)]
        lines += [f'| {" | ".join(row)} |' for row in rows(results['cells'], release)]
    return '\n'.join(lines)


def write(results: dict[str, Any]) -> None:
    """Write all figures into the file, and the tables into the page."""
    text = json.dumps({key: value for key, value in results.items() if key != 'cells'}, indent=1, sort_keys=True)
    lines = ',\n  '.join(json.dumps(cell, sort_keys=True) for cell in results['cells'])
    (FOLDER / 'silence.json').write_text(f'{text[:-2]},\n "cells": [\n  {lines}\n ]\n}}\n')
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f'{before}{BEGIN}\n\n{markdown(results)}\n\n{END}{after}')


def main() -> None:
    """Read the arguments, measure, print and write the results."""
    parser = argparse.ArgumentParser(
        prog='python -m bench.silence', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--patroni', nargs='+', default=list(RELEASES), help='releases of Patroni (%(default)s)')
    parser.add_argument('--ways', nargs='+', choices=list(WAYS), default=list(WAYS), help='to fall silent (all)')
    parser.add_argument('--members', nargs='+', type=int, default=list(MEMBERS), help='of etcd (%(default)s)')
    parser.add_argument('--runs', type=int, default=1, help='of each (%(default)s)')
    parser.add_argument('--at-a-time', type=int, default=8, help='pairs of leaders side by side (%(default)s)')
    parser.add_argument('--dry', action='store_true', help='write no files')
    arguments = parser.parse_args()

    started = time.monotonic()
    folder = scratch_folder('bench-')
    try:
        results: dict[str, Any] = {
            'etcd': etcd_version('3.5'),
            'patroni': arguments.patroni,
            'runs': arguments.runs,
            **DEFAULTS,
            'time': time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime()),
            'cells': run(
                arguments.patroni, arguments.ways, arguments.members, arguments.runs, arguments.at_a_time, folder
            ),
        }
    except LabError as e:
        sys.exit(f'bench.silence: {e}')
    finally:
        remove_folder(folder)
    show(results)
    if not arguments.dry:
        write(results)
    say(f'{time.monotonic() - started:.0f} s')


if __name__ == '__main__':
    main()
