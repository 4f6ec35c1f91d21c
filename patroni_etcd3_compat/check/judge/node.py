"""What serves section etcd3 on this node, and whether this cluster needs something else."""
from typing import Iterator, Sequence

from ..facts import Facts, Finding
from .kinds import comma, finding

#: Findings that this package or the patch is a cure for.
CURED = ('etcd-nested-transactions', 'etcd-prefix-mixed', 'etcd-gateway-off', 'etcd-auth-no-token', 'etcd-auth-guard',
         'etcd-advertised-unusable', 'etcd-error-shape', 'patroni-member-slots')


def judge_node(facts: Facts, findings: Sequence[Finding]) -> Iterator[Finding]:
    """Look at this node.

    :param findings: what was found so far.
    """
    node = facts.node
    needed = sorted({found.id for found in findings if found.id in CURED and found.severity in ('warning', 'critical')})
    where = 'node {0}'.format(node.name) if node.name else 'this node'
    section = node.section or 'etcd3'
    versions = ', '.join('{0} {1}'.format(*pair) for pair in (
        ('Patroni', node.patroni), ('patroni-etcd3-compat', node.compat), ('urllib3', node.urllib3),
        ('Python', node.python)) if pair[1])
    tail = ' ({0})'.format(versions) if versions else ''
    if node.serves in ('package', 'patch'):
        yield finding(
            'node-serves', 'info', where, 'the {0} serves section {1}{2}'.format(node.serves, section, tail),
            'seen in the Python of this command: a Patroni that was started before the installation, or runs in '
            'another environment, may still be stock', 'the log of Patroni says at the start what serves')
    elif node.serves == 'stock':
        yield finding(
            'node-serves', 'warning' if needed else 'info', where, 'stock Patroni serves section {0}{1}'.format(
                section, tail), 'this cluster needs more than that, see {0}'.format(comma(needed)) if needed else
            'nothing in this cluster needs more than that now', 'pip install patroni-etcd3-compat into the environment '
            'of Patroni, and restart it' if needed else 'nothing; before a rolling upgrade of etcd: pip install '
            'patroni-etcd3-compat')
    elif needed:
        yield finding(
            'node-serves', 'unknown', where, 'what serves section {0} could not be told{1}'.format(section, tail),
            'this cluster needs the package or the patch, see {0}'.format(comma(needed)),
            'run this in the Python that Patroni runs in')
