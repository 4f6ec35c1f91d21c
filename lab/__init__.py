"""Real etcd, Patroni and PostgreSQL on one machine, behind a small Python API.

For the tests, the demo and the benchmarks of this project; not installed with it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder."""

CACHE = Path(os.environ.get('LAB_CACHE') or ROOT / '.cache').absolute()
"""Where downloaded packages and built environments are kept between runs."""


def say(text: str) -> None:
    """Print one line of progress to stderr.

    :param text: what is going on, without a line end.
    """
    print('lab: ' + text, file=sys.stderr, flush=True)
