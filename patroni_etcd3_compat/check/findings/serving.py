"""The finding about what serves the Patroni of this host, and whether this cluster needs something else."""

from __future__ import annotations

from typing import Iterator, Sequence

from ..facts import Facts, Finding, ThisHost
from ..units import comma
from .examples import etcd_runs
from .registry import PATRONI, Seen, Subject, kind_of

SUBJECT = Subject(110, 'This host')

_DOCTOR = 'patroni-etcd3-compat doctor'


def _needed(findings: Sequence[Finding]) -> list[str]:
    """Return the identifiers of the warnings and critical findings that the package or the patch cures."""
    matter = {finding.id for finding in findings if finding.severity in ('warning', 'critical')}
    return sorted(id for id in matter if kind_of(id).cured)


def _versions(host: ThisHost) -> str:
    named = (('Patroni', host.patroni), ('patroni-etcd3-compat', host.compat), ('Python', host.python))
    text = ', '.join(f'{name} {version}' for name, version in named if version)
    return f' ({text})' if text else ''


@SUBJECT.finding(
    'node-serves',
    'what serves the Patroni of this host',
    f'{PATRONI}issues/3279',
    warning='if stock Patroni serves, and the cluster needs more',
    unknown='if it is unknown, and the cluster needs more',
    info='',
    derived=True,
    shown=['tests/check/test_command_etcd.py::test_mixed_with_3_2'],
    example=etcd_runs('3.2.26', '3.2.26', '3.4.23'),
)
def serves(facts: Facts, findings: Sequence[Finding]) -> Iterator[Seen]:
    """Find what serves the member whose configuration was read. Its key tells, not the Python of this command."""
    host = facts.this_host
    if host.name is None:
        return
    needed, where, versions = _needed(findings), host.name, _versions(host)
    needs = f'this cluster needs the package or the patch, see {comma(needed)}'
    if host.serves in ('package', 'patch'):
        yield Seen(
            'info',
            where=where,
            seen=f'the {host.serves} serves Patroni here{versions}',
            consequence='the mark in its member key says so',
            remedy='nothing',
        )
    elif host.serves == 'stock':
        yield Seen(
            'warning' if needed else 'info',
            where=where,
            seen=f'stock Patroni serves here{versions}: its member key has no mark',
            consequence=needs if needed else 'nothing in this cluster needs more than that now',
            remedy=('' if needed else 'nothing; before a rolling upgrade of etcd: ')
            + f'pip install patroni-etcd3-compat into the environment of Patroni{_environment(host)}'
            + (', and restart it; ' if needed else '; ')
            + f'{_DOCTOR} says on that host why one that is installed does not serve',
        )
    elif needed:
        yield Seen(
            'unknown',
            where=where,
            seen=f'what serves Patroni here is unknown{versions}: {_why_unknown(facts)}',
            consequence=needs,
            remedy='start Patroni here, or search its log for "patroni-etcd3-compat"; '
            f'{_DOCTOR} says on that host what would serve',
        )


def _environment(host: ThisHost) -> str:
    return f', which runs in {host.interpreter}' if host.interpreter else ''


def _why_unknown(facts: Facts) -> str:
    if facts.patroni is None or facts.patroni.error:
        return 'the keys of Patroni could not be read'
    return 'it has no key in etcd, or one that cannot be read'
