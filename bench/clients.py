"""The program that runs many DCS clients, each the leader of its own Patroni cluster.

Run as a script by ``bench.side``, in an environment that has nothing of this project except possibly the wheel.
"""

from __future__ import annotations

import collections
import ctypes
import functools
import json
import logging
import os
import sys
import threading
import time
from typing import Any, Callable

_SIGKILL = 9
_SLOTS = {f'node{i}': 50331648 for i in range(3)}


class Notes:
    """The observations of all clients of this process since they were last fetched."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._clear()

    def _clear(self) -> None:
        self._times: dict[str, list[float]] = collections.defaultdict(list)
        self._failures: dict[str, int] = collections.Counter()

    def time(self, call: str, seconds: float) -> None:
        """Note how long a call took, whether or not it succeeded."""
        with self._lock:
            self._times[call].append(seconds)

    def failure(self, what: str) -> None:
        """Count a failure."""
        with self._lock:
            self._failures[what] += 1

    def take(self) -> dict[str, Any]:
        """Return all notes and start again."""
        with self._lock:
            taken = {'times': dict(self._times), 'failures': dict(self._failures)}
            self._clear()
        return taken


class Counter(logging.Handler):
    """Counts the failed requests in Patroni's log, which may have succeeded on another member afterwards."""

    def __init__(self, notes: Notes) -> None:
        super().__init__(logging.ERROR)
        self._notes = notes

    def emit(self, record: logging.LogRecord) -> None:
        """See :meth:`logging.Handler.emit`."""
        text = str(record.msg) or repr(record.exc_info and record.exc_info[1])
        self._notes.failure('logged: ' + text[:60])


class Client:
    """One Patroni node's use of etcd: a thread with HA loops.

    :param config: of the DCS.
    :param delay: seconds until it starts, to spread the clients over the interval.
    """

    def __init__(self, config: dict[str, Any], delay: float, notes: Notes) -> None:
        self._config, self._delay, self._notes = config, delay, notes
        self._count = 0
        self.started = False
        threading.Thread(target=self._run, daemon=True).start()

    def _call(self, name: str, function: Callable[..., Any], *args: Any) -> Any:
        before = time.perf_counter()
        try:
            result = function(*args)
        except Exception as e:
            result = None
            print(f'{name}: {e!r}', file=sys.stderr)
        self._notes.time(name, time.perf_counter() - before)
        if not result:
            self._notes.failure(name)
        return result

    def _run(self) -> None:
        from patroni.dcs import get_dcs

        time.sleep(self._delay)
        self._dcs: Any = self._call('start', get_dcs, self._config)
        # Patroni ignores the result of this call.
        self._dcs._write_status = functools.partial(self._call, 'write status', self._dcs._write_status)
        self._call('acquire', self._dcs.attempt_to_acquire_leader)
        self.started = True
        due = time.monotonic()
        while True:
            self._loop()
            due += self._config['loop_wait']
            time.sleep(max(due - time.monotonic(), 0))

    def _loop(self) -> None:
        self._count += 1
        cluster = self._call('get_cluster', self._dcs.get_cluster)
        if not cluster:
            return
        if not cluster.leader or cluster.leader.name != self._config['name']:
            self._notes.failure('leader key not seen')
            self._call('acquire', self._dcs.attempt_to_acquire_leader)
            return
        self._call('update_leader', self._dcs.update_leader, cluster, 50331648 + self._count, _SLOTS)
        self._call(
            'touch_member',
            self._dcs.touch_member,
            {'state': 'running', 'role': 'primary', 'xlog_location': self._count},
        )


def _target(link: str) -> str:
    try:
        return os.readlink(link)
    except OSError:  # closed meanwhile
        return ''


def usage() -> dict[str, float]:
    """Return memory (kB), threads, open files, sockets and CPU (seconds) of this process."""
    folder = '/proc/self/fd'
    files = os.listdir(folder)
    with open('/proc/self/status') as status:
        fields = dict(line.split(':', 1) for line in status)
    return {
        'kB': int(fields['VmRSS'].split()[0]),
        'threads': int(fields['Threads']),
        'files': len(files),
        'connections': sum(_target(f'{folder}/{name}').startswith('socket:') for name in files),
        'cpu': time.process_time(),
    }


def main() -> None:
    """Read the configuration and then commands from stdin, and answer on stdout."""
    ctypes.CDLL(None).prctl(1, _SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: do not outlive the parent
    config = json.loads(sys.stdin.readline())
    notes = Notes()
    logging.getLogger().addHandler(Counter(notes))
    import patroni.dcs.etcd3  # noqa: F401 so that the imports do not count as the clients' memory

    clients: list[Client] = []
    for line in sys.stdin:
        command = json.loads(line)['command']
        answer: Any = None
        if command == 'start':
            clients += [
                Client(
                    dict(config['dcs'], name='a', scope=f'scale-{i}'),
                    config['dcs']['loop_wait'] * (i - config['first']) / config['count'],
                    notes,
                )
                for i in range(config['first'], config['first'] + config['count'])
            ]
        elif command == 'started':
            answer = sum(client.started for client in clients)
        elif command == 'take':
            answer = notes.take()
        elif command == 'usage':
            answer = usage()
        print(json.dumps(answer), flush=True)


if __name__ == '__main__':
    main()
