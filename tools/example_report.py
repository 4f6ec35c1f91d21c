"""The report in docs/example, of a real upgrade: ``python -m tools.example_report`` (about five minutes).

A primary and a replica of the newest Patroni run under a write load while etcd goes from 3.4 to 3.7. ``check --record``
looks on, the steps are those of a plan for each minor release, followed to the letter.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from lab import ROOT, say
from lab.environments import environment
from lab.etcd import EtcdCluster
from lab.load import WriteLoad
from lab.monitor import Monitor
from lab.node import unprivileged_user
from lab.patroni import PatroniCluster
from lab.processes import remove_folder, scratch_folder
from tests.check.command import program
from tests.check.follow import Follower, Shell, etcd_site, made

FOLDER = ROOT / 'docs' / 'example'


def _report(record: Path, plan: Path) -> None:
    args = ['report', str(record), '-o', str(FOLDER / 'upgrade.md'), '--svg', str(FOLDER / 'upgrade.svg')]
    argv, environ = program(*args, '--plan', str(plan))
    subprocess.run(argv, env=environ, check=True)


def main() -> None:
    """Run the upgrade and write the report."""
    FOLDER.mkdir(exist_ok=True)
    folder = scratch_folder('example-')
    try:
        record, plans = folder / 'upgrade.jsonl', []
        newest = environment().for_user(unprivileged_user())
        with EtcdCluster(['3.4'] * 3) as etcd, PatroniCluster([newest, newest], etcd) as patroni:
            config = str(patroni.nodes[0].config_file)
            argv, environ = program('check', '-c', config, '--watch', '1', '--record', str(record), '-f', 'tsv')
            recorder = subprocess.Popen(argv, env=environ, stdout=subprocess.DEVNULL)
            try:
                with Monitor(patroni) as monitor, WriteLoad(patroni) as load:
                    for line in ('3.5', '3.6', '3.7'):
                        plan = made('-c', config, '--etcd-to', line)
                        plans.append(plan)
                        Follower(plan, Shell(plan, BACKUP=str(folder)), etcd_site(etcd)).follow()
                    load.stop()
                say(f'{monitor.demotions} demotions, {monitor.leader_changes} changes of the leader')
                load.verify()
            finally:
                recorder.terminate()
                recorder.wait(30)
        whole = dict(plans[0], title='etcd 3.4 to 3.7', steps=[step for plan in plans for step in plan['steps']])
        (folder / 'plan.json').write_text(json.dumps(whole))
        _report(record, folder / 'plan.json')
    finally:
        remove_folder(folder)


if __name__ == '__main__':
    main()
