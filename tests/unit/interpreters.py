"""Python interpreters that start as a user's does, but cost a fork each instead of half a second.

`python` starts a real one. `forked` gives a copy of one that waits: its start-up files have run, so the package hooks
in, and the libraries that Patroni imports are loaded. Each copy imports Patroni itself and this package's modules anew.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import NamedTuple

#: The modules that Patroni imports, as far as they are installed.
LIBRARIES = (
    'asyncio click concurrent.futures dateutil.parser dateutil.tz dns.resolver etcd http.server importlib.metadata '
    'inspect json logging.handlers prettytable psutil psycopg2 psycopg pydoc socketserver ssl tempfile urllib3 yaml '
    'ydiff'
).split()


class Ended(NamedTuple):
    """The result of an interpreter."""

    returncode: int
    stdout: str
    stderr: str


def _environ(env: dict[str, str]) -> dict[str, str]:
    return dict({name: value for name, value in os.environ.items() if not name.startswith('PATRONI')}, **env)


def python(code: str, *flags: str, **env: str) -> Ended:
    """Run code in a new interpreter.

    :param code: what to run.
    :param flags: options for Python.
    :param env: further environment variables; those of Patroni that this process has are left out.
    """
    ended = subprocess.run(
        [sys.executable, *flags, '-c', code], env=_environ(env), capture_output=True, text=True, timeout=60, cwd='/'
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@functools.lru_cache(maxsize=None)  # one for each process that runs tests; it ends with its input
def _server() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, '-c', Path(__file__).read_text() + '\nserve()'],
        env=_environ({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd='/',
    )


def forked(code: str, **env: str) -> Ended:
    """Run code in a copy of the waiting interpreter.

    :param code: what to run.
    :param env: further environment variables; not what start-up files read, they have run already.
    """
    assert 'PATRONI_ETCD3_COMPAT' not in env
    server = _server()
    assert server.stdin and server.stdout
    server.stdin.write(json.dumps([code, env]) + '\n')
    server.stdin.flush()
    return Ended(*json.loads(server.stdout.readline()))


def _run(code: str, env: dict[str, str], stdout: int, stderr: int) -> int:
    """Run code in the child as ``python -c`` does, and return its exit status."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.environ.update(env)
    status: object = None
    try:
        exec(compile(code, '<string>', 'exec'), {'__name__': '__main__'})
    except SystemExit as e:
        status = e.code
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status if isinstance(status, int) else int(status is not None)


def serve() -> None:
    """Answer the requests of `forked` until the input ends."""
    for name in LIBRARIES:
        try:
            __import__(name)
        except ImportError:
            pass
    import yaml

    # Patroni's import spends most of its time on reading tables of parameters.
    setattr(yaml, 'SafeLoader', getattr(yaml, 'CSafeLoader', yaml.SafeLoader))  # noqa: B010  # mypy: a type
    early = [name for name in sys.modules if name.startswith('patroni')]
    if not set(early) <= {'patroni_etcd3_compat', 'patroni_etcd3_compat.plugin'}:
        sys.exit(f'imported too early for a test of hooks: {early}')
    for line in sys.stdin:
        code, env = json.loads(line)
        with tempfile.TemporaryFile('w+') as stdout, tempfile.TemporaryFile('w+') as stderr:
            child = os.fork()
            if not child:
                status = 70
                try:
                    status = _run(code, env, stdout.fileno(), stderr.fileno())
                finally:
                    os._exit(status)
            status = os.waitpid(child, 0)[1]
            stdout.seek(0)
            stderr.seek(0)
            answer = [os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)]
            print(json.dumps([*answer, stdout.read(), stderr.read()]), flush=True)
