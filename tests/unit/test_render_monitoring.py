"""Output for monitoring systems: the line of a Nagios plug-in, and Prometheus' text format."""

from __future__ import annotations

import re
from typing import Dict, FrozenSet, Tuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from patroni_etcd3_compat.check import nagios
from patroni_etcd3_compat.check.facts import EtcdEndpoint, Facts, Finding, Limit
from patroni_etcd3_compat.check.render import render
from tests.unit.render_samples import facts, findings

#: 'label'=value[UOM];[warn];[crit];[min];[max], as in the guidelines for plug-ins.
PERFORMANCE = re.compile(r"'((?:[^'=]|'')+)'=(-?[0-9.]+)(s|B|)(?:;([0-9.]*)){0,4}(?: |$)")


def performance(text: str) -> dict[str, str]:
    """Parse all performance data, by label."""
    found: list[tuple[str, str, str, str]] = PERFORMANCE.findall(text)
    assert PERFORMANCE.sub('', text) == ''
    assert len({label for label, *_ in found}) == len(found)
    return {label: value + unit for label, value, unit, _ in found}


def test_nagios() -> None:
    """The line has the status, what is wrong where, and figures."""
    text = render('nagios', facts(), findings())
    assert text.endswith('\n') and text.count('\n') == 1
    line, _, figures = text.rstrip('\n').partition(' | ')
    assert (
        line == 'PATRONI-ETCD3 CRITICAL - 1 critical, 1 warning: slot-lost at node1, slot gone; '
        'etcd-gateway-off at etcd infra2 (http://10.0.0.2:2379)'
    )
    assert performance(figures) == {
        'etcd_members': '3',
        'etcd_answering': '2',
        'etcd infra1 time': '0.002100s',
        'etcd infra1 size': '25600B',
        'etcd infra2 time': '0.003400s',
        'patroni_members': '2',
        'node1 pg_wal': '50331648B',
        'node1 slot node2': '0B',
        'node2 lag': '3145728B',
    }


def test_nagios_with_nothing_wrong() -> None:
    """Findings of severity info alone are status OK."""
    assert render('nagios', facts(), findings()[2:]).startswith(
        'PATRONI-ETCD3 OK - etcd: 2 of 3 URLs answering, Patroni: 2 members | '
    )


def test_nagios_names_the_first_few() -> None:
    """The line names only the first few of many findings."""
    many = [Finding('slot-lost', 'critical', f'slot {i}', '', '', '', '') for i in range(20)]
    line = render('nagios', facts(), many)
    assert line.startswith('PATRONI-ETCD3 CRITICAL - 20 critical: slot-lost at slot 0; ')
    assert '; 15 more | ' in line and 'slot 5' not in line


def test_nagios_limits() -> None:
    """``--lag`` and ``--wal`` are in the figures as warning and critical."""
    some = facts()
    some.limits.lag, some.limits.wal = Limit(1 << 20, 16 << 20), Limit(64 << 20)
    line = render('nagios', some, [])
    assert "'node2 lag'=3145728B;1048576;16777216;0\n" in line
    assert "'node1 pg_wal'=50331648B;67108864;;0 " in line
    performance(line.rstrip('\n').partition(' | ')[2])


def test_nagios_when_nothing_was_read() -> None:
    """The line gives the reason if no member of etcd answers and no finding that counts tells it."""
    some = facts()
    some.etcd.endpoints = some.etcd.endpoints[2:]
    assert render('nagios', some, []).startswith(
        'PATRONI-ETCD3 UNKNOWN - 1 etcd URL, none answers: connection refused | '
    )
    some.etcd.endpoints = []
    assert render('nagios', some, []).startswith('PATRONI-ETCD3 UNKNOWN - no URL of etcd is known | ')


def odd() -> Facts:
    """Return facts with names that try to break the format."""
    some = facts()
    assert some.patroni is not None
    some.patroni.members[1].name = 'no=de|2\n"\'\\'
    some.etcd.endpoints[0].name = some.etcd.endpoints[1].name = 'default'
    some.etcd.endpoints[2].name = 'a"b\\c\n{}'
    return some


def test_nagios_with_odd_names() -> None:
    """A bar, a quotation mark or a line feed in a name breaks neither line nor figures.

    URLs distinguish equal names.
    """
    line = render('nagios', odd(), [Finding('slot-lost', 'critical', 'a|b\nc', '', '', '', '')])
    assert line.count('|') == 1 and line.count('\n') == 1
    labels = performance(line.rstrip('\n').partition(' | ')[2])
    assert {"no:de/2 \"''\\ lag", 'etcd http://10.0.0.1:2379 time', 'etcd http://10.0.0.2:2379 time'} <= set(labels)


def test_nagios_without_facts() -> None:
    """If the command cannot do its work, the line says why."""
    assert nagios.line('UNKNOWN', 'no such file:\n a|b') == 'PATRONI-ETCD3 UNKNOWN - no such file: a/b\n'


Samples = Dict[str, Dict[FrozenSet[Tuple[str, str]], float]]


