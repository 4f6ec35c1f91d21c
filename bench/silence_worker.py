"""The program of a leader whose etcd falls silent: its HA loop is timed from the last good one on.

Run as a script by ``bench.side``, in an environment that has nothing of this project except possibly the wheel.
"""

from __future__ import annotations

import ctypes
import inspect
import json
import logging
import socket
import sys
import threading
import time
from typing import Any, Callable

_SIGKILL = 9


class Names:
    """A replacement of `socket.getaddrinfo` with host names of etcd members, which no other resolver knows.

    :param addresses: the IP address of each name.
    """

    def __init__(self, addresses: dict[str, str]) -> None:
        self._addresses = addresses
        self._resolve: Callable[..., Any] = socket.getaddrinfo
        #: seconds after which resolving a name fails, None as long as it succeeds at once
        self.silent_for: float | None = None
        socket.getaddrinfo = self.resolve

    def resolve(self, host: Any, *args: Any, **kwargs: Any) -> Any:
        """See `socket.getaddrinfo`."""
        if host in self._addresses and self.silent_for is not None:
            time.sleep(self.silent_for)
            raise socket.gaierror(socket.EAI_AGAIN, 'Temporary failure in name resolution')
        return self._resolve(self._addresses.get(host, host), *args, **kwargs)

    def fall_silent(self, seconds: float) -> None:
        """Make the name servers silent, and Patroni's cached addresses too old to be used.

        :param seconds: how long the system's resolver waits for an answer, over all its attempts.
        """
        import gc

        from patroni.dcs.etcd import DnsCachingResolver

        self.silent_for = seconds
        for resolver in [it for it in gc.get_objects() if isinstance(it, DnsCachingResolver)]:
            resolver._cache_time = -1


class Leader:
    """The leader of a Patroni cluster, reduced to its use of etcd.

    :param config: the argument of ``get_dcs``.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        from patroni.dcs import get_dcs

        self._dcs: Any = get_dcs(config)
        self._dcs.reload_config(config)  # as Patroni does after it has read the cluster's configuration
        self._name, self._loop_wait = config['name'], config['loop_wait']
        self._count = 0
        self._cluster: Any = None
        self._renewed = time.monotonic()  # when the last confirmed keepalive was sent
        self._unrenewed = 0.0  # the longest time from then to the confirmation of the next one
        self._calls: list[tuple[str, float]] = []
        self._now = ''
        self._holds = threading.Thread(target=self._hold, daemon=True)
        self._leave = threading.Event()
        self._keepalive: Callable[..., Any] = self._dcs._client.lease_keepalive
        self._dcs._client.lease_keepalive = self._noted_keepalive
        self._dcs.get_cluster()
        if not self._dcs.attempt_to_acquire_leader():
            raise RuntimeError('no leader lock')

    def _noted_keepalive(self, *args: Any, **kwargs: Any) -> Any:
        sent = time.monotonic()
        result = self._keepalive(*args, **kwargs)
        if result:
            self._unrenewed = max(self._unrenewed, time.monotonic() - self._renewed)
            self._renewed = sent
        return result

    def _get_cluster(self) -> bool:
        self._cluster = self._dcs.get_cluster()
        return bool(self._cluster.leader and self._cluster.leader.name == self._name)

    def _touch_member(self) -> bool:
        self._count += 1
        self._dcs.touch_member({'state': 'running', 'count': self._count})
        return True  # Patroni continues in any case

    def _update_leader(self) -> bool:
        first = next(iter(inspect.signature(self._dcs.update_leader).parameters))
        arguments = {'cluster': (self._cluster, None), 'leader': (self._cluster.leader, None)}  # since 3.3 and 3.0.4
        return bool(self._dcs.update_leader(*arguments.get(first, (None,))))

    def _loop(self) -> str:
        """Run the part of a leader's HA loop that uses etcd.

        :returns: why it lets go; empty if it still leads.
        """
        self._calls = []
        for call in (self._get_cluster, self._touch_member, self._update_leader):
            self._now = call.__name__.lstrip('_')
            before = time.monotonic()
            try:
                why = '' if call() else 'said no'
            except Exception as e:
                why = f'raised {type(e).__name__}'
                logging.error('%s: %r', self._now, e)
            self._calls.append((self._now, round(time.monotonic() - before, 3)))
            if why:
                return f'{self._now} {why}'
        return ''

    def good(self, timeout: float = 20) -> None:
        """Run loops until one is good and the watch has delivered what it wrote, and go on leading from there.

        Whoever asks may need longer than the key lives, for instance to start a rival.

        :raises RuntimeError: when none is.
        """
        limit = time.monotonic() + timeout
        good = 0
        while good < 3:
            self._dcs._last_lease_refresh = 0  # as dcs.watch() does
            good = 0 if self._loop() else good + 1
            if time.monotonic() > limit:
                raise RuntimeError('no good loop')
            time.sleep(0.1)
        self._holds.start()

    def _hold(self) -> None:
        """Run a loop every ``loop_wait`` seconds until `last_good` takes over."""
        while not self._leave.wait(self._loop_wait):
            self._dcs._last_lease_refresh = 0
            self._loop()

    def last_good(self) -> None:
        """Run the loop after which etcd falls silent.

        :raises RuntimeError: when it is not good.
        """
        self._leave.set()
        self._holds.join()
        self._dcs._last_lease_refresh = 0
        why = self._loop()
        if why:
            raise RuntimeError(why)
        self._unrenewed = 0.0

    def silent(self, limit: float) -> dict[str, Any]:
        """Wait for the time of the next loop, as Patroni does, and run it.

        :param limit: seconds to wait for it.
        :returns: ``blocked``: seconds that the loop took. ``unrenewed``: seconds for which it led without a new
            keepalive, counted from when the last one was sent. ``why`` it let go, empty if it still leads. ``calls``
            with their times. ``time``: its end by the monotonic clock.
        """
        due = self._renewed + self._loop_wait
        self._dcs.watch(None, due - time.monotonic())
        time.sleep(max(due - time.monotonic(), 0))  # a change of the leader key ends the watch earlier
        outcome: list[str] = []
        thread = threading.Thread(target=lambda: outcome.append(self._loop()), daemon=True)
        started = time.monotonic()
        thread.start()
        thread.join(limit)
        ended = time.monotonic()
        why = outcome[0] if outcome else f'still in {self._now}'
        unrenewed = max(self._unrenewed, ended - self._renewed) if why else self._unrenewed
        return {
            'blocked': round(ended - started, 3),
            'unrenewed': round(unrenewed, 3),
            'time': ended,
            'calls': list(self._calls),
            'why': why,
        }


def main() -> None:
    """Read the configuration and then commands from stdin, and answer on stdout."""
    ctypes.CDLL(None).prctl(1, _SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: do not outlive the parent
    config = json.loads(sys.stdin.readline())
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(threadName)s %(levelname)s: %(message)s')
    names = Names(config['addresses'])
    leader = Leader(config['dcs'])
    for line in sys.stdin:
        request = json.loads(line)
        command = request['command']
        answer: Any = None
        if command == 'good':
            leader.good()
        elif command == 'last_good':
            leader.last_good()
        elif command == 'no_names':
            names.fall_silent(request['seconds'])
        elif command == 'silent':
            answer = leader.silent(request['limit'])
        print(json.dumps(answer), flush=True)


if __name__ == '__main__':
    main()
