"""``doctor`` on real processes of Patroni, each of which is kept from using this package in another way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Iterator

import pytest

from lab import ROOT
from lab.environments import Environment, clean_environ, environment
from lab.node import unprivileged_user
from lab.processes import scratch_folder, wait_until
from patroni_etcd3_compat import __version__
from tests.check.patroni_places import AS_ME, PACKAGE, START_UP_FILES, Place, diagnosis, doctor, places
from tools import patching

Make = Callable[..., Place]


@pytest.fixture(scope='session')
def stock() -> Environment:
    """The newest Patroni without this package."""
    return environment(plugin=False).for_user(unprivileged_user())


@pytest.fixture(scope='session')
def package() -> Environment:
    """The same with it, from its wheel."""
    return environment()


@pytest.fixture
def make(stock: Environment, package: Environment) -> Iterator[Make]:
    """Make environments that end with the test."""
    yield from places(stock, package)


def name_of_user() -> str:
    """Return who runs Patroni in these tests."""
    user = unprivileged_user()
    return user.pw_name if user else subprocess.check_output(['id', '-un'], text=True).strip()


def test_serves(make: Make) -> None:
    """Installed before Patroni was started: 0, and all that there is to know about the process."""
    place = make()
    process = place.start()
    found = diagnosis('-c', str(place.config))
    assert found['reasons'] == [] and found['exit_status'] == 0
    assert (found['pid'], found['user'], found['config']) == (process.pid, name_of_user(), str(place.config))
    assert (found['serves'], found['compat'], found['patroni']) == ('package', __version__, '4.1.5')
    assert (found['python'], found['container']) == (str(place.python), False)
    assert abs(found['started'] - time.time()) < 60
    assert [copy['path'] for copy in found['copies']] == [str(place.site / PACKAGE)]
    assert [file['path'] for file in found['start_up_files']] == [str(place.site / name) for name in START_UP_FILES]
    said = doctor('--pid', str(process.pid))
    assert said.status == 0 and said.err == ''
    assert said.out.startswith(f'OK        PID {process.pid}: {PACKAGE.replace("_", "-")} {__version__} serves section')
    assert f'patroni-etcd3-compat check -c {place.config}\n' in said.out
    assert f'PID {process.pid}:' in doctor().out


def test_not_installed(make: Make) -> None:
    """Installed beside the command alone: said where it is instead, with the command for this environment."""
    place = make(False)
    place.start()
    found = diagnosis('-c', str(place.config))
    assert (found['exit_status'], found['serves'], list(found['found'])) == (2, 'stock', ['not-installed'])
    reason = found['found']['not-installed']
    assert f'{ROOT / PACKAGE} belongs to {sys.executable}' in reason['seen']
    assert reason['remedy'] == f'{place.python} -m pip install patroni-etcd3-compat; then restart Patroni'
    said = doctor('-c', str(place.config))
    assert said.status == 2 and "does not serve section etcd3, Patroni's own class does" in said.out


def test_remedy_works(make: Make, package: Environment) -> None:
    """After what the remedy says was done, a restart is what is missing, and after that nothing is."""
    place = make(False)
    place.start()
    time.sleep(0.1)  # the clock of files has steps
    place.install()
    found = diagnosis('-c', str(place.config))
    assert (found['exit_status'], found['serves'], list(found['found'])) == (1, 'package', ['restart'])
    assert 'serves section etcd3 once Patroni is restarted' in doctor('-c', str(place.config)).out
    place.stop()
    place.start()
    assert diagnosis('-c', str(place.config))['exit_status'] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason='needs root, who reads everything, and another user, who does not')
@pytest.mark.parametrize('what', ['.pth', 'package', 'module'])
def test_not_readable(make: Make, what: str) -> None:
    """Installed by root with umask 077: named, and cured by the remedy."""
    place = make()
    path = {
        '.pth': place.site / START_UP_FILES[0],
        'package': place.site / PACKAGE,
        'module': place.site / PACKAGE / 'dcs.py',
    }[what]
    path.chmod(0o700 if what == 'package' else 0o600)
    place.start()
    found = diagnosis('-c', str(place.config))
    assert (found['exit_status'], found['serves']) == (2, 'stock')
    reason = found['found']['unreadable']
    assert f'the user of Patroni cannot read {path} ' in reason['seen']
    assert diagnosis('--python', str(place.python), *AS_ME)['exit_status'] == 0  # as root
    assert diagnosis('--python', str(place.python), '--user', name_of_user())['found'].keys() == found['found'].keys()
    subprocess.run(reason['remedy'].partition(';')[0], shell=True, check=True)
    assert diagnosis('--python', str(place.python), '--user', name_of_user())['exit_status'] == 0


def test_switched_off(make: Make) -> None:
    """``PATRONI_ETCD3_COMPAT=off`` in the environment of Patroni counts, that of the command does not."""
    place = make()
    place.start(env={'PATRONI_ETCD3_COMPAT': 'Off'})
    found = diagnosis('-c', str(place.config))
    assert (found['exit_status'], found['serves'], list(found['found'])) == (2, 'stock', ['switched-off'])
    assert 'PATRONI_ETCD3_COMPAT=Off in the environment' in found['found']['switched-off']['seen']
    assert diagnosis('--python', str(place.python), *AS_ME, PATRONI_ETCD3_COMPAT='off')['exit_status'] == 0


@pytest.mark.parametrize('options', [('-S',), ('-sS',), ('-I', '-S')])
def test_without_site(make: Make, options: tuple[str, ...]) -> None:
    """-S: no start-up file is read, and not even Patroni is found but by PYTHONPATH."""
    place = make()
    place.start(*options, env={'PYTHONPATH': f'{place.site}:{place.site_of(place.stock)}'})
    found = diagnosis('-c', str(place.config)) if '-I' not in options else None
    if found:
        assert (found['exit_status'], found['serves'], list(found['found'])) == (2, 'stock', ['no-site'])


@pytest.mark.parametrize('options', [('-I',), ('-E', '-s'), ('-X', 'dev', '-W', 'ignore'), ('-B', '-OO')])
def test_options_that_do_not_matter(make: Make, options: tuple[str, ...]) -> None:
    """The start-up file of site-packages is read whatever the options are."""
    place = make()
    place.start(*options)
    assert diagnosis('-c', str(place.config))['exit_status'] == 0


@pytest.mark.parametrize('script', [('-m', 'patroni'), ('-Im', 'patroni')])
def test_as_a_module(make: Make, script: tuple[str, ...]) -> None:
    """``python -m patroni FILE``."""
    place = make()
    place.start(script=script)
    assert diagnosis('-c', str(place.config))['exit_status'] == 0


@pytest.mark.parametrize('by', [None, 'its user'])
def test_source_tree(make: Make, by: str | None) -> None:
    """Patroni in the current folder of its process is the one that is asked, whoever asks and wherever."""
    place = make()
    tree = shutil.move(str(place.own_patroni()), str(place.folder))
    Path(tree, 'version.py').write_text("__version__ = '4.1.99'\n")
    shutil.copy(str(place.stock.patroni), str(place.folder / 'patroni.py'))
    user = unprivileged_user() if by else None
    for script in (('-m', 'patroni'), ('patroni.py',)):
        process = place.start(script=script)
        found = diagnosis('--pid', str(process.pid), python=place.command(), user=user)
        assert (found['patroni'], found['exit_status'], found['user']) == ('4.1.99', 0, name_of_user())


def test_called_by_a_relative_path(make: Make) -> None:
    """It is relative to the folder of the process, not to that of the command."""
    place = make()
    process = place.start(called='env/bin/python')
    found = diagnosis('--pid', str(process.pid))
    assert (found['exit_status'], found['python']) == (0, str(place.python))


def test_called_otherwise(make: Make) -> None:
    """``exec -a patroni`` in a virtual environment that Python finds by that name on PATH."""
    place = make()
    shutil.copy(str(place.stock.patroni), str(place.python.parent))
    path = f'{place.python.parent}:{os.environ["PATH"]}'
    process = place.start(env={'PATH': path}, called='patroni')
    found = diagnosis('--pid', str(process.pid))
    assert (found['exit_status'], found['serves'], found['patroni']) == (0, 'package', '4.1.5')
    assert found['python'] == str(place.python.parent / 'python3')


def test_nothing_from_the_current_folder(make: Make) -> None:
    """What somebody has put into the current folder of the command, or of Patroni, is not run by anybody."""
    place = make()
    done = place.folder / 'done'
    for name in ('glob', 'json', 'logging', 'site', 'sysconfig', 'typing'):
        (place.folder / f'{name}.py').write_text(f'open({str(done)!r}, "a").write(__name__)\n')
    place.folder.chmod(0o777)
    process = place.start()
    assert diagnosis('--pid', str(process.pid), cwd=place.folder)['exit_status'] == 0
    assert diagnosis('--python', str(place.python), *AS_ME, cwd=place.folder)['exit_status'] == 0
    assert not done.exists()


def test_what_the_probe_gets(make: Make) -> None:
    """Of the variables of Patroni, where its passwords are, only those that count; and it may not fill the disk."""
    place = make()
    place.folder.chmod(0o777)
    seen = place.folder / 'seen'
    process = place.start(env={'PATRONI_SUPERUSER_PASSWORD': 'secret', 'PATRONI_ETCD3_COMPAT': 'on', 'LANG': 'C'})
    (place.site / 'z.pth').write_text(
        'import json, os, resource; '
        'limits = resource.getrlimit(resource.RLIMIT_FSIZE); session = os.getsid(0) == os.getpid(); '
        f'open({str(seen)!r}, "w").write(json.dumps([*os.environ, session, limits]))\n'
    )
    assert diagnosis('--pid', str(process.pid))['serves'] == 'package'
    *names, session, limits = json.loads(seen.read_text())
    assert session  # of its own, so that it can type nothing into root's terminal
    assert {'HOME', 'PATH', 'PATRONI_ETCD3_COMPAT', 'LANG'} <= set(names)
    assert not [name for name in names if 'PASSWORD' in name] and limits == [1 << 20, 1 << 20]


@pytest.mark.skipif(os.geteuid() != 0, reason='needs root, who must not run what belongs to others')
def test_root_names_the_user(make: Make) -> None:
    """Root does not run a Python as root that is not said to run Patroni as root: its files may be anybody's."""
    place = make()
    done = place.folder / 'done'
    (place.site / 'z.pth').write_text(f'import os; open({str(done)!r}, "w").write("done")\n')
    refused = doctor('--python', str(place.python))
    assert (refused.status, refused.out) == (3, '') and 'root has to say with --user who' in refused.err
    assert not done.exists()


