"""The program that makes single DCS calls and measures them: through Patroni, or bare as the lower bound.

Run as a script by ``bench.side``, in an environment that has nothing of this project except possibly the wheel.
"""

from __future__ import annotations

import base64
import ctypes
import http.client
import json
import sys
import time
from typing import Any, Callable

_SIGKILL = 9
_TTL = 30
_VALUE = 'v' * 40
_SLOTS = {f'node{i}': 50331648 for i in range(3)}


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _status(count: int) -> dict[str, Any]:
    return {'optime': 50331648 + count, 'slots': _SLOTS, 'retain_slots': ['node1']}


def _gateway(url: str, library: str) -> Callable[[str, dict[str, Any]], Any]:
    """Return a function that makes a call to the gateway.

    :param library: ``'http.client'`` or ``'urllib3'``.
    """
    if library == 'urllib3':
        import urllib3

        pool = urllib3.PoolManager()

        def post(path: str, body: str) -> bytes:
            response = pool.urlopen('POST', url + path, body=body, headers={'Content-Type': 'application/json'})
            return bytes(response.data)
    else:
        connection = http.client.HTTPConnection(url.partition('//')[2], timeout=10)

        def post(path: str, body: str) -> bytes:
            connection.request('POST', path, body, {'Content-Type': 'application/json'})
            return connection.getresponse().read()

    return lambda rpc, fields: json.loads(post('/v3' + rpc, json.dumps(fields)))


def _grpcio(url: str, packages: str) -> Callable[[str, dict[str, Any]], Any]:
    """Return a function that makes a call with grpcio, which takes and gives bytes, and the codec of this package.

    :param packages: the folder that grpcio is installed in.
    """
    sys.path.append(packages)
    import grpc

    from patroni_etcd3_compat.grpc import api, codec

    channel = grpc.insecure_channel(url.partition('//')[2])
    made: dict[str, Any] = {}

    def call(rpc: str, fields: dict[str, Any]) -> Any:
        method = api.METHODS[rpc]
        if rpc not in made:
            made[rpc] = (channel.stream_stream if method.stream else channel.unary_unary)(method.path)
        data = codec.encode(method.request, fields)
        # One message each way on a stream, as the package does it.
        if method.stream:
            (answer,) = made[rpc](iter((data,)), timeout=10)
        else:
            answer = made[rpc](data, timeout=10)
        return codec.decode(method.response, answer)

    return call


class Bare:
    """The bare requests that Patroni makes for each call.

    :param call: makes a call: its path at the gateway below the prefix, and its fields; returns the answer.
    :param scope: name of a Patroni cluster.
    """

    def __init__(self, call: Callable[[str, dict[str, Any]], Any], scope: str) -> None:
        self._count = 0
        self._make = call
        self._lease = str(self._call('/lease/grant', {'TTL': _TTL})['ID'])
        prefix = f'/service/{scope}/'
        self.calls: dict[str, Callable[[], Any]] = {
            'range': lambda: self._call('/kv/range', {'key': _b64(prefix + 'bench'), 'serializable': True}),
            'put': lambda: self._put(prefix + 'bench', _VALUE),
            'keepalive': self._keepalive,
            'update_leader': self._keepalive,
            'update_leader + status': lambda: (
                self._keepalive(),
                self._put(prefix + 'status', json.dumps(_status(self._next()), separators=(',', ':'))),
            ),
            'touch_member': lambda: self._put(
                prefix + 'members/a', json.dumps({'state': 'running', 'count': self._next()}), lease=self._lease
            ),
        }

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _call(self, rpc: str, fields: dict[str, Any]) -> Any:
        answer = self._make(rpc, fields)
        if 'error' in answer or 'code' in answer:
            raise RuntimeError(answer)
        return answer

    def _put(self, key: str, value: str, **more: str) -> Any:
        return self._call('/kv/put', dict(more, key=_b64(key), value=_b64(value)))

    def _keepalive(self) -> Any:
        return self._call('/lease/keepalive', {'ID': self._lease})


