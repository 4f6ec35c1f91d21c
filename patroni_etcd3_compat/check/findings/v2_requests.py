"""A finding about v2 requests in the log of etcd: members of 3.6 that replay one do not start."""

from __future__ import annotations

from typing import Iterator

from ...hazards import Releases
from ..cluster import EtcdMember, known_members
from ..facts import EtcdEndpoint, Facts
from ..log_snapshot import LEAST, OPTION, TAKEN, WRITES
from ..units import comma
from .examples import both, etcd_member, etcd_runs
from .registry import ETCD, Seen, Subject

SUBJECT = Subject(52, 'etcd: v2 requests')

#: ``GET /health`` of these releases is a v2 request that goes through the log of all members.
_MAKES = Releases((3, 4, 0), (3, 5, 0))
#: These replay such requests after an upgrade, until the next snapshot, and count one read of their own.
_REPLAYS = Releases((3, 5, 0), (3, 6, 0))


@SUBJECT.finding(
    'etcd-v2-requests',
    'v2 requests, such as GET /health of 3.4, are in the log of etcd',
    f'{ETCD}issues/20809',
    warning='if a member of 3.5 has replayed some and has taken no snapshot since',
    info='',
    noted=True,
    proved=['tests/check/test_plan_other_ways.py::test_what_the_log_snapshots_are_for'],
    example=both(etcd_runs('3.4.45', '3.4.45', '3.4.45'), etcd_member(2, v2_reads=3)),
)
def v2_requests(facts: Facts) -> Iterator[Seen]:
    """Find reads of the v2 store. What they lead to was measured with 3.4.23, 3.5.30, 3.6.14 and 3.6.16."""
    known = [(member, version, url) for member, version in known_members(facts.etcd) for url in member.urls]
    made = [(member, url) for member, version, url in known if version in _MAKES and (url.v2_reads or 0) > 0]
    replayed = [(member, url) for member, version, url in known if version in _REPLAYS and (url.v2_reads or 0) > 1]
    in_the_log = [(member, url) for member, url in replayed if url.raft_snapshots == 0]
    if made:
        yield _seen('info', made, 'read the v2 store since its start: something asks /health of a member of 3.4')
    if in_the_log:
        yield _seen('warning', in_the_log, 'replayed v2 requests at its start, and has taken no snapshot since')
    elif replayed:
        yield _seen('info', replayed, 'replayed v2 requests at its start; a snapshot may have removed them since')


def _seen(severity: str, rows: list[tuple[EtcdMember, EtcdEndpoint]], text: str) -> Seen:
    names = list(dict.fromkeys(str(member) for member, _ in rows))
    return Seen(
        severity,
        where=comma(names),
        seen=f'{"each of them" if len(names) > 1 else "it"} {text}',
        consequence='a member that is upgraded to 3.6 does not start while such a request is in its log after the last '
        'raft snapshot ("detected disallowed v2 WAL"). One member after the other is lost',
        remedy='let probes ask etcdctl endpoint health instead of /health. Before any member goes to 3.6, on 3.5 and '
        f'one member after the other: restart it with {OPTION} and without --enable-v2, write and delete a key '
        f'{WRITES} times, wait until {TAKEN} in its /metrics is {LEAST} or more, and restart it without the option. '
        '"plan --etcd-to 3.6" has these steps as commands',
    )
