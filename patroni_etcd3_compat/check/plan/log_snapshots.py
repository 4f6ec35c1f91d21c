"""The steps before etcd 3.6 and 3.7 that get entries out of the log of every member which the new release cannot read.

A member replays its log from the last snapshot of it on. 3.5 takes one every 100,000 entries and 3.6 every 10,000:
that can be days on a small cluster. :attr:`.releases.Guide.log` says which entries, and where that was measured.
"""

from __future__ import annotations

from ..cluster import EtcdMember
from ..findings.registry import ETCD_GATE, PATRONI_GATE
from ..log_snapshot import ALSO, LEAST, OPTION, TAKEN, WRITES
from .connection import ETCDCTL
from .gates import Commands
from .legs import Leg
from .model import Gate, Step

_KEY = 'patroni-etcd3-compat-plan'

#: The line of :data:`.log_snapshot.TAKEN` in ``/metrics`` of a member that has taken enough of them.
_ENOUGH = f'^{TAKEN} ([{LEAST}-9]|[1-9][0-9]+)$'


def write_something(times: int = 1) -> str:
    """Return the command that writes to etcd and leaves no key there.

    :param times: how often it writes the key and deletes it.
    """
    command = f'{ETCDCTL} put {_KEY} 1 && {ETCDCTL} del {_KEY}'
    return command if times == 1 else f'for i in $(seq {times}); do {command}; done'


def log_snapshot(leg: Leg, member: EtcdMember, first: bool, commands: Commands) -> Step:
    """Return the step that makes a member take a snapshot of its log.

    :param leg: what comes after it.
    :param member: the member.
    :param first: it is the first one.
    :param commands: makes the commands.
    """
    metrics = f'curl -fsS $CURL_FLAGS {member.url.rstrip("/")}/metrics'
    taken = Gate(
        f'{member.label} has taken snapshots of its log',
        f"{metrics} | grep -E '{_ENOUGH}'",
        'how many since it was started',
    )
    return Step(
        f'Make {member.label} take a snapshot of its log',
        {'action': 'log-snapshot', 'member': member.label, 'option': OPTION},
        leg.guide.log,
        [
            f'# on {member.label}, whose URL is {member.url}:',
            '# systemctl stop etcd',
            f'# add the option {OPTION} ({ALSO})',
            '# and take --enable-v2 out',
            '# systemctl start etcd',
            write_something(WRITES),
        ],
        [taken, commands.healthy(), *commands.checks(ETCD_GATE, PATRONI_GATE), *commands.leads()],
        f'Take the option out again and restart {member.label}.',
        member=member.label,
        url=member.url,
        notes=[leg.guide.unless] if first else [],
    )
