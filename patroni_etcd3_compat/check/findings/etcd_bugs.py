"""Findings about known bugs in releases of etcd that matter to Patroni: a table, and the members that are concerned.

Sources are etcd's changelogs of 3.4 to 3.7, and the issues and fixes that they name. Where these do not say which
release brought a bug, the code of releases was compared.
"""

from __future__ import annotations

import itertools
from typing import Callable, Iterator, NamedTuple, Sequence

from ...hazards import Releases
from ...versions import dotted
from ..cluster import authentication, known_members, names, versions, voters
from ..facts import Facts
from ..units import comma
from .examples import Change, etcd_runs
from .registry import ETCD, ETCD_UPGRADE, Check, Seen, Subject

SUBJECT = Subject(71, 'etcd: known bugs')


class When(NamedTuple):
    """A condition beside the releases."""

    #: in words
    words: str
    #: tells by the facts whether it holds
    holds: Callable[[Facts], object]
    #: makes it hold
    example: Change


def _with_authentication(facts: Facts) -> None:
    for url in facts.etcd.endpoints:
        url.auth = True


def _alone(facts: Facts) -> None:
    etcd = facts.etcd
    etcd.configured, etcd.endpoints, etcd.listed = etcd.configured[:1], etcd.endpoints[:1], (etcd.listed or [])[:1]


_ALWAYS = When('', lambda facts: True, lambda facts: None)
_AUTHENTICATION = When('with authentication on', authentication, _with_authentication)
_ALONE = When('in a cluster of one member', lambda facts: len(voters(facts.etcd)) == 1, _alone)


