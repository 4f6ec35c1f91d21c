"""Following a plan to the letter: its commands are run as they stand; what it leaves to the site is done by the lab."""

from __future__ import annotations

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

#: What is done for an action that a plan leaves to the site, by its name; it gets the action.
Site = Mapping[str, Callable[[Dict[str, str]], None]]


class Shell:
    """A shell with the variables of a plan.

    :param plan: the plan, as JSON has it.
    :param filled_in: what the operator puts in: values of variables by name.
    """

    def __init__(self, plan: Mapping[str, Any], **filled_in: str) -> None:
        self._lines = [
            '{0}="{1}"{2}'.format(
                entry['name'],
                filled_in.get(entry['name'], entry['value']),
                '; export ' + entry['name'] if entry['export'] else '',
            )
            for entry in plan['variables']
        ]
        programs = [
            str(Path(sys.executable).parent),
            str(etcdctl().parent),
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

    def must(self, command: str) -> None:
        """Run a command that has to work."""
        ended = self.run(command)
        assert ended.returncode == 0, f'{command}\n{ended.stdout}'

    def passes(self, gate: Mapping[str, Any]) -> None:
        """Run the command of a gate, again and again for as long as the plan allows, until it ends with status 0."""
        deadline = time.monotonic() + gate['seconds']
        while True:
            ended = self.run(gate['command'])
            if ended.returncode == 0:
                return
            assert time.monotonic() < deadline, 'gate "{0}" did not pass: {1}\nstatus {2}\n{3}'.format(
                gate['title'], gate['command'], ended.returncode, ended.stdout
            )
            time.sleep(1)


class Follower:
    """Does what a plan says, step by step.

    :param plan: the plan, as JSON has it.
    :param shell: runs its commands.
    :param site: what the site does.
    """

    def __init__(self, plan: Mapping[str, Any], shell: Shell, site: Site) -> None:
        self.plan, self._shell, self._site = plan, shell, site
        #: what was done, for a look at the order
        self.done: list[str] = []

    def follow(self, steps: int = sys.maxsize) -> None:
        """Do the steps; every gate of one has to pass before the next.

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
        if action['action'] == 'upgrade':  # what can't fail shows nothing
            assert self._shell.run(step['gates'][0]['command']).returncode != 0, step['gates'][0]
        commands = [command for command in step['commands'] if not command.startswith('#')]
        for command in commands:
            self._shell.must(command)
        if not commands:
            self._site[action['action']](action)
        for gate in step['gates']:
            self._shell.passes(gate)


def etcd_site(cluster: EtcdCluster) -> Site:
    """What the site does in a plan for etcd."""

    def upgrade(action: dict[str, str]) -> None:
        cluster.upgrade([member.name for member in cluster.members].index(action['member']), action['to'])

    return {'upgrade': upgrade}


def put_back_empty(cluster: EtcdCluster, shell: Shell, commands: list[str], version: str) -> None:
    """Follow the way back of a member: out of the cluster and in again, empty, as another release."""
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
            wait_until(lambda: shell.run(command).returncode == 0, 30, command, interval=1)


def restore(cluster: EtcdCluster, shell: Shell, commands: list[str], version: str, backup: Path) -> None:
    """Follow the way back of all members: restored from the snapshot, as another release."""
    for member in cluster.members:
        member.stop()
        shutil.rmtree(str(member.folder / 'data'))
    restored = 0
    for command in commands:
        for member in cluster.members:
            start = f'# {member.name}: '
            if command.startswith(start):
                shell.must(
                    f'cd "{backup}"; ' + command[len(start) :].replace('NEW_FOLDER', str(member.folder / 'data'))
                )
                restored += 1
    assert restored == len(cluster.members)
    for member in cluster.members:
        member.release = release(version)
        member.spawn()
    for member in cluster.members:
        member.serve()
    cluster.wait_healthy()


def patroni_site(cluster: PatroniCluster, new: Environment) -> Site:
    """What the site does in a plan for Patroni: another release, and what ``systemctl restart patroni`` does."""

    def upgrade(action: dict[str, str]) -> None:
        node: PatroniNode = next(node for node in cluster.nodes if node.name == action['member'])
        assert node.process is not None
        node.process.signal(signal.SIGTERM)  # to Patroni alone: what becomes of PostgreSQL is up to it
        assert node.process.wait(60)
        node.environment = new
        node.start()

    return {'upgrade': upgrade}


def made(*args: str) -> dict[str, Any]:
    """A plan as the command makes it. There is nothing in the way."""
    ended = run('plan', *args, '-f', 'json')
    assert (ended.status, ended.err) == (0, ''), ended
    plan: dict[str, Any] = json.loads(ended.out)
    assert plan['ready'] and plan['refusals'] == [], plan
    return plan


def versions(cluster: EtcdCluster) -> Any:
    """Lines that the members and the cluster run."""
    found = [request(member.url, 'GET', '/version')[1] for member in cluster.members]
    return {tuple(entry[name].rpartition('.')[0] for name in ('etcdserver', 'etcdcluster')) for entry in found}
