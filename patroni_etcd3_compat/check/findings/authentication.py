"""Findings about authentication: credentials, tokens, and who may read the member list."""

from __future__ import annotations

from typing import Iterator

from ...versions import TOKEN_SINCE, lists_for_admins_only, wants_token_for_list
from ..cluster import (
    USES_GRPC,
    as_text,
    authentication,
    grpc_instead,
    has_grpc,
    known_members,
    names,
    section,
    unless_covered,
    versions,
    who_serves,
)
from ..facts import Facts
from ..units import comma
from .etcd_members import WRONG_LOGIN, incomplete_answers, lacks_credentials
from .etcd_upgrade import READS_ALL_SINCE, older_patroni
from .examples import both, etcd_runs, patroni_runs
from .registry import ETCD, ETCD_DOCS, ETCD_GATE, PATRONI, PATRONI_UPGRADE, Seen, Subject

SUBJECT = Subject(30, 'etcd: authentication')

_REFUSED = 'cannot log in as patroni: etcdserver: authentication failed, invalid user ID or password'


def _credentials(facts: Facts) -> None:
    facts.etcd.credentials = True


@SUBJECT.finding(
    'etcd-auth-no-credentials',
    'authentication is on and Patroni has no credentials',
    f'{ETCD_DOCS}op-guide/authentication/rbac/',
    critical='',
    proved=['tests/check/test_consequences.py::test_stock_does_not_start'],
    example=etcd_runs('3.5.30', '3.5.30', '3.5.30', auth=True),
)
def no_credentials(facts: Facts) -> Iterator[Seen]:
    """Find a configuration of Patroni without the credentials that etcd wants."""
    if lacks_credentials(facts):
        yield Seen(
            'critical',
            where='etcd',
            seen='authentication is on, and the configuration has no username and password',
            consequence='Patroni cannot read or write its keys: it does not start',
            remedy=f'set username and password in section {section(facts)} (the gateway accepts no client certificate '
            'instead), or: etcdctl auth disable',
        )


@SUBJECT.finding(
    'etcd-login-failed',
    "etcd refuses Patroni's user name or password",
    f'{ETCD_DOCS}op-guide/authentication/rbac/',
    critical='',
    stops=ETCD_GATE,
    proved=['tests/check/test_consequences.py::test_stock_does_not_start'],
    example=both(_credentials, etcd_runs('3.5.30', '3.5.30', '3.5.30', auth=True, error=_REFUSED)),
)
def login_failed(facts: Facts) -> Iterator[Seen]:
    """Find credentials that etcd refuses."""
    for problem, affected in incomplete_answers(facts).items():
        if WRONG_LOGIN in problem:
            yield Seen(
                'critical',
                where=comma([str(member) for member in affected]),
                seen=problem,
                consequence='Patroni does not start with these credentials, and a running one fails as soon as its '
                'token expires',
                remedy='correct username and password in the configuration, or: etcdctl user passwd NAME',
            )


@SUBJECT.finding(
    'etcd-auth-no-token',
    'authentication is on and a member before 3.3 accepts no token',
    f'{ETCD}pull/7999',
    critical='',
    warning='if the package or the patch serves every Patroni member, and there are newer members of etcd',
    info='if the calls of every Patroni member may go over gRPC',
    cured=True,
    stops=ETCD_GATE,
    example=both(_credentials, etcd_runs('3.2.26', '3.3.25', '3.3.25', auth=True)),
)
def no_token(facts: Facts) -> Iterator[Seen]:
    """Find members whose gateway accepts no token, with authentication on."""
    known = known_members(facts.etcd)
    deaf = [(member, version) for member, version in known if version < TOKEN_SINCE]
    if not deaf or not authentication(facts):
        return
    every = len(deaf) == len(known)
    others = 'the package avoids the others; stock Patroni does not log in while the cluster version is below 3.3'
    if has_grpc(facts):
        severity = 'info'
    else:
        severity = 'critical' if every else unless_covered(facts, 'critical', 'warning')
    yield Seen(
        severity,
        where=names(deaf),
        seen=f'authentication is on, and the gateway of {versions(deaf)} accepts no token',
        consequence=USES_GRPC
        if has_grpc(facts)
        else 'no Patroni can work here'
        if every
        else f'only the members from 3.3 on can serve Patroni: {others}; {who_serves(facts)}',
        remedy='nothing'
        if has_grpc(facts)
        else f'etcdctl auth disable until all members run 3.3 or later{grpc_instead(facts)}',
    )


@SUBJECT.finding(
    'etcd-auth-guard',
    'the member list requires a token that older Patroni does not send',
    f'{PATRONI}issues/3573',
    critical='',
    info='if the package or the patch serves these Patroni members',
    cured=True,
    ended_by=[PATRONI_UPGRADE],
    proved=['tests/check/test_consequences.py::test_guard_of_the_member_list'],
    example=both(_credentials, etcd_runs('3.5.30', '3.5.30', '3.5.30', auth=True), patroni_runs('4.0.7', '4.0.7')),
)
def guard(facts: Facts) -> Iterator[Seen]:
    """Find members with the fix of CVE-2026-33413, and Patroni members that cannot deal with it."""
    guarded = [(member, version) for member, version in known_members(facts.etcd) if wants_token_for_list(version)]
    old = older_patroni(facts)
    if not guarded or not old or not authentication(facts):
        return
    yield Seen(
        'critical' if any(member.stock for member in old) else 'info',
        where=names(guarded),
        seen=f'etcd {versions(guarded)} requires a token for the member list (CVE-2026-33413), which these Patroni '
        f'releases do not send: {comma([str(member) for member in old])}',
        consequence='a stock Patroni of these releases asks for the list without a token, and does not start; before '
        f'3.2.0 it does not keep its lease either; {who_serves(facts)}',
        remedy=f'before these Patroni members are restarted, upgrade them to {READS_ALL_SINCE} or later of their line, '
        'or install patroni-etcd3-compat there',
    )


@SUBJECT.finding(
    'etcd-auth-admin-list',
    'the member list is for admins only',
    f'{ETCD}pull/21549',
    warning='',
    example=both(_credentials, etcd_runs('3.5.28', '3.5.28', '3.5.28', auth=True)),
)
def admin_list(facts: Facts) -> Iterator[Seen]:
    """Find members that give the member list to admins only."""
    admins = [(member, version) for member, version in known_members(facts.etcd) if lists_for_admins_only(version)]
    if not admins or not authentication(facts):
        return
    fixed = comma(sorted({as_text((version[0], version[1], version[2] + 1)) for _, version in admins}), 'or')
    yield Seen(
        'warning',
        where=names(admins),
        seen=f'etcd {versions(admins)} gives the member list only to users with role root',
        consequence='Patroni gets no member list from these members as any other user',
        remedy=f'upgrade them to {fixed} or later of their line; until then give the user of section {section(facts)} '
        'role root',
    )
