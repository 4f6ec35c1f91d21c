"""One real Patroni with its real PostgreSQL, on loopback."""

from __future__ import annotations

import atexit
import copy
import http.client
import json
import os
import pwd
import re
import signal
from pathlib import Path
from typing import Any, Mapping, Sequence

import yaml

from . import CACHE
from .environments import Environment, clean_environ, within_reach
from .packages import postgres_bin, postgres_env
from .pids import descendants, exists, send
from .ports import free_port
from .processes import LabError, Process, wait_until

# One line for each HA loop that failed because of the DCS, the same in all Patroni releases.
_FAILED_LOOP = re.compile(
    r'ERROR: Error communicating with DCS$|ERROR: failed to update leader lock$'
    r'|INFO: (PAUSE: )?demoting self because I do not have the lock'
    r'|INFO: (PAUSE: )?Unexpected exception raised, please report',
    re.M,
)


def unprivileged_user() -> pwd.struct_passwd | None:
    """Return the user for Patroni and PostgreSQL, which refuses to run as root. None means the current user."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam('postgres')
    except KeyError:
        return pwd.getpwnam('nobody')


def _postgres(user: pwd.struct_passwd | None) -> tuple[Path, dict[str, str]]:
    """Return PostgreSQL's programs where `user` can run them, and the environment variables that they need."""
    programs, variables = postgres_bin(), postgres_env()
    fetched = CACHE / 'postgresql'
    if fetched not in programs.parents:
        return programs, variables
    there = within_reach(fetched, user)
    return (
        there / programs.relative_to(fetched),
        {name: value.replace(str(fetched), str(there)) for name, value in variables.items()},
    )


def merge(into: dict[str, Any], extra: Mapping[str, Any]) -> None:
    """Put `extra` into a configuration, section by section."""
    for key, value in extra.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)


