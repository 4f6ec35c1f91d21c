"""Findings about synchronous replication: it is on, and nobody is synchronous."""

from __future__ import annotations

from typing import Iterator

from patroni.utils import parse_int

from ...versions import parse_version
from ..facts import Facts, Patroni, Synchronous
from ..patroni_cluster import is_on, known, leader_of, only_synchronous, streams
from ..units import comma
from .examples import both, patroni_has, patroni_runs
from .patroni_members import SUBJECT
from .registry import PATRONI_DOCS, PATRONI_GATE, Seen

#: Before it, Patroni takes ``synchronous_mode: quorum`` for off, which is a hazard of its own.
KNOWS_QUORUM = (4, 0, 0)

_PAGE = f'{PATRONI_DOCS}replication_modes.html'


@SUBJECT.finding(
    'patroni-sync-none',
    'synchronous replication is on, and no standby is synchronous',
    _PAGE,
    critical='with synchronous_mode_strict',
    warning='without',
    stops=PATRONI_GATE,
    proved=['tests/check/test_outages_patroni.py::test_nobody_synchronous'],
    example=both(
        patroni_runs('4.1.5', '4.1.5', synchronous_mode=True, synchronous_mode_strict=True),
        patroni_has(synchronous=Synchronous('node1')),
    ),
)
def nobody_synchronous(facts: Facts) -> Iterator[Seen]:
    """Find synchronous replication without a synchronous standby."""
    patroni = known(facts)
    there = _synchronous(patroni) if patroni else None
    if patroni is None or patroni.synchronous is None or there is None or there:
        return
    strict = is_on(patroni.config.get('synchronous_mode_strict'))
    mode = str(patroni.config.get('synchronous_mode')).lower()
    yield Seen(
        'critical' if strict else 'warning',
        where=patroni.scope,
        seen=f'synchronous_mode: {mode}, synchronous_mode_strict: {"true" if strict else "false"}; '
        f'{_key(patroni.synchronous)}',
        consequence=f'every write on {patroni.leader} hangs in its COMMIT until a standby is synchronous'
        if strict
        else f'a commit on {patroni.leader} waits for no standby'
        + ('; if it fails, no member is promoted, because the key names none' if only_synchronous(patroni) else ''),
        remedy='bring a replica back that streams (patronictl list)'
        + (
            f'; to write without one until then: patronictl edit-config {patroni.scope} -s '
            'synchronous_mode_strict=false'
            if strict
            else ', and that has no tag nosync'
        ),
    )


@SUBJECT.finding(
    'patroni-sync-few',
    'fewer standbys are synchronous than synchronous_node_count says',
    _PAGE,
    info='',
    proved=['tests/check/test_consequences_patroni.py::test_few_synchronous'],
    example=both(
        patroni_runs('4.1.5', '4.1.5', synchronous_mode=True, synchronous_node_count=2),
        patroni_has(synchronous=Synchronous('node1', ['node2'])),
    ),
)
def few_synchronous(facts: Facts) -> Iterator[Seen]:
    """Find synchronous replication with fewer standbys than wanted."""
    patroni = known(facts)
    there = _synchronous(patroni) if patroni else None
    wanted = parse_int(patroni.config.get('synchronous_node_count')) if patroni else None
    if patroni and there and wanted is not None and len(there) < wanted:
        yield Seen(
            'info',
            where=patroni.scope,
            seen=f'synchronous_node_count is {wanted}, and the key /sync names {comma(there)}',
            consequence=f'a commit on {patroni.leader} waits for no more than {len(there)} of them',
            remedy='bring the other replicas back (patronictl list), or lower synchronous_node_count',
        )


def _synchronous(patroni: Patroni) -> list[str] | None:
    """Return the synchronous standbys; ``None`` if replication is asynchronous, or if nothing is known."""
    key = patroni.synchronous
    if patroni.leader is None or key is None or not _on(patroni):
        return None
    if key.leader not in (None, patroni.leader):
        return None  # the new leader has not written it yet
    return _there(patroni, key)


def _on(patroni: Patroni) -> bool:
    """Return whether the leader replicates synchronously."""
    mode = patroni.config.get('synchronous_mode')
    if 'standby_cluster' in patroni.config:
        return False
    if str(mode).lower() != 'quorum':
        return is_on(mode)
    leader = leader_of(patroni)
    version = parse_version(leader.version) if leader else None
    return version is not None and version >= KNOWS_QUORUM


def _there(patroni: Patroni, key: Synchronous) -> list[str]:
    """Return the standbys in the key that may be synchronous, as far as is known."""
    members = {member.name.lower(): member for member in patroni.members if member.in_dcs}
    found = []
    for name in key.standbys:
        member = members.get(name.lower())  # Patroni compares these names so
        if member and streams(patroni, member) is not False:
            found.append(name)
    return found


def _key(key: Synchronous) -> str:
    if not key.standbys:
        return 'the key /sync names no standby'
    return f'the key /sync names {comma(key.standbys)}, which does not stream or has no key'
