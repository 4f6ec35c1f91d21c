"""``python -m tests.storm``: a storm of any length."""

from __future__ import annotations

import sys

from .storm import main

sys.exit(main())
