"""The command line: options, exit status, where the output goes. No facts are collected here; they are made up."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable, Tuple

import click
import pytest

from patroni_etcd3_compat import __version__
from patroni_etcd3_compat.check import cli, look, output
from patroni_etcd3_compat.check.arguments import CONFIG_VARIABLE, DCS_URL_VARIABLE, PASSWORD_VARIABLE
from patroni_etcd3_compat.check.collect import ConfigError, Settings
from patroni_etcd3_compat.check.findings import judge, kind_of, kinds
from tests.unit.render_samples import facts, findings

#: What the settings are asked for without further options.
NOTHING = {'dcs_url': None, 'namespace': None, 'every': False}


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Record what the settings were asked for; nothing is collected, and nothing on this machine matters."""
    made: list[tuple[Any, ...]] = []

    def load(*args: Any, **options: Any) -> Settings:
        made.append((*args, options))
        return Settings([])

    monkeypatch.setattr(look, 'load_settings', load)
    monkeypatch.setattr(look, 'collect', lambda settings: facts())
    monkeypatch.setattr(look, 'judge', lambda facts: findings())
    monkeypatch.setattr(look, 'CONFIG_FILE', '/nowhere/patronictl.yaml')
    for name in ('COLUMNS', CONFIG_VARIABLE, DCS_URL_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    return made


Run = Callable[..., Tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command and return exit status, output and errors."""

    def do(*args: str) -> tuple[int, str, str]:
        status = cli.run(args)
        return (status, *capsys.readouterr())

    return do


def test_exit_status(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit status depends on the findings and on nothing else."""
    assert run('check')[0] == 2
    assert run('check', '--ignore', 'slot-lost')[0] == 1
    assert run('check', '--ignore', 'slot-lost,etcd-gateway-off')[0] == 0
    assert run('check', '--ignore', 'slot-lost', '--ignore', 'etcd-gateway-off, node-serves')[0] == 0
    assert run('check', '--only', 'etcd-gateway-off')[0] == 1
    assert run('check', '--only', 'etcd-gateway-off', '--ignore', 'etcd-gateway-off')[0] == 0


def test_only_and_ignore(run: Run) -> None:
    """``--only`` and ``--ignore`` remove findings from every format."""
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
        (['check', '--certificate-days', '30'], 'must be two numbers of days such as 30,3, not 30'),
        (['check', '--certificate-days', '3,30'], 'the first number must not be the smaller one'),
        (['check', '--certificate-days', '3,-1'], 'none negative'),
        (['check', '--slots-interval', '86401'], 'must be at most 86400 (a day), not 86401'),
        (['check', '--watch', '1e300'], 'must be at most 86400 (a day), not 1e+300'),
        (['plan', '--etcd-to', '3.5', '--timeout', 'inf'], 'must be at most 86400 (a day), not inf'),
        (['check', '--lag', '1MB,'], "'' is not a size; write one or two, such as 16MB,1GB"),
        (['check', '--wal', 'much'], "'much' is not a size"),
        (['check', '--wal', '2MB,1MB'], 'write one or two sizes, the larger one last'),
        (['check', '--wal', '1,2,3'], 'write one or two sizes, the larger one last'),
        (['check', '--timeout', 'soon'], 'is not a valid float'),
        (['check', '--only', 'slot-lost,slot-lots'], 'no finding is called slot-lots; did you mean slot-lost?'),
        (['check', '--only', 'ecd'], 'no finding is called ecd; did you mean etcd?'),
        (['check', '--only', 'x,etcd-alarms'], 'no finding is called x, etcd-alarms; did you mean etcd-alarm?'),
        (['check', '--only', 'xyz'], 'no finding is called xyz; known are: '),
        (['check', '--explain', 'slot'], 'no finding is called slot; known are: '),
        (['check', '--explain', 'slot-lots'], 'no finding is called slot-lots; did you mean slot-lost?'),
        (['check', '--ignore', 'xyz'], 'no finding is called xyz; known are: '),
        (['check', '--key', __file__], '--key needs --cert'),
        (['check', '--cacert', '/nowhere.pem'], "'/nowhere.pem' does not exist"),
        (['check', '--user', 'root'], '--user needs a name and a password: NAME:PASSWORD, or the password in $PATRONI'),
        (['check', '--group', '-1'], 'check: invalid value for'),
        (['check', '-o', '/no/such/folder/file'], 'cannot write /no/such/folder/file: No such file or directory'),
        (['plan', '--etcd-to', 'new'], "'new' is no version of etcd"),
        (['plan', '--patroni-to', '4.1.5', '--direct'], '--direct is about etcd'),
        (['plan'], 'give either --etcd-to or --patroni-to'),
        (['plan', '--etcd-to', '3.5', '--patroni-to', '4.1.5'], 'give either --etcd-to or --patroni-to'),
    ],
)
def test_used_wrongly(run: Run, args: list[str], text: str) -> None:
    """Wrong usage gives one clear line and status 3, since 1 and 2 are about the cluster."""
    status, out, err = run(*args)
    assert (status, out) == (3, '')
    assert text.lower() in err.lower() and err.count('\n') == 1
    if 'known are' in text:
        assert all(kind.id in err for kind in kinds())


