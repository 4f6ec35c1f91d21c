"""What DCS calls cost with stock Patroni and with this package, on real servers. Asserts nothing and is not installed.

``python -m bench`` compares single calls, starts and failovers. ``python -m bench.scale`` runs hundreds of clients.
``python -m bench.fleet`` measures ``check --all``.
``python -m bench.silence`` times the HA loop of a leader whose etcd falls silent.
"""

from __future__ import annotations

import math
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Callable, Mapping, Sequence, TypeVar

from lab.releases import NEWEST

T = TypeVar('T')

FOLDER = Path(__file__).resolve().parent
"""Where the results go."""

OPTIONS: dict[str, dict[str, str]] = {'grpc': {'transport': 'grpc'}}
"""Further options of section ``etcd3``, by side."""

PATRONI = NEWEST
"""The release that both sides run."""


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that the given share of `values` does not exceed.

    :param share: between 0 and 1; 0.5 for the median.
    :raises ValueError: when there are no values.
    """
    if not values:
        raise ValueError('no values')
    return sorted(values)[max(math.ceil(len(values) * share) - 1, 0)]


def median(values: Sequence[float]) -> float:
    """Return the median of `values`, see `quantile`."""
    return quantile(values, 0.5)


def at_once(jobs: Mapping[str, Callable[[], T]], limit: int | None = None) -> dict[str, T]:
    """Run functions at the same time and return their results.

    They run in threads that are not waited for when this one is interrupted: the servers they use end with Python.

    :param limit: how many may run at a time, None for all.
    :raises Exception: that of the first job in the mapping that failed.
    """
    futures: dict[str, Future[T]] = {name: Future() for name in jobs}
    places = threading.Semaphore(limit or max(len(jobs), 1))

    def work(name: str) -> None:
        with places:
            try:
                futures[name].set_result(jobs[name]())
            except BaseException as e:
                futures[name].set_exception(e)

    for name in jobs:
        threading.Thread(target=work, args=(name,), daemon=True).start()
    return {name: future.result() for name, future in futures.items()}
