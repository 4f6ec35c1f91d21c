"""What serves section etcd3 on this node, and whether this cluster needs something else."""

from __future__ import annotations

from typing import Iterator, Sequence

from ..facts import Facts, Finding
from .kinds import comma, finding

#: Findings that this package or the patch is a cure for.
CURED = (
    'etcd-nested-transactions',
    'etcd-prefix-mixed',
    'etcd-gateway-off',
    'etcd-auth-no-token',
    'etcd-auth-guard',
    'etcd-advertised-unusable',
    'etcd-error-shape',
    'patroni-member-slots',
)


def judge_node(facts: Facts, findings: Sequence[Finding]) -> Iterator[Finding]:
    """Look at this node.

    :param findings: what was found so far.
    """
    node = facts.this_host
    needed = sorted({found.id for found in findings if found.id in CURED and found.severity in ('warning', 'critical')})
    where = f'node {node.name}' if node.name else 'this node'
    section = node.section or 'etcd3'
    versions = ', '.join(
        '{0} {1}'.format(*pair)
        for pair in (
            ('Patroni', node.patroni),
            ('patroni-etcd3-compat', node.compat),
            ('urllib3', node.urllib3),
            ('Python', node.python),
        )
        if pair[1]
    )
    tail = f' ({versions})' if versions else ''
    if node.serves in ('package', 'patch'):
        yield finding(
            'node-serves',
            'info',
            where,
            f'the {node.serves} serves section {section}{tail}',
            'seen in the Python of this command: a Patroni that was started before the installation, or runs in '
            'another environment, may still be stock',
            'the log of Patroni says at the start what serves',
        )
    elif node.serves == 'stock':
        yield finding(
            'node-serves',
            'warning' if needed else 'info',
            where,
            f'stock Patroni serves section {section}{tail}',
            f'this cluster needs more than that, see {comma(needed)}'
            if needed
            else 'nothing in this cluster needs more than that now',
            'pip install patroni-etcd3-compat into the environment of Patroni, and restart it'
            if needed
            else 'nothing; before a rolling upgrade of etcd: pip install patroni-etcd3-compat',
        )
    elif needed:
        yield finding(
            'node-serves',
            'unknown',
            where,
            f'what serves section {section} could not be told{tail}',
            f'this cluster needs the package or the patch, see {comma(needed)}',
            'run this in the Python that Patroni runs in',
        )
