"""The plan for an etcd that many Patroni clusters share."""

from __future__ import annotations

import pytest

from patroni_etcd3_compat.check.facts import Fleet
from patroni_etcd3_compat.check.fleet import judge_fleet
from patroni_etcd3_compat.check.plan import make_plan
from patroni_etcd3_compat.check.plan.model import Plan
from tests.unit.test_fleet import break_leader, fleet


def planned(some: Fleet, to: str, direct: bool = False, config_file: str | None = 'patroni.yml') -> Plan:
    """The plan."""
    return make_plan(some, judge_fleet(some), to, None, direct, config_file)


def test_pre_checks() -> None:
    """What is the same for all clusters is said once; what is wrong in one names it, and the plan is not ready."""
    some = fleet('a', 'b', 'c', versions=('3.4.45',) * 3)
    plan = planned(some, '3.5')
    assert plan.ready and plan.title == 'etcd 3.4.45 to 3.5, under 3 Patroni clusters'
    assert len({(check.id, check.when) for check in plan.prechecks}) == len(plan.prechecks)
    assert not [check for check in plan.prechecks if check.seen.startswith(('a:', 'b:', 'c:')) and check.result == 'ok']
    break_leader(some.clusters[1])
    plan = planned(some, '3.5')
    assert not plan.ready
    (failed,) = (check for check in plan.failed if check.id == 'patroni-no-leader')
    assert failed.seen.startswith('b: ')


def test_many_clusters_are_not_ready() -> None:
    """The first few are named, and quoted."""
    some = fleet(*'abcdefgh', versions=('3.4.45',) * 3)
    for patroni in some.clusters:
        break_leader(patroni)
    (failed,) = (check for check in planned(some, '3.5').failed if check.id == 'patroni-no-leader')
    assert failed.seen.startswith('a, b, c, d, e and 3 more. a: ')


def test_the_package_where_it_lacks() -> None:
    """The steps install it on exactly the nodes that lack it, with the commands of their cluster."""
    some = fleet('a', 'b', 'c', versions=('3.2.26', '3.2.26', '3.2.26'))
    for member in some.clusters[1].members:
        member.serves = 'package'
    some.clusters[2].members[0].serves = 'package'
    plan = planned(some, '3.4', direct=True)
    installs = [step for step in plan.steps if step.action['action'] == 'install-package']
    names = [member.name for member in some.clusters[0].members]
    assert [(step.title[:3], step.action['member']) for step in installs] == [
        *(('a: ', name) for name in sorted(names, reverse=True)),
        ('c: ', names[1]),
    ]
    assert [(step.action['member'], step.cluster) for step in installs] == [
        *((name, 'a') for name in sorted(names, reverse=True)),
        (names[1], 'c'),
    ]
    assert {step.cluster for step in plan.steps if step.action['action'] in ('pause', 'resume')} == {'a'}
    assert {step.cluster for step in plan.steps if step.action['action'] == 'upgrade'} == {None}
    commands = [command for step in plan.steps for command in step.commands if 'patronictl pause' in command]
    assert [command.split()[2] for command in commands] == ['a']  # a replica alone needs no pause
    assert any(gate.command.startswith('patronictl list c ') for gate in installs[-1].gates)
    gates = [gate.command for step in plan.steps if step.action['action'] == 'upgrade' for gate in step.gates]
    assert '$CHECK_PATRONI' in gates and any('--only etcd-nested-transactions' in command for command in gates)


@pytest.mark.parametrize('config_file', ['patronictl.yaml', None])
def test_gates_look_at_all_clusters(config_file: str | None) -> None:
    """The command of the gates is that of this plan: all clusters, and their path."""
    some = fleet('a', versions=('3.4.45',) * 3)
    some.namespace = '/own'
    some.etcd.given = ['--namespace', '/own']
    variables = {variable.name: variable.value for variable in planned(some, '3.5', config_file=config_file).variables}
    given = '--namespace /own ' if config_file else ''
    assert variables['CHECK'] == f'patroni-etcd3-compat check {given}--all'
    assert variables['CHECK_PATRONI'].startswith('$CHECK --only ')
    assert variables.get('PATRONI_NAMESPACE') == (None if config_file else '/own')


def test_way_down() -> None:
    """It takes all clusters into account as well."""
    some = fleet('a', 'b', versions=('3.6.16',) * 3)
    for url in some.etcd.endpoints:
        url.storage_version, url.cluster_version, url.downgrade = '3.6.0', '3.6.0', ''
    plan = planned(some, '3.5')
    assert plan.down and plan.ready, plan.failed
    break_leader(some.clusters[0])
    assert [check.seen[:3] for check in planned(some, '3.5').failed] == ['a: ']


def test_nothing_to_plan() -> None:
    """No clusters, or an upgrade of Patroni, which is about one of them."""
    with pytest.raises(ValueError, match='no Patroni cluster has keys below /service'):
        planned(fleet(), '3.6')
    some = fleet('a')
    with pytest.raises(ValueError, match='--patroni-to is about one Patroni cluster'):
        make_plan(some, [], None, '4.1.5', False)
    some.clusters[0].members[0].name = '$(reboot)'
    with pytest.raises(ValueError, match='no plan is made'):
        planned(some, '3.6')