def with_user_site(place: Place) -> Path:
    """Have an environment read what ``pip install --user`` installs; return the folder of the user of Patroni."""
    settings = place.folder / 'env' / 'pyvenv.cfg'
    settings.write_text(settings.read_text().replace('= false', '= true'))
    return place.folder / '.local' / 'lib' / place.site.parent.name / 'site-packages'


def test_installed_with_user(make: Make) -> None:
    """In the home of Patroni's user it serves; with -s, or with another HOME, it does not, and the reason says why."""
    place = make(False)
    path = place.install(with_user_site(place))
    process = place.start()
    assert diagnosis('--pid', str(process.pid))['exit_status'] == 0
    for options, env, why in (
        (('-s',), {}, '-s, -I or PYTHONNOUSERSITE'),
        ((), {'PYTHONNOUSERSITE': '1'}, '-s, -I or PYTHONNOUSERSITE'),
        ((), {'HOME': '/nonexistent'}, 'HOME=/nonexistent'),
    ):
        process = place.start(*options, env=env)
        found = diagnosis('--pid', str(process.pid), HOME=str(place.folder))
        assert (found['exit_status'], found['serves'], list(found['found'])) == (2, 'stock', ['user-site']), env
        seen = found['found']['user-site']['seen']
        assert str(path) in seen and why in seen


