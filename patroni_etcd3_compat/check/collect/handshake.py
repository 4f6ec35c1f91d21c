"""What keeps a TLS connection from being made, by the error of a request, and by a handshake without one."""

from __future__ import annotations

import socket
import ssl
from datetime import datetime, timezone
from typing import Mapping, NamedTuple
from urllib.parse import urlsplit

from urllib3.exceptions import NewConnectionError, TimeoutError

from .certificates import Certificate, read_certificate
from .web import Clock, Unanswered

#: Codes with which OpenSSL refuses a certificate (x509_vfy.h).
_VERIFY = {
    2: 'unknown-authority',
    9: 'not-yet-valid',
    10: 'expired',
    18: 'unknown-authority',
    19: 'unknown-authority',
    20: 'unknown-authority',
    21: 'unknown-authority',
    62: 'name',
    64: 'name',
}

#: Parts of the texts of alerts with which a server refuses a client certificate, or that there is none. Before TLS 1.3
#: there is none of its own for the latter.
_ALERTS = ('BAD_CERTIFICATE', 'UNKNOWN_CA', 'CERTIFICATE_EXPIRED', 'CERTIFICATE_REVOKED', 'CERTIFICATE_UNKNOWN')
_WANTED = 'CERTIFICATE_REQUIRED'

#: Seconds in which a server refuses a client certificate: with TLS 1.3 the handshake has ended before.
_REFUSES_WITHIN = 1.0


class Served(NamedTuple):
    """What a server showed in a handshake."""

    #: its certificate
    certificate: Certificate | None
    #: with which it refused this side
    alert: ssl.SSLError | None


class Fault(NamedTuple):
    """What kept a TLS connection from being made."""

    #: one of :data:`~patroni_etcd3_compat.check.facts.TLS_FAULTS`; ``None``: nothing of TLS, or it is unknown
    kind: str | None
    #: the same for people
    text: str | None
    #: the server's certificate ends then, ISO 8601
    expires: str | None


def fault_of(error: BaseException | None, with_certificate: bool) -> str | None:
    """Return which of :data:`~patroni_etcd3_compat.check.facts.TLS_FAULTS` an error is, ``None`` if it is none.

    :param error: of a request or of a handshake.
    :param with_certificate: a client certificate was offered.
    """
    seen = 0
    while error is not None and seen < 5:
        seen += 1
        code = getattr(error, 'verify_code', None)
        if code is not None:
            return _VERIFY.get(code)
        text = str(error).upper().replace(' ', '_')
        if "DOESN'T_MATCH" in text or 'NO_APPROPRIATE_SUBJECTALTNAME' in text:  # said by urllib3
            return 'name'
        if _WANTED in text and 'ALERT' in text:
            return 'certificate-wanted'
        if 'ALERT' in text and any(alert in text for alert in _ALERTS):
            return 'certificate-refused' if with_certificate else 'certificate-wanted'
        inner = getattr(error, 'reason', None)
        inner = inner if isinstance(inner, BaseException) else next(iter(error.args), None)
        error = inner if isinstance(inner, BaseException) else error.__cause__
    return None


def look(url: str, options: Mapping[str, str], clock: Clock, refused: bool) -> Served:
    """Make a handshake that accepts any certificate, and send nothing.

    :param url: where.
    :param options: client certificate, as arguments of :class:`urllib3.PoolManager`.
    :param clock: the time that is left.
    :param refused: wait for the refusal that is expected.
    """
    parts = urlsplit(url)
    certificate = None
    try:
        with socket.create_connection((parts.hostname or '', parts.port or 443), clock.left()) as plain:
            with accept_any(options).wrap_socket(plain, server_hostname=parts.hostname) as wrapped:
                certificate = read_certificate(wrapped.getpeercert(True) or b'')
                if refused:
                    wrapped.settimeout(min(clock.left(), _REFUSES_WITHIN))
                    wrapped.recv(1)
    except ssl.SSLError as e:
        return Served(certificate, e)
    except (OSError, ValueError, Unanswered):  # ValueError: a certificate that is none
        pass
    return Served(certificate, None)


def accept_any(options: Mapping[str, str]) -> ssl.SSLContext:
    """Return a context that judges no server, and offers this client certificate.

    :raises OSError: if the certificate cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # nothing is told there
    context.verify_mode = ssl.CERT_NONE
    if options.get('cert_file'):  # without a password, nobody is to be asked for one
        context.load_cert_chain(options['cert_file'], options.get('key_file'), options.get('key_password', ''))
    return context


def diagnose(url: str, options: Mapping[str, str], error: BaseException, clock: Clock) -> Fault:
    """Find out why a request over TLS failed.

    :param url: where it went.
    :param options: client certificate, as arguments of :class:`urllib3.PoolManager`.
    :param error: of the request.
    :param clock: the time that is left.
    """
    inner = getattr(error, 'reason', None) or error  # of a MaxRetryError
    if not url.startswith('https:') or isinstance(inner, (NewConnectionError, TimeoutError)):
        return Fault(None, None, None)
    offered = bool(options.get('cert_file'))
    fault = fault_of(error, offered)
    # A server that has hung up before this side was ready to read its refusal.
    served = look(url, options, clock, fault not in _VERIFY.values())
    fault = fault or fault_of(served.alert, offered)
    text = _text(fault, served, urlsplit(url).hostname or '', f'{error} {served.alert}') if fault else None
    return Fault(fault, text, served.certificate.expires if served.certificate else None)


def _text(fault: str, served: Served, host: str, alerts: str) -> str:
    certificate = served.certificate
    issuer = f', issued by {certificate.issuer!r},' if certificate and certificate.issuer else ''
    names = f', only for {", ".join(certificate.names)}' if certificate and certificate.names else ''
    ended = bool(certificate and datetime.fromisoformat(certificate.expires) < datetime.now(timezone.utc))
    expired = f'expired on {certificate.expires[:10]}' if certificate and ended else 'or that of its authority expired'
    return (
        'TLS: '
        + {
            'unknown-authority': f"the server's certificate{issuer} cannot be verified: its authority is unknown here",
            'expired': f"the server's certificate {expired}",
            'not-yet-valid': "the server's certificate is not valid yet",
            'name': f"the server's certificate is not valid for {host}{names}",
            'certificate-wanted': 'the server requires a client certificate',
            'certificate-refused': f'the server refuses the client certificate ({_alert(alerts)})',
        }[fault]
    )


def _alert(alerts: str) -> str:
    text = alerts.upper().replace(' ', '_')
    known = {'UNKNOWN_CA': 'unknown authority', 'EXPIRED': 'expired', 'REVOKED': 'revoked'}
    return next((words for sign, words in known.items() if sign in text), 'bad certificate')