class Patroni:
    """The same calls through Patroni's DCS; the environment determines its class.

    :param url: the etcd member to use.
    :param scope: name of a Patroni cluster.
    :param options: of section ``etcd3``.
    """

    def __init__(self, url: str, scope: str, options: Any) -> None:
        from patroni.dcs import get_dcs

        self._count = 0
        started = time.perf_counter()
        self.dcs: Any = get_dcs(
            {
                'name': 'a',
                'scope': scope,
                'namespace': 'service',
                'ttl': _TTL,
                'loop_wait': 10,
                'retry_timeout': 10,
                'etcd3': options,
            }
        )
        self.touch()
        #: seconds from the call of ``get_dcs`` to the first key written
        self.first_write = time.perf_counter() - started
        client, key = self.dcs._client, f'/service/{scope}/bench'
        self.use(url)
        if not self.dcs.attempt_to_acquire_leader():
            raise RuntimeError('no leader lock')
        self._cluster = self.dcs.get_cluster()

        def update_leader(last_lsn: Any = None, slots: Any = None) -> bool:
            return bool(self.dcs.update_leader(self._cluster, last_lsn, slots))

        self.calls: dict[str, Callable[[], Any]] = {
            'get_cluster': self.dcs.get_cluster,
            'range': lambda: client.range(key),
            'put': lambda: client.put(key, _VALUE),
            'keepalive': lambda: client.lease_keepalive(self.dcs._lease),
            'update_leader': update_leader,
            'update_leader + status': lambda: update_leader(self._next(), _SLOTS),
            'touch_member': self.touch,
        }

    def _next(self) -> int:
        self._count += 1
        return 50331648 + self._count

    def touch(self) -> bool:
        """Write the member key with new content."""
        return bool(self.dcs.touch_member({'state': 'running', 'count': self._next()}))

    def use(self, url: str) -> None:
        """Make a member the first one to be asked."""
        self.dcs._client.set_base_uri(url)
        time.sleep(0.5)  # the watch moves there, too
        self._cluster = self.dcs.get_cluster()

    def until_good(self) -> float:
        """Hold the leader key as the HA loop does, until it succeeds; return the seconds it took."""
        started = time.perf_counter()
        while True:
            try:
                if self.calls['update_leader']():
                    return time.perf_counter() - started
            except Exception as e:
                print(f'update_leader: {e!r}', file=sys.stderr)
            time.sleep(0.01)


def measure(call: Callable[[], Any], times: int) -> dict[str, Any]:
    """Make a call several times; return wall clock and CPU of this thread for each, in seconds.

    What the whole process used, such as the threads of grpcio, is returned as an average.

    :raises RuntimeError: when the call reports a failure.
    """
    wall, cpu, process = [], [], time.process_time()
    for _ in range(times):
        wall_before, cpu_before = time.perf_counter(), time.thread_time()
        good = call()
        cpu_after, wall_after = time.thread_time(), time.perf_counter()
        if not good:
            raise RuntimeError('the call failed')
        wall.append(wall_after - wall_before)
        cpu.append(cpu_after - cpu_before)
    return {'wall': wall, 'cpu': cpu, 'process': [(time.process_time() - process) / times]}


def main() -> None:
    """Read the configuration and then commands from stdin, and answer on stdout."""
    ctypes.CDLL(None).prctl(1, _SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: do not outlive the parent
    config = json.loads(sys.stdin.readline())
    subject: Any
    if config['library'] == 'patroni':
        subject = Patroni(config['url'], config['scope'], config['options'])
    else:
        if config['library'] == 'grpcio':
            call = _grpcio(config['url'], config['packages'])
        else:
            call = _gateway(config['url'], config['library'])
        subject = Bare(call, config['scope'])
    for line in sys.stdin:
        request = json.loads(line)
        command = request['command']
        answer: Any = None
        if command == 'measure':
            answer = measure(subject.calls[request['call']], request['times'])
        elif command == 'first_write':
            answer = subject.first_write
        elif command == 'use':
            subject.use(request['url'])
        elif command == 'until_good':
            answer = subject.until_good()
        print(json.dumps(answer), flush=True)


if __name__ == '__main__':
    main()
