"""The command ``patroni-etcd3-compat``: what is wrong with a cluster, and how to upgrade it.

One way only: ``collect`` asks etcd, Patroni and PostgreSQL and fills the classes of ``facts``; ``findings`` says what
they mean and does no I/O; ``look`` has both done; ``render`` and ``plan`` make text of them; ``record`` keeps
what changes from look to look, and ``report`` tells it; ``cli`` is the command line.
"""
