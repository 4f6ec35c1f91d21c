"""A transaction of Patroni as plain compare-and-swap steps. Pure.

When its lease has changed, Patroni >= 3.0.4 renews the leader key with a transaction in the failure branch of another
one (``Etcd3._update_leader``). etcd members before 3.3 crash on that if a newer member accepts it.
"""

from __future__ import annotations

from typing import Any, Dict, Tuple

#: A condition or a request as in the body of ``/kv/txn``.
Part = Dict[str, Any]
Step = Tuple[Part, Part]


def unnested(compare: Part, success: Part, failure: Part) -> tuple[Step, Step, Step]:
    """Return steps with the effect of a nested transaction, to be run until one succeeds.

    The first step is repeated at the end. If the answer to the second step got lost, it was sent again to the next
    member, which found that the key exists. If that key is ours, the last step succeeds; otherwise none does.

    :param compare: condition for *success*.
    :param success: request to execute if *compare* holds.
    :param failure: ``{'request_txn': ...}`` with one condition and one request, to run if *compare* does not hold.

    :raises:
        :exc:`ValueError`: if *failure* is anything else.
    """
    (otherwise,) = failure.values()
    if list(failure) != ['request_txn'] or set(otherwise) != {'compare', 'success'}:
        raise ValueError('not a transaction without a failure branch')
    (other_compare,), (other_success,) = otherwise['compare'], otherwise['success']
    return (compare, success), (other_compare, other_success), (compare, success)


def held_or(compare: Part, success: Part) -> tuple[Step, Step, Step]:
    """Return steps that write a key if it already has the new value, or if *compare* holds.

    :param compare: condition for *success*.
    :param success: request that writes the key of *compare*.
    """
    held = {'key': compare['key'], 'target': 'VALUE', 'value': success['request_put']['value']}
    return (held, success), (compare, success), (held, success)
