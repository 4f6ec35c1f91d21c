"""``doctor``: what serves section etcd3 of the Patroni on this host, and why not.

It runs anywhere, with the standard library alone: pipx and the distribution have no Patroni beside it. ``processes``
finds Patroni, ``probe`` is run by Patroni's own Python and tells what is there, ``diagnosis`` says what that means and
does no I/O, ``text`` and ``model`` are the output.
"""
