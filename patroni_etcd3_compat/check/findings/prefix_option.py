"""The finding about the option ``version_prefix``."""

from __future__ import annotations

from typing import Iterator

from ...versions import AUTO, PREFIXES
from ..cluster import section, served, unless_covered, with_name
from ..facts import Facts
from ..units import comma
from .examples import both, etcd_runs
from .registry import PATRONI, Seen, Subject

SUBJECT = Subject(60, 'etcd: options of Patroni')


def _configured(facts: Facts) -> None:
    facts.etcd.version_prefix = '/v3'


@SUBJECT.finding(
    'etcd-prefix-option',
    'version_prefix is invalid, or names a prefix that some members do not serve',
    f'{PATRONI}pull/2729',
    critical='if it is invalid, and the package or the patch serves every Patroni member',
    warning='',
    proved=['tests/check/test_consequences.py::test_invalid_prefix'],
    example=both(_configured, etcd_runs('3.3.25', '3.3.25', '3.4.23')),
)
def prefix_option(facts: Facts) -> Iterator[Seen]:
    """Find a prefix in the configuration that is none, or that members do not serve."""
    prefix = facts.etcd.version_prefix
    if not prefix:
        return
    if prefix not in PREFIXES:
        yield Seen(
            unless_covered(facts, 'warning', 'critical'),
            where='this host',
            seen=f'version_prefix: {prefix} is configured',
            consequence='Patroni with the package or the patch does not start with it; a running one keeps its '
            'previous value',
            remedy=f'set one of {comma([AUTO, *PREFIXES], "or")}, or remove the option',
        )
        return
    without = [url for url in facts.etcd.endpoints if url.version and served(url) and prefix not in served(url)]
    if without:
        instead = comma(sorted({' '.join(served(url)) for url in without}), 'or')
        yield Seen(
            'warning',
            where=comma([with_name(url) for url in without]),
            seen=f'version_prefix: {prefix} is configured, but {instead} is served there',
            consequence='the package tries it first at these members, in vain, and then uses what they serve; stock '
            'Patroni does not read the option at all',
            remedy=f'remove version_prefix from section {section(facts)}, or set it to auto',
        )
