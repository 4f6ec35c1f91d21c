"""What all tests share: the project's root on the path, and what was under test in the output of the run.

The root comes last on the path, so that ``patroni_etcd3_compat`` is the installed wheel and not the source tree.
"""
import importlib.metadata
import sys

from pathlib import Path
from typing import List

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent))


def pytest_report_header(config: pytest.Config) -> List[str]:
    """Name the versions of everything under test."""
    versions = ['{0} {1}'.format(name, importlib.metadata.version(name))
                for name in ('patroni-etcd3-compat', 'patroni', 'urllib3', 'python-etcd')]
    return ['under test: ' + ', '.join(versions)]
