"""What ``/maintenance/status`` says about a member. Releases before 3.6 leave out most of it."""

from __future__ import annotations

import json
import re
from typing import Collection, Mapping

from ..facts import JSON, EtcdEndpoint
from .redaction import Redaction
from .values import as_dict, as_int, as_text

#: An alarm among the errors of a status.
_ALARM = re.compile(r'memberID:(\d+) alarm:(\w+)')


def identifier(value: object) -> str | None:
    """Return an id as etcdctl writes it, ``None`` for 0."""
    number = as_int(value)
    return format(number, 'x') if number else None


def add_status(member: EtcdEndpoint, status: Mapping[str, JSON], redaction: Redaction) -> list[tuple[str, str]]:
    """Fill in what the status of a member says.

    :param member: the member.
    :param status: the answer. Zero, false and empty values are left out of it.
    :param redaction: for texts that the member made.

    :returns: id of the member and name of each alarm among the errors, which 3.4 and later list.
    """
    leader = identifier(status.get('leader'))
    member.has_leader, member.leader = leader is not None, leader is not None and leader == member.id
    member.learner = bool(status.get('isLearner', False))
    member.raft_index, member.db_size = as_int(status.get('raftIndex')), as_int(status.get('dbSize'))
    member.db_size_in_use = as_int(status.get('dbSizeInUse'))
    member.quota = as_int(status.get('dbSizeQuota')) or None  # 3.6.0 to 3.6.5 say 0 for the default (etcd #20790)
    storage = as_text(status.get('storageVersion'))
    member.storage_version = redaction.text(storage) if storage else None
    if 'downgradeInfo' in status:
        downgrade = as_dict(status['downgradeInfo'])
        target = as_text(downgrade.get('targetVersion')) if downgrade.get('enabled') else None
        member.downgrade = redaction.text(target) if target else ''
    errors = status.get('errors')
    return [
        (format(int(number), 'x'), name)
        for text in (errors if isinstance(errors, list) else ())
        for number, name in _ALARM.findall(str(text))
    ]


def answered_by(status: int, body: bytes) -> set[str]:
    """Return the id of the member that gave an answer, an empty set if it does not say.

    :param status: HTTP status.
    :param body: the whole body.
    """
    try:
        header = as_dict(as_dict(json.loads(body)).get('header')) if status == 200 else {}
    except (ValueError, RecursionError):
        return set()
    id = identifier(header.get('member_id'))
    return {id} if id else set()


def forget_single_member(url: EtcdEndpoint, ids: Collection[str]) -> None:
    """Turn what is known about a URL to that of several members: a balancer sends each request to another one.

    :param url: the URL. What was said by whichever member answered, and holds for that one only, becomes unknown.
    :param ids: of the members that answered there.
    """
    url.shared_by = sorted(ids)
    url.id = url.name = None
    url.leader = url.learner = None
    url.raft_index = url.db_size = url.db_size_in_use = url.quota = url.compacted = None
    url.v2_reads = url.raft_snapshots = url.leader_changes = None
    url.fsync_p99 = url.uptime = None
