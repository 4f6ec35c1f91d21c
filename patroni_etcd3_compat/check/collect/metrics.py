"""What ``GET /metrics`` tells beyond ``/maintenance/status``, or instead of it: some releases show that to admins only.

The names were seen on 3.3.25, 3.4.23, 3.5.16, 3.5.30, 3.6.16 and 3.7.3. No token is needed.
"""

from __future__ import annotations

import time

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
_CHANGES, _STARTED = 'etcd_server_leader_changes_seen_total', 'process_start_time_seconds'
_SYNCS = 'etcd_disk_wal_fsync_duration_seconds_count'
#: Followed by the upper bound and the end of the name.
_SYNCS_WITHIN = 'etcd_disk_wal_fsync_duration_seconds_bucket{le="'

#: So many syncs make one in a hundred meaningful.
_ENOUGH_SYNCS = 1000

_NAMES = frozenset(
    (_HAS_LEADER, _IS_LEADER, _IS_LEARNER, _SIZE, _INDEX, _IN_USE, _QUOTA, _REVISION, _COMPACTED, _V2_READS)
    + (_V2_FAMILY, TAKEN, _CHANGES, _STARTED, _SYNCS)
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
        if name in _NAMES or name.startswith(_SYNCS_WITHIN):
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
    member.leader_changes = as_int(values.get(_CHANGES))
    started = values.get(_STARTED)
    member.uptime = None if started is None else round(max(time.time() - started, 0), 1)
    member.fsync_p99 = _p99(values)


def _p99(values: dict[str, float]) -> float | None:
    """Return the time of the slowest sync among a hundred, estimated as Prometheus does: evenly within its bucket.

    If it took longer than the largest bound, 8.192 s, it is that bound.
    """
    syncs = values.get(_SYNCS)
    if syncs is None or syncs < _ENOUGH_SYNCS:
        return None
    counts = {name[len(_SYNCS_WITHIN) :].rstrip('"}'): count for name, count in values.items() if _SYNCS_WITHIN in name}
    rank, below, faster = 0.99 * syncs, 0.0, 0.0
    for bound, count in sorted((float(bound), count) for bound, count in counts.items() if bound != '+Inf'):
        if count >= rank:
            return round(below + (bound - below) * (rank - faster) / (count - faster), 6)
        below, faster = bound, count
    return below or None
