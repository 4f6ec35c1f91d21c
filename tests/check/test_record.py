"""``check --watch --record``: a recorder that is killed, and the command on a real etcd that is upgraded meanwhile."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Iterator

from lab import say
from lab.etcd import EtcdCluster
from lab.processes import wait_until
from patroni_etcd3_compat.check.record import Event, Key, RecordFile, State, read, replay
from tests.check.command import program, run

#: How often the recorder is killed, and in how many files one after the other.
KILLED, FILES = 200, 10

#: Bytes of the text of some events. The kernel ends a write within if the process is killed.
LARGE = 1 << 20


def add_until_killed(path: str, first: int, shown: int) -> None:
    """Add events, and show the number of each one that has been added. Never returns."""
    file = RecordFile(path)
    number = first
    while True:
        text = 'x' * (LARGE if number % 3 == 0 else 20)
        file.add([Event('watching', text, {'number': number}, None, datetime.now(timezone.utc), 'db1')])
        os.write(shown, b'%d\n' % number)
        number += 1


def killed_at_some_moment(path: str, first: int, seconds: float, early: bool) -> list[int]:
    """Return what a recorder has shown that was killed some seconds after its first line, or after it was started."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(reader)
            add_until_killed(path, first, writer)
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, 'rb') as stream:
        some = b'' if early else stream.readline()
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        assert os.WIFSIGNALED(status), status  # and did not end by itself
        return [int(line) for line in (some + stream.read()).split()]


def test_killed(tmp_path: Path) -> None:
    """Killed 200 times at random moments: what was there stays, what was shown is there, and it goes on."""
    seed = random.SystemRandom().randrange(2**32)
    say(f'seed {seed}')
    moments = random.Random(seed)
    shown = broken = 0
    for number in range(FILES):
        path = tmp_path / f'record{number}'
        expected: list[int] = []
        content = b''
        kills = KILLED // FILES
        for kill in range(kills):
            expected += killed_at_some_moment(str(path), 1000000 * kill, moments.uniform(0, 0.03), kill % 4 == 0)
            before, content = content, path.read_bytes() if path.exists() else b''
            assert content.startswith(before)
        record = read(str(path))
        found = [int(str(event.data['number'])) for event in record.events]
        assert found == sorted(set(found))
        assert set(expected) <= set(found)
        assert len(found) + record.broken == len(content.splitlines())
        # Each kill leaves one line at most that was not shown.
        assert len(found) - len(expected) + record.broken <= kills
        assert all(len(event.text) in (LARGE, 20) for event in record.events)
        shown, broken = shown + len(expected), broken + record.broken
        path.unlink()
    say(f'{shown} lines shown, {broken} broken')
    assert shown > KILLED  # some lines are hit within; tests/unit/test_record.py has every byte of one


def _takes_interrupts() -> None:
    """Undo what a shell does to the tests if it runs them in the background: their children ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def recorder(path: Path, output: Path, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command, which shows JSON in a file."""
    argv, environ = program('check', '--watch', '0.2', '--record', str(path), '-f', 'json', *args)
    with output.open('wb') as stream:
        process = subprocess.Popen(
            argv, env=environ, stdin=subprocess.DEVNULL, stdout=stream, preexec_fn=_takes_interrupts
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def documents(output: Path) -> list[dict[str, Any]]:
    """Return the documents that were shown whole."""
    found = []
    for text in output.read_text().split('\n}\n')[:-1]:
        found.append(json.loads(text + '\n}'))
    return found


def state_at_the_end(path: Path) -> State:
    """Return what a record leads to."""
    state: State = {}
    for event in read(str(path)).events:
        replay(state, event)
    return state


def test_upgrade(start: Callable[..., EtcdCluster], tmp_path: Path) -> None:
    """An upgrade is recorded as it goes on; killed and started again, the record has what happened meanwhile."""
    etcd = start(['3.4', '3.4', '3.4'])
    path, output = tmp_path / 'upgrade.jsonl', tmp_path / 'output'
    endpoints = ('--endpoints', ','.join(etcd.hosts))
    names = [member.name for member in etcd.members]

    def kinds() -> list[str]:
        return [event.kind for event in read(str(path)).events] if path.exists() and path.stat().st_size else []

    with recorder(path, output, *endpoints) as process:
        wait_until(lambda: 'began' in kinds(), 20, 'the first look')
        etcd.upgrade(0, '3.5')
        new = etcd.members[0].version
        wait_until(
            lambda: any(
                url['version'] == new for document in documents(output) for url in document['etcd']['endpoints']
            ),
            20,
            'the new version in the output',
        )
        second = run('check', '--watch', '1', '--record', str(path), *endpoints)
        assert second.status == 3 and f'another process records into {path}' in second.err
        process.send_signal(signal.SIGKILL)
        process.wait()
    content = path.read_bytes()
    state = state_at_the_end(path)
    for url in documents(output)[-1]['etcd']['endpoints']:
        assert state[Key('etcd', '', url['name'], 'version')] == url['version']
    path.write_bytes(content + content.splitlines()[-1][:40])  # as if it had been killed within a line
    etcd.upgrade(1, '3.5')
    with recorder(path, output, *endpoints) as process:
        wait_until(lambda: 'resumed' in kinds(), 20, 'the first look of the second session')
        etcd.upgrade(2, '3.5')
        wait_until(
            lambda: state_at_the_end(path).get(Key('etcd', '', names[2], 'version')) == new, 20, 'the last member'
        )
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in (0, 1, 2)
    assert path.read_bytes().startswith(content)
    record = read(str(path))
    assert record.broken == 1
    versions = [event for event in record.events if event.kind == 'etcd-version']
    assert [event.data['name'] for event in versions] == names
    assert kinds()[-1] == 'ended' and kinds().count('began') == 1 and kinds().count('resumed') == 1
    assert kinds().index('resumed') < [event.data.get('name') for event in record.events].index(names[1])