def test_no_start_up_file(make: Make) -> None:
    """A source tree that a .pth file names, as an old ``pip install -e`` leaves it, and PYTHONPATH."""
    place = make(False)
    tree = place.folder / 'tree'
    place.install(tree)
    process = place.start(env={'PYTHONPATH': str(tree)})
    found = diagnosis('--pid', str(process.pid))
    assert (found['exit_status'], found['serves'], list(found['found'])) == (2, 'stock', ['no-start-up-file'])
    (place.site / '__editable__.patroni_etcd3_compat.pth').write_text(f'{tree}\n')
    process = place.start()
    found = diagnosis('--pid', str(process.pid))
    assert (found['exit_status'], found['serves'], list(found['found'])) == (2, 'stock', ['no-start-up-file'])
    assert f'the package is in {tree / PACKAGE}, ' in found['found']['no-start-up-file']['seen']


def test_package_gone(make: Make) -> None:
    """The start-up file alone."""
    place = make()
    shutil.rmtree(place.site / PACKAGE)
    place.start()
    found = diagnosis('-c', str(place.config))
    assert (found['exit_status'], found['serves'], list(found['found'])) == (2, 'stock', ['incomplete'])


def test_two_copies(make: Make) -> None:
    """The one that Python finds first counts, and is older than the one that was meant."""
    place = make()
    old = place.install(place.folder / 'old')
    init = old / '__init__.py'
    init.write_text(init.read_text().replace(f"'{__version__}'", "'0.0.9'"))
    place.start(env={'PYTHONPATH': str(old.parent)})
    found = diagnosis('-c', str(place.config))
    assert (found['exit_status'], found['serves'], found['compat']) == (1, 'package', '0.0.9')
    seen = found['found']['second-copy']['seen']
    assert seen == f'{old} (0.0.9) counts, it hides {place.site / PACKAGE} ({__version__})'


