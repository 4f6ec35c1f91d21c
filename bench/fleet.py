"""How long ``check --all`` takes, and how much memory: ``python -m bench.fleet``.

Many Patroni clusters of three members are in one real etcd, as keys that Patroni writes. Two small servers stand for
their REST APIs, and half of the members are silent. Prints a table; asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Iterator

from prettytable import PrettyTable

from lab.etcd import EtcdCluster, b64

#: As many connections as wait to be accepted.
_BACKLOG = 4096

_POSITION = 50331648

#: Runs the command and says last how much memory it had, in MB.
_MEASURED = """
import resource, sys
from patroni_etcd3_compat.check.cli import run
status = run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)
sys.exit(status)
"""


class _Server(ThreadingHTTPServer):
    request_queue_size = _BACKLOG
    daemon_threads = True


@contextmanager
def rest_api(role: str) -> Iterator[str]:
    """Answer ``GET /patroni`` for all members of a role; yields the URL."""
    status = {
        'state': 'running' if role == 'primary' else 'streaming',
        'role': role,
        'server_version': 150006,
        'timeline': 1,
        'xlog': {'location': _POSITION} if role == 'primary' else {'received_location': _POSITION},
        'patroni': {'version': '4.1.5', 'name': 'any'},
    }
    if role != 'primary':
        status.update(state='running', replication_state='streaming')
    body = json.dumps(status).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Nothing."""

    server = _Server(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f'http://127.0.0.1:{server.server_port}/patroni'
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def silence() -> Iterator[str]:
    """Accept connections and answer nothing; yields the URL."""
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen(_BACKLOG)
        yield f'http://127.0.0.1:{listener.getsockname()[1]}/patroni'


def write_cluster(etcd: EtcdCluster, scope: str, apis: dict[str, str]) -> None:
    """Write the keys of a Patroni cluster whose first member leads.

    :param etcd: where to.
    :param scope: its name.
    :param apis: URL of the REST API by name of the member.
    :raises RuntimeError: if etcd refuses.
    """
    values: dict[str, object] = {
        'config': {'ttl': 30, 'loop_wait': 10, 'retry_timeout': 10},
        'status': {'optime': _POSITION},
    }
    for place, (name, url) in enumerate(apis.items()):
        values['members/' + name] = {
            'conn_url': 'postgres://127.0.0.1:1/postgres',
            'api_url': url,
            'state': 'streaming' if place else 'running',
            'role': 'replica' if place else 'primary',
            'version': '4.1.5',
            'xlog_location': _POSITION,
            'timeline': 1,
        }
    texts = {name: json.dumps(value) for name, value in values.items()}
    texts.update(initialize='7000000000000000000', leader=next(iter(apis)))
    puts = [
        {'requestPut': {'key': b64(f'/service/{scope}/{name}'), 'value': b64(text)}} for name, text in texts.items()
    ]
    status, answer = etcd.call(0, 'kv/txn', {'success': puts})
    if status != 200:
        raise RuntimeError(answer)


def main() -> None:
    """Read the arguments, measure and print."""
    parser = argparse.ArgumentParser(prog='python -m bench.fleet', description=__doc__)
    parser.add_argument('--clusters', type=int, default=500, help='how many (%(default)s)')
    parser.add_argument('--timeout', type=float, default=5, help='as of check, seconds (%(default)s)')
    arguments = parser.parse_args()
    table = PrettyTable(['format', 'exit status', 'seconds', 'MB of memory', 'kB of output'])
    table.align = 'r'
    with EtcdCluster(['3.5']) as etcd, rest_api('primary') as primary, rest_api(
        'replica'
    ) as replica, silence() as none:
        for number in range(arguments.clusters):
            replicas = (replica, none) if number % 2 else (none, replica)
            write_cluster(etcd, f'db{number:03}', dict(zip('abc', (primary if number % 2 else none, *replicas))))
        for fmt in ('pretty', 'json', 'nagios', 'prometheus'):
            command = ['check', '--all', '--endpoints', etcd.hosts[0], '-f', fmt, '--timeout', str(arguments.timeout)]
            started = time.monotonic()
            done = subprocess.run([sys.executable, '-c', _MEASURED, *command], capture_output=True, text=True)
            seconds = time.monotonic() - started
            memory = done.stderr.split()[-1]
            table.add_row([fmt, done.returncode, f'{seconds:.1f}', memory, f'{len(done.stdout) / 1000:.0f}'])
    print(f'{arguments.clusters} clusters of three; half of the REST APIs silent, time-out {arguments.timeout:g} s')
    print(table)


if __name__ == '__main__':
    main()
