"""Processes, folders and waiting, for everything in the lab that runs a real server.

Whatever is started here ends with the Python process that started it. Normally ``terminate()`` or ``kill()`` ends it.
The exit handler ends what was forgotten, and the kernel does (PR_SET_PDEATHSIG) if Python itself was killed.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import pwd
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence, TypeVar

T = TypeVar('T')

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)  # loaded here, since nothing should be loaded between fork and exec


class LabError(Exception):
    """Something in the lab did not start or is unavailable. The text says what."""


class _Spawner:
    """Starts every child from one thread that lives as long as the process.

    PR_SET_PDEATHSIG fires when the *thread* that forked ends, not the process. A server started from a test's helper
    thread would be killed as soon as that thread ends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self._queue: queue.Queue[tuple[Future[subprocess.Popen[bytes]], dict[str, Any]]] = queue.Queue()

    def popen(self, **kwargs: Any) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._pid != os.getpid():  # the first call, or the first one after a fork, which leaves threads behind
                self._queue = queue.Queue()
                threading.Thread(target=self._serve, args=(self._queue,), name='lab-spawner', daemon=True).start()
                self._pid = os.getpid()
        future: Future[subprocess.Popen[bytes]] = Future()
        self._queue.put((future, kwargs))
        return future.result()

    @staticmethod
    def _serve(jobs: queue.Queue[tuple[Future[subprocess.Popen[bytes]], dict[str, Any]]]) -> None:
        while True:
            future, kwargs = jobs.get()
            try:
                future.set_result(subprocess.Popen(**kwargs))
            except BaseException as e:  # the caller's exception, raised by its future.result()
                future.set_exception(e)


_spawner = _Spawner()
_owner = os.getpid()
_running: set[Process] = set()
_folders: set[Path] = set()


class Process:
    """One server process, started at once, in its own session.

    :param argv: program and arguments.
    :param log: file that stdout and stderr are appended to.
    :param env: the whole environment, None for this process's own.
    :param cwd: working directory.
    :param user: passwd entry of the user to run as (only root can), None to stay.
    :param death_signal: what the kernel sends to the process when this Python process is killed.
    :raises OSError: when the program cannot be executed.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: pwd.struct_passwd | None = None,
        death_signal: int = signal.SIGKILL,
    ) -> None:
        self.argv: list[str] = [str(arg) for arg in argv]
        self.log = log
        parent = os.getpid()

        def in_child() -> None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # background jobs of a shell ignore it
            if user is not None:
                os.initgroups(user.pw_name, user.pw_gid)
                os.setgid(user.pw_gid)
                os.setuid(user.pw_uid)
            # after setuid, which clears it
            _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)  # the parent ended before the call above

        _install_net()
        with open(str(log), 'ab') as output:
            self._popen = _spawner.popen(
                args=self.argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                cwd=None if cwd is None else str(cwd),
                preexec_fn=in_child,
                start_new_session=True,
            )
        _running.add(self)

    def __repr__(self) -> str:
        return f'<Process {self.pid} {self.argv[0]}>'

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether the process has not ended (a frozen one is alive)."""
        return self.exit_code is None

    @property
    def exit_code(self) -> int | None:
        """Exit code, negative for the signal that ended it, None while it is alive."""
        return self._popen.poll()

    def signal(self, number: int) -> None:
        """Send a signal; has no effect if the process has ended."""
        self._popen.send_signal(number)

    def freeze(self) -> None:
        """Freeze it (SIGSTOP): connections stay open and nothing answers."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume a frozen process (SIGCONT)."""
        self.signal(signal.SIGCONT)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended.

        :param timeout: seconds, None for no limit.
        :returns: whether it has ended.
        """
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        _running.discard(self)
        return True

    def terminate(self, timeout: float = 10) -> None:
        """End it with SIGTERM, or with SIGKILL if that takes longer than `timeout` seconds. It may be frozen."""
        self.signal(signal.SIGTERM)
        self.thaw()
        if not self.wait(timeout):
            self.kill()

    def kill(self) -> None:
        """End it with SIGKILL and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self.wait()

    def log_text(self) -> str:
        """Its output on stdout and stderr so far."""
        return self.log.read_text(encoding='utf-8', errors='replace') if self.log.exists() else ''


def scratch_folder(prefix: str) -> Path:
    """Create a temporary folder that `remove_folder` removes, at the latest when Python ends.

    :param prefix: how its name starts.
    """
    _install_net()
    path = Path(tempfile.mkdtemp(prefix=prefix))
    _folders.add(path)
    return path


def remove_folder(path: Path) -> None:
    """Remove a folder created by `scratch_folder`, with its remaining content."""
    shutil.rmtree(str(path), ignore_errors=True)
    _folders.discard(path)


def _clean_up() -> None:
    if os.getpid() != _owner:
        return  # a forked child that leaves through sys.exit must not end its parent's servers
    for process in list(_running):
        process.signal(signal.SIGTERM)
        process.thaw()
    for process in list(_running):
        process.terminate(5)
    for path in list(_folders):
        remove_folder(path)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt(f'signal {number}')


def _install_net() -> None:
    """Turn SIGTERM into an exception, so that context managers and the exit handler run."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt)


atexit.register(_clean_up)


def wait_until(predicate: Callable[[], T], timeout_seconds: float, what: str, interval: float = 0.05) -> T:
    """Call `predicate` until it returns something true, and return that.

    An OSError means "not yet": a socket time-out on a slow machine, a server that does not listen yet.

    :param timeout_seconds: for how long.
    :param what: what is waited for, for the text of the error.
    :param interval: seconds between two calls.
    :returns: what the predicate returned.
    :raises LabError: when the time is over; the text has the last OSError, if there was one at the end.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        last = ''
        try:
            value = predicate()
            if value:
                return value
        except OSError as e:
            last = f': {e!r}'
        if time.monotonic() >= deadline:
            raise LabError(f'waited {timeout_seconds:g} s in vain for {what}{last}')
        time.sleep(interval)
