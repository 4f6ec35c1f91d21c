"""What the patches for upstream do on real etcd: ``python -m lab.upstream_measure [SCENARIO ...]``, half an hour.

Each scenario runs Patroni's source as it is, with the one patch that is about it, and with the whole series. What runs
is ``lab.upstream_trial``, a process for each run.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import functools
import itertools
import json
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple, Sequence

from . import say
from .environments import Environment, clean_environ, environment
from .etcd import EtcdCluster, b64
from .facade import Fault, is_nested_txn
from .load import WriteLoad
from .node import unprivileged_user
from .patroni import Monitor, PatroniCluster
from .processes import LabError, remove_folder, scratch_folder
from .upstream_patches import RELEASE, apply, series, source

_REVOKE = 'kv/lease/revoke'  # so in 3.3, and still there in 3.5


class Trial:
    """One process with a Patroni of its own, for the time of a ``with``.

    :param env: whose Python runs it.
    :param tree: the source of Patroni.
    :param log: file for Patroni's log.
    """

    def __init__(self, env: Environment, tree: Path, log: Path) -> None:
        self._log = log
        with open(str(log), 'ab') as output:
            self._popen = subprocess.Popen(
                [str(env.python), str(Path(__file__).with_name('upstream_trial.py'))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=dict(clean_environ(), PYTHONPATH=str(tree)),
                universal_newlines=True,
            )

    def __enter__(self) -> Trial:
        return self

    def __exit__(self, *_: Any) -> None:
        self._popen.kill()
        self._popen.communicate()

    def do(self, command: str, **arguments: Any) -> Any:
        """Have it execute a command.

        :returns: the result, or the text of the exception as ``{'error': text}``.
        :raises LabError: when the process has ended.
        """
        assert self._popen.stdin is not None and self._popen.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.write(json.dumps(dict(arguments, do=command)) + '\n')
            self._popen.stdin.flush()
        line = self._popen.stdout.readline()
        if not line:
            raise LabError('the trial has ended')
        answer = json.loads(line)
        return answer['result'] if 'result' in answer else answer

    def start(self, hosts: Sequence[str], ttl: int = 30, patience: int = 12) -> Any:
        """Make the DCS object with these hosts."""
        return self.do('start', hosts=','.join(hosts), ttl=ttl, patience=patience)

    def last_error(self) -> str:
        """Give what Patroni logged last about the 404."""
        lines: list[str] = re.findall(r'^.*(?:404 page|has no attribute).*$', self._log.read_text(), re.M)
        return lines[-1] if lines else 'nothing'


class Variant(NamedTuple):
    """Patroni with some of the patches."""

    name: str
    patches: list[str]  # numbers
    trial: Callable[[], Trial]  # starts a process with it
    environment: Callable[[], Environment]


Scenario = Callable[[Variant], Iterator[str]]


def nested(etcd: EtcdCluster) -> str:
    """Count the nested transactions that have come in, with the status of the answers, and the answers lost."""
    txns = [entry for entry in etcd.requests() if entry.rpc == 'kv/txn']
    answers = [entry.status for entry in txns if is_nested_txn(entry.body)]
    return f'{len(answers)} nested transactions {sorted(set(answers))}, {sum(entry.status == 0 for entry in txns)} answers lost'


def nodelay(variant: Variant) -> Iterator[str]:
    """Median of 200 calls, three members 3.5."""
    with EtcdCluster(['3.5'] * 3) as etcd, variant.trial() as it:
        it.start(etcd.hosts)
        it.do('lead')
        for call in ('put', 'lead'):
            it.do('times', call=call, count=20)
            yield '{0}: {1:.2f} ms'.format(call, it.do('times', call=call, count=200))


def error(variant: Variant) -> Iterator[str]:
    """One member 3.4 that stops serving its gateway: what the log says; and starts on a mixed cluster."""
    with EtcdCluster(['3.4'], facade=True) as etcd, variant.trial() as it:
        it.start(etcd.hosts)
        it.do('lead')
        faults(etcd, 0).append(
            Fault(
                path='^/v3',
                times=10000,
                status=404,
                headers={'Content-Type': 'text/plain'},
                body=b'404 page not found\n',
            )
        )
        yield 'put: {0}'.format(it.do('put'))
        yield 'lead: {0}'.format(it.do('lead'))
        yield f'logged: {it.last_error()}'
    with EtcdCluster(['3.2', '3.4', '3.4']) as etcd:
        yield f'3.2 + 3.4 + 3.4: starts {starts(variant, etcd.hosts)}'


def rollback(variant: Variant) -> Iterator[str]:
    """All members 3.4 lost and back as 3.3 on the same ports: a loop every second for a minute after that."""
    with EtcdCluster(['3.4'] * 3) as etcd, variant.trial() as it:
        it.start(etcd.hosts)
        it.do('lead')
        etcd.wipe(['3.3'] * 3)
        back, good = time.monotonic(), []
        while time.monotonic() < back + 60:
            if it.do('lead') is True:
                good.append(time.monotonic() - back)
            time.sleep(1)
        yield 'first good loop after {0}, {1} good loops'.format(
            f'{good[0]:.1f} s' if good else 'more than 60 s', len(good)
        )


def lease(variant: Variant) -> Iterator[str]:
    """The leader key renewed with a new lease, members 3.2 and 3.5."""
    for versions in (['3.2'] * 3, ['3.5'] * 3):
        with EtcdCluster(versions, facade=True) as etcd, variant.trial() as it:

            def renew(before: Callable[[str], Any]) -> Any:
                it.do('lead')
                before(it.do('look'))
                return it.do('renew', ttl=next(ttl))

            def lose_answer(old: str) -> None:
                revoke(old)
                it.do('use', url=etcd.urls[0])
                if '0004' in variant.patches:  # else there is only one transaction
                    faults(etcd, 0).append(Fault(path='kv/txn$'))
                faults(etcd, 0).append(Fault(path='kv/txn$', reset='after'))

            def revoke(old: str) -> None:
                etcd.call(0, _REVOKE, {'ID': old})

            def take(_: str) -> None:
                etcd.call(0, 'kv/put', {'key': b64('/service/trial/leader'), 'value': b64('other')})

            it.start(etcd.hosts)
            ttl = itertools.cycle((25, 30))
            outcomes = [
                f'{name}: {renew(before)}'
                for name, before in (
                    ('ttl changed', str),
                    ('lease revoked', revoke),
                    ('answer lost', lose_answer),
                    ('taken', take),
                )
            ]
            yield '{0}: {1}; {2}'.format(versions[0], ', '.join(outcomes), nested(etcd))


def mixed(variant: Variant) -> Iterator[str]:
    """Mixed clusters: starts, and the leader key renewed through each member."""
    for versions in (['3.2', '3.2', '3.4'], ['3.2', '3.4', '3.4'], ['3.3', '3.3', '3.4'], ['3.2', '3.3', '3.5']):
        with EtcdCluster(versions, facade=True) as etcd:
            yield '{0}: starts {1}, with the last member alone {2}'.format(
                ' + '.join(versions), starts(variant, etcd.hosts), starts(variant, etcd.hosts[-1:])
            )
            with variant.trial() as it:
                if it.start(etcd.hosts[:1]) is not True:
                    yield '  a start with the first member alone failed'
                    continue
                it.do('lead')
                outcomes: dict[str, list[bool]] = {'update_leader': [], 'put': [], 'with a new lease': []}
                for url in etcd.urls:
                    it.do('use', url=url)
                    outcomes['update_leader'].append(it.do('lead') is True)
                    outcomes['put'].append(it.do('put') is True)
                for i, url in enumerate(etcd.urls):
                    it.do('use', url=url)
                    it.do('look')
                    outcomes['with a new lease'].append(it.do('renew', ttl=25 + i) is True)
                yield '  through each member: {0}; {1}'.format(
                    ', '.join(
                        '{0} {1}'.format(call, '/'.join('ok' if good else 'fails' for good in seen))
                        for call, seen in outcomes.items()
                    ),
                    nested(etcd),
                )


def upgrade(variant: Variant) -> Iterator[str]:
    """Three members upgraded from 3.2 to 3.4 in place, one by one, with 10 s in between: a loop every half second."""
    with EtcdCluster(['3.2'] * 3, facade=True) as etcd, variant.trial() as it:
        it.start(etcd.hosts)
        it.do('lead')
        loops: list[bool] = []
        done = threading.Event()

        def lead() -> None:
            while not done.is_set():
                loops.append(it.do('lead') is True)
                time.sleep(0.5)

        thread = threading.Thread(target=lead)
        thread.start()
        try:
            for i in range(3):
                etcd.upgrade(i, '3.4')
                time.sleep(10)
        finally:
            done.set()
            thread.join()
        yield f'{loops.count(False)} of {len(loops)} loops failed; {nested(etcd)}'


def whole(variant: Variant) -> Iterator[str]:
    """The same upgrade under Patroni and PostgreSQL with a write load; once more with ttl edited at each step."""
    env = variant.environment()
    for ttls in (), (25, 30, 35, 40):
        with EtcdCluster(['3.2'] * 3) as etcd, PatroniCluster(env, etcd) as patroni:
            with Monitor(patroni) as monitor, WriteLoad(patroni) as load:
                for step in range(4):
                    if step:
                        etcd.upgrade(step - 1, '3.4')
                        time.sleep(5)
                    with contextlib.suppress(LabError):  # there may be no primary to take it
                        patroni.edit_config(**{'ttl': ttl for ttl in ttls[step : step + 1]})
                    time.sleep(5)
                load.stop()
                yield '{0}demoted {1} times, {2} failed loops, longest write gap {3:.2f} s; {4}'.format(
                    'ttl edited: ' if ttls else '',
                    monitor.demotions,
                    sum(monitor.failed_loops(node) for node in patroni.nodes),
                    load.longest_gap,
                    nested(etcd),
                )


def patched(env: Environment, tree: Path) -> Environment:
    """Give a copy of an environment that has Patroni from a source tree.

    :param env: environment with the same release.
    :param tree: the source; the copy is put beside it.
    """
    copy = tree.parent / 'environment'
    shutil.copytree(str(env.folder), str(copy), symlinks=True)
    installed = next(copy.glob('lib/python*/site-packages/patroni'))
    shutil.rmtree(str(installed))
    shutil.copytree(str(tree / 'patroni'), str(installed))
    return Environment(copy, str(tree)).for_user(unprivileged_user())


def starts(variant: Variant, hosts: Sequence[str], count: int = 20) -> str:
    """Start a number of times and count what came of it."""
    outcomes: dict[str, int] = collections.Counter()
    for _ in range(count):
        with variant.trial() as it:
            answer = it.start(hosts, patience=4)
        error_name = '' if answer is True else re.sub(r'\(.*', '', answer['error'])
        outcomes['waiting' if error_name == 'TimeoutError' else error_name or 'ok'] += 1
    return ', '.join(f'{number} {what}' for what, number in sorted(outcomes.items()))


def faults(etcd: EtcdCluster, i: int) -> list[Fault]:
    """Give the list of faults of a member."""
    facade = etcd.members[i].facade
    assert facade is not None
    return facade.faults


SCENARIOS: dict[str, tuple[Scenario, str]] = {
    'nodelay': (nodelay, '0001'),
    'error': (error, '0002'),
    'rollback': (rollback, '0003'),
    'lease': (lease, '0004'),
    'mixed': (mixed, '0005'),
    'upgrade': (upgrade, '0005'),
    'whole': (whole, '0005'),
}
"""What is measured, and the number of the patch that it is about."""


def main() -> None:
    """Run the scenarios that were asked for and print what was seen, line by line."""
    parser = argparse.ArgumentParser(prog='python -m lab.upstream_measure', description=__doc__)
    parser.add_argument(
        'scenario', nargs='*', default=list(SCENARIOS), metavar='SCENARIO', help='of {0}'.format(', '.join(SCENARIOS))
    )
    env = environment(RELEASE, plugin=False)
    folder = scratch_folder('upstream-measure-')
    try:
        for name in parser.parse_args().scenario:
            scenario, number = SCENARIOS[name]
            numbers = [patch.name[:4] for patch in series()]
            for title, wanted in (('stock', []), (number, [number]), ('series', numbers)):
                say(f'{name}: {title}')
                with source() as tree:
                    apply(tree, [patch for patch in series() if patch.name[:4] in wanted])
                    log = folder / f'{name}-{title}.log'
                    variant = Variant(
                        title, wanted, functools.partial(Trial, env, tree, log), functools.partial(patched, env, tree)
                    )
                    for line in scenario(variant):
                        print(f'{name:8} {title:6} {line}', flush=True)
    finally:
        remove_folder(folder)


if __name__ == '__main__':
    main()
