"""``doctor``: the pure parts, and what no real process can be made to show."""

from __future__ import annotations

import ast
import dataclasses
import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from patroni_etcd3_compat import __version__
from patroni_etcd3_compat.check.doctor import ask, diagnosis, main, options, probe, remedies, text
from patroni_etcd3_compat.check.doctor.ask import Answer
from patroni_etcd3_compat.check.doctor.diagnosis import Here, diagnose
from patroni_etcd3_compat.check.doctor.host import Host, hosts, user_name
from patroni_etcd3_compat.check.doctor.model import STATUS, Copy, Diagnosis, Reason, Report, StartUpFile, worst
from patroni_etcd3_compat.check.processes import PatroniProcess, patronis

COPY = Copy('/venv/patroni_etcd3_compat', '1.0.0', None, 100.0, True)
PTH = StartUpFile('/venv/patroni_etcd3_compat.pth', True, 100.0)
HOME = Copy('/home/x/patroni_etcd3_compat', '1.0.0', None, 100.0, False)

#: A virtual environment with everything in it.
GOOD = Answer(
    version='3.11.7',
    executable='/venv/bin/python',
    prefix='/venv',
    home='/home/p',
    started_up=True,
    hooked=True,
    copies=[COPY],
    start_up_files=[PTH],
    venv=True,
    pip=True,
    system='debian',
    patroni='4.1.5',
    patroni_path='/venv/patroni',
    patroni_changed=50.0,
    serves='package',
)

#: The same with nothing of ours.
BARE = dataclasses.replace(GOOD, copies=[], start_up_files=[], hooked=False, started_up=False, serves='stock')


def found(answer: Answer, host: Host | None = None, here: Here | None = None, **changes: Any) -> dict[str, str]:
    """Return the identifiers of the reasons and their severities."""
    result = diagnose(host, dataclasses.replace(answer, **changes), here or Here())
    return {reason.id: reason.severity for reason in result.reasons}


@pytest.mark.parametrize(
    'answer, changes, expected',
    [
        (GOOD, {}, {}),
        (GOOD, {'serves': 'patch', 'patched': '1.0.0'}, {'patched': 'info'}),
        (GOOD, {'log': [{'level': 'INFO', 'text': 'serves'}]}, {}),
        (GOOD, {'log': [{'level': 'WARNING', 'text': 'h2 cannot be loaded'}]}, {'logged': 'warning'}),
        (GOOD, {'copies': [COPY, HOME]}, {}),
        (GOOD, {'copies': [COPY, dataclasses.replace(HOME, importable=True)]}, {'second-copy': 'warning'}),
        (BARE, {}, {'not-installed': 'critical'}),
        (BARE, {'switch': ' NO '}, {'switched-off': 'critical', 'not-installed': 'critical'}),
        (BARE, {'switch': 'on'}, {'not-installed': 'critical'}),
        (BARE, {'version': '3.6.15'}, {'python-too-old': 'critical', 'not-installed': 'critical'}),
        (BARE, {'copies': [HOME]}, {'user-site': 'critical'}),
        (BARE, {'copies': [COPY], 'no_site': True}, {'no-site': 'critical'}),
        (GOOD, {'serves': 'stock'}, {'unexplained': 'critical'}),
        (
            GOOD,
            {'serves': 'stock', 'start_up_error': 'SyntaxError: bad', 'log': [{'level': 'ERROR', 'text': 'no'}]},
            {'broken': 'critical'},
        ),
        (BARE, {'serves': None, 'patroni_path': None}, {'no-patroni': 'unknown'}),
        (BARE, {'serves': None, 'error': 'ImportError'}, {'stock-broken': 'critical', 'not-installed': 'critical'}),
        (GOOD, {'serves': None, 'error': 'ImportError'}, {'stock-broken': 'critical'}),
    ],
)
def test_reasons(answer: Answer, changes: dict[str, Any], expected: dict[str, str]) -> None:
    """Each state of a Python has its reasons, with their severities."""
    assert found(answer, **changes) == expected


