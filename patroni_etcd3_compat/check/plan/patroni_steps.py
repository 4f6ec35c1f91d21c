"""Steps that go through the members of a Patroni cluster: replicas first, the leader in pause."""

from __future__ import annotations

from typing import NamedTuple, Sequence
from urllib.parse import urlsplit

from ...versions import parse_version
from ..facts import Patroni, PatroniMember
from ..findings.registry import PATRONI_GATE
from ..fleet import name_of
from .gates import Commands
from .model import Gate, Step

_WHY_REPLICAS = (
    'Replicas first: what goes wrong with the new one is seen on a member that nobody writes to, and the '
    'leader can fail over to members that are known to work.'
)

_WHY_PAUSE = (
    'In pause Patroni leaves PostgreSQL alone: its restart on the leader is no failover and no '
    'interruption. For that time nobody is promoted if the primary fails.'
)


#: What has to be there again after an upgrade, by what serves the member.
_AGAIN = {
    'package': ['# patroni-etcd3-compat has to be in the environment of the new Patroni as well'],
    'patch': ['# apply the patch of patroni-etcd3-compat for this release'],
}


class Work(NamedTuple):
    """What is done on each member."""

    #: of a step, see :attr:`Step.action`
    action: str
    #: for the title: 'Upgrade {0} to Patroni 4.1.5'
    title: str
    #: the release of Patroni, empty if it stays what it is
    to: str
    #: commands on a member, without the restart
    commands: list[str]
    #: regular expression for the version of Patroni that has to run then; ``None``: it stays what it is
    version: str | None
    #: how to undo it
    back: str


def install_package() -> Work:
    """Put this package beside Patroni."""
    return Work(
        'install-package',
        'Install patroni-etcd3-compat on {0}',
        '',
        ['# into the environment that Patroni runs in: pip install patroni-etcd3-compat'],
        None,
        'pip uninstall patroni-etcd3-compat and restart Patroni, but not while members of etcd differ.',
    )


def upgrade(text: str, version: str) -> Work:
    """Put another release of Patroni there.

    :param text: the release, in words.
    :param version: regular expression for it.
    """
    exact = text if text.count('.') > 1 else text.split()[0] + '.*'
    commands = [f'# install Patroni {text}, for example: pip install "patroni[etcd3]=={exact}"']
    return Work(
        'upgrade',
        'Upgrade {0} to Patroni ' + text,
        text.split()[0],
        commands,
        version,
        'Install the former release on {0} again and restart Patroni.',
    )


def ordered(patroni: Patroni) -> list[PatroniMember]:
    """The members in the order of the work: replicas, synchronous ones last of them, then the leader."""
    rank = {'sync_standby': 2, 'quorum_standby': 1}
    return sorted(patroni.members, key=lambda member: (member.name == patroni.leader, rank.get(member.role or '', 0)))


def through(patroni: Patroni, commands: Commands, work: Work, skip: list[str], leader_first: str = '') -> list[Step]:
    """Give the steps for all members.

    :param patroni: the cluster.
    :param commands: makes the commands.
    :param work: what is done on each.
    :param skip: names of members that it is done on already.
    :param leader_first: why the leader has to be the first; empty: it is the last.
    """
    todo = [member for member in ordered(patroni) if member.name not in skip]
    replicas = [_member(member, False, commands, work) for member in todo if member.name != patroni.leader]
    leader = [_member(member, True, commands, work) for member in todo if member.name == patroni.leader]
    if leader and not patroni.paused:
        others = [
            member for member in ordered(patroni) if member.name != patroni.leader and not member.tags.get('nofailover')
        ]
        leader = [_pause(commands)] + leader + [_resume(commands)]
        if others and not leader_first:
            instead = commands.patronictl('switchover', '--leader', str(patroni.leader), '--candidate', others[-1].name)
            leader[0].notes.append(
                f'Or, instead of this step and the next two: "{instead}", and then treat {patroni.leader} like the '
                'others. Clients notice that. Choose it where KillMode is not process.'
            )
    for step in leader if leader_first else ():
        if step.action['action'] == work.action:
            step.why = leader_first
    steps = leader + replicas if leader_first else replicas + leader
    for step in steps:
        step.cluster = name_of(patroni)  # members of another cluster may have the same names
    return steps


def around_patroni(patroni: Patroni, commands: Commands, nodes: Sequence[str]) -> list[Step]:
    """Return the steps that put this package on these nodes."""
    others = [member.name for member in patroni.members if member.name not in nodes]
    return through(patroni, commands, install_package(), others)


def api(member: PatroniMember) -> str | None:
    """Where the REST API of a member tells its version."""
    parts = urlsplit(member.api_url or '')
    return f'{parts.scheme}://{parts.netloc}/patroni' if parts.scheme and parts.netloc else None


def version_gate(member: PatroniMember, version: str, to: str) -> Gate | None:
    """The member runs that release of Patroni."""
    url = api(member)
    command = f'curl -fsS $API_FLAGS {url} | grep -E \'"version": ?"{version}\''
    return Gate(f'{member.name} runs Patroni {to}', command, 'what its REST API says') if url else None


def _member(member: PatroniMember, leads: bool, commands: Commands, work: Work) -> Step:
    gates = [
        version_gate(member, work.version, work.to) if work.version else commands.mark(member.name),
        commands.up(member.name, leads, parse_version(work.to or member.version)),
    ] + list(commands.checks(PATRONI_GATE))
    return Step(
        work.title.format(member.name),
        dict({'action': work.action, 'member': member.name}, **({'to': work.to} if work.to else {})),
        'The leader, last. Its PostgreSQL runs on meanwhile.' if leads else _WHY_REPLICAS,
        [f'# on {member.name}:', *work.commands, *_AGAIN.get(member.serves or '', ()), '# systemctl restart patroni'],
        [gate for gate in gates if gate],
        work.back.format(member.name),
        member=member.name,
        url=api(member),
        notes=[]
        if leads
        else [
            f'Without pause the restart of Patroni restarts PostgreSQL on {member.name}: take readers away '
            'from it first.'
        ],
    )


def _pause(commands: Commands) -> Step:
    return Step(
        'Pause Patroni',
        {'action': 'pause'},
        _WHY_PAUSE,
        [commands.patronictl('pause', '--wait')],
        [commands.paused(True)],
        'Resume:',
        [commands.patronictl('resume', '--wait')],
        notes=[
            '"systemctl show -p KillMode patroni" on the leader has to say process: with another value systemd '
            'stops PostgreSQL together with Patroni, pause or not.'
        ],
    )


def _resume(commands: Commands) -> Step:
    return Step(
        'Resume',
        {'action': 'resume'},
        'From here on the cluster fails over by itself again.',
        [commands.patronictl('resume', '--wait')],
        [commands.paused(False)] + commands.checks(PATRONI_GATE),
        'Pause:',
        [commands.patronictl('pause', '--wait')],
    )
