"""Write what is generated of texts, or compare it.

``python -m tools.docs`` writes, ``python -m tools.docs --check`` ends with status 1 and a diff if a committed file
differs. Generated are the JSON schemas (from the dataclasses), the manuals in docs/check.md, docs/plan.md,
docs/record.md and docs/doctor.md (from the help texts), the example in README.md and docs/check.md (from facts),
docs/findings.md (from the register of findings), and the man page and completion files in packaging/ (from the
command).
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from pathlib import Path

from click.testing import CliRunner

from patroni_etcd3_compat.check.cli import cli as command
from patroni_etcd3_compat.check.findings import judge
from patroni_etcd3_compat.check.findings.examples import etcd_runs, healthy
from patroni_etcd3_compat.check.render import render

from . import findings_page, manpage, schemas

ROOT = Path(__file__).resolve().parent.parent
#: Which page has the manuals of which subcommands.
_PAGES = {'check': ['check'], 'plan': ['plan', 'follow'], 'record': ['report'], 'doctor': ['doctor']}
MANUALS = {ROOT / f'docs/{page}.md': names for page, names in _PAGES.items()}

#: The pages that show what ``check`` prints.
EXAMPLES = (ROOT / 'README.md', ROOT / 'docs/check.md')


def _printed(text: str, command_line: str, output: str) -> str:
    """Return a text with the current output of a command below its line, up to the end of the block of code."""
    before, prompt, rest = text.partition(f'$ patroni-etcd3-compat {command_line}\n')
    return before + prompt + output + rest[rest.index('```') :]


def _example() -> str:
    """Return what ``check`` prints in the middle of an upgrade, down to the details of the first finding."""
    facts = healthy()
    etcd_runs('3.2.26', '3.4.23', '3.4.23')(facts)
    facts.taken, facts.asked_from = '2026-11-26T01:23:45+00:00', 'db1'
    shown, _, _ = render('pretty', facts, judge(facts), 100).partition('\nCRITICAL etcd-prefix-mixed\n')
    return shown + '\n...\n'


def page(path: Path) -> str:
    """Return the text of a page with the current manuals and the current example.

    :param path: one of `MANUALS` or `EXAMPLES`.
    """
    text = path.read_text()
    if path in EXAMPLES:
        text = _printed(text, 'check -c /etc/patroni/patroni.yml', _example())
    for name in MANUALS.get(path, ()):
        asked = CliRunner().invoke(command, [name, '--help'], prog_name='patroni-etcd3-compat', env={'COLUMNS': '120'})
        text = _printed(text, f'{name} --help', asked.output)
    return text


def documents() -> dict[Path, str]:
    """Return the text that each generated file should have."""
    return {
        **schemas.documents(),
        **{path: page(path) for path in (*MANUALS, *EXAMPLES)},
        findings_page.PATH: findings_page.page(),
        **manpage.documents(),
    }


def differences() -> str:
    """Return a diff of what has to change in the committed files; empty if they are up to date."""
    lines: list[str] = []
    for path, wanted in documents().items():
        name = os.path.relpath(path, ROOT)
        present = path.read_text() if path.exists() else ''
        lines += difflib.unified_diff(present.splitlines(True), wanted.splitlines(True), name, f'{name} (generated)')
    return ''.join(lines)


def main() -> int:
    """Write or compare the files, see the module."""
    parser = argparse.ArgumentParser(description='Write what is generated of texts, or compare it.')
    parser.add_argument('--check', action='store_true', help='compare only; status 1 if a file is out of date')
    if parser.parse_args().check:
        diff = differences()
        sys.stdout.write(diff)
        return 1 if diff else 0
    for path, text in documents().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return 0


if __name__ == '__main__':
    sys.exit(main())
