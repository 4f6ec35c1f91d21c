"""Patroni on etcd clusters whose members run different versions.

Imported at every start of this Python (see ``plugin``), so it holds nothing but two names.

Imports run one way, each module from those before it:

- data: ``versions``, ``dynamic`` (pure functions that it needs), ``hazards``
- pure functions: ``hits``, ``extras``, ``options``, ``mark``, ``urls``, ``answers``, ``steps``, ``errors``
- time: ``deadline``, ``leadership``, ``watch``, ``names``
- one request: ``wire``
- the members, each of which alone changes its state: ``member``, ``members``, ``endpoints``
- the way of a request, upwards: ``senders`` (types), ``gateway``, ``grpc``, ``router``, ``auth``
- into Patroni: ``dispatch``, ``client``, ``slots``, ``dcs``, ``guard``, ``hooks``, ``plugin``
"""

from __future__ import annotations

__version__ = '1.0.0'

#: Section that names our class, and with it the module and (by letters, see Patroni's ``iter_classes``) the class.
SECTION = 'etcd3_compat'
