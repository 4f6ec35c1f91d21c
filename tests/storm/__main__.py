"""Run a storm of any length: ``python -m tests.storm``."""

from __future__ import annotations

import sys

from .storm import main

sys.exit(main())
