"""Snapshots of the database: the commands that take one, show that it is complete, and restore members from it."""

from __future__ import annotations

from typing import Sequence

from ...versions import Version, dotted
from ..cluster import EtcdMember
from .model import Gate

#: Which programs the commands of a plan are for; measured with etcdctl 3.3 to 3.7.
PROGRAMS = (
    'The commands are for etcdctl 3.3 to 3.7, best the one that belongs to the newest member. From 3.6 on etcdctl no '
    'longer knows "snapshot status" and "snapshot restore": have etcdutl of the same release beside it.'
)

#: What a restored snapshot does to Patroni. Seen with 4.1.5 on 3.5.30, paused, after a switchover since the snapshot:
#: the former leader was promoted. With the commands below PostgreSQL ran on, and the configuration was kept.
PATRONI = (
    'A snapshot brings back the keys of Patroni as they were: whoever led then, with its lease, and no pause. A '
    'running Patroni would promote the former leader and demote the present one. So it is stopped meanwhile, and its '
    'keys are deleted before it starts: it writes them anew, and its configuration from the copy that every node has.'
)


def path(before: str) -> str:
    """Return the path of a snapshot.

    :param before: the release that the members get afterwards.
    """
    return f'$BACKUP/etcd-before-{before}.db'


def save(url: str, before: str) -> list[str]:
    """Return the commands that take a snapshot of one member.

    :param url: where it serves gRPC.
    :param before: the release that the members get afterwards.
    """
    return [
        '(umask 077; mkdir -p "$BACKUP")',
        f'etcdctl $ETCDCTL_FLAGS --endpoints={url} snapshot save "{path(before)}"',
    ]


def gates(before: str) -> list[Gate]:
    """Return the gates that only a complete snapshot passes.

    etcd ends a snapshot with its SHA-256, which "snapshot status" does not look at: on a truncated file it can hang.
    That of etcdctl 3.6 and later prints a help text and ends with 0, whatever the file.

    :param before: the release that the members get afterwards.
    """
    file = f'"{path(before)}"'
    return [
        Gate(
            'the snapshot is complete: its last 32 bytes are the SHA-256 of the others',
            f'test -s {file} && test "$(head -c -32 {file} | sha256sum | cut -c 1-64)" = '
            f'"$(tail -c 32 {file} | od -An -v -tx1 | tr -d \' \\n\')"',
            '',
            0,
        ),
        Gate(
            'etcdutl, or etcdctl before 3.6, can read the snapshot',
            f'for tool in etcdutl etcdctl; do timeout 60 $tool snapshot status {file} -w table 2>&1; done | '
            'grep -A 3 "TOTAL KEYS"',
            'hash, revision, keys and size of the snapshot',
            0,
        ),
    ]


def restore(members: Sequence[EtcdMember], before: str, low: Version) -> list[str]:
    """Return the commands that restore all members from a snapshot.

    :param members: those with a vote: a learner is added again afterwards.
    :param before: the release that the members got after it.
    :param low: what they ran before that.
    """
    tool = 'etcdutl' if low >= (3, 5, 0) else 'etcdctl'
    restored = [
        f'# {member.label}: {tool} snapshot restore etcd-before-{before}.db --name {member.label} '
        f'--initial-cluster {peers(members)} --initial-cluster-token restored-{before} '
        f'--initial-advertise-peer-urls {peer_url(member)} --data-dir NEW_FOLDER'
        for member in members
    ]
    return [
        f'# stop etcd on every member, install etcd {dotted(low[:2])} again, copy the snapshot to each; then on',
        *restored,
        '# set data-dir to that folder and start etcd on every member',
    ]


def without_patroni(commands: Sequence[str], etcdctl: str, pause: str, resume: str, prefix: str | None) -> list[str]:
    """Return the commands that restore etcd, with what has to happen to Patroni before and after them.

    :param commands: those that restore etcd.
    :param etcdctl: how ``etcdctl`` is called.
    :param pause: the command that pauses Patroni.
    :param resume: the command that resumes it.
    :param prefix: of all of its keys, for the shell; ``None``: no Patroni is known.
    """
    if prefix is None:
        return [
            '# pause every Patroni cluster on this etcd and stop Patroni on all of its nodes, PostgreSQL runs on',
            *commands,
            '# delete all keys of each, start Patroni where its primary runs, then on its replicas, and resume',
        ]
    return [
        pause,
        '# stop Patroni on every node, PostgreSQL runs on: systemctl show -p KillMode patroni has to say process',
        *commands,
        f'{etcdctl} del --prefix {prefix}',
        '# start Patroni where the primary runs; when it is the leader, on the replicas',
        resume,
        '# the same for every other Patroni cluster on this etcd',
    ]


def peers(members: Sequence[EtcdMember]) -> str:
    """Return what ``--initial-cluster`` says of these members."""
    return ','.join(f'{member.label}={peer_url(member)}' for member in members)


def peer_url(member: EtcdMember) -> str:
    """Return where other members reach one; a placeholder if that is unknown."""
    return member.peer_url or 'PEER_URL'
