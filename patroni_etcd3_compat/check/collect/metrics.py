"""What ``GET /metrics`` tells instead of ``/maintenance/status``, which 3.5.30 shows to admins only."""

from __future__ import annotations

from ..facts import EtcdEndpoint
from .values import as_int

_HAS_LEADER, _IS_LEADER, _IS_LEARNER = 'etcd_server_has_leader', 'etcd_server_is_leader', 'etcd_server_is_learner'
_SIZE, _INDEX = 'etcd_mvcc_db_total_size_in_bytes', 'etcd_server_proposals_committed_total'


def add_metrics(member: EtcdEndpoint, status: int, body: bytes) -> bool:
    """Fill in what the status would have said.

    :param member: the member.
    :param status: HTTP status.
    :param body: the whole body.

    :returns: ``False`` if that is unknown.
    """
    values = _values(body) if status == 200 else {}
    if _HAS_LEADER not in values or _IS_LEADER not in values:
        return False
    member.has_leader, member.leader = values[_HAS_LEADER] == 1, values[_IS_LEADER] == 1
    member.learner = values.get(_IS_LEARNER) == 1
    member.db_size, member.raft_index = as_int(values.get(_SIZE)), as_int(values.get(_INDEX))
    return True


def _values(body: bytes) -> dict[str, float]:
    values = {}
    for line in body.decode('utf-8', 'replace').splitlines():
        name, _, value = line.partition(' ')
        if name in (_HAS_LEADER, _IS_LEADER, _IS_LEARNER, _SIZE, _INDEX):
            try:
                values[name] = float(value)
            except ValueError:
                continue
    return values
