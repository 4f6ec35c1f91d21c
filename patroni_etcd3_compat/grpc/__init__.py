"""Calls to etcd over gRPC itself, which needs neither the gateway nor a prefix; optional, needs the package ``h2``.

- ``api``: the messages and methods of etcd's API, as data
- ``codec``: messages between JSON, as the gateway speaks it, and protobuf
- ``http2``: one connection, framed by h2
- ``stream``: one call on a connection: the messages and the status that arrive
- ``watching``: a watch, as the response that Patroni reads
- ``transport``: the transport beside the gateway

No thread, no event loop and no C core: Patroni's process forks, and its calls have deadlines of their own.
"""
