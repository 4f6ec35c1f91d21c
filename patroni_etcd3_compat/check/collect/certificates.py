"""Certificates as they are in files and as servers present them: who issued them, for whom, and until when.

Python shows the content of a certificate only after it was verified, and those that matter here are refused.
"""

from __future__ import annotations

import ipaddress
import re
import ssl
from datetime import datetime, timezone
from typing import Iterator, Mapping, NamedTuple

from ..facts import TlsFile

#: Names of urllib3's arguments, and of the options in Patroni's section.
_OPTIONS = {'ca_certs': 'cacert', 'cert_file': 'cert', 'key_file': 'key'}

_PEM = re.compile(r'-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----', re.DOTALL)
_KEY = re.compile(r'-----BEGIN ([A-Z ]*)PRIVATE KEY-----')

#: Tags and object identifiers (X.690, RFC 5280).
_EXPLICIT_0, _EXPLICIT_3, _UTC_TIME, _OCTETS, _DNS, _IP = 0xA0, 0xA3, 0x17, 0x04, 0x82, 0x87
_ALTERNATIVE_NAMES, _COMMON_NAME, _ORGANISATION = b'\x55\x1d\x11', b'\x55\x04\x03', b'\x55\x04\x0a'


class Certificate(NamedTuple):
    """What is known of a certificate."""

    #: common name of whoever issued it, or else its organisation; may be empty
    issuer: str
    #: DNS names and addresses that it is valid for
    names: list[str]
    #: it ends then, ISO 8601 in UTC
    expires: str


def read_certificate(der: bytes) -> Certificate | None:
    """Return the content of a certificate in DER; ``None`` if it cannot be read."""
    try:
        certificate = _parts(der)[0][1]
        fields = _parts(_parts(certificate)[0][1])
        fields = fields[1:] if fields[0][0] == _EXPLICIT_0 else fields  # the version
        issuer, validity = fields[2][1], fields[3][1]
        extensions = next((value for tag, value in fields if tag == _EXPLICIT_3), b'')
        return Certificate(_name(issuer), list(_alternative_names(extensions)), _time(*_parts(validity)[1]))
    except (ValueError, IndexError):
        return None


def _parts(data: bytes) -> list[tuple[int, bytes]]:
    """Return the elements that stand one behind the other, each with its tag."""
    found, at = [], 0
    while at < len(data):
        tag, size, start = data[at], data[at + 1], at + 2
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(data[at + 2 : start], 'big')
        if start + size > len(data):
            raise ValueError('cut off')
        found.append((tag, data[start : start + size]))
        at = start + size
    return found


def _name(data: bytes) -> str:
    known = {}
    for _, relative in _parts(data):
        for _, attribute in _parts(relative):
            (_, kind), (_, value) = _parts(attribute)[:2]
            known[kind] = value.decode('utf-8', 'replace')
    return known.get(_COMMON_NAME) or known.get(_ORGANISATION) or ''


def _alternative_names(data: bytes) -> Iterator[str]:
    for _, extension in _parts(_parts(data)[0][1]) if data else ():
        fields = _parts(extension)
        if fields[0][1] != _ALTERNATIVE_NAMES:
            continue
        octets = next(value for tag, value in fields if tag == _OCTETS)
        for tag, value in _parts(_parts(octets)[0][1]):
            if tag == _DNS:
                yield value.decode('ascii', 'replace')
            elif tag == _IP:
                yield str(ipaddress.ip_address(value))


def _time(tag: int, value: bytes) -> str:
    text = value.decode('ascii')
    if tag == _UTC_TIME:  # with a year of two digits
        text = ('20' if int(text[:2]) < 50 else '19') + text
    return datetime.strptime(text, '%Y%m%d%H%M%SZ').replace(tzinfo=timezone.utc).isoformat()


def read_files(options: Mapping[str, str]) -> list[TlsFile]:
    """Return the files of a connection, each with what is wrong with it.

    :param options: arguments of :class:`urllib3.PoolManager`.
    """
    files = [_read(option, str(options[name])) for name, option in _OPTIONS.items() if options.get(name)]
    by_option = {file.option: file for file in files}
    cert, key = by_option.get('cert'), by_option.get('key')
    if cert and not any(file.error for file in files if file.option != 'cacert'):
        error = _pair(cert.path, key.path if key else None)
        (key or cert).error = error
    return files


def _read(option: str, path: str) -> TlsFile:
    file = TlsFile(option, path)
    try:
        with open(path, encoding='ascii', errors='replace') as stream:
            text = stream.read()
    except OSError as e:
        file.error = (e.strerror or type(e).__name__).lower()
        return file
    if option == 'key':
        file.error = _key_error(text)
        return file
    read = [read_certificate(der) for der in _ders(text)]
    ends = [each.expires for each in read if each]
    if ends:  # every one of a chain is needed, and any one of several authorities
        file.expires = max(ends) if option == 'cacert' else min(ends)
    else:
        file.error = 'holds no certificate'
    return file


def _ders(text: str) -> Iterator[bytes]:
    for block in _PEM.findall(text):
        try:
            yield ssl.PEM_cert_to_DER_cert(block)
        except ValueError:
            continue


def _key_error(text: str) -> str | None:
    kind = _KEY.search(text)
    if not kind:
        return 'holds no private key'
    if 'ENCRYPTED' in kind.group(1) or 'Proc-Type: 4,ENCRYPTED' in text:
        return 'is encrypted, and Patroni has no option for its password'
    return None


def _pair(cert: str, key: str | None) -> str | None:
    """Return what keeps certificate and key from being used with each other."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, '')  # no password: nobody is to be asked
    except ssl.SSLError as e:
        if 'MISMATCH' in str(e).upper():
            return f'does not belong to the certificate in {cert}'
        return 'cannot be used' if key else 'holds no private key, and the option key is not set'
    except (OSError, ValueError) as e:
        return getattr(e, 'strerror', None) or 'cannot be used'
    return None


def usable(files: list[TlsFile]) -> bool:
    """Return whether nothing is wrong with the files, apart from their dates."""
    return not any(file.error for file in files)
