"""The command ``patroni-etcd3-compat``: what is wrong with a cluster, and how to upgrade it.

One way only: ``collect`` asks etcd, Patroni and PostgreSQL and fills the classes of ``facts``; ``judge`` makes findings
of them and does no I/O; ``render`` and ``plan`` make text of both; ``cli`` is the command line.
"""
