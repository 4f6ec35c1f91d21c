"""Findings about the way to etcd: the scheme of URLs, certificates, and refusals of whoever asks."""

from __future__ import annotations

from datetime import datetime
from typing import Iterator

from ...errors import CommonNameRefused, HostRefused
from ..cluster import USES_GRPC, grpc_instead, has_grpc, with_name, working
from ..facts import EtcdEndpoint, Facts, TlsFile
from ..patroni_cluster import namespace, place
from ..units import comma
from .examples import etcd_member, etcd_runs
from .registry import ETCD, ETCD_DOCS, ETCD_GATE, PATRONI, Seen, Subject

#: Error of a file that the user of this command may not read.
FORBIDDEN = 'permission denied'

SUBJECT = Subject(35, 'etcd: connections')


def days_left(facts: Facts, until: str) -> float:
    """Return the days from the time of the facts until a time in ISO 8601; negative if that is over."""
    return (datetime.fromisoformat(until) - datetime.fromisoformat(facts.taken)).total_seconds() / 86400


@SUBJECT.finding(
    'etcd-wrong-scheme',
    'a configured URL is asked in http and speaks https, or the other way round',
    f'{ETCD_DOCS}op-guide/security/',
    critical='if no other configured URL works',
    warning='',
    shown=['tests/check/test_connections.py::test_schemes'],
    example=etcd_member(2, version=None, prefixes=[], protocol=None, error='wrong scheme: this port speaks https'),
)
def wrong_scheme(facts: Facts) -> Iterator[Seen]:
    """Find configured URLs with the wrong scheme."""
    works = bool(working(facts))
    for url in facts.etcd.endpoints:
        if not (url.configured and url.wrong_scheme):
            continue
        asked, spoken = ('https', 'http') if url.tls else ('http', 'https')
        yield Seen(
            'warning' if works else 'critical',
            where=with_name(url),
            seen=f'asked in {asked}, and this port speaks {spoken}',
            consequence='Patroni cannot use this URL' + ('' if works else ', and no other configured one works'),
            remedy=_other_scheme(facts.this_host.section, spoken, url.url.partition('//')[2]),
        )


def _other_scheme(section: str | None, spoken: str, address: str) -> str:
    if section is None:
        return f'--endpoints {spoken}://{address}'
    files = '; cacert, and cert and key if etcd wants a client certificate, belong to it' if spoken == 'https' else ''
    return (
        f'set protocol: {spoken} in section {section} (without it Patroni uses http), or write {spoken}:// if the '
        f'section has url or proxy{files}'
    )


_EXPIRED: dict[str, object] = {
    'url': 'https://10.0.0.2:2379',
    'tls': True,
    'version': None,
    'prefixes': [],
    'protocol': None,
    'tls_fault': 'expired',
    'error': "TLS: the server's certificate expired on 2026-06-30",
}


@SUBJECT.finding(
    'etcd-tls',
    'a TLS connection cannot be made: authority, date or names of a certificate, or a client certificate',
    f'{ETCD_DOCS}op-guide/security/',
    critical='if no configured URL works',
    warning='',
    unknown='if this user may not read one of the files, or without a configuration of Patroni',
    stops=ETCD_GATE,
    shown=['tests/check/test_connections.py::test_seven_faults'],
    example=etcd_member(2, **_EXPIRED),
)
def tls(facts: Facts) -> Iterator[Seen]:
    """Find what is wrong with certificates, on which side."""
    works = bool(working(facts))
    told: dict[tuple[str, str], list[EtcdEndpoint]] = {}
    for url in facts.etcd.endpoints:
        if url.tls_fault:
            told.setdefault((url.tls_fault, url.error or 'TLS'), []).append(url)
    for (fault, error), urls in told.items():
        yield Seen(
            _severity(facts, fault, works),
            where=comma([with_name(url) for url in urls]),
            seen=error,
            consequence=_consequence(facts, fault, works),
            remedy=_remedy(facts, fault),
        )


def _severity(facts: Facts, fault: str, works: bool) -> str:
    if works:
        return 'warning'
    return 'unknown' if facts.this_host.section is None or _only_forbidden(facts, fault) else 'critical'