def test_broken_configuration(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken configuration gives one line with the cause; Nagios gets it on standard output."""

    def load_settings(*args: Any, **options: Any) -> None:
        raise ConfigError('patroni.yml: no section etcd3\nadd one')

    monkeypatch.setattr(look, 'load_settings', load_settings)
    line = 'patroni-etcd3-compat: patroni.yml: no section etcd3 add one\n'
    assert run('check') == (3, '', line)
    assert run('plan', '--etcd-to', '3.5') == (3, '', line)
    assert run('check', '--watch', '1') == (3, '', line)
    assert run('check', '-f', 'nagios') == (3, 'PATRONI-ETCD3 UNKNOWN - patroni.yml: no section etcd3 add one\n', '')


@pytest.mark.parametrize(
    'args', [('-f', 'nagios'), ('--format=nagios',), ('-fnagios',), ('--format', 'nagios')], ids='-'.join
)
def test_nagios_reads_standard_output(run: Run, args: tuple[str, ...]) -> None:
    """A command line that is wrong has a line for Nagios on standard output, wherever the format stands in it."""
    for wrong in (('check', *args, '--only', 'slot-lots'), ('check', '--only', 'slot-lots', *args)):
        status, out, err = run(*wrong)
        assert status == 3 and 'no finding is called slot-lots' in err
        assert re.fullmatch('PATRONI-ETCD3 UNKNOWN - .*no finding is called slot-lots.*\n', out)
    status, out, err = run('check', *args, '-o', '/no/such/folder/file')
    assert (status, out) == (3, 'PATRONI-ETCD3 UNKNOWN - ' + err.partition(': ')[2])


@pytest.mark.parametrize(
    'args, severities',
    [
        (['--lag', '1MB'], ['patroni-lag-limit warning']),
        (['--lag', '1MB,2MB'], ['patroni-lag-limit critical']),
        (['--lag', '3MB', '--wal', '48 MB'], []),
        (['--lag', '3145727', '--wal', '1k,1g'], ['patroni-lag-limit warning', 'patroni-wal-limit warning']),
        (['--wal', '0,40.5MiB'], ['patroni-wal-limit critical']),
    ],
)
def test_limits(run: Run, monkeypatch: pytest.MonkeyPatch, args: list[str], severities: list[str]) -> None:
    """``--lag`` and ``--wal`` make findings of what is beyond them, and so decide the exit status."""
    monkeypatch.setattr(look, 'judge', judge)
    status, out, _ = run('check', '-f', 'json', '--only', 'patroni-lag-limit,patroni-wal-limit', *args)
    found = json.loads(out)['findings']
    assert sorted(f'{finding["id"]} {finding["severity"]}' for finding in found) == severities
    assert status == (2 if 'critical' in str(severities) else 1 if severities else 0)


def test_groups(run: Run) -> None:
    """``--only`` and ``--ignore`` take groups of findings beside identifiers."""

    def shown(*args: str) -> list[str]:
        return [line.split('\t')[1] for line in run('check', '-f', 'tsv', *args)[1].splitlines()[1:]]

    assert shown() == ['slot-lost', 'etcd-gateway-off', 'node-serves']
    assert shown('--only', 'etcd') == ['etcd-gateway-off']
    assert shown('--only', 'slot,node-serves') == ['slot-lost', 'node-serves']
    assert shown('--ignore', 'slot,etcd') == ['node-serves']
    assert shown('--only', 'etcd', '--ignore', 'etcd-gateway-off') == shown('--only', 'patroni') == []


def test_access(run: Run, calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Certificates, user and Citus group of the command line reach the settings, of check as of plan."""
    file = tmp_path / 'a.pem'
    file.write_text('')
    args = ['--endpoints', 'a:1', '--cacert', str(file), '--cert', str(file), '--key', str(file), '--group', '0']
    tls = dict.fromkeys(('cacert', 'cert', 'key'), str(file))
    for command in (('check',), ('plan', '--etcd-to', '3.5')):
        run(*command, *args, '--user', 'root:a:b')
        assert calls[-1][-1] == {'etcd': {**tls, 'username': 'root', 'password': 'a:b'}, 'group': 0, **NOTHING}
    monkeypatch.setenv(PASSWORD_VARIABLE, 'c')
    run('check', '--user', 'root')
    assert calls[-1][-1]['etcd'] == {'username': 'root', 'password': 'c'}


def test_password_on_a_terminal(run: Run, calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, a password that is missing is asked for, and is not echoed."""
    asked: list[Any] = []

    def prompt(text: str, **options: Any) -> str:
        asked.append((text, options))
        return 'd'

    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    monkeypatch.setattr('sys.stdin', SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr('click.prompt', prompt)
    run('check', '--user', 'root')
    assert asked == [('Password of root', {'hide_input': True, 'err': True})]
    assert calls[-1][-1]['etcd'] == {'username': 'root', 'password': 'd'}


@pytest.mark.skipif(not find_spec('click.shell_completion'), reason='click 8 and later complete')
def test_completion(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line in the help sets up completion, which knows the options."""
    variable = re.search(r'eval "\$\((\w+)=bash_source patroni-etcd3-compat\)"', run('--help')[1])
    assert variable
    for name, text in ((variable.group(1), 'bash_complete'), ('COMP_WORDS', 'x check --verb'), ('COMP_CWORD', '2')):
        monkeypatch.setenv(name, text)
    assert run()[:2] == (0, 'plain,--verbose\n')
    monkeypatch.setenv(variable.group(1), 'bash_source')
    assert 'complete -o nosort' in run()[1]


def test_defect(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of the command is status 3, too, and names its place. Its text may contain anything and is not shown."""
    secret = 'hunter' + '2'

    def collect(settings: Any) -> None:
        raise RuntimeError('password=' + secret)

    monkeypatch.setattr(look, 'collect', collect)
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
    """The exit status of a plan is 1 if a lost slot has to be dealt with first, and 2 if the plan is forbidden.

    It is Markdown or JSON, on standard output or in a file.
    """
    ended = run('plan', '-c', 'patroni.yml', *args)
    assert (ended[0], ended[2]) == (status, '') and ended[1].startswith(('# Upgrade of ', '# Downgrade of '))
    assert run('plan', '-c', 'patroni.yml', *args, '-o', str(tmp_path / 'plan.md')) == (status, '', '')
    assert (tmp_path / 'plan.md').read_text() == ended[1]
    made = json.loads(run('plan', '-c', 'patroni.yml', *args, '-f', 'json')[1])
    assert made['target'] == args[1] and bool(made['refusals']) is (status == 2) and made['ready'] is False
    if status == 1:
        assert '## Steps' not in ended[1]
        ended = run('plan', '-c', 'patroni.yml', *args, '--anyway')
        assert 'patroni.yml' in ended[1]  # the commands name the configuration that was given


def test_plan_is_ready(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit status is 0 if nothing stands in the way of the plan."""
    well = facts()
    well.patroni, well.etcd.endpoints = None, well.etcd.endpoints[:1]
    well.etcd.endpoints[0].alarms = []
    monkeypatch.setattr(look, 'collect', lambda settings: well)
    monkeypatch.setattr(look, 'judge', lambda facts: [])
    status, out, _ = run('plan', '--endpoints', '10.0.0.1', '--etcd-to', '3.4', '-f', 'json')
    assert (status, json.loads(out)['ready']) == (0, True)


def test_settings(run: Run, calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Options reach the settings; the configuration file is found as patronictl finds it."""

    def asked(*args: str) -> tuple[Any, ...]:
        run('check', *args)
        assert calls[-1][-1] == {'etcd': {}, 'group': None, **NOTHING}
        return calls[-1][:-1]

    assert asked() == (None, (), None, 5, None, ())
    assert asked('-c', 'a.yml', '--timeout', '1.5', '--slots-interval', '20', 'batman') == (
        'a.yml',
        (),
        'batman',
        1.5,
        20,
        (),
    )
    assert asked('--members', '3')[-1] == ('3',)
    assert asked('--members', 'node1, node2', '--members', 'node3')[-1] == ('node1', 'node2', 'node3')
    own = tmp_path / 'patronictl.yaml'
    own.write_text('')
    monkeypatch.setattr(look, 'CONFIG_FILE', str(own))
    assert asked()[0] == str(own)
    monkeypatch.setenv(CONFIG_VARIABLE, 'b.yml')
    assert asked()[0] == 'b.yml'
    assert asked('--config-file', 'a.yml')[0] == 'a.yml'
    assert asked('--endpoints', 'a:1, b:2', '--endpoints', 'c:3')[:2] == (None, ('a:1', 'b:2', 'c:3'))
    assert asked('--endpoints', 'a:1', '-c', 'a.yml')[:2] == ('a.yml', ('a:1',))


def test_dcs_url(run: Run, calls: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    """The option, or the variable that patronictl reads; endpoints count before the variable."""

    def asked(*args: str) -> str | None:
        assert run('check', *args)[0] == 2
        url: str | None = calls[-1][-1]['dcs_url']
        return url

    monkeypatch.setenv(DCS_URL_VARIABLE, 'etcd3://a:1')
    assert asked() == asked('-c', 'a.yml', 'batman') == 'etcd3://a:1'
    for option in ('-d', '--dcs', '--dcs-url'):
        assert asked(option, 'etcd3://b:2/x') == 'etcd3://b:2/x'
    assert asked('--endpoints', 'c:3') is None
    status, _, err = run('check', '--endpoints', 'c:3', '-d', 'etcd3://b:2')
    assert status == 3 and 'either --dcs-url or --endpoints' in err
    monkeypatch.setenv(DCS_URL_VARIABLE, '')
    assert asked() is None


def test_width(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The width is 120 columns in a pipe and in a file, or what COLUMNS says."""

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
    """Colours are used only on a terminal, and not if they are switched off."""
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


def test_certificate_days(run: Run) -> None:
    """They are among the facts that are judged."""
    assert json.loads(run('check', '-f', 'json')[1])['certificate_days'] == [30, 3]
    assert json.loads(run('check', '-f', 'json', '--certificate-days', '14, 1.5')[1])['certificate_days'] == [14, 1.5]


def test_output_file(run: Run, tmp_path: Path) -> None:
    """The file is replaced as a whole and readable for everyone.

    A link stays a link, and nothing else is left behind.
    """
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
    """The old file stays if the new one cannot be finished."""

    def fsync(handle: int) -> None:
        raise OSError(28, 'No space left on device')

    (tmp_path / 'out').write_text('old')
    monkeypatch.setattr(os, 'fsync', fsync)
    status, _, err = run('check', '-o', str(tmp_path / 'out'))
    assert status == 3 and 'No space left on device' in err
    assert [path.read_text() for path in tmp_path.iterdir()] == ['old']


def test_device_is_not_replaced(run: Run, tmp_path: Path) -> None:
    """An output that is not a regular file is written to, not replaced."""
    fifo = tmp_path / 'fifo'
    os.mkfifo(str(fifo))
    reader = os.open(str(fifo), os.O_RDONLY | os.O_NONBLOCK)
    assert run('check', '-f', 'tsv', '-o', str(fifo))[0] == 2
    assert os.read(reader, 8) == b'severity'
    os.close(reader)
    assert fifo.is_fifo()


@pytest.mark.parametrize('option', [['--watch', '0.01'], ['-W']])
def test_watch(run: Run, monkeypatch: pytest.MonkeyPatch, option: list[str]) -> None:
    """The check is repeated until it is interrupted, which is not an error."""
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
    """The screen is cleared if there is one."""
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
    """A round that fails is reported on standard error, and the next one follows.

    The exit status is that of the last round.
    """
    pauses: list[float] = []

    def load_settings(*args: Any, **options: Any) -> Settings:
        if pauses and len(pauses) not in works:
            raise error
        return Settings([])

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr('time.sleep', sleep)
    monkeypatch.setattr(look, 'load_settings', load_settings)
    works: set[int] = set()
    for again, expected in ((3, 2), (2, 3)):  # the round that succeeds again
        works.add(again)
        pauses.clear()
        status, out, err = run('check', '-f', 'tsv', '--watch', '1')
        works.clear()
        assert (status, out.count('severity\tid')) == (expected, 2)
        assert err == 'patroni-etcd3-compat: patroni.yml is gone\n' * 2


def test_interrupted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt during the check ends it quietly, too."""

    def collect(settings: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(look, 'collect', collect)
    status, out, err = run('check')
    assert (status, out, err.strip()) == (130, '', '')


def test_closed_pipe() -> None:
    """A reader that closes the pipe early does not change the exit status and causes no traceback."""
    code = 'import sys; from patroni_etcd3_compat.check import output; output.to_stdout("x" * 1000000); sys.exit(2)'
    ended = subprocess.run(
        ['sh', '-c', '{ "$0" -c "$1"; echo $? >&2; } | head -c 1', sys.executable, code], capture_output=True, text=True
    )
    assert (ended.stdout, ended.stderr) == ('x', '2\n')


def test_encoding_that_lacks_letters() -> None:
    """Characters that the terminal's encoding lacks are written as escape sequences."""
    code = r'from patroni_etcd3_compat.check import output; output.to_stdout("M\u00fcnchen \ud800\u4e2d\n")'
    ended = subprocess.run(
        [sys.executable, '-c', code],
        stdout=subprocess.PIPE,
        check=True,
        env=dict(os.environ, PYTHONIOENCODING='latin-1'),
    )
    assert ended.stdout == b'M\xfcnchen \\ud800\\u4e2d\n'


def test_list(run: Run) -> None:
    """The list has every identifier with its meaning."""
    status, out, _ = run('check', '--list')
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == [kind.id for kind in kinds()]


@pytest.mark.parametrize('id', [kind.id for kind in kinds()])
def test_explain(run: Run, id: str) -> None:
    """``--explain`` prints what is known about a finding, without asking anybody, in the width of the terminal."""
    status, out, err = run('check', '--explain', id)
    kind = kind_of(id)
    assert (status, err) == (0, '') and out.startswith(f'{id}: {kind.title[:40]}')
    assert f'More: {kind.link}\n' in out and all(f'\n{severity}: ' in out for severity in kind.severities)
    assert re.search(rf'^For example:\n\n[A-Z]+ {re.escape(id)}\n  where  .*\n(.*\n)*  do     ', out, re.M)


def test_verbose(run: Run) -> None:
    """``-v`` shows the whole of what the short form leaves out."""
    short, long = run('check')[1], run('check', '-v')[1]
    assert 'https://example.org/slot-lost' not in short and 'https://example.org/slot-lost' in long
    assert run('check', '--verbose')[1] == long


def test_version(run: Run) -> None:
    """``--version`` prints the release of the package."""
    assert run('--version') == (0, f'patroni-etcd3-compat {__version__}\n', '')


def test_help_without_arguments(run: Run) -> None:
    """Without arguments, the help names the commands."""
    status, out, _ = run()
    assert status == 0
    assert re.search(r'^  check  ', out, re.M) and re.search(r'^  plan   ', out, re.M)
