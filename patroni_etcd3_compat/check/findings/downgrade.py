"""A finding about a downgrade of etcd that was enabled. Members of 3.6 and later tell it in their status."""

from __future__ import annotations

from typing import Iterator

from ...versions import parse_version
from ..cluster import as_text, known_members, line_text, members
from ..facts import Facts
from ..units import comma
from .examples import etcd_runs
from .registry import ETCD_DOCS, ETCD_GATE, Seen, Subject

#: Identifier of the finding. A plan for the way down causes it itself.
DOWNGRADE = 'etcd-downgrade'

SUBJECT = Subject(51, 'etcd: downgrade')


def downgrade_target(facts: Facts) -> str | None:
    """Return the version that a downgrade is enabled to; ``None`` if no member tells of one."""
    return next((url.downgrade for url in facts.etcd.endpoints if url.downgrade), None)


@SUBJECT.finding(
    DOWNGRADE,
    'a downgrade of etcd is enabled',
    f'{ETCD_DOCS}downgrades/downgrade_3_6/',
    warning='',
    stops=ETCD_GATE,
    shown=['tests/check/test_outages_etcd.py::test_downgrade'],
    example=etcd_runs(
        '3.6.16', '3.6.16', '3.6.16', downgrade='3.5.0', cluster_version='3.5.0', storage_version='3.5.0'
    ),
)
def downgrade(facts: Facts) -> Iterator[Seen]:
    """Find a downgrade that is under way, or was forgotten. Seen on 3.6.16: it stays until it is cancelled.

    An upgrade from 3.5 to 3.6 that began within 5 s after the last member was downgraded brought it back in that way.
    """
    target = downgrade_target(facts)
    if target is None:
        return
    version = parse_version(target)
    line = line_text(version) if version else target
    above = [(member, found) for member, found in known_members(facts.etcd) if version and found[:2] > version[:2]]
    versions = comma(sorted({as_text(found) for _, found in above}))
    storage = comma(sorted({url.storage_version for url in facts.etcd.endpoints if url.storage_version}))
    # seen on 3.5.30: a member at the target may time out, though it does it
    asked = [member for member, _ in above] + [member for member in members(facts.etcd) if member.answers]
    url = next((member.client_url for member in asked), 'URL')
    yield Seen(
        'warning',
        where='etcd',
        seen=f'a downgrade to {target} is enabled'
        + (f'; storage version {storage}' if storage else '')
        + (f'; {comma([str(member) for member, _ in above])} still at {versions}' if above else ''),
        consequence=f'etcd keeps the cluster version at {line} until all members run {line} or the downgrade is '
        'cancelled. Until then an upgrade has no effect on it'
        if above or not version
        else f'all members run {line} already: etcd ends the downgrade by itself, usually within 10 s',
        remedy=f'finish it: "plan --etcd-to {line}" goes on with it, member by member. If nobody is downgrading: '
        f'etcdctl --endpoints={url} downgrade cancel',
    )
