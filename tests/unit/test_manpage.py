"""The man page and the completion files in packaging/."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from patroni_etcd3_compat.check.cli import cli
from tools import manpage


def test_everything_is_in_the_page() -> None:
    """Each subcommand has a section, and each option an entry with its help."""
    plain = manpage.page().replace('\\-', '-').replace('\\&', '')
    for name, command in cli.commands.items():
        section = plain.partition(f'\n.SS {name}\n')[2].partition('\n.S')[0]
        for option in command.params:
            if isinstance(option, click.Option):
                assert f'{max(option.opts, key=len)}' in section and ' '.join((option.help or '').split()) in section


@pytest.mark.skipif(not shutil.which('groff'), reason='this machine has no groff')
def test_page_is_good_roff() -> None:
    """groff has no warning about it, and the examples keep their lines."""
    ret = subprocess.run(['groff', '-man', '-ww', '-Tascii', '-P-c', str(manpage.PAGE)], capture_output=True, text=True)
    assert (ret.returncode, ret.stderr) == (0, '')
    assert 'patroni-etcd3-compat check -c patroni.yml --watch 5 --record upgrade.jsonl\n' in ret.stdout


@pytest.mark.parametrize('words, found', [(['pl'], {'plan'}), (['check', '--end'], {'--endpoints'}), (['zz'], set())])
def test_completion_in_bash(words: list[str], found: set[str]) -> None:
    """bash, with the file as packages install it, completes subcommands and options."""
    line = ' '.join(f'"{word}"' for word in ('patroni-etcd3-compat', *words))
    ended = subprocess.run(
        [
            'bash',
            '-c',
            f'. "$0"; COMP_WORDS=({line}); COMP_CWORD={len(words)}; '
            '_patroni_etcd3_compat_completion patroni-etcd3-compat; printf "%s\\n" "${COMPREPLY[@]}"',
            str(manpage.COMPLETION['bash']),
        ],
        env=dict(os.environ, PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}'),
        capture_output=True,
        text=True,
    )
    assert set(ended.stdout.split()) == found, ended.stderr


@pytest.mark.parametrize(
    'words',
    [
        'check -c',
        'check --cacert',
        'check --output',
        'check --record',
        'doctor -c',
        'doctor --python',
        'follow',
        'follow --progress',
        'plan -c',
        'report',
        'report --svg',
        'report --plan',
    ],
)
def test_completion_of_files(words: str) -> None:
    """Where a file belongs, the shell completes one: with a completion of its own it would not by itself."""
    words = f'patroni-etcd3-compat {words} /etc/pas'
    variables = {'COMP_WORDS': words, 'COMP_CWORD': str(words.count(' '))}
    ended = subprocess.run(
        [sys.executable, '-m', 'patroni_etcd3_compat.check'],
        env=dict(os.environ, **variables, _PATRONI_ETCD3_COMPAT_COMPLETE='bash_complete'),
        capture_output=True,
        text=True,
    )
    assert ended.stdout == 'file,/etc/pas\n', ended.stderr


@pytest.mark.parametrize('shell', sorted(manpage.COMPLETION))
def test_completion_is_silent(shell: str, tmp_path: Path) -> None:
    """Where the command is missing or cannot work, the shell has nothing to say about it."""
    if not shutil.which(shell):
        pytest.skip(f'this machine has no {shell}')
    failing = tmp_path / 'patroni-etcd3-compat'
    failing.write_text('#!/bin/sh\necho click is missing >&2\nexit 1\n')
    failing.chmod(0o755)
    path = str(manpage.COMPLETION[shell])
    code = {
        'bash': f'. {path}; COMP_WORDS=(a b); COMP_CWORD=1; _patroni_etcd3_compat_completion patroni-etcd3-compat',
        'fish': f'source {path}; complete -C"patroni-etcd3-compat ch"',
        'zsh': f'compdef() {{ }}; words=(a); CURRENT=2; . {path}; _patroni_etcd3_compat_completion',
    }[shell]
    for folder in (f'{tmp_path}:', ''):
        ended = subprocess.run(
            [shell, '-c', code], env=dict(os.environ, PATH=folder + '/usr/bin:/bin'), capture_output=True, text=True
        )
        assert (ended.stdout, ended.stderr) == ('', '')