def test_patroni_that_lacks_something(make: Make) -> None:
    """A library is missing that Patroni needs for etcd: nothing can serve, whatever is installed."""
    place = make()
    (place.site / 'etcd.py').write_text("raise ModuleNotFoundError(\"No module named 'etcd'\", name='etcd')\n")
    (place.site / 'a_patroni.pth').rename(place.site / 'z_patroni.pth')
    found = diagnosis('--python', str(place.python), *AS_ME)
    assert (found['exit_status'], found['serves']) == (2, None)
    assert "ModuleNotFoundError: No module named 'etcd'" in found['found']['stock-broken']['seen']
    assert 'nothing can serve section etcd3' in doctor('--python', str(place.python), *AS_ME).out


def test_broken_package(make: Make) -> None:
    """A module of the package cannot be loaded: Patroni runs with its own class, and the reason has the exception."""
    place = make()
    (place.site / PACKAGE / 'gateway.py').write_text('import not_there\n')
    place.start()
    found = diagnosis('-c', str(place.config))
    assert (found['exit_status'], found['serves']) == (2, 'stock')
    assert "ModuleNotFoundError: No module named 'not_there'" in found['found']['broken']['seen']


def test_patched_patroni(make: Make) -> None:
    """A patched Patroni serves by itself; the package beside it stands back, which is fine."""
    patched = patching.environment(patching.RELEASES[0])
    for installed in (False, True):
        place = make(installed, patched.for_user(unprivileged_user()))
        place.start()
        found = diagnosis('-c', str(place.config))
        assert (found['exit_status'], found['serves'], found['compat']) == (0, 'patch', __version__)
        assert list(found['found']) == ['patched'] * installed
        assert f'the patch (patroni-etcd3-compat {__version__}) serves' in doctor('-c', str(place.config)).out


def test_no_patroni(make: Make) -> None:
    """A Python without Patroni: 3, and where to find the right one."""
    place = make()
    (place.site / 'a_patroni.pth').unlink()
    found = diagnosis('--python', str(place.python), *AS_ME)
    assert (found['exit_status'], found['serves'], list(found['found'])) == (3, None, ['no-patroni'])


def test_python_was_replaced(make: Make) -> None:
    """An upgrade of Python under a running Patroni, as a package of the distribution does it."""
    place = make()
    real = Path(os.path.realpath(place.python))
    place.python.unlink()
    shutil.copy(str(real), str(place.python))
    place.start()
    assert diagnosis('-c', str(place.config))['exit_status'] == 0
    shutil.copy(str(real), str(place.folder / 'new'))
    os.replace(place.folder / 'new', place.python)
    found = diagnosis('-c', str(place.config))
    assert (found['exit_status'], list(found['found'])) == (1, ['python-replaced'])


def test_python_that_does_not_answer(make: Make) -> None:
    """It prints something else, or nothing."""
    place = make()
    (place.site / 'z.pth').write_text('import os; print("hello", flush=True)\n')
    assert diagnosis('--python', str(place.python), *AS_ME)['exit_status'] == 0
    (place.site / 'z.pth').write_text('import os; os._exit(7)\n')
    found = diagnosis('--python', str(place.python), *AS_ME)
    assert (found['exit_status'], list(found['found'])) == (3, ['no-answer'])
    assert found['found']['no-answer']['seen'] == f'{place.python} ended with status 7'
    found = diagnosis('--python', '/etc/../bin/false', *AS_ME)
    assert found['exit_status'] == 3


