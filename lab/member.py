"""One real etcd member on loopback: its binary, its process, and the facade in front of it.

A release line without a real binary is represented by a real member of the nearest line behind a facade.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
from pathlib import Path
from typing import Any, Iterable, NamedTuple, Sequence

from .facade import Facade, Shape, shape_of
from .packages import etcd_binaries, etcd_version, line_of, version_key
from .ports import free_port
from .processes import LabError, Process, wait_until

_STANDS_IN = {'3.0': '3.3', '3.1': '3.3', '3.2': '3.3', '3.6': '3.5', '3.7': '3.5'}
"""Which real line is behind the facade of a line that is not at hand, or that the other members could not bear."""

LEAST_BESIDE = {'3.6': '3.5', '3.7': '3.6'}
"""The oldest real line that may be, or ever have been, in a cluster with a member of this line.

Measured: 3.3 and 3.4 members end for good when 3.6 joins them ("panic: not implemented"); 3.7 does with anything in the
log that a 3.5 member may have put there ("unmarshal should never fail"), unless a snapshot of the log came after it.
"""


class Release(NamedTuple):
    """The real release of a member, and what it looks like."""

    version: str  # the version that clients see
    real_version: str
    shape: Shape  # all None if it looks like what it is


def live_together(lines_or_versions: Iterable[str]) -> bool:
    """Return whether real members of these lines can be in one cluster."""
    lines = {line_of(version) for version in lines_or_versions}
    oldest = min(version_key(line) for line in lines)
    return all(version_key(LEAST_BESIDE[line]) <= oldest for line in lines & LEAST_BESIDE.keys())


def release(line_or_version: str, shape: Shape | None = None, beside: Iterable[str] = ()) -> Release:
    """Return the real etcd for a line or version, and the shape that makes up for the difference.

    :param shape: a shape to use instead of that of its version.
    :param beside: versions that the cluster has or began with. A line that cannot run beside them is represented by
        another.
    :raises LabError: when neither it nor a line that can represent it is available.
    """
    stand_in = _STANDS_IN.get(line_of(line_or_version))
    real_version, looks = '', Shape()
    if stand_in is None or live_together([line_or_version, *beside]):  # otherwise not asked for: that may build it
        try:
            real_version = etcd_version(line_or_version)
        except LabError:
            if stand_in is None:
                raise
    if stand_in and not real_version:
        real_version, looks = etcd_version(stand_in), shape_of(line_or_version)
    looks = looks if shape is None else shape
    return Release(looks.version or real_version, real_version, looks)


class EtcdMember:
    """One member. EtcdCluster creates it and starts it the first time."""

    def __init__(self, name: str, folder: Path, facade: Facade | None, flags: Sequence[str]) -> None:
        self.name = name
        self.folder = folder
        self.facade = facade
        self.flags = list(flags)
        self.release = Release('', '', Shape())
        self.port = free_port()
        self.peer_port = free_port()
        self.process: Process | None = None
        self.bootstrap: list[str] = []  # etcd reads this at its first start with an empty data directory

    def __repr__(self) -> str:
        return f'<EtcdMember {self.name} {self.version} {self.url}>'

    @property
    def version(self) -> str:
        """The version that clients see: ``'3.2.26'``."""
        return self.release.version

    @property
    def real_version(self) -> str:
        """The version of the binary."""
        return self.release.real_version

    @property
    def url(self) -> str:
        """The URL for clients, which the member list shows."""
        return self.facade.url if self.facade is not None else self.real_url

    @property
    def real_url(self) -> str:
        """The URL of the member itself, without facade."""
        return f'http://127.0.0.1:{self.port}'

    @property
    def peer_url(self) -> str:
        """The URL for the other members."""
        return f'http://127.0.0.1:{self.peer_port}'

    @property
    def takes_token(self) -> bool:
        """Whether its gateway reads the authorization header. That of 3.2 does not."""
        return version_key(self.real_version) >= (3, 3)

    @property
    def running(self) -> bool:
        """Whether there is a process (frozen or not)."""
        return self.process is not None and self.process.alive

    def log_text(self) -> str:
        """The log of etcd, over all its starts."""
        return self.process.log_text() if self.process is not None else ''

    def spawn(self) -> None:
        """Start the process without waiting for anything.

        :raises LabError: when it is running.
        """
        if self.running:
            raise LabError(f'{self.name} is running already')
        argv: list[str] = [
            str(etcd_binaries()[self.real_version]),
            '--name',
            self.name,
            '--data-dir',
            str(self.folder / 'data'),
            '--listen-client-urls',
            self.real_url,
            '--advertise-client-urls',
            self.url,
            '--listen-peer-urls',
            self.peer_url,
            '--initial-advertise-peer-urls',
            self.peer_url,
        ]
        if version_key(self.real_version) >= (3, 5):
            argv.append('--unsafe-no-fsync')
        environment = {name: value for name, value in os.environ.items() if not name.startswith('ETCD_')}
        self.folder.mkdir(exist_ok=True)
        self.process = Process(argv + self.bootstrap + self.flags, self.folder / 'etcd.log', env=environment)

    def serve(self, timeout: float = 60) -> None:
        """Wait until the spawned process listens, and let clients in.

        :param timeout: seconds.
        :raises LabError: when etcd ends, or does not listen in time; the text has the end of its log.
        """

        def listens() -> bool:
            if not self.running:
                raise LabError(f'etcd {self.name} ({self.real_version}) has ended:\n{self.log_text()[-2000:]}')
            return bool(request(self.real_url, 'GET', '/version')[0])

        wait_until(listens, timeout, f'etcd {self.name} to listen on {self.real_url}')
        if self.facade is not None:
            self.facade.start(self.real_url, self.real_version)

    def start(self) -> None:
        """Start it again, after `stop` or `kill`, on the same data and ports.

        :raises LabError: as `serve`.
        """
        self.spawn()
        self.serve()

    def stop(self) -> None:
        """End it with SIGTERM. Has no effect when it is not running."""
        if self.facade is not None:
            self.facade.stop()
        if self.process is not None:
            self.process.terminate()

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self.process is not None:
            self.process.kill()
        if self.facade is not None:
            self.facade.stop()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Keep all connections open and answer nothing, like a machine that hangs."""
        if self.process is not None:
            self.process.freeze()

    def thaw(self) -> None:
        """Resume after `freeze`."""
        if self.process is not None:
            self.process.thaw()


def request(
    url: str, method: str, path: str, body: bytes | None = None, token: str | None = None, timeout: float = 5
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(url.partition('//')[2], timeout=timeout)
    try:
        connection.request(method, path, body, {'Authorization': token} if token else {})
        response = connection.getresponse()
        text = response.read().decode()
        status = response.status
    except http.client.HTTPException as e:
        raise ConnectionError(repr(e)) from e
    finally:
        connection.close()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


def b64(text: str) -> str:
    """Encode a key or a value as the gateway expects it."""
    return base64.b64encode(text.encode()).decode()