def _only_forbidden(facts: Facts, fault: str) -> bool:
    """Return whether this user may not read files, which Patroni's user perhaps may."""
    broken = [file for file in facts.etcd.files if file.error]
    return fault == 'files' and all(file.error == FORBIDDEN for file in broken)


def _consequence(facts: Facts, fault: str, works: bool) -> str:
    if facts.this_host.section is None:
        return 'nothing is known about these URLs; what Patroni sees there depends on its own configuration'
    if _only_forbidden(facts, fault):
        return 'this command cannot ask there; a Patroni that runs as another user perhaps can'
    return 'Patroni with this configuration cannot use ' + (
        'these URLs' if works else 'etcd: it does not start, and a primary is demoted'
    )


def _file(facts: Facts, option: str) -> TlsFile | None:
    return next((file for file in facts.etcd.files if file.option == option), None)


def _remedy(facts: Facts, fault: str) -> str:
    section = facts.this_host.section
    where = f' in section {section}' if section else ' (PATRONI_ETCD3_CACERT, _CERT, _KEY)'
    cacert, cert = _file(facts, 'cacert'), _file(facts, 'cert')
    if fault == 'unknown-authority':
        if cacert is None:
            return f"set cacert{where} to a file with the authority of etcd's certificate (etcd option --cert-file)"
        return (
            f"put the authority of etcd's certificate (etcd option --cert-file) into {cacert.path}, or name another "
            f'file with cacert{where}'
        )
    if fault in ('expired', 'not-yet-valid'):
        renew = 'renew the file of --cert-file there; etcd reads it at each new connection, without a restart'
        if cacert and cacert.expires and days_left(facts, cacert.expires) < 0:
            expired = cacert.expires[:10]
            return f'put an authority that is valid into {cacert.path} (cacert{where}): it expired on {expired}'
        return renew if fault == 'expired' else f'compare the clocks of this host and of etcd; if they agree, {renew}'
    if fault == 'name':
        return (
            f'write a name of the certificate into hosts{where}, or issue the file of --cert-file there with this '
            'host as a subject alternative name'
        )
    if fault == 'certificate-wanted':
        return f'set cert and key{where}: etcd runs with --client-cert-auth'
    if fault == 'certificate-refused':
        path = cert.path if cert else 'FILE'
        if cert and cert.expires and days_left(facts, cert.expires) < 0:
            return f'renew cert{where} ({path}), which expired on {cert.expires[:10]}'
        until = f', which ends {cert.expires[:10]}' if cert and cert.expires else ''
        return (
            f'have cert{where} ({path}{until}) signed by the authority in --trusted-ca-file of etcd: openssl x509 -in '
            f'{path} -noout -issuer -enddate -purpose'
        )
    if _only_forbidden(facts, fault):
        return 'run this command as the user that Patroni runs as'
    return f'correct {comma([file.option for file in facts.etcd.files if file.error])}{where}'


def _refusing(facts: Facts, what: str) -> list[EtcdEndpoint]:
    return [url for url in facts.etcd.endpoints if url.refuses == what]


_COMMON_NAME = 'CommonName of client sending a request against gateway will be ignored and not used as expected'
_HOST = 'Host header was unrecognized'


@SUBJECT.finding(
    'etcd-common-name',
    "the gateway refuses Patroni's client certificate because of its CommonName",
    f'{PATRONI}issues/3071',
    critical='if every member that answers refuses it',
    warning='',
    info='if the calls of every Patroni member may go over gRPC',
    cured=True,
    stops=ETCD_GATE,
    shown=['tests/check/test_connections.py::test_common_name'],
    example=etcd_runs('3.5.30', '3.5.30', '3.5.30', refuses='common-name', error=f'/v3/kv/range: {_COMMON_NAME}'),
)
def common_name(facts: Facts) -> Iterator[Seen]:
    """Find members that refuse a client certificate with a CommonName."""
    refusing = _refusing(facts, 'common-name')
    if refusing:
        every = len(refusing) == sum(url.version is not None for url in facts.etcd.endpoints)
        cert = next((f' ({file.path})' for file in facts.etcd.files if file.option == 'cert'), '')
        grpc = has_grpc(facts)
        yield Seen(
            'info' if grpc else 'critical' if every else 'warning',
            where=comma([with_name(url) for url in refusing]),
            seen=f'authentication is on, and the client certificate{cert} has a CommonName: "{_COMMON_NAME}"',
            consequence=USES_GRPC if grpc else 'every request of Patroni is refused' + ('' if every else ' there'),
            remedy='nothing' if grpc else f'{CommonNameRefused.remedy}{grpc_instead(facts)}',
        )