@pytest.mark.skipif(os.geteuid() != 0, reason='needs root to start processes of another user')
def test_process_of_somebody_else(make: Make) -> None:
    """Without root, a process of another user cannot be looked at, and one's own can."""
    place = make()
    mine, roots = place.start(), place.start(root=True)
    run = {'python': place.command(), 'user': unprivileged_user()}
    assert diagnosis('--pid', str(mine.pid), **run)['exit_status'] == 0
    found = diagnosis('--pid', str(roots.pid), **run)
    assert (found['exit_status'], list(found['found'])) == (3, ['hidden'])
    assert found['found']['hidden']['remedy'] == 'run patroni-etcd3-compat doctor as root or root'
    refused = doctor('--python', str(place.python), '--user', 'root', **run)  # type: ignore[arg-type]
    assert (refused.status, refused.err) == (3, 'patroni-etcd3-compat doctor: --user needs root\n')


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which('setpriv'), reason='needs root, and setpriv')
def test_root_that_sees_nothing(make: Make) -> None:
    """Root of a container has no CAP_SYS_PTRACE, so it has to be the process's user to look at it."""
    place = make()
    process = place.start(env={'PATRONI_ETCD3_COMPAT': 'off'})
    limited = ('setpriv', '--bounding-set', '-sys_ptrace', sys.executable)
    found = diagnosis('-c', str(place.config), python=limited)
    assert (found['pid'], found['user'], found['python']) == (process.pid, name_of_user(), str(place.python))
    assert (found['exit_status'], list(found['found'])) == (2, ['switched-off'])
    # with no capability at all, as containers are often run
    for without, reason in (('-sys_ptrace,-setuid,-setgid', 'hidden'), ('-setuid', 'no-answer')):
        found = diagnosis('--pid', str(process.pid), python=(*limited[:2], without, *limited[3:]))
        assert (found['pid'], found['exit_status'], list(found['found'])) == (process.pid, 3, [reason])
        assert f'as {name_of_user()}' in found['found'][reason]['remedy'].replace('root or ', '')


def test_nothing_runs(make: Make) -> None:
    """A sentence and 3, in JSON as well."""
    place = make()
    ended = doctor('-c', str(place.config))
    assert (ended.status, ended.out) == (3, '')
    assert ended.err.startswith(
        f'patroni-etcd3-compat doctor: no running Patroni is seen with {place.config}; name its'
    )
    ended = doctor('-c', str(place.config), '-f', 'json')
    assert (ended.status, ended.json['processes'], ended.json['exit_status']) == (3, [], 3)


def test_with_nothing_installed_beside_it(make: Make, package: Environment) -> None:
    """The command runs in a Python that has this package and nothing else."""
    place, other = make(), make()
    (other.site / 'a_patroni.pth').unlink()
    process = place.start()
    found = diagnosis('--pid', str(process.pid), python=(str(other.python), '-I'))
    assert found['exit_status'] == 0


def test_start_up_file_fails(make: Make) -> None:
    """Python prints why it could not run the start-up file, and goes on without it."""
    place = make()
    (place.site / PACKAGE / 'plugin.py').write_text('import not_there\n')
    place.start()
    found = diagnosis('-c', str(place.config))
    assert (found['exit_status'], found['serves'], list(found['found'])) == (2, 'stock', ['broken'])
    assert "ModuleNotFoundError: No module named 'not_there'" in found['found']['broken']['seen']


@pytest.mark.parametrize(
    'version, status, serves, reason',
    [('2.1.7', 2, 'stock', 'stands-back'), ('5.0.0', 1, 'package', 'untried'), ('4.9.0', 1, 'package', 'untried')],
)
def test_patroni_outside_of_the_range(make: Make, version: str, status: int, serves: str, reason: str) -> None:
    """Under an older Patroni it stands back, a newer one is untried; the reason is the line of the log."""
    place = make()
    (place.own_patroni() / 'version.py').write_text(f'__version__ = {version!r}\n')
    (place.site / 'a_patroni.pth').rename(place.site / 'z_patroni.pth')
    place.start()
    found = diagnosis('-c', str(place.config))
    assert (found['exit_status'], found['serves'], list(found['found'])) == (status, serves, [reason])
    assert f'Patroni {version}' in found['found'][reason]['seen']


def test_patroni_that_has_changed(make: Make) -> None:
    """A newer Patroni without something that the package relies on."""
    place = make()
    module = place.own_patroni() / 'dcs' / 'etcd3.py'
    module.write_text(module.read_text().replace('_restart_watcher', '_start_watcher'))
    place.start()
    found = diagnosis('-c', str(place.config))
    assert (found['exit_status'], found['serves'], list(found['found'])) == (2, 'stock', ['stands-back'])