class Bug(NamedTuple):
    """A row of the table. Rows that follow each other with one identifier are one finding."""

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
    #: when it matters
    when: When = _ALWAYS

    def example(self, facts: Facts) -> None:
        """Change the facts of a healthy cluster to the last release that has it."""
        before = self.releases[-1].before
        assert before
        etcd_runs(*[dotted((*before[:2], before[2] - 1))] * len(facts.etcd.endpoints))(facts)
        self.when.example(facts)


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
    ),
    *(
        Bug(
            'etcd-auth-inconsistency',
            'a release of etcd that can make the data of its members differ if authentication is on',
            'warning',
            releases,
            f'{why}. It then refuses writes that the others store, for good. Patroni nodes may then read different '
            'leader keys',
            'until then compare the members: etcdctl endpoint hashkv --cluster',
            f'{ETCD}issues/{issue}',
            _AUTHENTICATION,
        )
        for releases, why, issue in (
            (
                (Releases((3, 4, 20), (3, 4, 22)), Releases((3, 5, 5), (3, 5, 6))),
                'a member that got its data as a snapshot from the leader knows no permissions',
                14571,
            ),
            (
                (Releases((3, 4, 0), (3, 4, 8)),),
                'a member may fall behind the others in its count of changes to users and roles',
                11651,
            ),
        )
    ),
    Bug(
        'etcd-defrag-crash',
        'a release of etcd that can apply writes twice if a member ends during a defragmentation',
        'warning',
        (Releases((3, 5, 0), (3, 5, 6)),),
        'a member that ends during a defragmentation may apply writes twice. Conditional ones, as Patroni sends them, '
        'can have another result there. Patroni nodes may then read different leader keys',
        'until then do not run etcdctl defrag',
        f'{ETCD}pull/14730',
    ),
    Bug(
        'etcd-durability',
        'a release of etcd whose only member can forget writes that it confirmed',
        'warning',
        (Releases((3, 4, 0), (3, 4, 21)), Releases((3, 5, 0), (3, 5, 5))),
        'a member without others confirms writes before they are on disk. A crash may take back the last ones, such as '
        'the leader key or the synchronous standbys: a replica that is behind can be promoted',
        'until then run three members',
        f'{ETCD}issues/14370',
        _ALONE,
    ),
    *(
        Bug(
            'etcd-start-fails',
            'a release of etcd of which a member may not start again after a power failure or crash',
            'warning',
            (releases,),
            f'{which} may not start again. If that happens to most members, etcd is down and Patroni has no primary',
            '',
            f'{ETCD}{link}',
        )
        for releases, which, link in (
            (  # 3.5.3 changed when the index of an entry is stored
                Releases((3, 5, 3), (3, 5, 5)),
                'after a power failure, a member that had no writes for long, only lists of alarms (as of monitoring)',
                'issues/14382',
            ),
            (
                Releases((3, 5, 5), (3, 5, 7)),
                'after a power failure, a member whose last entry is only partly on disk',
                'pull/15068',
            ),
            (Releases((3, 4, 0), (3, 4, 8)), 'a member that crashed while it stored a snapshot', 'pull/11888'),
        )
    ),
    Bug(
        'etcd-read-panic',
        'a release of etcd that can crash when a read has to wait',
        'warning',
        (Releases((3, 4, 20), (3, 4, 21)),),
        'a member crashes when a read waits for the leader of etcd, for example while that is restarted. One restart '
        'can thus end the quorum, and Patroni demotes its primary',
        'until then start the members with --logger=zap',
        f'{ETCD}issues/14402',
    ),
    Bug(
        'etcd-lease-kept',
        'a release of etcd that can let no lease expire if authentication is on',
        'warning',
        (Releases((3, 4, 0), (3, 4, 19)), Releases((3, 5, 0), (3, 5, 5))),
        'a member that got its data as a snapshot from the leader, and becomes the leader later, lets no lease expire. '
        'The leader key of a dead primary stays, and no replica is promoted',
        'until then restart a member of etcd after it was added or was away for long',
        f'{ETCD}pull/13172',
        _AUTHENTICATION,
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
    ),
    Bug(
        'etcd-auth-bypass',
        'a release of etcd whose authentication can be bypassed',
        'warning',
        (Releases((3, 4, 0), (3, 4, 42)), Releases((3, 5, 0), (3, 5, 28)), Releases((3, 6, 0), (3, 6, 9))),
        'whoever reaches the client port can renew any lease without a login, and so keep the leader key of a dead '
        'primary (CVE-2026-33413). Any user gets at all keys with nested transactions (CVE-2026-33343)',
        'until then let only Patroni and administrators reach that port. Some releases of Patroni do not work with the '
        'fix, see etcd-auth-guard',
        f'{ETCD}security/advisories/GHSA-q8m4-xhhv-38mg',
        _AUTHENTICATION,
    ),
    Bug(
        'etcd-lease-renewed-late',
        'a release of etcd that can confirm the renewal of a lease that was just revoked',
        'info',
        (Releases((3, 4, 0), (3, 4, 38)), Releases((3, 5, 0), (3, 5, 23)), Releases((3, 6, 0), (3, 6, 5))),
        'Patroni takes its leader key for renewed for one more loop, although it is gone',
        '',
        f'{ETCD}pull/20615',
    ),
    Bug(
        'etcd-stale-reads',
        'a release of etcd that can give an old state to a read',
        'info',
        (Releases((3, 4, 0), (3, 4, 42)), Releases((3, 5, 0), (3, 5, 28)), Releases((3, 6, 0), (3, 6, 9))),
        'around an election of etcd, or when a member was paused (a suspended machine, a slow disk), a read may give '
        'an old state. Patroni may see a former leader until it reads again',
        '',
        f'{ETCD}issues/20418',
    ),
    Bug(
        'etcd-defrag-snapshot',
        'a release of etcd that can damage its database in a defragmentation',
        'info',
        (Releases((3, 4, 0), (3, 4, 38)), Releases((3, 5, 0), (3, 5, 23)), Releases((3, 6, 0), (3, 6, 5))),
        'the database of a member that gets a snapshot from the leader during a defragmentation may be damaged, and '
        'the member crashes',
        'until then run etcdctl defrag only on members that are not behind',
        f'{ETCD}issues/20271',
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
    ),
)


def _members_with(bug: Bug, facts: Facts) -> Iterator[Seen]:
    there, fixes = [], set()
    for member, version in known_members(facts.etcd):
        for releases in bug.releases:
            if version in releases:
                there.append((member, version))
                fixes.add(dotted(releases.before or ()))
    if not there or not bug.when.holds(facts):
        return
    fixed = comma(sorted(fixes), 'or')
    yield Seen(
        bug.severity,
        where=names(there),
        seen=f'etcd {versions(there)}, fixed in {fixed}',
        consequence=bug.consequence,
        remedy=f'upgrade to {fixed} or later of the same line' + (f'; {bug.until_then}' if bug.until_then else ''),
        link=bug.link,
    )


def _check_for(bugs: Sequence[Bug]) -> Check:
    def check(facts: Facts) -> Iterator[Seen]:
        for bug in bugs:
            yield from _members_with(bug, facts)

    check.__doc__ = f'Find members of a release with this bug: {bugs[0].title}.'
    return check


for _, _rows in itertools.groupby(_BUGS, key=lambda bug: bug.id):
    _bugs = list(_rows)
    _bug = _bugs[0]
    SUBJECT.finding(
        _bug.id,
        _bug.title,
        _bug.link,
        warning=_bug.when.words if _bug.severity == 'warning' else None,
        info=_bug.when.words if _bug.severity == 'info' else None,
        noted=True,
        ended_by=[ETCD_UPGRADE],
        example=_bug.example,
    )(_check_for(_bugs))
