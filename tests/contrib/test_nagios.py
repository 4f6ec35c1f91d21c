"""Nagios, Icinga and negate run the command as contrib/ tells them, and understand what it answers."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Callable, Iterator

import pytest

from lab.patroni import PatroniCluster
from lab.processes import Process, wait_until
from tests.check.command import program as command
from tests.contrib.conftest import CONTRIB, copy, own_user

#: Limits that cannot be kept, one beyond which nobody is, and members of which one is missing.
LAG, WAL, MEMBERS = '1GB', '1MB,100GB', 'node1,node2,node9'

NAGIOS = """\
log_file={0}/log
cfg_file={0}/patroni-etcd3-compat.cfg
cfg_file={0}/site.cfg
object_cache_file={0}/objects
precached_object_file={0}/precached
status_file={0}/status
status_update_interval=1
lock_file={0}/pid
temp_file={0}/temporary
temp_path={0}
check_result_path={0}
state_retention_file={0}/retention
command_file={0}/command
query_socket={0}/query
check_external_commands=0
service_inter_check_delay_method=n
illegal_macro_output_chars=`~$&|'"<>
nagios_user={1}
nagios_group={2}
"""

SITE = """\
define timeperiod {
    timeperiod_name  always
    alias            always
    sunday           00:00-24:00
    monday           00:00-24:00
    tuesday          00:00-24:00
    wednesday        00:00-24:00
    thursday         00:00-24:00
    friday           00:00-24:00
    saturday         00:00-24:00
}
define command {
    command_name  nothing
    command_line  /bin/true
}
define contact {
    contact_name                   nobody
    host_notification_period       always
    service_notification_period    always
    host_notification_commands     nothing
    service_notification_commands  nothing
}
define host {
    host_name            db
    address              127.0.0.1
    check_period         always
    notification_period  always
    max_check_attempts   1
    contacts             nobody
}
"""

SERVICE = """\
define service {{
    host_name            db
    service_description  {}
    check_command        {}
    check_period         always
    notification_period  always
    max_check_attempts   1
    contacts             nobody
}}
"""

ICINGA = """\
include <itl>
include "patroni-etcd3-compat.conf"
object CheckerComponent "checker" {{ }}
object PerfdataWriter "perfdata" {{
  host_perfdata_path = "{0}/hosts"
  host_temp_path = "{0}/hosts.part"
  service_perfdata_path = "{0}/services"
  service_temp_path = "{0}/services.part"
  service_format_template = "$host.name$\t$service.state_id$\t$service.output$\t$service.perfdata$"
  rotation_interval = 1
}}
"""


@pytest.fixture
def running() -> Iterator[list[Process]]:
    """Processes that end with the test."""
    processes: list[Process] = []
    yield processes
    for process in processes:
        process.terminate()


def expect(state: int, output: str, performance: str) -> None:
    """Expect what there is to say about the cluster with the limits above, as a monitoring system has understood it."""
    assert state == 1
    assert re.match('PATRONI-ETCD3 WARNING - [0-9] warning.*patroni-wal-limit at node1', output), output
    assert 'patroni-member-gone at node9' in output and 'etcd-end-of-life' not in output and '|' not in output
    found = dict(re.findall(r"'?([a-z][^'=]*)'?=(\S+)", performance))
    assert found['etcd_answering'].startswith('3;;;0') and found['patroni_members'].startswith('2;;;0')
    assert re.match(rf'[0-9]+B;{1 << 30};(;0)?', found['node2 lag'])
    assert re.match(rf'[1-9][0-9]*B;{1 << 20};{100 << 30};0', found['node1 pg_wal'])


def test_nagios(cluster: PatroniCluster, program: Callable[..., Path], tmp_path: Path, running: list[Process]) -> None:
    """Nagios accepts the commands, runs them with their arguments, and sees status, text and figures."""
    copy(CONTRIB / 'nagios' / 'patroni-etcd3-compat.cfg', tmp_path)
    options = f'--lag {LAG} --wal {WAL} --members {MEMBERS} --only patroni --ignore patroni-lag-limit'
    services = {
        'patroni': f'check_patroni_etcd3!{cluster.nodes[0].config_file}!{options}',
        'etcd': f'check_etcd_endpoints!{",".join(cluster.etcd.hosts)}!--timeout 3 --ignore etcd-end-of-life',
        'nobody': 'check_etcd_endpoints!127.0.0.1:1!--timeout 3 --ignore etcd-end-of-life',
    }
    (tmp_path / 'nagios.cfg').write_text(NAGIOS.format(tmp_path, *own_user()))
    (tmp_path / 'site.cfg').write_text(SITE + ''.join(SERVICE.format(*service) for service in services.items()))
    nagios = program('nagios4', 'nagios4-core', 'usr/sbin/nagios4')
    argv = [str(nagios), str(tmp_path / 'nagios.cfg')]
    verified = subprocess.run([argv[0], '-v', argv[1]], stdout=subprocess.PIPE, text=True, timeout=60)
    assert verified.returncode == 0 and re.search(r'Total Warnings: 0\nTotal Errors: +0\n', verified.stdout)

    running.append(Process(argv, tmp_path / 'output', env=command()[1]))

    def states() -> dict[str, dict[str, str]]:
        blocks = re.findall(r'servicestatus \{(.*?)\n\t\}', (tmp_path / 'status').read_text(), re.S)
        found = [dict(re.findall(r'^\t(\w+)=(.*)$', block, re.M)) for block in blocks]
        done = {each['service_description']: each for each in found if each['has_been_checked'] == '1'}
        return done if done.keys() == services.keys() else {}

    seen = wait_until(states, 60, 'Nagios to run the checks')
    patroni, etcd, nobody = (seen[name] for name in services)
    expect(int(patroni['current_state']), patroni['plugin_output'], patroni['performance_data'])
    assert etcd['current_state'] == '0' and etcd['plugin_output'] == 'PATRONI-ETCD3 OK - etcd: 3 of 3 URLs answering'
    assert nobody['current_state'] == '3' and nobody['plugin_output'].startswith('PATRONI-ETCD3 UNKNOWN - ')
    assert 'etcd_answering' in nobody['performance_data']


def test_icinga(cluster: PatroniCluster, program: Callable[..., Path], tmp_path: Path, running: list[Process]) -> None:
    """Icinga 2 accepts the command and the service, and passes on every variable of the host."""
    kit = copy(CONTRIB / 'icinga' / 'patroni-etcd3-compat.conf', tmp_path)
    assert 'check_interval = 1m' in kit.read_text()
    kit.write_text(kit.read_text().replace('check_interval = 1m', 'check_interval = 1s'))  # the first one comes sooner
    hosts: dict[str, dict[str, object]] = {
        'db': {
            'config': str(cluster.nodes[0].config_file),
            'scope': cluster.scope,
            'only': ['patroni', 'etcd'],
            'ignore': ['etcd-end-of-life', 'patroni-lag-limit'],
            'members': MEMBERS,
            'lag': LAG,
            'wal': WAL,
            'certificate_days': '30,3',
            'slots_interval': 1,
            'timeout': 3,
        },
        'etcd': {'endpoints': ','.join(cluster.etcd.hosts), 'ignore': 'etcd-end-of-life', 'group': 0, 'scope': 'citus'},
        'other': {},
    }
    text = ICINGA.format(tmp_path)
    for host, variables in hosts.items():
        text += f'object Host "{host}" {{\n  check_command = "dummy"\n'
        for name, value in variables.items():
            text += f'  vars.patroni_etcd3_{name} = {json.dumps(value)}\n'
        text += '}\n'
    (tmp_path / 'icinga2.conf').write_text(text)

    icinga = program('icinga2', 'icinga2-bin', 'usr/lib/*/icinga2/sbin/icinga2', alone=False)
    user, group = own_user()
    environ = dict(command()[1], ICINGA2_USER=user, ICINGA2_GROUP=group)
    argv = [str(icinga), 'daemon', '-c', str(tmp_path / 'icinga2.conf')]
    argv += ['-I', str(icinga.parent / 'root/usr/share/icinga2/include')]
    for name in ('Config', 'Data', 'Log', 'Cache', 'InitRun', 'Spool'):
        (tmp_path / name).mkdir()
        argv += ['-D', f'{name}Dir={tmp_path / name}']
    verified = subprocess.run([*argv, '-C'], stdout=subprocess.PIPE, text=True, timeout=60, env=environ)
    assert verified.returncode == 0 and 'Instantiated 2 Services' in verified.stdout, verified.stdout
    assert 'warning/' not in verified.stdout, verified.stdout

    running.append(Process(argv, tmp_path / 'output', env=environ))

    def states() -> dict[str, list[str]]:
        lines = [line for path in tmp_path.glob('services.*') for line in path.read_text().splitlines()]
        done = {host: rest for host, *rest in (line.split('\t') for line in lines if line.count('\t') == 3)}
        return done if len(done) == 2 else {}

    seen = wait_until(states, 90, 'Icinga to run the checks')
    state, output, performance = seen['db']
    expect(int(state), output, performance)
    state, output, performance = seen['etcd']
    state, output, _ = seen['etcd']
    assert (state, output.rstrip()) == ('3', 'PATRONI-ETCD3 UNKNOWN - 1 unknown: patroni-unknown at citus')


@pytest.mark.parametrize('wrong', [False, True], ids=['ok', 'unknown'])
def test_negate(cluster: PatroniCluster, program: Callable[..., Path], wrong: bool) -> None:
    """The plug-in ``negate`` takes the command for one of its kind: it changes status and word, and leaves the rest."""
    negate = program('negate', 'monitoring-plugins-common', 'usr/lib/nagios/plugins/negate')
    hosts = '127.0.0.1:1' if wrong else ','.join(cluster.etcd.hosts)
    argv, environ = command('check', '-f', 'nagios', '--endpoints', hosts, '--ignore', 'etcd-end-of-life')
    done = subprocess.run(
        [str(negate), '--timeout=110', '--substitute', '--ok=CRITICAL', '--unknown=WARNING', *argv],
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout.split(' - ')[0]) == (
        (1, 'PATRONI-ETCD3 WARNING') if wrong else (2, 'PATRONI-ETCD3 CRITICAL')
    )
    assert re.search(r" \| ('[^']+'=[0-9.]+(s|B)?(;[0-9]*){0,4} ?)+\n$", done.stdout)
