"""The output for people, and JSON."""

from __future__ import annotations

import json
import shlex

from ..printable import STATUS, clean, one_line
from .model import Diagnosis, Report
from .remedies import NAME


def as_json(report: Report) -> str:
    """Return the JSON output."""
    return json.dumps(report.as_json(), indent=2) + '\n'


def as_text(report: Report) -> str:
    """Return a block for each process. Nothing is wrapped: a command is to be copied whole."""
    blocks = ['\n'.join(_block(each)) + '\n' for each in report.processes]
    config = next((each.config for each in report.processes if each.config), None)
    if any(each.pid for each in report.processes):
        option = f' -c {shlex.quote(config)}' if config else ''
        blocks.append(clean(f'What the running Patroni uses stands in its key in etcd: {NAME} check{option}\n'))
    return '\n'.join(blocks)


def _block(each: Diagnosis) -> list[str]:
    subject = f'PID {each.pid}' if each.pid else one_line(each.python)
    lines = [f'{STATUS[each.exit_status]:<9} {subject}: {_serves(each)}']
    facts = {'user': each.user, 'config': each.config}
    lines += [f'  {name:<7} {one_line(value)}' for name, value in facts.items() if value]
    version = f' ({each.python_version})' if each.python_version else ''
    patroni = f', Patroni {each.patroni} in {each.patroni_path}' if each.patroni else ''
    if each.python and (each.pid or version):
        lines.append(f'  python  {one_line(each.python + version + patroni)}')
    if each.serves == 'package' and each.copies:
        lines.append(f'  package {one_line(each.copies[0].path)}')
    for reason in each.reasons:
        lines.append(f'  seen    {one_line(reason.seen)} [{reason.id}]')
        if reason.remedy:
            lines.append(f'  do      {one_line(reason.remedy)}')
    return lines


def _serves(each: Diagnosis) -> str:
    """Return what serves, in words."""
    later = ' once Patroni is restarted' if any(reason.id == 'restart' for reason in each.reasons) else ''
    if each.serves == 'package':
        return f'{NAME} {one_line(each.compat or "")} serves section etcd3{later}'.replace('  ', ' ')
    if each.serves == 'patch':
        return f'the patch ({NAME} {one_line(each.compat or "")}) serves section etcd3{later}'.replace(' )', ')')
    ids = {reason.id for reason in each.reasons}
    if each.serves == 'stock' or 'frozen' in ids:
        return (
            f"{NAME} does not serve section etcd3, Patroni's own class does"
            if each.serves
            else (f'{NAME} does not serve section etcd3')
        )
    if 'stock-broken' in ids:
        return 'nothing can serve section etcd3'
    return 'what serves section etcd3 is unknown'
