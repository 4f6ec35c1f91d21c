"""The text file on its way: the command, node_exporter, Prometheus with the alert rules, the dashboard's queries."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lab.patroni import PatroniCluster
from lab.ports import free_port
from lab.processes import Process, wait_until
from tests.check.command import program as command
from tests.contrib.conftest import CONTRIB, unit_command

RULES = CONTRIB / 'prometheus' / 'patroni-etcd3-compat.rules.yml'
TESTS = RULES.with_name('patroni-etcd3-compat.test.yml')
DASHBOARD = CONTRIB / 'grafana' / 'patroni-etcd3-compat.json'

CONFIGURATION = """\
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: ['{}']
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ['127.0.0.1:{}']}}]
"""


def get(url: str) -> str:
    """Return what a server on loopback answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=5) as response:
        text: str = response.read().decode()
        return text


class Monitored(NamedTuple):
    """A cluster, and what watches it."""

    cluster: PatroniCluster
    state: Path
    #: URLs
    exporter: str
    prometheus: str

    def check(self) -> Path:
        """Run the command as the systemd service does, and return the file that it wrote."""
        argv = unit_command(
            self.cluster.nodes[0].config_file.parent, self.state, '--ignore etcd-end-of-life --timeout 3'
        )
        done = subprocess.run(argv, env=command()[1], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        assert done.returncode in (0, 1, 2, 3) and not done.stdout
        return self.state / 'patroni-etcd3-compat' / 'patroni.prom'

    def api(self, path: str, **parameters: str) -> Any:
        """Ask Prometheus."""
        answer = json.loads(get(f'{self.prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}'))
        assert answer['status'] == 'success'
        return answer['data']

    def query(self, expression: str) -> list[dict[str, str]]:
        """Return the labels of the series that an expression gives."""
        return [sample['metric'] for sample in self.api('query', query=expression)['result']]


@pytest.fixture(scope='module')
def promtool(program: Callable[..., Path]) -> Path:
    """Prometheus' own checks: in its package, or in one of their own from Debian 13 on."""
    beside = program('prometheus').parent / 'root/usr/bin/promtool'
    return beside if beside.exists() else program('promtool')


@pytest.fixture(scope='module')
def monitored(
    cluster: PatroniCluster, program: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Monitored]:
    """A real Prometheus, and a real node_exporter that finds the file by a link, as docs/monitoring.md tells."""
    exporter, prometheus = program('prometheus-node-exporter'), program('prometheus')
    folder = tmp_path_factory.mktemp('monitored')
    for name in ('text', 'lib', 'lib/patroni-etcd3-compat'):
        (folder / name).mkdir()
    (folder / 'text' / 'patroni-etcd3-compat.prom').symlink_to(folder / 'lib/patroni-etcd3-compat/patroni.prom')
    ports = free_port(), free_port()
    (folder / 'prometheus.yml').write_text(CONFIGURATION.format(RULES, ports[0]))
    urls = [f'http://127.0.0.1:{port}' for port in ports]
    monitored = Monitored(cluster, folder / 'lib', *urls)
    processes = []
    try:
        options = ['--collector.disable-defaults', '--collector.textfile', f'--web.listen-address=127.0.0.1:{ports[0]}']
        options.append(f'--collector.textfile.directory={folder / "text"}')
        processes.append(Process([exporter, *options], folder / 'exporter.log'))
        options = [f'--config.file={folder / "prometheus.yml"}', f'--storage.tsdb.path={folder / "data"}']
        options.append(f'--web.listen-address=127.0.0.1:{ports[1]}')
        processes.append(Process([prometheus, *options], folder / 'prometheus.log'))
        wait_until(lambda: get(urls[0] + '/metrics') and get(urls[1] + '/-/ready'), 30, 'Prometheus')
        monitored.check()
        yield monitored
    finally:
        for process in processes:
            process.terminate()


def test_rules(promtool: Path, tmp_path: Path) -> None:
    """promtool accepts the rules; their tests pass, and fail if any rule is changed."""
    for args in (['check', 'rules', str(RULES)], ['test', 'rules', str(TESTS)]):
        done = subprocess.run([str(promtool), *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0 and 'SUCCESS' in done.stdout, done.stdout

    rules, tests = RULES.read_text(), tmp_path / TESTS.name
    tests.write_text(TESTS.read_text())
    changes = [('> 600', '> 700'), ('for: 15m', 'for: 20m'), ('for: 2m', 'for: 3m'), ('for: 10m', 'for: 11m')]
    changes += [
        ('"critical"}', '"warning"}'),
        ('"warning|unknown"', '"warning"'),
        ('without (instance)', 'without (id)'),
    ]
    changes += [
        ('bool 2', 'bool 1'),
        (' == 3', ' == 2'),
        ('unless on', 'and on'),
        ('or absent_over_time', 'and absent_over_time'),
    ]
    for old, new in changes:
        assert old in rules
        (tmp_path / RULES.name).write_text(rules.replace(old, new))
        done = subprocess.run([str(promtool), 'test', 'rules', str(tests)], stdout=subprocess.PIPE, text=True)
        assert done.returncode == 1, f'{old} -> {new} is not noticed'


def series(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return all samples of the command by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith('patroni_etcd3_')
    }


def test_the_file(monitored: Monitored, promtool: Path) -> None:
    """promtool has nothing to say about the file."""
    with open(str(monitored.check())) as text:
        done = subprocess.run(
            [str(promtool), 'check', 'metrics'], stdin=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    assert (done.returncode, done.stdout) == (0, '')


def test_node_exporter(monitored: Monitored) -> None:
    """node_exporter serves every series of the file with its value, and Prometheus has them with host and job."""
    written = series(monitored.check().read_text())
    assert len({name for name, _ in written}) > 25
    served = get(monitored.exporter + '/metrics')
    assert series(served) == written and '\nnode_textfile_scrape_error 0\n' in served

    def arrived() -> bool:
        found = monitored.query('{__name__=~"patroni_etcd3_.+"}')
        own = {'__name__', 'instance', 'job'}
        labels = {(it['__name__'], frozenset((k, v) for k, v in it.items() if k not in own and v)) for it in found}
        wanted = {(name, frozenset((k, v) for k, v in labels if v)) for name, labels in written}
        return labels == wanted

    wait_until(arrived, 20, 'Prometheus to have the series')


def test_dashboard(monitored: Monitored) -> None:
    """Every query of the dashboard finds something in the cluster, with the columns that its tables arrange."""
    monitored.check()
    dashboard = json.loads(DASHBOARD.read_text())
    wait_until(lambda: monitored.query('patroni_etcd3_slot_retained_bytes'), 20, 'Prometheus to have the series')
    for panel in dashboard['panels']:
        columns = {'Time', 'Value'}
        for target in panel['targets']:
            found = monitored.query(target['expr'].replace('$scope', '.*'))
            # There are no findings in a healthy cluster, and too few syncs for a figure in a young one.
            assert found or re.search('check_finding{|fsync', target['expr']), target['expr']
            columns |= {label for labels in found for label in labels} | {'Value #' + target['refId']}
            for label in re.findall(r'{{(\w+)}}', target.get('legendFormat', '')):
                assert label in ('group', *columns) or not found, (label, panel['title'])
        for transformation in panel.get('transformations', ()):
            arranged = transformation['options'].get('indexByName', {})
            if panel['title'] != 'Findings':
                assert arranged.keys() <= columns | {'group'}


def test_alerts(monitored: Monitored) -> None:
    """Prometheus runs all rules without an error. An etcd member that dies is an alert within one check."""
    monitored.check()
    (group,) = wait_until(lambda: monitored.api('rules')['groups'], 20, 'the rules')
    assert len(group['rules']) == RULES.read_text().count('- alert:')
    wait_until(
        lambda: {rule['health'] for rule in monitored.api('rules')['groups'][0]['rules']} == {'ok'},
        20,
        'all rules to run',
    )
    member = monitored.cluster.etcd.members[2]
    member.kill()
    try:
        monitored.cluster.etcd.wait_healthy()  # it may have been the leader
        monitored.check()

        def alerts() -> list[dict[str, Any]]:
            return [it for it in monitored.api('alerts')['alerts'] if it['labels'].get('id') == 'etcd-unreachable']

        (alert,) = wait_until(alerts, 20, 'the alert')
    finally:
        member.start()
        monitored.cluster.etcd.wait_healthy()
    assert alert['state'] == 'pending'
    labels = alert['labels']
    assert (labels['alertname'], labels['severity'], labels['scope']) == ('PatroniEtcdFinding', 'warning', 'lab')
    assert 'instance' not in labels and 'etcd2' in labels['where']
    assert alert['annotations']['summary'] == f'lab: etcd-unreachable at {labels["where"]}'