def parse(text: str) -> Samples:
    """Parse the text with Prometheus' own client; every metric needs a help text, a type and a unique name."""
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation and family.type == 'gauge' and family.name not in samples
        samples[family.name] = {frozenset(sample.labels.items()): sample.value for sample in family.samples}
        assert len(samples[family.name]) == len(family.samples)
        assert all(sample.timestamp is None for sample in family.samples)  # node_exporter refuses them
    return samples


def value(samples: Samples, name: str, **labels: str) -> float:
    """Return the one sample with these labels, among others."""
    found = [value for own, value in samples['patroni_etcd3_' + name].items() if own >= set(labels.items())]
    assert len(found) == 1
    return found[0]


def test_prometheus() -> None:
    """Known values are shown with their labels; unknown ones are left out."""
    samples = parse(render('prometheus', facts(), findings()))
    assert value(samples, 'check_status') == 2
    assert value(samples, 'check_time_seconds') == 1767323045
    assert [
        value(samples, 'check_findings', severity=severity) for severity in ('critical', 'warning', 'unknown', 'info')
    ] == [1, 1, 0, 1]
    assert value(samples, 'check_finding', id='slot-lost', severity='critical', where='node1, slot gone') == 1
    assert [value(samples, 'etcd_up', url=f'http://10.0.0.{i}:2379') for i in (1, 2, 3)] == [1, 1, 0]
    assert value(samples, 'etcd_gateway', url='http://10.0.0.2:2379') == 0
    assert value(samples, 'etcd_answer_seconds', url='http://10.0.0.1:2379') == 0.0021
    assert value(samples, 'etcd_info', member='infra1', version='3.3.25', prefixes='/v3beta /v3alpha') == 1
    assert len(samples['patroni_etcd3_etcd_db_size_bytes']) == 1
    assert value(samples, 'patroni_paused', scope='batman') == 1
    assert value(samples, 'patroni_info', member='node2', version='4.0.2', role='replica') == 1
    assert value(samples, 'patroni_api_up', member='node2') == value(samples, 'postgres_up', member='node2') == 0
    assert value(samples, 'slot_lost', member='node1', slot='gone') == 1
    assert value(samples, 'pg_wal_bytes', member='node1') == 48 << 20


def test_prometheus_with_odd_names() -> None:
    """Labels survive a round trip unchanged."""
    samples = parse(render('prometheus', odd(), []))
    assert value(samples, 'etcd_info', member='a"b\\c\n{}', protocol='') == 1
    assert value(samples, 'patroni_lag_bytes', member='no=de|2\n"\'\\') == 3 << 20


def test_prometheus_with_what_is_no_text() -> None:
    """Surrogates and control characters are escaped, so that the whole file can be parsed."""
    some = facts()
    some.etcd.endpoints[0].name, some.patroni.members[0].name = 'a\ud800b', 'c\r\x1b\u2028\x00d'  # type: ignore
    text = render('prometheus', some, [])
    samples = parse(text.encode('utf-8').decode('utf-8'))
    assert value(samples, 'etcd_info', member='a\\ud800b') == 1
    assert value(samples, 'patroni_api_up', member='c\\r\\x1b\\u2028\\x00d') == 1


@pytest.mark.parametrize('taken', ['2026-01-02T03:04:05Z', '2026-01-02T04:04:05.250+01:00'])
def test_prometheus_time(taken: str) -> None:
    """The time of the check is in seconds since 1970, whatever its time zone."""
    some = facts()
    some.taken, some.patroni = taken, None
    assert int(value(parse(render('prometheus', some, [])), 'check_time_seconds')) == 1767323045


def test_prometheus_scope() -> None:
    """Every series has the scope: two clusters that are checked on one host have no series in common."""
    one, two = facts(), facts()
    assert two.patroni is not None
    two.patroni.scope = 'robin'
    samples = [
        {(name, labels) for name, series in parse(render('prometheus', some, findings())).items() for labels in series}
        for some in (one, two)
    ]
    assert all(dict(labels)['scope'] == 'batman' for _, labels in samples[0])
    assert len(samples[0]) == len(samples[1]) and not samples[0] & samples[1]


def test_prometheus_while_a_member_is_down() -> None:
    """The series of an etcd member stay the same when it goes down and its name becomes unknown."""
    up, down = facts(), facts()
    down.etcd.endpoints[0] = EtcdEndpoint(down.etcd.endpoints[0].url, True, error='no answer')
    for name, series in parse(render('prometheus', down, [])).items():
        if name.startswith('patroni_etcd3_etcd_') and not name.endswith('_info'):
            assert set(series) <= set(parse(render('prometheus', up, []))[name])


def test_citus_group() -> None:
    """All series of a group of a Citus cluster have its number, so two groups have none in common."""
    some = facts()
    assert some.patroni is not None
    assert 'group=' not in render('prometheus', some, findings())

    def series(group: int) -> set[str]:
        vars(some.patroni)['group'] = group
        lines = render('prometheus', some, findings()).splitlines()
        return {line.rpartition(' ')[0] for line in lines if not line.startswith('#')}

    zero, one = series(0), series(1)
    assert len(zero) == len(one) and not zero & one
    assert all('scope="batman",group="0"' in name for name in zero)
