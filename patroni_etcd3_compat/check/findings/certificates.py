"""Findings about certificates: those of REST APIs, and the days until any of them ends."""

from __future__ import annotations

from typing import Iterator, Sequence

from ..cluster import with_name
from ..facts import Facts, PatroniMember
from ..units import comma, number
from .connections import days_left
from .examples import etcd_member, patroni_member
from .registry import ETCD_DOCS, PATRONI_DOCS, PATRONI_GATE, Seen, Subject

SUBJECT = Subject(95, 'Certificates')

#: Faults of the server's own certificate, which every client sees that verifies it.
_OF_THE_SERVER = ('expired', 'not-yet-valid', 'name')


@SUBJECT.finding(
    'patroni-api-tls',
    'this command cannot make a TLS connection to a REST API',
    f'{PATRONI_DOCS}security.html#protecting-the-rest-api',
    warning="if the server's certificate expired or has other names",
    unknown='if this command lacks a certificate or an authority',
    stops=PATRONI_GATE,
    proved=['tests/check/test_consequences_patroni.py::test_certificate_of_the_rest_api'],
    example=patroni_member(
        2, error='TLS: the server requires a client certificate', tls_fault='certificate-wanted', postgres=None
    ),
)
def api_tls(facts: Facts) -> Iterator[Seen]:
    """Find REST APIs that this command cannot ask because of certificates."""
    told: dict[tuple[str, str], list[PatroniMember]] = {}
    for member in facts.patroni.members if facts.patroni else []:
        if member.tls_fault:
            told.setdefault((member.tls_fault, member.error or 'TLS'), []).append(member)
    for (fault, error), members in told.items():
        of_the_server = fault in _OF_THE_SERVER
        yield Seen(
            'warning' if of_the_server else 'unknown',
            where=comma([member.name for member in members]),
            seen=f'{", ".join(member.api_url or "REST API" for member in members)}: {error}',
            consequence='clients that verify the certificate get no answer there: load balancers may take the member '
            'for down'
            if of_the_server
            else 'what these members report themselves is unknown; other clients, with certificates of their own, may '
            'well reach them',
            remedy=_api_remedy(fault),
        )


def _api_remedy(fault: str) -> str:
    if fault in ('expired', 'not-yet-valid'):
        return 'renew the file of restapi.certfile on these nodes, then: patronictl reload SCOPE MEMBER'
    if fault == 'name':
        return 'issue restapi.certfile with the host of restapi.connect_address as a subject alternative name'
    if fault == 'unknown-authority':
        return 'set ctl.cacert, in the configuration that this command reads, to the authority of restapi.certfile'
    if fault == 'certificate-refused':
        return 'set ctl.certfile and ctl.keyfile to a certificate whose authority is in restapi.cafile of these nodes'
    return (
        'set ctl.certfile and ctl.keyfile in the configuration that this command reads (restapi.verify_client of these '
        'nodes requires it)'
    )


def _ends(facts: Facts, until: str | None) -> str | None:
    """Return how bad it is that a certificate ends then; ``None``: it is not, or the end is unknown."""
    if until is None:
        return None
    left, (warning, critical) = days_left(facts, until), facts.certificate_days
    return 'critical' if left <= critical else 'warning' if left <= warning else None


def _until(facts: Facts, until: str) -> str:
    left = days_left(facts, until)
    if left < 0:
        return f'ended on {until[:10]}'
    return f'ends on {until[:10]}, in {number(int(left), "day")}'


def _by_end(ends: Sequence[tuple[str, str | None]]) -> dict[str, list[str]]:
    """Return the names by the end of their certificates, the first one first."""
    found: dict[str, list[str]] = {}
    for name, until in sorted(ends, key=lambda each: each[1] or ''):
        if until:
            found.setdefault(until, []).append(name)
    return found


@SUBJECT.finding(
    'etcd-certificate-expires',
    'a certificate between Patroni and etcd ends soon',
    f'{ETCD_DOCS}op-guide/security/',
    critical='3 days before, or as --certificate-days says',
    warning='30 days before, or as --certificate-days says',
    shown=['tests/check/test_connections.py::test_seven_faults'],
    example=etcd_member(2, tls=True, certificate_expires='2026-07-15T12:00:00+00:00'),
)
def etcd_expires(facts: Facts) -> Iterator[Seen]:
    """Find certificates of etcd, and files of the configuration, that end soon."""
    served = [(with_name(url), url.certificate_expires) for url in facts.etcd.endpoints if url.tls_fault != 'expired']
    for until, names in _by_end(served).items():
        severity = _ends(facts, until)
        if severity:
            yield Seen(
                severity,
                where=comma(names),
                seen=f'the certificate that is served there {_until(facts, until)}',
                consequence='after that no client that verifies it can connect: Patroni loses etcd, and a primary is '
                'demoted',
                remedy='renew the file of --cert-file; etcd reads it at each new connection, without a restart',
            )
    for file in facts.etcd.files if any(url.tls for url in facts.etcd.endpoints) else []:
        severity = _ends(facts, file.expires)
        if severity and file.expires:
            yield Seen(
                severity,
                where=f'{file.option} {file.path}',
                seen=f'its certificate {_until(facts, file.expires)}',
                consequence='after that Patroni refuses the certificates of etcd'
                if file.option == 'cacert'
                else 'after that etcd refuses Patroni if it verifies client certificates (--client-cert-auth)',
                remedy=f'renew {file.path} on this node, and on each other node with the same certificate',
            )


@SUBJECT.finding(
    'patroni-certificate-expires',
    'the certificate of a REST API ends soon',
    f'{PATRONI_DOCS}security.html#protecting-the-rest-api',
    critical='3 days before, or as --certificate-days says',
    warning='30 days before, or as --certificate-days says',
    shown=['tests/check/test_consequences_patroni.py::test_certificate_of_the_rest_api'],
    example=patroni_member(2, certificate_expires='2026-07-15T12:00:00+00:00'),
)
def patroni_expires(facts: Facts) -> Iterator[Seen]:
    """Find certificates of REST APIs that end soon."""
    members = facts.patroni.members if facts.patroni else []
    ends = [(member.name, member.certificate_expires) for member in members if member.tls_fault != 'expired']
    for until, names in _by_end(ends).items():
        severity = _ends(facts, until)
        if severity:
            yield Seen(
                severity,
                where=comma(names),
                seen=f'the certificate of the REST API {_until(facts, until)}',
                consequence='after that load balancers and patronictl that verify it get no answer, and failsafe_mode '
                'gets no consent',
                remedy='renew the file of restapi.certfile on these nodes, then: patronictl reload SCOPE MEMBER',
            )
