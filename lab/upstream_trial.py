"""The program that makes DCS calls through a source tree of Patroni, for ``lab.upstream_measure``.

Run as a script with that tree on its path: reads one command per line from stdin, JSON, and answers likewise.
"""

from __future__ import annotations

import ctypes
import json
import logging
import signal
import statistics
import sys
import time
from typing import Any

_SIGKILL = 9


class Trial:
    """One Patroni node as far as the DCS goes."""

    def __init__(self) -> None:
        self._dcs: Any = None
        self._cluster: Any = None

    def start(self, hosts: str, ttl: int, patience: int) -> bool:
        """Make the DCS object.

        :param patience: seconds after which to give up.
        """
        from patroni.dcs import get_dcs

        signal.alarm(patience)
        self._dcs = get_dcs(
            {
                'scope': 'trial',
                'name': 'node',
                'ttl': ttl,
                'loop_wait': 2,
                'retry_timeout': 5,
                'etcd3': {'hosts': hosts},
            }
        )
        signal.alarm(0)
        return True

    def lead(self) -> bool:
        """Do what a leader does in one loop, or what one does that could become the leader."""
        self._cluster = self._dcs.get_cluster()
        if self._cluster.leader and self._cluster.leader.name == 'node':
            return bool(self._dcs.update_leader(self._cluster, None))
        return bool(self._dcs.attempt_to_acquire_leader())

    def look(self) -> str:
        """See the cluster as a loop does at its start, and give the lease."""
        self._cluster = self._dcs.get_cluster()
        return str(self._dcs._lease)

    def renew(self, ttl: int) -> bool:
        """Go on with the loop: have a new lease, as after a change of ttl, and renew the leader key."""
        self._dcs.set_ttl(ttl)
        return bool(self._dcs.update_leader(self._cluster, None))

    def put(self) -> bool:
        """Write a key."""
        return bool(self._dcs.set_history_value('[]'))

    def use(self, url: str) -> bool:
        """Turn to a member of etcd."""
        self._dcs._client.set_base_uri(url)
        return True

    def times(self, call: str, count: int) -> float:
        """Make a call many times and give the median in milliseconds."""
        method = getattr(self, call)
        taken = []
        for _ in range(count):
            before = time.perf_counter()
            if not method():
                raise RuntimeError(call + ' failed')
            taken.append((time.perf_counter() - before) * 1000)
        return statistics.median(taken)


def _give_up(number: int, frame: object) -> None:
    raise TimeoutError('still waiting on etcd')


def main() -> None:
    """Answer command after command: ``{"result": ...}`` or ``{"error": ...}``."""
    ctypes.CDLL(None).prctl(1, _SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: do not outlive the parent
    del sys.path[0]  # the folder of this file, where there is another patroni
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(levelname)s: %(message)s', stream=sys.stderr)
    signal.signal(signal.SIGALRM, _give_up)
    trial = Trial()
    for line in sys.stdin:
        arguments: dict[str, Any] = json.loads(line)
        try:
            answer = {'result': getattr(trial, arguments.pop('do'))(**arguments)}
        except Exception as e:
            logging.exception('call failed')
            answer = {'error': repr(e)}
        print(json.dumps(answer), flush=True)


if __name__ == '__main__':
    main()
