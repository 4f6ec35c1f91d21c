"""contrib/ and docs/monitoring.md name the metrics that the command writes, and the options that it has."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from lab import ROOT
from patroni_etcd3_compat.check.cli import cli
from patroni_etcd3_compat.check.findings import kinds
from patroni_etcd3_compat.check.render import monitoring, render
from tests.unit.render_samples import facts, findings

CONTRIB = ROOT / 'contrib'
DASHBOARD = CONTRIB / 'grafana' / 'patroni-etcd3-compat.json'
RULES = CONTRIB / 'prometheus' / 'patroni-etcd3-compat.rules.yml'
PAGE = ROOT / 'docs' / 'monitoring.md'


def written() -> dict[str, tuple[list[str], str]]:
    """Return all metrics that there are: labels apart from those of every series, and the help text."""
    some = facts()
    member, patroni = some.etcd.endpoints[0], some.patroni
    member.db_size_in_use, member.quota, member.fsync_p99, member.leader_changes = 4096, 2 << 30, 0.01, 3
    assert patroni is not None
    patroni.group = 0
    patroni.members[1].receive_lag = patroni.members[1].replay_lag = 0
    return {
        family.name: (
            [name for name in family.samples[0].labels if name not in ('scope', 'group')],
            family.documentation,
        )
        for family in text_string_to_metric_families(render('prometheus', some, findings()))
    }


def used(text: str) -> set[str]:
    """Return the metrics that a text names."""
    return set(re.findall(r'\bpatroni_etcd3_\w+\b', text))


def test_sample_has_every_metric() -> None:
    """The sample of these tests has each metric that is in the code."""
    names = re.findall(r"metrics\.add\(\s*'(\w+)'", inspect.getsource(monitoring))
    assert {'patroni_etcd3_' + name for name in names} == written().keys()


def test_metrics_of_contrib() -> None:
    """Rules and dashboard use only metrics that are written; the dashboard is about etcd, Patroni and slots."""
    known = written().keys()
    dashboard = used(DASHBOARD.read_text())
    assert used(RULES.read_text()) <= known and dashboard <= known
    assert {f'patroni_etcd3_{name}' for name in ('check_status', 'etcd_up', 'etcd_quota_bytes')} <= dashboard
    assert {f'patroni_etcd3_{name}' for name in ('patroni_info', 'slot_retained_bytes')} <= dashboard


def expressions() -> list[str]:
    """Return the expressions of rules and dashboard."""
    groups: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())['groups']
    panels: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())['panels']
    return [rule['expr'] for group in groups for rule in group['rules']] + [
        target['expr'] for panel in panels for target in panel['targets']
    ]


def test_labels_of_contrib() -> None:
    """Labels that expressions select or group by are labels of the metric in question."""
    known = written()
    every = {'scope', 'group', 'instance'}
    for expression in expressions():
        names = used(expression)
        labels = {label for name in names for label in known[name][0]} | every
        wanted = set(re.findall(r'[{,]\s*(\w+)\s*(?:=|!=|=~|!~)\s*"', expression))
        for words in re.findall(r'\b(?:by|on|without) \(([^)]*)\)', expression):
            wanted |= set(words.split(', '))
        assert names and wanted <= labels, expression


def test_dashboard() -> None:
    """Grafana needs an identifier for each panel, panels that do not overlap, and a schema version."""
    dashboard = json.loads(DASHBOARD.read_text())
    panels = dashboard['panels']
    assert dashboard['schemaVersion'] >= 36 and dashboard['title'] and 'id' not in dashboard
    assert len({panel['id'] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for place in (panel['gridPos'] for panel in panels)
        for x in range(place['x'], place['x'] + place['w'])
        for y in range(place['y'], place['y'] + place['h'])
    ]
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) == 23
    variables = {variable['name'] for variable in dashboard['templating']['list']}
    assert set(re.findall(r'\$\{?(\w+)', DASHBOARD.read_text())) == variables | {'__all'}


def test_page_lists_every_metric() -> None:
    """The page has one row for each metric, with its labels and its help text."""
    rows = [
        f'| `{name}` | {", ".join(labels)} | {text} |'.replace('|  |', '| |')
        for name, (labels, text) in written().items()
    ]
    assert sorted(re.findall(r'(?m)^\| `patroni_etcd3_.*', PAGE.read_text())) == sorted(rows), '\n'.join(rows)


def test_page_names_what_there_is() -> None:
    """Alerts and findings that the page names exist, every alert is explained, and so is every file."""
    text = PAGE.read_text()
    alerts = set(re.findall(r'alert: (\w+)', RULES.read_text()))
    assert set(re.findall(r'`(PatroniEtcd\w+)`', text)) == alerts
    named = set(re.findall(r'`((?:etcd|patroni|slot|node)-[a-z-]+)`', text))
    assert named and named <= {kind.id for kind in kinds()}
    for path in CONTRIB.rglob('*.*'):
        assert path.is_dir() or str(path.relative_to(ROOT)) in text, path


def test_options_of_contrib() -> None:
    """Options that files in contrib/ and the page give to ``check`` exist."""
    options = {name for parameter in cli.commands['check'].params for name in parameter.opts}
    texts = [path.read_text() for path in (PAGE, *CONTRIB.rglob('*')) if path.is_file() and path.suffix != '.json']
    found = {
        option
        for text in texts
        for line in text.splitlines()
        for option in re.findall(r'(?<![\w-])--[a-z][a-z-]+', line)
        if ('patroni' in line and 'systemctl' not in line) or line.startswith('    "--') or 'OPTIONS' in line
    }
    assert '--members' in found and found <= options