def test_frozen(make: Make) -> None:
    """A program called patroni that is no Python, as PyInstaller makes them; this one only reads its file."""
    place = make()
    program, config = place.folder / 'patroni', place.folder / 'fifo'
    shutil.copy('/bin/cat', str(program))
    os.mkfifo(config)
    with subprocess.Popen([str(program), str(config)]) as process:
        try:
            wait_until(lambda: b'fifo' in Path(f'/proc/{process.pid}/cmdline').read_bytes(), 10, 'the program')
            found = diagnosis('-c', str(config))
            assert (found['exit_status'], found['serves'], list(found['found'])) == (2, None, ['frozen'])
            assert found['pid'] == process.pid and str(program) in found['found']['frozen']['seen']
        finally:
            process.kill()


#: Starts a Patroni that has a root folder of its own, with this machine's programs in it.
_CONTAINER = """
set -e
mkdir "$1" "$1/tmp" "$1/dev" "$1/proc"
for path in /usr /bin /sbin /lib /lib32 /lib64 /etc; do
    if [ -L $path ]; then cp -d $path "$1$path"
    elif [ -d $path ]; then mkdir "$1$path"; mount --rbind $path "$1$path"; fi
done
mount --bind /dev "$1/dev"
for path in "$2" "$3"; do mkdir -p "$1/in$path"; done
mkdir -p "$1$2" "$1$3"
mount --bind "$2" "$1$2"
mount --bind "$3" "$1$3"
exec chroot --userspec="$4" "$1" "$5" "$3/bin/patroni" "$6"
"""


@pytest.mark.skipif(os.geteuid() != 0, reason='needs root to make a container')
def test_container(make: Make, stock: Environment) -> None:
    """A Patroni in a container is found, and nothing of the container is run outside, not even by root."""
    place = make()
    root = scratch_folder('test-doctor-root-')
    root.chmod(0o755)
    user = unprivileged_user()
    assert user
    if subprocess.run(['unshare', '-m', 'true'], stderr=subprocess.DEVNULL).returncode:
        pytest.skip('root may not make a container here')
    values = (root / 'root', place.folder, stock.folder, f'{user.pw_uid}:{user.pw_gid}', place.python, place.config)
    process = subprocess.Popen(
        ['unshare', '-m', 'sh', '-c', _CONTAINER, 'sh', *map(str, values)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until(
            lambda: b'\0' + os.fsencode(place.config) in Path(f'/proc/{process.pid}/cmdline').read_bytes(), 20, 'it'
        )
        wait_until(lambda: '--userspec' not in Path(f'/proc/{process.pid}/cmdline').read_text(), 20, 'Patroni')
        found = diagnosis('--pid', str(process.pid))
        assert (found['exit_status'], found['serves'], found['container']) == (3, None, True)
        assert (found['python'], found['user'], list(found['found'])) == (
            str(place.python),
            str(user.pw_uid),
            ['hidden'],
        )
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(os.geteuid() != 0, reason='needs root to mount')
@pytest.mark.parametrize('own', [True, False])
def test_mounts_of_its_own(make: Make, own: bool) -> None:
    """A unit with another environment mounted at this path: what is there for others says nothing about it."""
    place, other = make(), make(False)
    user = unprivileged_user()
    assert user
    if subprocess.run(['unshare', '-m', 'true'], stderr=subprocess.DEVNULL).returncode:
        pytest.skip('root may not mount here')
    here, mounted = place.folder / 'env', (other if own else place).folder / 'env'
    command = 'mount --bind "$2" "$1" && exec chroot --userspec="$3" / "$1/bin/python" "$4" "$5"'
    values = (here, mounted, f'{user.pw_uid}:{user.pw_gid}', place.stock.patroni, place.config)
    process = subprocess.Popen(
        ['unshare', '-m', 'sh', '-c', command, 'sh', *map(str, values)],
        env=clean_environ(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: Path(f'/proc/{process.pid}/cmdline').read_text().startswith(str(here)), 20, 'Patroni')
        found = diagnosis('--pid', str(process.pid))
        assert (found['container'], found['exit_status']) == (own, 3 if own else 0)
    finally:
        process.kill()
        process.communicate()
