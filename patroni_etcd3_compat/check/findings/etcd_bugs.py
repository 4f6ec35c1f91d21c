"""Findings about known bugs in releases of etcd that matter to Patroni: a table, and the members that are concerned."""

from __future__ import annotations

from typing import Iterator, NamedTuple

from ...hazards import Releases
from ...versions import dotted
from ..cluster import known_members, names, versions
from ..facts import Facts
from ..units import comma
from .examples import Change, etcd_runs
from .registry import ETCD, ETCD_UPGRADE, Check, Seen, Subject

SUBJECT = Subject(71, 'etcd: known bugs')


class Bug(NamedTuple):
    """A row of the table."""

    #: identifier of the finding
    id: str
    #: what it is about, one line
    title: str
    #: ``warning`` or ``info``
    severity: str
    #: releases that have it, up to the one that fixes it
    releases: tuple[Releases, ...]
    #: what follows from it
    consequence: str
    #: what to do beside an upgrade; may be empty
    until_then: str
    #: the fix, or what reports the bug
    link: str
    #: an example
    example: Change


_BUGS = (
    Bug(
        'etcd-data-inconsistency',
        'a release of etcd that can make the data of its members differ',
        'warning',
        (Releases((3, 5, 0), (3, 5, 3)),),
        'a member that is killed under load may have lost writes that the others have, for good and without a sign. '
        'Patroni nodes may then read different leader keys',
        'until then compare the members: etcdctl endpoint hashkv --cluster',
        f'{ETCD}issues/13766',
        etcd_runs('3.5.2', '3.5.2', '3.5.2'),
    ),
    Bug(
        'etcd-lease-revoked',
        'a release of etcd that can revoke leases that are renewed',
        'warning',
        # Before 3.4 nothing is fixed, and the age of such a release is a finding of its own.
        (Releases((3, 4, 0), (3, 4, 31)), Releases((3, 5, 0), (3, 5, 13))),
        'an old leader of etcd that hangs on a slow disk or CPU goes on revoking leases. The leader key of Patroni is '
        'deleted although it was renewed: the primary is demoted',
        '',
        f'{ETCD}issues/15247',
        etcd_runs('3.5.12', '3.5.12', '3.5.12'),
    ),
    Bug(
        'etcd-lease-renewed-late',
        'a release of etcd that can confirm the renewal of a lease that was just revoked',
        'info',
        (Releases((3, 4, 0), (3, 4, 38)), Releases((3, 5, 0), (3, 5, 23)), Releases((3, 6, 0), (3, 6, 5))),
        'Patroni takes its leader key for renewed for one more loop, although it is gone',
        '',
        f'{ETCD}pull/20615',
        etcd_runs('3.6.4', '3.6.4', '3.6.4'),
    ),
    Bug(
        'etcd-promotion-forgotten',
        'a release of etcd that does not store the promotion of a learner completely',
        'info',
        (Releases((3, 5, 1), (3, 5, 26)),),
        'a member that was promoted from a learner may be a learner again after an upgrade to 3.6, or that upgrade '
        'fails',
        '',
        'https://etcd.io/blog/2025/upgrade_from_3.5_to_3.6_issue_followup/',
        etcd_runs('3.5.25', '3.5.25', '3.5.25'),
    ),
)


def _check_for(bug: Bug) -> Check:
    def check(facts: Facts) -> Iterator[Seen]:
        there = [
            (member, version)
            for member, version in known_members(facts.etcd)
            if any(version in releases for releases in bug.releases)
        ]
        if not there:
            return
        fixed = comma(
            sorted(
                {
                    dotted(releases.before)
                    for releases in bug.releases
                    if releases.before and any(version in releases for _, version in there)
                }
            ),
            'or',
        )
        yield Seen(
            bug.severity,
            where=names(there),
            seen=f'etcd {versions(there)}, fixed in {fixed}',
            consequence=bug.consequence,
            remedy=f'upgrade to {fixed} or later of the same line' + (f'; {bug.until_then}' if bug.until_then else ''),
        )

    check.__doc__ = f'Find members of a release with this bug: {bug.title}.'
    return check


for _bug in _BUGS:
    SUBJECT.finding(
        _bug.id,
        _bug.title,
        _bug.link,
        warning='' if _bug.severity == 'warning' else None,
        info='' if _bug.severity == 'info' else None,
        noted=True,
        ended_by=[ETCD_UPGRADE],
        example=_bug.example,
    )(_check_for(_bug))
