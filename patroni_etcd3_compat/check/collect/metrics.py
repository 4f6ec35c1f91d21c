"""What ``GET /metrics`` tells beyond ``/maintenance/status``, or instead of it: some releases show that to admins only.

The names were seen on 3.3.25, 3.4.23, 3.5.16, 3.5.30, 3.6.16 and 3.7.3. No token is needed.
"""

from __future__ import annotations

from ..facts import EtcdEndpoint
from ..log_snapshot import TAKEN
from .values import as_int

_HAS_LEADER, _IS_LEADER, _IS_LEARNER = 'etcd_server_has_leader', 'etcd_server_is_leader', 'etcd_server_is_learner'
_SIZE, _INDEX = 'etcd_mvcc_db_total_size_in_bytes', 'etcd_server_proposals_committed_total'
_IN_USE, _QUOTA = 'etcd_mvcc_db_total_size_in_use_in_bytes', 'etcd_server_quota_backend_bytes'
_REVISION, _COMPACTED = 'etcd_debugging_mvcc_current_revision', 'etcd_debugging_mvcc_compact_revision'
_V2_READS = 'etcd_debugging_store_reads_total{action="get"}'
#: Present, unlike the former, whether or not there was a read: the family is there at all.
_V2_FAMILY = 'etcd_debugging_store_reads_total{action="getRecursive"}'

_NAMES = frozenset(
    (_HAS_LEADER, _IS_LEADER, _IS_LEARNER, _SIZE, _INDEX, _IN_USE, _QUOTA, _REVISION, _COMPACTED, _V2_READS)
    + (_V2_FAMILY, TAKEN)
)


def read_metrics(status: int, body: bytes) -> dict[str, float]:
    """Return the series that matter here, by name and labels.

    :param status: HTTP status.
    :param body: the whole body.

    :returns: an empty dictionary if these are no metrics.
    """
    values = {}
    for line in body.decode('utf-8', 'replace').splitlines() if status == 200 else ():
        name, _, value = line.partition(' ')
        if name in _NAMES:
            try:
                values[name] = float(value)
            except ValueError:
                continue
    return values


def stand_in_for_status(member: EtcdEndpoint, values: dict[str, float]) -> bool:
    """Fill in what the status would have said.

    :param member: the member.
    :param values: its metrics.

    :returns: ``False`` if that is unknown.
    """
    if _HAS_LEADER not in values or _IS_LEADER not in values:
        return False
    member.has_leader, member.leader = values[_HAS_LEADER] == 1, values[_IS_LEADER] == 1
    member.learner = values.get(_IS_LEARNER) == 1
    member.db_size, member.raft_index = as_int(values.get(_SIZE)), as_int(values.get(_INDEX))
    return True


def add_metrics(member: EtcdEndpoint, values: dict[str, float]) -> None:
    """Fill in what only the metrics tell, and what the status of this release leaves out.

    :param member: the member.
    :param values: its metrics; what is missing there stays unknown.
    """
    if member.quota is None:
        member.quota = as_int(values.get(_QUOTA))
    if member.db_size_in_use is None:
        member.db_size_in_use = as_int(values.get(_IN_USE))
    if member.revision is None:
        member.revision = as_int(values.get(_REVISION))
    compacted = as_int(values.get(_COMPACTED))
    member.compacted = None if compacted is None else max(compacted, 0)  # -1: there was none
    member.v2_reads = as_int(values.get(_V2_READS, 0 if _V2_FAMILY in values else None))
    member.raft_snapshots = as_int(values.get(TAKEN))
