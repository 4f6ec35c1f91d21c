"""The finding about load balancers in front of etcd: several members behind one URL."""

from __future__ import annotations

from typing import Iterator

from ..cluster import covered, install_first, unless_covered, who_serves, with_name
from ..facts import Facts
from ..units import comma
from .examples import etcd_member
from .registry import PATRONI_DOCS, Seen, Subject

SUBJECT = Subject(41, 'etcd: load balancers')


@SUBJECT.finding(
    'etcd-shared-url',
    'several members answer at one URL',
    f'{PATRONI_DOCS}yaml_configuration.html#etcdv3',
    critical='if they do not serve the same prefixes',
    info='if they do, or if the package or the patch serves every Patroni member',
    cured=True,
    shown=['tests/check/test_outages_etcd.py::test_balancer'],
    proved=['tests/check/test_consequences.py::test_balancer_without_a_shared_prefix'],
    example=etcd_member(
        3,
        url='http://10.0.0.9:2379',
        advertised=False,
        id=None,
        name=None,
        leader=None,
        learner=None,
        db_size=None,
        shared_by=['a1', 'a2', 'a3'],
    ),
)
def shared_url(facts: Facts) -> Iterator[Seen]:
    """Find URLs of a balancer that sends each request to another member."""
    names = {entry.id: entry.name or entry.id for entry in facts.etcd.listed or ()}
    for url in facts.etcd.endpoints:
        if url.shared_by or url.prefixes_vary:
            behind = comma([names.get(id, id) for id in url.shared_by]) or 'several members'
            seen = f'one URL, answered by {behind} in turn: a load balancer that chooses for each request'
            if url.prefixes_vary:
                yield Seen(
                    unless_covered(facts, 'critical', 'info'),
                    where=with_name(url),
                    seen=f'{seen}. A prefix that one request is answered under is not served for the next one',
                    consequence='stock Patroni uses one prefix for all requests: those that reach a member without it '
                    'fail with 404 page not found, and the primary demotes when the keepalive of its lease is one of '
                    f'them. The package tries the other prefixes for each request; {who_serves(facts)}',
                    remedy='nothing; finish the upgrade of etcd'
                    if covered(facts)
                    else 'configure the URLs of the members '
                    f'themselves in place of the balancer, or {install_first(facts)}',
                )
                continue
            yield Seen(
                'info',
                where=with_name(url),
                seen=seen,
                consequence='Patroni works with it as long as all members serve the same prefix. What this command '
                'says about single members is known only where their own URLs answer as well',
                remedy='nothing; for an upgrade of etcd configure the URLs of the members themselves',
            )