def test_docs_list_each_reason() -> None:
    """docs/doctor.md has all reasons, with the exit status of their severity, and no other."""
    page = Path(diagnosis.__file__).resolve().parents[3] / 'docs' / 'doctor.md'
    if not page.exists():  # a folder docs/ proves nothing: py-consul 1.5 installs one
        pytest.skip('not in the source tree')
    rows = [line.split('|') for line in page.read_text().splitlines() if line[:3] == '| `']
    listed = {row[1].strip(' `'): int(row[2]) for row in rows}
    severity = {'info': 0, 'warning': 1, 'critical': 2, 'unknown': 3}
    made: dict[str, int] = {}
    for node in ast.walk(ast.parse(Path(diagnosis.__file__).read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'Reason':
            ids = [each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)]
            kind = node.args[1]
            assert isinstance(kind, ast.Constant)
            made.update({str(id): severity[str(kind.value)] for id in ids if id != 'was not tested with'})
    assert listed == made


def process(called: str = '/venv/bin/python', frozen: bool = False) -> PatroniProcess:
    """Return a process that does not exist."""
    return PatroniProcess(Path('/nowhere/7'), called, '', '/usr/bin/patroni', '/etc/patroni.yml', frozen)


@pytest.mark.parametrize(
    'started, changes, expected',
    [
        (200.0, {}, []),
        (100.0, {}, []),
        (99.0, {}, ['restart']),
        (99.0, {'serves': 'patch', 'patched': '1.0.0', 'hooked': False}, []),
        (49.0, {'serves': 'patch', 'patched': '1.0.0', 'hooked': False}, ['restart']),
        (None, {}, []),
        (200.0, {'start_up_files': [dataclasses.replace(PTH, changed=300.0)]}, ['restart']),
        (99.0, {'copies': [], 'start_up_files': []}, []),  # loaded from where no file can be looked at
    ],
)
def test_restart(started: float | None, changes: dict[str, Any], expected: list[str]) -> None:
    """What is newer than the process is not in it; the remedy names its unit."""
    result = diagnose(
        Host(process(), started=started, unit='patroni@a.service'), dataclasses.replace(GOOD, **changes), Here()
    )
    assert [reason.id for reason in result.reasons] == expected
    assert all(it.remedy == 'restart Patroni (systemctl restart patroni@a.service)' for it in result.reasons)
    assert result.exit_status == len(expected)


@pytest.mark.parametrize(
    'changes, expected',
    [
        ({}, '/venv/bin/python -m pip install patroni-etcd3-compat'),
        ({'executable': '/my venv/python'}, "'/my venv/python' -m pip install patroni-etcd3-compat"),
        ({'pip': False}, 'uv pip install --python /venv/bin/python patroni-etcd3-compat'),
        ({'made_by': 'pipx', 'prefix': '/p/venvs/patroni'}, 'pipx inject patroni patroni-etcd3-compat'),
        ({'made_by': 'uv tool', 'prefix': '/t/patroni'}, 'uv tool install --with patroni-etcd3-compat patroni'),
        ({'venv': False, 'managed': True}, 'apt install ./python3-patroni-etcd3-compat_*_all.deb'),
        (
            {'venv': False, 'patroni_path': '/usr/lib/python3/dist-packages/patroni'},
            'apt install ./python3-patroni-etcd3-compat_*_all.deb',
        ),
        (
            {'venv': False, 'managed': True, 'system': 'rocky rhel centos fedora'},
            'dnf install ./patroni-etcd3-compat-*.noarch.rpm',
        ),
        (
            {'venv': False, 'managed': True, 'system': 'arch'},
            '/venv/bin/python -m pip install --break-system-packages patroni-etcd3-compat',
        ),
        ({'venv': False}, '/venv/bin/python -m pip install patroni-etcd3-compat'),
    ],
)
def test_install_command(changes: dict[str, Any], expected: str) -> None:
    """The command is that of whatever has made the environment."""
    answer = dataclasses.replace(BARE, **changes)
    assert remedies.install(answer) == expected
    assert remedies.install(answer, True) != '' and 'patroni-etcd3-compat' in remedies.install(answer, True)


def test_package_elsewhere() -> None:
    """What the command knows about other places is in the text."""
    (reason,) = diagnose(None, BARE, Here('/usr/bin/python3', '/usr/lib/x')).reasons
    assert reason.seen.endswith('; the one in /usr/lib/x belongs to /usr/bin/python3')
    for changes, why in (
        ({}, 'of a virtual environment'),
        ({'user_site_on': True}, 'HOME=/home/p'),
        ({'no_user_site': True}, 'PYTHONNOUSERSITE'),
    ):
        answer = dataclasses.replace(BARE, **changes)  # type: ignore[arg-type]
        (reason,) = diagnose(None, answer, Here(in_homes=['/home/p/.local/x'])).reasons
        assert reason.id == 'user-site' and '/home/p/.local/x: ' in reason.seen and why in reason.seen


def test_what_is_not_asked() -> None:
    """Frozen, hidden, in a container, silent: all of it is said about the process."""
    host = Host(process(), uid=os.getuid())
    assert diagnosis.frozen(Host(process('/opt/patroni', True))).exit_status == 2
    assert f'as root or {user_name(os.getuid())}' in diagnosis.hidden(host).reasons[0].remedy
    assert 'in the container' in diagnosis.hidden(dataclasses.replace(host, container=True)).reasons[0].remedy
    silent = diagnosis.failed(host, 'it is slow')
    assert (silent.exit_status, silent.reasons[0].id, silent.reasons[0].seen) == (3, 'no-answer', 'it is slow')
    assert user_name(0, container=True) == '0' and user_name(1 << 31 - 1) == str(1 << 31 - 1)


def test_worst_reason_first() -> None:
    """Whatever their order was, what stops this package stands first, and what is only told last."""
    reasons = [Reason(f'{number}', severity, '', '') for number, severity in enumerate(STATUS)]
    found = diagnosis.concluded(Diagnosis(), reasons)
    assert [reason.severity for reason in found.reasons] == ['critical', 'unknown', 'warning', 'info']
    assert found.exit_status == 2


def test_worst() -> None:
    """What does not serve counts before what is unknown, and that before a warning."""
    assert [worst(it) for it in ([], [0], [0, 1], [1, 3], [3, 2, 0])] == [3, 0, 1, 3, 2]


@pytest.mark.parametrize(
    'command, expected',
    [
        ('python3 /usr/bin/patroni c.yml', ('', '/usr/bin/patroni', 'c.yml', False)),
        ('python3 /src/patroni.py c.yml', ('', '/src/patroni.py', 'c.yml', False)),
        ('python3 /usr/bin/patroni', ('', '/usr/bin/patroni', None, False)),
        ('python3 -Im patroni c.yml', ('I', None, 'c.yml', False)),
        ('python3 -mpatroni c.yml', ('', None, 'c.yml', False)),
        ('python3 -B -X dev -Wignore -sE /usr/bin/patroni c.yml', ('BsE', '/usr/bin/patroni', 'c.yml', False)),
        ('python3 --check-hash-based-pycs never patroni c.yml', ('', 'patroni', 'c.yml', False)),
        ('/opt/patroni c.yml', ('', None, 'c.yml', True)),
        ('/opt/patroni --version', None),
        ('python3 -c patroni c.yml', None),
        ('python3 -m patroni.ctl list', None),
        ('python3 /usr/bin/patroni --validate-config c.yml', None),
        ('python3 /usr/bin/patroni --version', None),
        ('python3 /usr/bin/patronictl list', None),
        ('sh /usr/bin/patroni c.yml', None),
        ('python3', None),
        ('', None),
    ],
)
def test_command_lines(tmp_path: Path, command: str, expected: tuple[object, ...] | None) -> None:
    """What is called as Patroni is, and what is not."""
    (tmp_path / '7').mkdir()
    (tmp_path / '7' / 'cmdline').write_bytes(b''.join(it.encode() + b'\0' for it in command.split()))
    seen = [(it.flags, it.script, it.config, it.frozen) for it in patronis(tmp_path)]
    assert seen == ([expected] if expected else [])


def add(proc: Path, pid: int, parent: int, inner: int, started: int = 0) -> None:
    """Add a Patroni to a /proc."""
    folder = proc / str(pid)
    folder.mkdir()
    (folder / 'cmdline').write_bytes(b'python3\0/usr/bin/patroni\0c.yml\0')
    (folder / 'status').write_text(
        f'Name:\tx\nPPid:\t{parent}\nUid:\t2\t2\t2\t2\nGid:\t6\t6\t6\t6\nGroups:\t9 10 \nNSpid:\t{pid}\t{inner}\n'
    )
    (folder / 'stat').write_text(f'{pid} (a) b) S {" ".join(str(n) for n in range(18))} {started} 0\n')
    (folder / 'environ').write_bytes(b'HOME=/x\0PATRONI_SCOPE=a=b\0odd\0')
    (folder / 'cgroup').write_text('1:name=x:/\n0::/system.slice/system-patroni.slice/patroni@a.service\n')


def test_what_proc_shows(tmp_path: Path) -> None:
    """A process in a container stands for the one that waits; forks are left out."""
    (tmp_path / 'uptime').write_text('1000.00 5\n')
    for pid, parent, inner in ((10, 1, 1), (11, 10, 7), (12, 11, 8), (20, 1, 20), (21, 20, 21), (30, 1, 1)):
        add(tmp_path, pid, parent, inner, started=os.sysconf('SC_CLK_TCK') * 400)
    seen = hosts(proc=tmp_path)
    assert [host.process.pid for host in seen] == [11, 20, 30]
    one = seen[0]
    assert (one.uid, one.gid, one.groups, one.parent, one.container) == (2, 6, [9, 10], 10, None)
    assert one.environ == {'HOME': '/x', 'PATRONI_SCOPE': 'a=b'} and one.unit == 'patroni@a.service'
    assert one.started and abs(time.time() - 600 - one.started) < 5
    assert [host.process.pid for host in hosts(pid=21, proc=tmp_path)] == [21]
    assert hosts(config_file=str(tmp_path), proc=tmp_path) == []
    assert hosts(proc=tmp_path / 'none') == []


def test_program_with_the_rights_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's Patroni that becomes su, or anything else, while it is looked at: nothing of it is taken for root's."""
    add(tmp_path, 10, 1, 10)
    status, exe = tmp_path / '10' / 'status', tmp_path / '10' / 'exe'
    plain = status.read_text()
    exe.symlink_to('/usr/bin/python3.11')
    assert [it.uid for it in hosts(proc=tmp_path)] == [2]
    for before, ids in (
        ('Uid:\t2\t2\t2\t2', 'Uid:\t2\t0\t0\t0'),
        ('Uid:\t2\t2\t2\t2', 'Uid:\t2\t2\t0\t2'),
        ('Gid:\t6\t6\t6\t6', 'Gid:\t6\t0\t0\t0'),
    ):
        status.write_text(plain.replace(before, ids))
        assert hosts(proc=tmp_path) == []

    def becomes(program: str, ids: str) -> None:
        """Change the process when its start is read, between the first look and the last."""

        def started(folder: Path, proc: Path) -> None:
            exe.unlink()
            exe.symlink_to(program)
            status.write_text(plain.replace('2\t2\t2\t2', ids))

        status.write_text(plain)
        monkeypatch.setattr('patroni_etcd3_compat.check.doctor.host._started', started)

    becomes('/usr/bin/python3.11', '2\t2\t2\t2')
    assert len(hosts(proc=tmp_path)) == 1
    for program, ids in (('/usr/bin/su', '2\t2\t2\t2'), ('/usr/bin/python3.11', '0\t0\t0\t0')):
        becomes(program, ids)
        assert hosts(proc=tmp_path) == []


def test_called_patroni(tmp_path: Path) -> None:
    """A Python that is called patroni (``exec -a``) is a Python, and one that is not is a program of its own."""
    for pid, command, program, frozen in (
        (10, b'patroni\0/usr/bin/patroni\0c.yml\0', '/usr/bin/python3.11', False),
        (11, b'patroni\0c.yml\0', '/opt/patroni', True),
    ):
        add(tmp_path, pid, 1, pid)
        (tmp_path / str(pid) / 'cmdline').write_bytes(command)
        (tmp_path / str(pid) / 'exe').symlink_to(program)
        (host,) = hosts(pid=pid, proc=tmp_path)
        assert (host.process.frozen, host.process.config) == (frozen, 'c.yml')


def test_probe_is_for_any_python() -> None:
    """Its syntax is that of Python 3.6, and it imports the standard library alone."""
    source = Path(probe.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 6))
    for node in ast.walk(tree):
        names = [it.name for it in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        assert not {'annotations', 'dataclass'} & set(names)
        assert not isinstance(node, ast.ImportFrom) or node.module == 'typing'


def test_answers_that_nobody_gives() -> None:
    """The answer comes from a process of another user: what is no answer is refused, not believed."""
    good = json.loads(json.dumps(dataclasses.asdict(GOOD)))
    assert ask.read(good) == GOOD
    wrong: list[object] = [
        {**good, 'version': 3},
        {**good, 'no_site': 'no'},
        {**good, 'copies': {}},
        {**good, 'copies': [{}]},
        {**good, 'copies': [[]]},
        {**good, 'copies': [{**good['copies'][0], 'path': None}]},
        {**good, 'copies': [{**good['copies'][0], 'changed': 'today'}]},
        {**good, 'log': [1]},
        {**good, 'log': [{}]},
        {**good, 'patroni_changed': '1'},
        *({**good, 'patroni_changed': time} for time in (1e400, float('nan'), 1e18, -1, True)),
        {**good, 'copies': [{**good['copies'][0], 'changed': 1e400}]},
        {**good, 'serves': 'nothing'},
        *({**good, 'version': version} for version in ('', '\u00b2.0', '3.' + '9' * 5000)),
        {**good, 'more': 1},
        [],
        None,
        {},
    ]
    for answer in wrong:
        with pytest.raises(ask.UNREADABLE):
            ask.read(answer)


def test_text_and_json() -> None:
    """Nothing reaches a terminal that it would obey; the JSON is as its schema says."""
    nasty = dataclasses.replace(BARE, executable='/v\x1b[2J/python', patroni='4\n1')
    host = Host(process('/v\x1b[2J/python'), uid=os.getuid(), started=1.0)
    escapes = Host(process()._replace(config='/c\x1b[2J'), uid=os.getuid())
    assert '\x1b' not in text.as_text(Report('h', '1.0.0', [diagnose(escapes, GOOD, Here())]))
    report = Report('h\x1b', '1.0.0', [diagnose(host, nasty, Here()), diagnose(None, GOOD, Here())])
    said = text.as_text(report)
    assert '\x1b' not in said and said.count('\n\n') == 2 and 'patroni-etcd3-compat check -c /etc/patroni.yml' in said
    schema = Path(main.__file__).resolve().parents[3] / 'docs' / 'doctor.schema.json'
    if schema.exists():
        jsonschema.validate(json.loads(text.as_json(report)), json.loads(schema.read_text()))


@pytest.mark.parametrize(
    'args, reason',
    [
        (['--pid', 'x'], 'argument --pid: invalid int value'),
        (['-f', 'yaml'], 'argument -f/--format: invalid choice'),
        (['--pid', '1', '--python', 'x'], 'give one of -c, --pid and --python'),
        (['--user', 'x'], '--user goes with --python'),
        (['more'], 'unrecognized arguments: more'),
        (['--python', '/not/there'], 'there is no Python /not/there'),
        (['--python', '/bin/sh', '--user', 'not there'], 'there is no user not there'),
        (['--pid', '1'], 'no running Patroni is seen with PID 1; name its Python with --python'),
    ],
)
def test_wrong_calls(args: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence on standard error, and 3: 2 is about Patroni."""
    assert main.run(args) == 3
    out, err = capsys.readouterr()
    assert out == '' and err.startswith('patroni-etcd3-compat doctor: ' + reason) and err.count('\n') == 1


@pytest.mark.parametrize('closed', ['>&-', '>/dev/full', '2>&-', '>&- 2>&-'])
@pytest.mark.parametrize('args', ['--help', '--pid 1 -f json'])
def test_output_that_cannot_be_written(closed: str, args: str) -> None:
    """3 and no traceback: 1 would say that this package serves."""
    command = f'exec {sys.executable} -m patroni_etcd3_compat.check doctor {args} {closed}'
    ended = subprocess.run(['sh', '-c', command], capture_output=True, text=True)
    if closed == '2>&-':
        assert (ended.returncode, ended.stderr) == (0 if args == '--help' else 3, '')
    else:
        said = 'patroni-etcd3-compat doctor: cannot write the output: '
        assert ended.returncode == 3 and ended.stderr.startswith('' if '2' in closed else said)
        assert ended.stderr.count('\n') == ('2' not in closed)


def test_internal_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A bug ends with 3 as well, and tells neither values nor the text of the exception."""
    monkeypatch.setattr(main, 'hosts', lambda *args: {}['secret'])  # type: ignore[index]
    assert main.run([]) == 3
    out, err = capsys.readouterr()
    assert out == '' and 'secret' not in err.replace("{}['secret']", '') and 'internal error: KeyError; please' in err


def test_one_help(capsys: pytest.CaptureFixture[str]) -> None:
    """The help is the same with and without click; click knows each option, for the manual page and completion."""
    from click.testing import CliRunner

    from patroni_etcd3_compat.check.cli import cli

    assert main.run(['--help']) == 0
    assert capsys.readouterr().out == CliRunner().invoke(cli, ['doctor', '--help']).output == options.help_text()
    assert options.SUMMARY[:30] in CliRunner().invoke(cli, ['--help']).output
    known = {tuple(parameter.opts) for parameter in cli.commands['doctor'].params}
    assert known == {option.names for option in options.OPTIONS}
    assert all(len(line) <= 80 for line in options.help_text().splitlines())


def test_click_calls_it() -> None:
    """Where click reads the command line, the options reach the command."""
    from patroni_etcd3_compat.check.cli import cli

    assert cli.main(['doctor', '--pid', '1', '-f', 'json'], standalone_mode=False) == 3


def test_probe_of_this_python(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe, run in this Python, finds this package and the Patroni beside it, and its answer is one."""
    monkeypatch.setattr('sys.path', [*sys.path])
    monkeypatch.setattr('sys.argv', ['-c', '/usr/bin/patroni'])
    monkeypatch.setattr(probe, 'CURRENT', [''])
    probe.main()
    assert sys.path[0] == os.path.dirname(os.path.realpath('/usr/bin/patroni'))
    line = capsys.readouterr().out.strip().splitlines()[-1]
    assert line.startswith(probe.MARK)
    answer = ask.read(json.loads(line[len(probe.MARK) :]))
    assert answer.serves == 'package' and answer.hooked and answer.patroni and answer.error is None
    assert Path(answer.copies[0].path).resolve() == Path(diagnosis.__file__).resolve().parents[2]
    assert answer.copies[0].version == __version__ and answer.copies[0].unreadable is None
    assert [Path(it.path).suffix for it in answer.start_up_files] == ['.pth', '.start']


def test_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each copy is there once, with its version, and that of the user's own site-packages is not importable."""
    one, other, own = (tmp_path / name / probe.PACKAGE for name in ('one', 'other', 'own'))
    for folder in (one, other, own):
        (folder / 'sub').mkdir(parents=True)
        (folder / '__init__.py').write_text("'Text.'\n__version__ = '1.2.3'\n")
    (other / '__init__.py').write_text('nothing\n')
    monkeypatch.setattr('sys.path', [str(tmp_path / 'other'), str(one.parent), str(tmp_path / 'other'), '/not/there'])
    monkeypatch.setattr('site.getusersitepackages', lambda: str(own.parent))
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    found = [(it['path'], it['version'], it['importable'], it['unreadable']) for it in probe.copies()]
    assert found == [(str(other), None, True, None), (str(one), '1.2.3', True, None), (str(own), '1.2.3', False, None)]
    for path in other.rglob('*'):
        os.utime(path, (0, 0))  # as tar does, or an installer for the sake of reproducible files
    assert abs(probe.copies()[0]['changed'] - time.time()) < 60
    monkeypatch.setattr(os, 'access', lambda path, mode: not str(path).endswith(('sub', 'one/' + probe.PACKAGE)))
    assert [it['unreadable'] for it in probe.copies()[:2]] == [str(other / 'sub'), str(one)]
    monkeypatch.setattr(os, 'access', lambda path, mode: not str(path).endswith('.py'))
    assert probe.copies()[0]['unreadable'] == str(other / '__init__.py')


def test_start_up_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by name in each folder of site, whatever the folder is called; other files do not count."""
    folder = tmp_path / '[a-b]*'
    folder.mkdir()
    for name in ('.pth', '.start', '.pth.old', '-1.0.0.pth'):
        (folder / (probe.PACKAGE + name)).write_text('')
    monkeypatch.setattr(probe, 'site_folders', lambda: [str(tmp_path), str(folder)])
    found = [(os.path.basename(it['path']), it['readable']) for it in probe.start_up_files()]
    assert found == [(probe.PACKAGE + '.pth', True), (probe.PACKAGE + '.start', True)]


def test_probe_where_things_fail(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No home, a Patroni that cannot be loaded, a hook that fails: what is left is said."""

    def fail(*args: object) -> None:
        raise ImportError('broken\nin two lines')

    with monkeypatch.context() as patched:  # pytest itself imports when an assertion fails
        patched.setattr('importlib.import_module', fail)
        serving, patroni = probe.serving(), probe.patroni()
    assert serving == {'serves': None, 'error': 'ImportError: broken', 'patched': None, 'log': []}
    assert patroni['patroni_path'] is None
    monkeypatch.setattr('site.getusersitepackages', fail)
    with monkeypatch.context() as patched:
        patched.setattr('importlib.util.find_spec', fail)
        patched.setattr('sys.path', [str(tmp_path)])
        found = probe.user_site(), probe.copies()
    assert found == (None, [])
    assert probe.latest(None, str(tmp_path / 'none')) is None
    log = probe.Log()
    try:
        fail()
    except ImportError:
        log.emit(logging.LogRecord('x', logging.ERROR, 'x', 1, 'no %s', ('way',), sys.exc_info()))
    assert log.lines == [{'level': 'ERROR', 'text': 'no way (ImportError: broken)'}]


def test_start_up_errors() -> None:
    """What Python prints about a start-up file that fails, and nothing else that it prints."""
    printed = (
        'Error processing line 1 of /v/patroni_etcd3_compat.pth:\n\n  Traceback (most recent call last):\n'
        '    File "<string>", line 1, in <module>\n  ModuleNotFoundError: No module named \'x\'\n\n'
        'Remainder of file ignored\n'
    )
    assert ask._start_up_error(printed) == "ModuleNotFoundError: No module named 'x'"
    assert ask._start_up_error('Error processing line 1 of /v/other.pth:\n  ValueError: x\n') is None
    assert ask._start_up_error('') is None


def test_python_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that is none, that is slow, that answers nonsense, and that is gone."""
    program = tmp_path / 'python3'

    def seen(script: str) -> str:
        program.write_text('#!/bin/sh\n' + script)
        program.chmod(0o755)
        with pytest.raises(ask.Failed) as raised:
            ask.ask_python(str(program), None)
        return str(raised.value)

    assert seen('exit 3') == f'{program} ended with status 3'
    assert seen('echo no libpython >&2; exit 127') == f'{program} ended with status 127: no libpython'
    assert seen(f"echo '{probe.MARK}[]'") == f'the answer of {program} cannot be read'
    assert seen(f"echo '{probe.MARK}x'") == f'the answer of {program} cannot be read'
    monkeypatch.setattr(ask, '_TIMEOUT', 0.2)
    assert seen('exec sleep 5') == f'{program} has not answered after 0.2 s'
    program.chmod(0o644)
    with pytest.raises(ask.Failed, match='cannot be run: Permission denied'):
        ask.ask_python(str(program), None)
    program.unlink()
    with pytest.raises(ask.Failed, match='there is no '):
        ask.ask_python(str(program), None)