class PatroniNode:
    """One Patroni with its PostgreSQL.

    Its configuration is the dictionary `config`, which can be changed: `start` and `reload` first write it to the file.
    Another `environment` starts another Patroni release the next time.

    :param name: the name of the node.
    :param environment: where Patroni is installed.
    :param hosts: ``host:port`` of the etcd members in the configuration.
    :param base_dir: folder for that of the node.
    :param section: configuration section of the DCS.
    :param settings: more configuration, merged in section by section.
    :param env: more environment variables.
    """

    def __init__(
        self,
        name: str,
        environment: Environment,
        hosts: Sequence[str],
        base_dir: Path,
        section: str = 'etcd3',
        settings: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.environment = environment
        self.env = dict(env or {})
        self.user = unprivileged_user()
        self.folder = base_dir / name
        self.folder.mkdir()
        self._hand_over(self.folder)
        self.data = self.folder / 'data'
        self.config_file = self.folder / 'patroni.yml'
        self.port = free_port()
        self.rest_port = free_port()
        self.process: Process | None = None
        programs, self._variables = _postgres(self.user)
        self.config: dict[str, Any] = {
            'scope': 'lab',
            'name': name,
            'restapi': {'listen': f'127.0.0.1:{self.rest_port}', 'connect_address': f'127.0.0.1:{self.rest_port}'},
            section: {'hosts': list(hosts)},
            'watchdog': {'mode': 'off'},
            'bootstrap': {
                'initdb': ['no-locale', 'no-sync', {'encoding': 'UTF8'}, {'auth': 'trust'}],
                'dcs': {'ttl': 20, 'loop_wait': 2, 'retry_timeout': 5, 'postgresql': {'use_pg_rewind': True}},
            },
            'postgresql': {
                'listen': f'127.0.0.1:{self.port}',
                'connect_address': f'127.0.0.1:{self.port}',
                'data_dir': str(self.data),
                'bin_dir': str(programs),
                'pgpass': str(self.folder / 'pgpass'),
                'authentication': {
                    'superuser': {'username': 'postgres', 'password': 'lab'},
                    'replication': {'username': 'replicator', 'password': 'lab'},
                },
                'pg_hba': [
                    'local all all trust',
                    'host all all 127.0.0.1/32 trust',
                    'host replication all 127.0.0.1/32 trust',
                ],
                'basebackup': [{'checkpoint': 'fast'}, 'no-sync'],
                'remove_data_directory_on_rewind_failure': True,
                'parameters': {
                    'unix_socket_directories': '.',  # the data directory, the path of which has no limit
                    'logging_collector': 'on',
                    'log_directory': str(self.folder),
                    'log_filename': 'postgresql.log',
                    'fsync': 'off',
                    'shared_buffers': '16MB',
                    'max_connections': 50,
                    'wal_level': 'replica',
                    'wal_keep_size': '16MB',
                    'min_wal_size': '32MB',
                    'max_wal_size': '128MB',
                },
            },
        }
        merge(self.config, settings or {})

    def __repr__(self) -> str:
        return f'<PatroniNode {self.name} {self.rest_url}>'

    @property
    def rest_url(self) -> str:
        """The URL of its REST API."""
        return f'http://127.0.0.1:{self.rest_port}'

    @property
    def dsn(self) -> str:
        """How libpq connects to its PostgreSQL, as superuser."""
        return f'host=127.0.0.1 port={self.port} user=postgres dbname=postgres'

    @property
    def alive(self) -> bool:
        """Whether its Patroni runs."""
        return self.process is not None and self.process.alive

    @property
    def crashed(self) -> bool:
        """Whether its Patroni has ended without being asked to."""
        return self in _started and not self.alive

    def _write_config(self) -> None:
        self.config_file.write_text(yaml.safe_dump(self.config, sort_keys=False))
        self._hand_over(self.config_file)

    def _hand_over(self, path: Path) -> None:
        if self.user is not None:
            os.chown(str(path), self.user.pw_uid, self.user.pw_gid)

    def start(self) -> None:
        """Start Patroni without waiting for anything; has no effect while it runs."""
        if self.alive:
            return
        self._write_config()
        environment = self.environment.for_user(self.user)
        variables = dict(clean_environ(), HOME=str(self.folder), **self._variables)
        variables.update(self.env)
        _started.add(self)
        # Patroni stops its PostgreSQL on SIGTERM, so the kernel sends that when this Python is killed.
        self.process = Process(
            [environment.python, environment.patroni, self.config_file],
            self.folder / 'patroni.log',
            env=variables,
            cwd=self.folder,
            user=self.user,
            death_signal=signal.SIGTERM,
        )

    def stop(self, timeout: float = 30, postgres: bool = True) -> None:
        """End Patroni with SIGTERM, then PostgreSQL if Patroni has left it running. Has no effect when nothing runs.

        :param timeout: seconds that Patroni has; PostgreSQL has half of that in addition.
        :param postgres: False leaves PostgreSQL to Patroni, which keeps it running in pause.
        """
        if self.process is not None and self.process.alive:
            self.process.signal(signal.SIGTERM)
            self.process.thaw()
            if not self.process.wait(timeout):
                self.kill()
        if not postgres:
            return
        pid = self.postmaster_pid()
        if pid is not None:
            send(signal.SIGINT, [pid])  # "fast shutdown"
            try:
                wait_until(lambda: not exists(pid), timeout / 2, 'PostgreSQL to stop')
            except LabError:
                self._kill_postgres()
        _started.discard(self)

    def kill(self) -> None:
        """End Patroni, its children and PostgreSQL with SIGKILL, like a machine that loses power."""
        if self.process is not None and self.process.alive:
            helpers = descendants(self.process.pid)
            self.process.kill()
            send(signal.SIGKILL, helpers)
        self._kill_postgres()
        _started.discard(self)

    def _kill_postgres(self) -> None:
        pid = self.postmaster_pid()
        if pid is not None:
            everyone = [pid] + descendants(pid)
            send(signal.SIGKILL, everyone)
            wait_until(lambda: not any(map(exists, everyone)), 10, 'PostgreSQL to be gone')

    def restart(self) -> None:
        """Stop and start Patroni together with PostgreSQL."""
        self.stop()
        self.start()

    def reload(self) -> None:
        """Write `config` to the file and make Patroni read it (SIGHUP)."""
        self._write_config()
        if self.process is not None:
            self.process.signal(signal.SIGHUP)

    def postmaster_pid(self) -> int | None:
        """Return the process id of its PostgreSQL, None when it does not run."""
        try:
            pid = int((self.data / 'postmaster.pid').read_text().split()[0])
            ours = os.path.samefile(f'/proc/{pid}/cwd', str(self.data))  # unless another process has its number now
        except (OSError, ValueError, IndexError):
            return None
        return pid if ours and exists(pid) else None

    def log_text(self) -> str:
        """The log of its Patroni, over all its starts."""
        return self.process.log_text() if self.process is not None else ''

    def postgres_log_text(self) -> str:
        """The log of its PostgreSQL."""
        log = self.folder / 'postgresql.log'
        return log.read_text(encoding='utf-8', errors='replace') if log.exists() else ''

    def failed_loops(self) -> int:
        """Count the HA loops that failed because of the DCS, according to Patroni's log."""
        return len(_FAILED_LOOP.findall(self.log_text()))

    def rest(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, timeout: float = 2
    ) -> tuple[int, Any] | None:
        """Send a request to the REST API.

        :param timeout: seconds.
        :returns: status and JSON (or text) of the answer, None without one.
        """
        connection = http.client.HTTPConnection('127.0.0.1', self.rest_port, timeout=timeout)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, text

    def status(self) -> dict[str, Any] | None:
        """Return the answer to ``GET /patroni``, None if there is none."""
        answer = self.rest('GET', '/patroni')
        return answer[1] if answer is not None and isinstance(answer[1], dict) else None

    def role(self) -> str | None:
        """Return what its PostgreSQL is: ``'primary'``, ``'replica'``, ``'stopped'`` (or stopping), None if unknown."""
        status = self.status()
        if status is None:
            return None
        if status.get('state') != 'running':
            return 'stopped'
        return 'primary' if status.get('role') in ('master', 'primary') else 'replica'


_owner = os.getpid()
_started: set[PatroniNode] = set()


def _stop_forgotten() -> None:
    """Stop what was forgotten, before Python ends."""
    if os.getpid() == _owner:  # and not a forked child that ends through sys.exit
        for node in list(_started):
            node.stop(5)


# Runs before that of lab.processes, which would give Patroni no time to stop PostgreSQL, and remove its folder.
atexit.register(_stop_forgotten)
