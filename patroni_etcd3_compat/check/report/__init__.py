"""``patroni-etcd3-compat report``: what a record tells, as Markdown and as a picture.

``story`` makes spans of the events, ``beside`` lays a plan beside them; ``markdown`` and ``picture`` write. All of them
are pure; ``command`` reads and writes the files.
"""

from __future__ import annotations
