"""The procedure of an upgrade for one very cluster: ``make_plan`` decides, ``render_plan`` writes it down. No I/O."""

from __future__ import annotations

from typing import Sequence

from ..facts import Facts, Finding, Fleet
from ..fleet import facts_of
from .etcd import plan_etcd
from .formats import render_plan
from .model import Plan
from .names import refuse_commands
from .patroni import plan_patroni

__all__ = ['make_plan', 'Plan', 'render_plan']


def make_plan(
    facts: Facts | Fleet,
    findings: Sequence[Finding],
    etcd_to: str | None,
    patroni_to: str | None,
    direct: bool,
    config_file: str | None = None,
) -> Plan:
    """Make the plan of an upgrade.

    :param facts: what was collected, about one Patroni cluster or about all of them.
    :param findings: what was made of it.
    :param etcd_to: upgrade etcd to this line or release, or else
    :param patroni_to: upgrade Patroni to this one.
    :param direct: with *etcd_to*: the way that skips minor releases.
    :param config_file: the configuration of Patroni that the commands shall name; ``None``: there is no file.

    :raises:
        :exc:`ValueError`: what was asked for makes no sense, or a name or URL in the facts could be a command of the
                           shell; the text says why.
    """
    fleet = facts if isinstance(facts, Fleet) else None
    alone = facts_of(facts, None) if isinstance(facts, Fleet) else facts
    for each in [alone] + [facts_of(fleet, patroni) for patroni in fleet.clusters] if fleet else [alone]:
        refuse_commands(each)
    if bool(etcd_to) == bool(patroni_to):
        raise ValueError('one of etcd and Patroni at a time')
    if patroni_to:
        if direct:
            raise ValueError('--direct is about etcd; there is no such way for Patroni')
        if fleet:
            raise ValueError('--patroni-to is about one Patroni cluster: name it (SCOPE)')
        return plan_patroni(alone, findings, patroni_to, config_file)
    if fleet and not fleet.clusters:
        raise ValueError(fleet.error or f'no Patroni cluster has keys below {fleet.namespace}')
    return plan_etcd(alone, findings, str(etcd_to), direct, config_file, fleet)
