"""The command line: options, exit status, where the output goes; what is collected is made up here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable, Tuple

import click
import pytest

from patroni_etcd3_compat import __version__
from patroni_etcd3_compat.check import cli, output
from patroni_etcd3_compat.check.arguments import CONFIG_VARIABLE
from patroni_etcd3_compat.check.collect import ConfigError
from patroni_etcd3_compat.check.judge import KINDS
from tests.unit.render_samples import facts, findings


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the settings were asked for; nothing is collected, and nothing of this machine plays a part."""
    made: list[tuple[Any, ...]] = []
    monkeypatch.setattr(cli, 'load_settings', lambda *args: made.append(args))
    monkeypatch.setattr(cli, 'collect', lambda settings: facts())
    monkeypatch.setattr(cli, 'judge', lambda facts: findings())
    monkeypatch.setattr(cli, 'CONFIG_FILE', '/nowhere/patronictl.yaml')
    for name in ('COLUMNS', CONFIG_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    return made


Run = Callable[..., Tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command: exit status, output, errors."""

    def do(*args: str) -> tuple[int, str, str]:
        status = cli.run(args)
        return (status, *capsys.readouterr())

    return do


def test_exit_status(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of what was found, and of nothing else."""
    assert run('check')[0] == 2
    assert run('check', '--ignore', 'slot-lost')[0] == 1
    assert run('check', '--ignore', 'slot-lost,etcd-gateway-off')[0] == 0
    assert run('check', '--ignore', 'slot-lost', '--ignore', 'etcd-gateway-off, node-serves')[0] == 0
    assert run('check', '--only', 'etcd-gateway-off')[0] == 1
    assert run('check', '--only', 'etcd-gateway-off', '--ignore', 'etcd-gateway-off')[0] == 0


def test_only_and_ignore(run: Run) -> None:
    """Leave out of every format what they leave out."""
    for fmt in ('pretty', 'json', 'yaml', 'tsv', 'nagios', 'prometheus'):
        whole, one, rest = (
            run('check', '-f', fmt, *args)[1] for args in ((), ('--only', 'slot-lost'), ('--ignore', 'slot-lost'))
        )
        assert 'slot-lost' in whole and 'etcd-gateway-off' in whole
        assert 'slot-lost' in one and 'etcd-gateway-off' not in one
        assert 'slot-lost' not in rest and 'etcd-gateway-off' in rest


@pytest.mark.parametrize(
    'args, text',
    [
        (['check', '--no-such'], 'patroni-etcd3-compat check: No such option'),
        (['nonsense'], 'patroni-etcd3-compat: No such command'),
        (['check', 'a', 'b'], 'patroni-etcd3-compat check: Got unexpected extra argument (b)'),
        (['check', '-f', 'xml'], 'patroni-etcd3-compat check: Invalid value for'),
        (['check', '--timeout', '0'], 'must be greater than 0, not 0'),
        (['check', '--watch', 'nan'], 'must be greater than 0, not nan'),
        (['check', '--slots-interval', '-1'], 'must be greater than 0, not -1'),
        (['check', '--slots-interval', '86401'], 'must be at most 86400 (a day), not 86401'),
        (['check', '--watch', '1e300'], 'must be at most 86400 (a day), not 1e+300'),
        (['plan', '--etcd-to', '3.5', '--timeout', 'inf'], 'must be at most 86400 (a day), not inf'),
        (['check', '--timeout', 'soon'], 'is not a valid float'),
        (['check', '--only', 'slot-lost,slot-found'], 'no finding is called slot-found; known are: '),
        (['check', '--ignore', 'slot-found'], 'no finding is called slot-found; known are: '),
        (['check', '-o', '/no/such/folder/file'], 'cannot write /no/such/folder/file: No such file or directory'),
        (['plan', '--etcd-to', 'new'], "'new' is no version of etcd"),
        (['plan', '--patroni-to', '4.1.5', '--direct'], '--direct is about etcd'),
        (['plan'], 'give either --etcd-to or --patroni-to'),
        (['plan', '--etcd-to', '3.5', '--patroni-to', '4.1.5'], 'give either --etcd-to or --patroni-to'),
    ],
)
def test_used_wrongly(run: Run, args: list[str], text: str) -> None:
    """One clear line, and 3: 1 and 2 are about the cluster."""
    status, out, err = run(*args)
    assert (status, out) == (3, '')
    assert text.lower() in err.lower() and err.count('\n') == 1
    if 'slot-found' in text:
        assert all(kind.id in err for kind in KINDS)


def test_broken_configuration(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the cause; Nagios gets it where it looks for it."""

    def load_settings(*args: Any) -> None:
        raise ConfigError('patroni.yml: no section etcd3\nadd one')

    monkeypatch.setattr(cli, 'load_settings', load_settings)
    line = 'patroni-etcd3-compat: patroni.yml: no section etcd3 add one\n'
    assert run('check') == (3, '', line)
    assert run('plan', '--etcd-to', '3.5') == (3, '', line)
    assert run('check', '--watch', '1') == (3, '', line)
    assert run('check', '-f', 'nagios') == (3, 'PATRONI-ETCD3 UNKNOWN - patroni.yml: no section etcd3 add one\n', '')


def test_defect(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of the command is 3 as well, and says where it is; its text may hold anything, and stays inside."""
    secret = 'hunter' + '2'

    def collect(settings: Any) -> None:
        raise RuntimeError('password=' + secret)

    monkeypatch.setattr(cli, 'collect', collect)
    status, out, err = run('check')
    assert (status, out) == (3, '')
    assert 'test_cli.py' in err and 'internal error: RuntimeError' in err
    assert secret not in err


@pytest.mark.parametrize(
    'args, status',
    [
        (['--etcd-to', '3.4'], 1),
        (['--etcd-to', '3.5', '--direct'], 1),
        (['--patroni-to', '4.1.5'], 1),
        (['--etcd-to', '3.0'], 2),
    ],
)
def test_plan(run: Run, tmp_path: Path, args: list[str], status: int) -> None:
    """1: the lost slot comes first. 2: it is forbidden. Markdown or JSON, on standard output or in a file."""
    ended = run('plan', '-c', 'patroni.yml', *args)
    assert (ended[0], ended[2]) == (status, '') and ended[1].startswith('# Upgrade of ')
    assert run('plan', '-c', 'patroni.yml', *args, '-o', str(tmp_path / 'plan.md')) == (status, '', '')
    assert (tmp_path / 'plan.md').read_text() == ended[1]
    made = json.loads(run('plan', '-c', 'patroni.yml', *args, '-f', 'json')[1])
    assert made['target'] == args[1] and bool(made['refusals']) is (status == 2) and made['ready'] is False
    if status == 1:
        assert 'patroni.yml' in ended[1]  # the commands name the configuration that was given


def test_plan_is_ready(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """0: nothing stands against it."""
    well = facts()
    well.patroni, well.etcd.endpoints = None, well.etcd.endpoints[:1]
    well.etcd.endpoints[0].alarms = []
    monkeypatch.setattr(cli, 'collect', lambda settings: well)
    monkeypatch.setattr(cli, 'judge', lambda facts: [])
    status, out, _ = run('plan', '--endpoints', '10.0.0.1', '--etcd-to', '3.4', '-f', 'json')
    assert (status, json.loads(out)['ready']) == (0, True)


def test_settings(run: Run, calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What the options say reaches the settings; the configuration file is found as patronictl finds it."""

    def asked(*args: str) -> tuple[Any, ...]:
        run('check', *args)
        return calls[-1]

    assert asked() == (None, (), None, 5, None)
    assert asked('-c', 'a.yml', '--timeout', '1.5', '--slots-interval', '20', 'batman') == (
        'a.yml',
        (),
        'batman',
        1.5,
        20,
    )
    own = tmp_path / 'patronictl.yaml'
    own.write_text('')
    monkeypatch.setattr(cli, 'CONFIG_FILE', str(own))
    assert asked()[0] == str(own)
    monkeypatch.setenv(CONFIG_VARIABLE, 'b.yml')
    assert asked()[0] == 'b.yml'
    assert asked('--config-file', 'a.yml')[0] == 'a.yml'
    assert asked('--endpoints', 'a:1, b:2', '--endpoints', 'c:3')[:2] == (None, ('a:1', 'b:2', 'c:3'))
    assert asked('--endpoints', 'a:1', '-c', 'a.yml')[:2] == ('a.yml', ('a:1',))


def test_width(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """120 columns in a pipe and in a file, or what COLUMNS says."""

    def widest(text: str) -> int:
        return max(map(len, text.splitlines()))

    piped = run('check')[1]
    assert 110 < widest(piped) <= 120
    for strange in ('\u0661\u0662', '\u00b2', '-80', '0', '9' * 5000, 'x', ' '):
        monkeypatch.setenv('COLUMNS', strange)
        assert output.terminal()[0] == 120
    monkeypatch.setenv('COLUMNS', '80')
    assert 70 < widest(run('check')[1]) <= 80
    run('check', '-o', str(tmp_path / 'out'))
    assert (tmp_path / 'out').read_text() == piped


def test_colours_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only there, and not where somebody does not want them."""
    monkeypatch.delenv('NO_COLOR', raising=False)
    monkeypatch.setenv('TERM', 'xterm')
    assert output.terminal()[1] is False
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True)
    assert output.terminal()[1] is True
    monkeypatch.setenv('NO_COLOR', '1')
    assert output.terminal()[1] is False
    monkeypatch.delenv('NO_COLOR')
    monkeypatch.setenv('TERM', 'dumb')
    assert output.terminal()[1] is False


def test_output_file(run: Run, tmp_path: Path) -> None:
    """The file is replaced as a whole, readable for everyone; a link stays a link; nothing else is left behind."""
    target, link = tmp_path / 'patroni.prom', tmp_path / 'link'
    target.write_text('old')
    target.chmod(0o600)
    link.symlink_to(target)
    before = target.stat().st_ino
    assert run('check', '-f', 'prometheus', '-o', str(link)) == (2, '', '')
    assert target.read_text() == run('check', '-f', 'prometheus')[1]
    assert target.stat().st_mode & 0o777 == 0o644 and target.stat().st_ino != before
    assert link.is_symlink() and sorted(path.name for path in tmp_path.iterdir()) == ['link', 'patroni.prom']
    assert run('check', '-f', 'tsv', '-o', '-') == run('check', '-f', 'tsv')


def test_failed_output_file(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old file stays when the new one can not be finished."""

    def fsync(handle: int) -> None:
        raise OSError(28, 'No space left on device')

    (tmp_path / 'out').write_text('old')
    monkeypatch.setattr(os, 'fsync', fsync)
    status, _, err = run('check', '-o', str(tmp_path / 'out'))
    assert status == 3 and 'No space left on device' in err
    assert [path.read_text() for path in tmp_path.iterdir()] == ['old']


def test_device_is_not_replaced(run: Run, tmp_path: Path) -> None:
    """What is no file is written to."""
    fifo = tmp_path / 'fifo'
    os.mkfifo(str(fifo))
    reader = os.open(str(fifo), os.O_RDONLY | os.O_NONBLOCK)
    assert run('check', '-f', 'tsv', '-o', str(fifo))[0] == 2
    assert os.read(reader, 8) == b'severity'
    os.close(reader)
    assert fifo.is_fifo()


@pytest.mark.parametrize('option', [['--watch', '0.01'], ['-W']])
def test_watch(run: Run, monkeypatch: pytest.MonkeyPatch, option: list[str]) -> None:
    """Again and again until it is interrupted, which is no error."""
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr('time.sleep', sleep)
    status, out, err = run('check', '-f', 'tsv', *option)
    assert (status, err) == (2, '')
    assert out.count('severity\tid') == 3
    assert pauses == [0.01 if len(option) == 2 else 2] * 3


@pytest.mark.parametrize('term, times', [('xterm', 1), ('dumb', 0)])
def test_watch_clears_the_screen(run: Run, monkeypatch: pytest.MonkeyPatch, term: str, times: int) -> None:
    """Where there is one that can be cleared."""
    cleared: list[bool] = []

    def sleep(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr('time.sleep', sleep)
    monkeypatch.setattr('click.clear', lambda: cleared.append(True))
    monkeypatch.setenv('TERM', term)
    assert run('check', '-W')[0] == 2
    assert len(cleared) == times


@pytest.mark.parametrize('error', [ConfigError('patroni.yml is gone'), click.ClickException('patroni.yml is gone')])
def test_watch_goes_on(run: Run, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """After a round that failed, which is told on standard error; the exit status is that of the last round."""
    pauses: list[float] = []

    def load_settings(*args: Any) -> None:
        if pauses and len(pauses) not in works:
            raise error

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr('time.sleep', sleep)
    monkeypatch.setattr(cli, 'load_settings', load_settings)
    works: set[int] = set()
    for again, expected in ((3, 2), (2, 3)):  # the round that works again
        works.add(again)
        pauses.clear()
        status, out, err = run('check', '-f', 'tsv', '--watch', '1')
        works.clear()
        assert (status, out.count('severity\tid')) == (expected, 2)
        assert err == 'patroni-etcd3-compat: patroni.yml is gone\n' * 2


def test_interrupted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends quietly while it looks, too."""

    def collect(settings: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, 'collect', collect)
    status, out, err = run('check')
    assert (status, out, err.strip()) == (130, '', '')


def test_closed_pipe() -> None:
    """A reader that has seen enough changes nothing about the exit status and gets no traceback."""
    code = 'import sys; from patroni_etcd3_compat.check import output; output.to_stdout("x" * 1000000); sys.exit(2)'
    ended = subprocess.run(
        ['sh', '-c', '{ "$0" -c "$1"; echo $? >&2; } | head -c 1', sys.executable, code], capture_output=True, text=True
    )
    assert (ended.stdout, ended.stderr) == ('x', '2\n')


def test_encoding_that_lacks_letters() -> None:
    """What the terminal's encoding does not have is written as an escape sequence."""
    code = r'from patroni_etcd3_compat.check import output; output.to_stdout("M\u00fcnchen \ud800\u4e2d\n")'
    ended = subprocess.run(
        [sys.executable, '-c', code],
        stdout=subprocess.PIPE,
        check=True,
        env=dict(os.environ, PYTHONIOENCODING='latin-1'),
    )
    assert ended.stdout == b'M\xfcnchen \\ud800\\u4e2d\n'


def test_list(run: Run) -> None:
    """Every identifier with what it stands for."""
    status, out, _ = run('check', '--list')
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == [kind.id for kind in KINDS]


def test_version(run: Run) -> None:
    """The release of the package."""
    assert run('--version') == (0, f'patroni-etcd3-compat {__version__}\n', '')


def test_help_without_arguments(run: Run) -> None:
    """Names the commands."""
    status, out, _ = run()
    assert status == 0
    assert re.search(r'^  check  ', out, re.M) and re.search(r'^  plan   ', out, re.M)
