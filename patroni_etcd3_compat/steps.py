"""A transaction of Patroni as plain compare-and-swap steps. Pure.

Patroni >= 3.0.4 renews the leader key after a change of its lease with a transaction in the failure branch of another
one (``Etcd3._update_leader``). etcd members before 3.3 die of that when a newer one lets it in.
"""

from __future__ import annotations

from typing import Any, Dict, Tuple

#: A condition or a request as in the body of ``/kv/txn``.
Part = Dict[str, Any]
Step = Tuple[Part, Part]


def unnested(compare: Part, success: Part, failure: Part) -> tuple[Step, Step, Step]:
    """Return the steps that do what a nested transaction would, to be run until one succeeds.

    The first step stands once more at the end: if the answer to the second got lost, it was sent again to the next
    member, which found that the key exists. If that key is ours the last step holds, else none does.

    :param compare: condition for *success*.
    :param success: request to execute if *compare* holds.
    :param failure: ``{'request_txn': ...}`` with one condition and one request, to run if it does not hold.

    :raises:
        :exc:`ValueError`: if *failure* is anything else.
    """
    (otherwise,) = failure.values()
    if list(failure) != ['request_txn'] or set(otherwise) != {'compare', 'success'}:
        raise ValueError('not a transaction without a failure branch')
    (other_compare,), (other_success,) = otherwise['compare'], otherwise['success']
    return (compare, success), (other_compare, other_success), (compare, success)


def held_or(compare: Part, success: Part) -> tuple[Step, Step, Step]:
    """Return the steps that write a key whose value is the new one already, or for which *compare* holds.

    :param compare: condition for *success*.
    :param success: request that writes the key of *compare*.
    """
    held = {'key': compare['key'], 'target': 'VALUE', 'value': success['request_put']['value']}
    return (held, success), (compare, success), (held, success)