@SUBJECT.finding(
    'etcd-host-whitelist',
    'a member does not permit the host name in its URL',
    f'{ETCD}issues/16667',
    critical='if no other configured URL works',
    warning='',
    stops=ETCD_GATE,
    shown=['tests/check/test_connections.py::test_host_whitelist'],
    example=etcd_member(2, version=None, prefixes=[], refuses='host', error=_HOST),
)
def host_whitelist(facts: Facts) -> Iterator[Seen]:
    """Find members that refuse the host name by which they are asked."""
    refusing = _refusing(facts, 'host')
    if refusing:
        works = bool(working(facts))
        yield Seen(
            'warning' if works else 'critical',
            where=comma([with_name(url) for url in refusing]),
            seen='requests with the host name of this URL are refused (etcd option --host-whitelist)',
            consequence='Patroni cannot use this URL' + ('' if works else ', and no other configured one works'),
            remedy=HostRefused.remedy or '',
        )


@SUBJECT.finding(
    'etcd-permission-denied',
    'the user may not read the keys of the Patroni cluster',
    f'{ETCD_DOCS}op-guide/authentication/rbac/',
    critical='',
    stops=ETCD_GATE,
    shown=['tests/check/test_connections.py::test_permission_denied'],
    example=etcd_runs(
        '3.5.30', '3.5.30', '3.5.30', denied_roles=['patroni'], error='/kv/range: etcdserver: permission denied'
    ),
)
def permission_denied(facts: Facts) -> Iterator[Seen]:
    """Find a scope or a namespace outside of what the role of the user has."""
    denied = [url for url in facts.etcd.endpoints if url.denied_roles is not None]
    if denied and facts.patroni:
        roles = sorted({role for url in denied for role in url.denied_roles or ()})
        first = '' if roles else 'etcdctl role add patroni; etcdctl user grant-role USER patroni; '
        yield Seen(
            'critical',
            where=comma([with_name(url) for url in denied]),
            seen=f'the user may not read {place(facts.patroni)}/ (etcdserver: permission denied); '
            + (f'its roles: {", ".join(roles)}' if roles else 'its roles are unknown, or it has none'),
            consequence='Patroni with this scope and namespace cannot work with this user',
            remedy=f'{first}etcdctl role grant-permission {roles[0] if roles else "patroni"} --prefix=true readwrite '
            f'{namespace(facts.patroni)}; or correct scope and namespace, if they are another cluster',
        )


#: Seconds that clocks may differ: below this nobody notices; above the second figure certificates are refused.
_NOTED, _MATTERS = 10, 300


@SUBJECT.finding(
    'etcd-clock-skew',
    'the clocks of this host and of members of etcd differ',
    f'{ETCD_DOCS}op-guide/security/',
    warning='by more than 5 minutes, if https is used',
    info='by more than 10 seconds',
    example=etcd_member(2, clock_ahead=-42.0),
)
def clock_skew(facts: Facts) -> Iterator[Seen]:
    """Find members whose clock is not that of this host."""
    wrong = [(url, url.clock_ahead) for url in facts.etcd.endpoints if abs(url.clock_ahead or 0) > _NOTED]
    if wrong:
        matters = any(url.tls and abs(ahead or 0) > _MATTERS for url, ahead in wrong)
        everyone = len(wrong) == sum(url.clock_ahead is not None for url in facts.etcd.endpoints)
        yield Seen(
            'warning' if matters else 'info',
            where=comma([with_name(url) for url, _ in wrong]),
            seen=comma([f'{abs(ahead or 0):g} s {"ahead" if (ahead or 0) > 0 else "behind"}' for _, ahead in wrong])
            + ', compared with the clock of this host',
            consequence='leases do not depend on it; times in logs cannot be compared, and a certificate is valid '
            'earlier or later than expected',
            remedy='check chronyc tracking (or timedatectl) '
            + ('on this host first: all members differ from it' if everyone else 'on these members'),
        )
