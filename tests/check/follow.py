"""Following a plan to the letter: its commands are run unchanged, and the lab does what the plan leaves to the site."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Mapping

from lab import say
from lab.environments import Environment, clean_environ
from lab.etcd import EtcdCluster, release, request
from lab.member import EtcdMember
from lab.node import PatroniNode
from lab.packages import etcdctl
from lab.patroni import PatroniCluster
from lab.processes import wait_until
from lab.programs import tool
from tests.check.command import run

#: The functions for the actions that a plan leaves to the site, by name; the argument is the action.
Site = Mapping[str, Callable[[Dict[str, str]], None]]


class Shell:
    """A shell with the variables of a plan.

    :param plan: the plan, as JSON has it.
    :param clients: the folder of etcdctl and etcdutl; None: the etcdctl of the distribution.
    :param filled_in: what the operator puts in: values of variables by name.
    """

    def __init__(self, plan: Mapping[str, Any], clients: Path | None = None, **filled_in: str) -> None:
        self._lines = [
            f'{entry["name"]}="{filled_in.get(entry["name"], entry["value"])}"'
            + (f'; export {entry["name"]}' if entry['export'] else '')
            for entry in plan['variables']
        ]
        programs = [
            str(Path(sys.executable).parent),
            str(clients or etcdctl().parent),
            os.environ['PATH'],
            str(tool('curl').parent),
        ]
        self._environ = dict(clean_environ(), PATH=os.pathsep.join(programs), COLUMNS='200', LC_ALL='C.UTF-8')
        self._environ.update({name: os.environ[name] for name in ('PYTHONPATH',) if name in os.environ})

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command; its errors are in its output."""
        return subprocess.run(
            ['sh', '-c', '\n'.join(self._lines + [command])],
            env=self._environ,
            timeout=120,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def succeeds(self, command: str) -> bool:
        """Tell whether a command ends with status 0."""
        return self.run(command).returncode == 0

    def must(self, command: str) -> None:
        """Run a command that has to succeed."""
        ended = self.run(command)
        assert ended.returncode == 0, f'{command}\n{ended.stdout}'

    def passes(self, gate: Mapping[str, Any]) -> None:
        """Run the command of a gate until it ends with status 0, for as long as the plan allows."""
        deadline = time.monotonic() + gate['seconds']
        while True:
            ended = self.run(gate['command'])
            if ended.returncode == 0:
                return
            assert time.monotonic() < deadline, (
                f'gate "{gate["title"]}" did not pass: {gate["command"]}\nstatus {ended.returncode}\n{ended.stdout}'
            )
            time.sleep(1)


class Follower:
    """Carries out a plan, step by step.

    :param plan: the plan, as JSON has it.
    :param shell: runs its commands.
    :param site: what the site does.
    """

    def __init__(self, plan: Mapping[str, Any], shell: Shell, site: Site) -> None:
        self.plan, self._shell, self._site = plan, shell, site
        #: what was done, in this order
        self.done: list[str] = []

    def follow(self, steps: int = sys.maxsize) -> None:
        """Carry out the steps; every gate of a step has to pass before the next step.

        :param steps: so many of them, from the first one on.
        """
        for step in self.plan['steps'][:steps]:
            self._do(step)
        if steps >= len(self.plan['steps']):
            for gate in self.plan['health']:
                self._shell.passes(gate)

    def _do(self, step: Mapping[str, Any]) -> None:
        action = step['action']
        self.done.append(' '.join(action.values()))
        say('plan: ' + step['title'])
        if action['action'] in ('upgrade', 'downgrade'):  # a gate that cannot fail proves nothing
            assert self._shell.run(step['gates'][0]['command']).returncode != 0, step['gates'][0]
        commands = [command for command in step['commands'] if not command.startswith('#')]
        if not commands or action['action'] in self._site:
            self._site[action['action']](action)
        for command in commands:
            self._shell.must(command)
        for gate in step['gates']:
            self._shell.passes(gate)


def etcd_site(cluster: EtcdCluster) -> Site:
    """Return what the site does in a plan for etcd."""

    options: set[str] = set()  # of the steps before, which an upgrade takes out again

    def number(action: dict[str, str]) -> int:
        return [member.name for member in cluster.members].index(action['member'])

    def upgrade(action: dict[str, str]) -> None:
        member = cluster.members[number(action)]
        member.flags = [flag for flag in member.flags if flag not in options]
        cluster.upgrade(number(action), action['to'])

    def log_snapshot(action: dict[str, str]) -> None:
        member = cluster.members[number(action)]
        options.add(action['option'])
        member.flags.append(action['option'])
        member.restart()
        cluster.wait_healthy()
        if all(action['option'] in other.flags for other in cluster.members):
            cluster.logs_began_anew()

    return {'upgrade': upgrade, 'downgrade': upgrade, 'log-snapshot': log_snapshot}


def put_back_empty(cluster: EtcdCluster, shell: Shell, commands: list[str], version: str) -> None:
    """Follow the rollback of a member: remove it from the cluster and add it again, empty, on another release."""
    member: EtcdMember = cluster.members[0]
    for command in commands:
        if command.startswith('# stop etcd on '):
            member = next(member for member in cluster.members if member.name == command.split()[-1])
            member.stop()
        elif command.startswith('# empty the data directory of '):
            assert command.split()[-1] == member.name
            shutil.rmtree(str(member.folder / 'data'))
        elif command.startswith('# start etcd on '):
            member.release = release(version)
            member.bootstrap = [word for word in command.split() if word.startswith('--')]
            member.start()
            cluster.wait_healthy()
        else:
            assert not command.startswith('#')
            # refused until the members have known each other for 5 s
            wait_until(functools.partial(shell.succeeds, command), 30, command, interval=1)


def restore(
    cluster: EtcdCluster,
    patroni: PatroniCluster,
    shell: Shell,
    commands: list[str],
    version: str,
    backup: Path,
    patroni_runs: bool = False,
) -> None:
    """Follow the rollback of all members: restore them from the snapshot, on another release, without Patroni.

    :param patroni_runs: leave out what the plan says about Patroni, but for the pause.
    """
    primary = patroni.wait_primary()

    def stop_patroni() -> None:
        for node in patroni.nodes:
            assert node.process is not None
            node.process.signal(signal.SIGTERM)
            assert node.process.wait(60)

    def stop_etcd() -> None:
        for member in cluster.members:
            member.stop()
            shutil.rmtree(str(member.folder / 'data'))

    def start_etcd() -> None:
        for member in cluster.members:
            member.release = release(version)
            member.spawn()
        for member in cluster.members:
            member.serve()
        cluster.wait_healthy()

    def start_patroni() -> None:
        primary.start()
        patroni.wait_primary()
        for node in patroni.nodes:
            if node is not primary:
                node.start()
        patroni.wait_replicas()

    site = {
        '# stop Patroni on every node': stop_patroni,
        '# stop etcd on every member': stop_etcd,
        '# set data-dir to that folder': start_etcd,
        '# start Patroni where the primary runs': start_patroni,
    }
    if patroni_runs:
        away = ('# stop Patroni on every node', '# start Patroni where the primary runs')
        site = {start: work for start, work in site.items() if start not in away}
        others = ('etcdctl', '! patronictl list')
        commands = [command for command in commands if not command.startswith((*away, *others))]
    done = 0
    for command in commands[next(i for i, command in enumerate(commands) if 'patronictl pause' in command) :]:
        member = next((member for member in cluster.members if command.startswith(f'# {member.name}: ')), None)
        if member is not None:
            restored = command.partition(': ')[2].replace('NEW_FOLDER', str(member.folder / 'data'))
            shell.must(f'cd "{backup}"; {restored}')
        elif command.startswith('#'):
            for start in site:
                if command.startswith(start):
                    site[start]()
                    done += 1
        else:
            shell.must(command)
    assert done == len(site)


def patroni_site(cluster: PatroniCluster, new: Environment) -> Site:
    """Return what the site does in a plan for Patroni: install another release, and ``systemctl restart patroni``."""

    def upgrade(action: dict[str, str]) -> None:
        node: PatroniNode = next(node for node in cluster.nodes if node.name == action['member'])
        assert node.process is not None
        node.process.signal(signal.SIGTERM)  # only to Patroni, which decides what happens to PostgreSQL
        assert node.process.wait(60)
        node.environment = new
        node.start()

    return {'upgrade': upgrade}


def past_the_facade(plan: dict[str, Any], cluster: EtcdCluster) -> dict[str, Any]:
    """Return a plan whose ``etcdctl`` goes to the members themselves: a facade in front of one speaks HTTP only."""

    def changed(command: str) -> str:
        for member in cluster.members if 'etcdctl' in command else ():
            command = command.replace(member.url, member.real_url)
        return command

    for step in plan['steps']:
        step['commands'] = list(map(changed, step['commands']))
        for gate in step['gates']:
            gate['command'] = changed(gate['command'])
    for gate in plan['health']:
        gate['command'] = changed(gate['command'])
    return plan


def made(*args: str) -> dict[str, Any]:
    """Return a plan from the command, which has to find nothing in the way."""
    ended = run('plan', *args, '-f', 'json')
    assert (ended.status, ended.err) == (0, ''), ended
    plan: dict[str, Any] = json.loads(ended.out)
    assert plan['ready'] and plan['refusals'] == [], plan
    return plan


def versions(cluster: EtcdCluster) -> Any:
    """Return the release lines of the members and of the cluster."""
    found = [request(member.url, 'GET', '/version')[1] for member in cluster.members]
    return {tuple(entry[name].rpartition('.')[0] for name in ('etcdserver', 'etcdcluster')) for entry in found}
