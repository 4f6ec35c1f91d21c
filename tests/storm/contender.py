"""One DCS client as a process: it uses the DCS like Patroni's HA loop, and keeps a journal.

Started by `tests.storm.storm`. Runs with any Patroni release from 3.0 on.
"""

from __future__ import annotations

import inspect
import json
import logging
import random
import sys
import time
from typing import Any

import etcd
from patroni.dcs import AbstractDCS, get_dcs
from patroni.exceptions import DCSError
from patroni.utils import RetryFailedError

SCOPE = 'storm'

_EXPECTED = (DCSError, RetryFailedError, etcd.EtcdException)


class Contender:
    """A DCS client and its loop.

    :param options: ``name``, ``etcd3`` (the section of Patroni's configuration), ``seed``, ``ttl`` and
        ``loop_wait`` (seconds from the start of one loop to that of the next).
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._name = options['name']
        self._rng = random.Random(options['seed'])
        self._dcs = get_dcs(
            {
                'name': self._name,
                'scope': SCOPE,
                'namespace': 'service',
                'ttl': options['ttl'],
                'loop_wait': options['loop_wait'],
                'retry_timeout': 3,
                'etcd3': options['etcd3'],
            }
        )
        self._count = 0

    def loop(self, entry: dict[str, Any]) -> None:
        """Read, hold or take the leader key, write the member key and one more.

        :param entry: gets what is recorded about this loop, see `tests.storm.journal.Entry`.
        :raises DCSError, RetryFailedError, etcd.EtcdException: as Patroni's DCS class.
        """
        self._count += 1
        cluster = self._dcs.get_cluster()
        leader = cluster.leader.name if cluster.leader else ''
        entry['looked'], entry['leader'] = time.monotonic(), leader
        good = True
        if leader in ('', self._name):
            entry['asked'] = time.monotonic()
        if leader == self._name:
            if self._rng.random() < 0.1:
                entry['resigned'] = True  # whatever the answer, it may have been executed
                entry['released'] = bool(
                    self._dcs._delete_leader(*self._leader_for(AbstractDCS._delete_leader, cluster))
                )
            else:
                entry['held'] = good = bool(
                    self._dcs._update_leader(*self._leader_for(AbstractDCS._update_leader, cluster))
                )
        elif not leader:
            entry['held'] = bool(self._dcs.attempt_to_acquire_leader())
        entry['lease'], entry['told'] = str(self._dcs._lease), time.monotonic()
        good = bool(self._dcs.touch_member({'state': 'running', 'count': self._count})) and good
        value = f'{self._name}-{self._count}'
        answer = self._dcs._client.put('/storm/' + self._name, value)  # no retry: sent once, or unknown
        entry['written'] = [value, int(answer['header']['revision'])]
        entry['good'] = good

    @staticmethod
    def _leader_for(method: Any, cluster: Any) -> Any:
        """Return the arguments of a method that takes the leader since Patroni 3.0.4 or later."""
        return [cluster.leader] if 'leader' in inspect.signature(method).parameters else []


def main(text: str) -> None:
    """Run until the process is ended.

    :param text: options as JSON, see `Contender`, and ``journal``, the file to write to.
    """
    logging.basicConfig(level=logging.INFO, format='%(asctime)s %(levelname)s %(name)s: %(message)s', stream=sys.stderr)
    options = json.loads(text)
    with open(options['journal'], 'w', buffering=1) as journal:
        contender = Contender(options)
        while True:
            entry: dict[str, Any] = {'started': time.monotonic()}
            try:
                contender.loop(entry)
            except _EXPECTED as e:
                entry['error'] = repr(e)
            except Exception as e:
                entry['unexpected'] = repr(e)
                logging.exception('what no caller expects')
            entry['ended'] = time.monotonic()
            journal.write(json.dumps(entry) + '\n')
            time.sleep(max(0.0, entry['started'] + options['loop_wait'] - time.monotonic()))


if __name__ == '__main__':
    main(sys.argv[1])
