"""What ``doctor`` says, as data: the JSON output. ``null`` means unknown, never no."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

#: Version of the JSON output.
SCHEMA = 1

#: Exit status by severity. What does not serve counts before what is unknown.
STATUS = {'info': 0, 'warning': 1, 'critical': 2, 'unknown': 3}


@dataclass
class Copy:
    """A copy of this package that the Python of Patroni knows a place for."""

    #: its folder
    path: str
    #: its version
    version: str | None
    #: the first file or folder in it that the user of Patroni cannot read
    unreadable: str | None
    #: when its newest file was put there, in seconds since 1970
    changed: float | None
    #: Patroni's Python looks for modules there
    importable: bool


@dataclass
class StartUpFile:
    """The file ``patroni_etcd3_compat.pth`` or ``.start``, which hooks the package into Python."""

    #: the file
    path: str
    #: the user of Patroni can read it
    readable: bool
    #: when it was put there, in seconds since 1970
    changed: float | None


@dataclass
class Reason:
    """Why this package does not serve, or what to know although it does."""

    #: what it is, such as ``not-installed``; docs/doctor.md lists them
    id: str
    #: how bad it is; critical: the package does not serve because of it
    severity: str = field(metadata={'enum': tuple(STATUS)})
    #: what was seen
    seen: str
    #: what to do, empty for nothing
    remedy: str


@dataclass
class Diagnosis:
    """A running Patroni, or a Python that could run it."""

    #: the process, None for a Python that was named
    pid: int | None = None
    #: the user that it runs as
    user: str | None = None
    #: its configuration, as its command line names it
    config: str | None = None
    #: when it was started, in seconds since 1970
    started: float | None = None
    #: its systemd unit
    unit: str | None = None
    #: it has folders of its own, as in a container
    container: bool | None = None
    #: the Python, as Patroni has it
    python: str | None = None
    #: its version
    python_version: str | None = None
    #: version of Patroni in it
    patroni: str | None = None
    #: folder of Patroni in it
    patroni_path: str | None = None
    #: what serves section etcd3 in it, if Patroni is started now
    serves: str | None = field(default=None, metadata={'enum': ('package', 'patch', 'stock')})
    #: version of that, for package and patch
    compat: str | None = None
    #: copies of this package, the one that counts first
    copies: list[Copy] = field(default_factory=list)
    #: the package's start-up files
    start_up_files: list[StartUpFile] = field(default_factory=list)
    #: why it is so, the worst first
    reasons: list[Reason] = field(default_factory=list)
    #: 0 this package or the patch serves, 1 with a warning, 2 neither serves, 3 unknown
    exit_status: int = field(default=3, metadata={'enum': (0, 1, 2, 3)})


@dataclass
class Report:
    """All of them."""

    #: the host
    host: str
    #: version of this package that the command belongs to
    version: str
    #: the running Patronis, or the Python that was named
    processes: list[Diagnosis]

    @property
    def exit_status(self) -> int:
        """Exit status of the command: the worst one; that nothing could be determined if there is no process."""
        return worst([each.exit_status for each in self.processes])

    def as_json(self) -> dict[str, object]:
        """Return the JSON output."""
        return {'schema': SCHEMA, 'exit_status': self.exit_status, **asdict(self)}


def worst(statuses: list[int]) -> int:
    """Return the worst exit status; 3 without any."""
    return max(statuses, key=[0, 1, 3, 2].index, default=STATUS['unknown'])
