"""``follow`` goes through a plan on a real etcd; the lab does what the person would."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

from lab.environments import clean_environ
from lab.etcd import EtcdCluster, b64
from lab.packages import etcdctl
from lab.programs import tool
from patroni_etcd3_compat.check.follow.progress import Progress
from tests.check.command import run
from tests.check.follow import Shell, etcd_site


class Person:
    """Reads what ``follow`` shows, and does it.

    :param file: the plan.
    """

    def __init__(self, file: Path) -> None:
        self.plan: dict[str, Any] = json.loads(file.read_text())
        programs = [
            str(Path(sys.executable).parent),
            str(etcdctl().parent),
            os.environ['PATH'],
            str(tool('curl').parent),
        ]
        self._process = subprocess.Popen(
            [str(Path(sys.executable).parent / 'patroni-etcd3-compat'), 'follow', str(file), '--pause', '0.5'],
            env=dict(clean_environ(), PATH=os.pathsep.join(programs)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.seen: list[str] = []

    def _read(self) -> None:
        assert self._process.stdout is not None
        while True:
            line = self._process.stdout.readline()
            self._lines.put(line)
            if not line:
                return

    def until(self, *beginnings: str) -> str:
        """Read on to a line that begins so, and return it; fail if the program ends before."""
        while True:
            line = self._lines.get(timeout=120)
            self.seen.append(line)
            if line.startswith(beginnings):
                return line
            assert line, ''.join(self.seen)

    def presses_enter(self) -> None:
        """Say that a step is done."""
        assert self._process.stdin is not None
        self._process.stdin.write('\n')
        self._process.stdin.flush()

    def steps(self) -> Iterator[dict[str, Any]]:
        """Yield the steps as they are shown."""
        while True:
            line = self.until('Step ', 'All steps are done')
            if line.startswith('All'):
                return
            if ' of ' in line:
                yield self.plan['steps'][int(line.split()[1]) - 1]

    def kill(self) -> None:
        """End the program at once."""
        self._process.kill()
        self._process.wait()

    def end(self) -> int:
        """Wait for the end of the program and return its exit status."""
        return self._process.wait(60)


@pytest.fixture
def planned(start: Callable[..., EtcdCluster], tmp_path: Path) -> tuple[EtcdCluster, Path]:
    """An etcd, and the plan of its upgrade to 3.5."""
    etcd = start(['3.4', '3.4', '3.4'])
    assert etcd.call(0, 'kv/put', {'key': b64('a'), 'value': b64('b')})[0] == 200
    ended = run('plan', '--endpoints', ','.join(etcd.hosts), '--etcd-to', '3.5', '-f', 'json')
    plan = json.loads(ended.out.replace('/var/backups/upgrade', str(tmp_path / 'backup')))
    (tmp_path / 'backup').mkdir()
    file = tmp_path / 'plan.json'
    file.write_text(json.dumps(plan))
    return etcd, file


def do(person: Person, step: dict[str, Any], etcd: EtcdCluster) -> None:
    """Do what a step says."""
    shell, site = Shell(person.plan), etcd_site(etcd)
    if step['action']['action'] in site:
        site[step['action']['action']](step['action'])
    for command in step['commands']:
        if not command.startswith('#'):
            shell.must(command)
    if step['action']['action'] not in ('upgrade', 'downgrade'):
        person.presses_enter()


def test_followed(planned: tuple[EtcdCluster, Path]) -> None:
    """All members are upgraded; killed in between, it goes on with the step that was not done, and does none twice."""
    etcd, file = planned
    person = Person(file)
    for number, step in enumerate(person.steps(), 1):
        if number == 3:
            person.kill()
            break
        do(person, step, etcd)
    again = Person(file)
    shown = []
    for step in again.steps():
        shown.append(step['title'])
        do(again, step, etcd)
    assert shown == [step['title'] for step in again.plan['steps'][2:]]
    assert again.end() == 0, ''.join(again.seen)
    assert {member.version.rpartition('.')[0] for member in etcd.members} == {'3.5'}
    events = [json.loads(line)['kind'] for line in Path(f'{file}.progress').read_text().splitlines()]
    words = ['begun', 'done', 'done', 'resumed', *['done'] * len(shown), 'finished']
    assert events == [f'plan-{word}' for word in words]


def test_a_gate_that_stays_closed(planned: tuple[EtcdCluster, Path]) -> None:
    """The way back is shown, the status is 1, and nothing counts as done."""
    etcd, file = planned
    plan = json.loads(file.read_text())
    for step in plan['steps']:
        for gate in step['gates']:
            gate['seconds'] = 1
    file.write_text(json.dumps(plan))
    person = Person(file)
    next(person.steps())
    person.presses_enter()  # although nothing was done
    person.until('CLOSED ')
    person.until('The way back:')
    assert person.end() == 1
    assert 'plan-done' not in Path(f'{file}.progress').read_text()


def test_refused(planned: tuple[EtcdCluster, Path], tmp_path: Path) -> None:
    """What cannot be followed: no plan, one that is not ready or to be filled in, the progress of another."""
    _, file = planned
    plan = json.loads(file.read_text())
    for change, words in (
        ({'schema': 99}, 'is not a plan of this release'),
        ({'ready': False}, 'is not ready'),
        ({'variables': [{'name': 'ETCDCTL_USER', 'value': 'root:PASSWORD', 'export': True}]}, 'first: ETCDCTL_USER'),
    ):
        other = tmp_path / 'other.json'
        other.write_text(json.dumps(dict(plan, **change)))
        ended = run('follow', str(other))
        assert ended.status == 3 and words in ended.err, ended
    Progress(str(tmp_path / 'mine'), 'another plan').close()
    for name, words in (('mine', 'is about another plan'), ('plan.json', 'is no record')):
        ended = run('follow', str(file), '--progress', str(tmp_path / name))
        assert ended.status == 3 and words in ended.err
