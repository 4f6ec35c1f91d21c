"""Small pieces of text that several formats share."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import NamedTuple

from ..facts import SEVERITIES, Etcd, EtcdEndpoint, Facts, Finding, Fleet
from ..printable import STATUS as STATUS
from ..printable import WIDTH as WIDTH
from ..printable import clean as clean
from ..printable import one_line as one_line
from ..units import number


class Style(NamedTuple):
    """How the output for people looks."""

    #: columns of a line
    width: int = WIDTH
    #: use colours
    colour: bool = False
    #: show everything, whole
    verbose: bool = False


def etcd_label(etcd: Etcd, member: EtcdEndpoint) -> str:
    """Return the name of an etcd member if no other has it, else its URL.

    :param etcd: the etcd cluster.
    :param member: one of ``etcd.endpoints``.
    """
    same = [other for other in etcd.endpoints if other.name == member.name]
    return clean(member.name if member.name and len(same) == 1 else member.url)


def counts(findings: list[Finding]) -> dict[str, int]:
    """Return how many findings have which severity, the most severe first, those without any included."""
    return {severity: sum(finding.severity == severity for finding in findings) for severity in reversed(SEVERITIES)}


def summary(findings: list[Finding]) -> str:
    """Return in a few words how many findings have which severity: ``2 critical, 1 warning``."""
    parts = [f'{count} {severity}' for severity, count in counts(findings).items() if count]
    return ', '.join(parts) or 'no findings'


def taken(facts: Facts | Fleet) -> datetime:
    """Return the time of the facts, which has a zone."""
    return datetime.fromisoformat(facts.taken.replace('Z', '+00:00'))  # Z is understood from Python 3.11 on


def utc(facts: Facts | Fleet) -> str:
    """Return the same for people on several hosts, as etcd's own logs have it: ``2026-11-25 17:12:57 UTC``."""
    return f'{taken(facts).astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC'


def silence(facts: Facts | Fleet) -> str:
    """Return why nothing at all could be read from etcd; empty if a member answers.

    :param facts: everything.
    """
    endpoints = facts.etcd.endpoints
    if any(member.answers for member in endpoints):
        return ''
    if not endpoints:
        return 'no URL of etcd is known'
    reason = next((f': {one_line(member.error)}' for member in endpoints if member.error), '')
    return f'{number(len(endpoints), "etcd URL")}, none answers{reason}'


def subject(facts: Facts | Fleet) -> str:
    """Return what was looked at: the name of the cluster, etcd alone, or how many clusters."""
    if isinstance(facts, Fleet):
        return number(len(facts.clusters), 'cluster')
    return one_line(facts.patroni.scope) if facts.patroni else 'etcd'


def verdict(facts: Facts | Fleet, findings: list[Finding]) -> str:
    """Return what was looked at, how many findings there are, and why if none matters and nothing was read."""
    matter = [finding for finding in findings if finding.severity != 'info']
    return ': '.join(filter(None, (subject(facts), summary(matter or findings), '' if matter else silence(facts))))
