"""Patroni on etcd clusters whose members run different versions.

Imported at every start of this Python (see ``plugin``), so it holds nothing but the version.

Imports run one way, each module from those before it:

- data and pure functions: ``versions``, ``hazards``, ``options``, ``urls``, ``answers``, ``steps``, ``errors``
- time: ``deadline``, ``leadership``, ``watch``, ``names``
- one request: ``wire``
- the members, each of which alone changes its state: ``member``, ``members``, ``endpoints``
- the way of a request, upwards: ``senders`` (types), ``gateway``, ``router``, ``auth``
- into Patroni: ``client``, ``slots``, ``dcs``, ``plugin``
"""

from __future__ import annotations

__version__ = '0.1.0'
