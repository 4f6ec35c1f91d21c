"""Plans for an upgrade of Patroni, made of recorded facts."""

from __future__ import annotations

from typing import Any

import pytest

from patroni_etcd3_compat.check.facts import Facts
from patroni_etcd3_compat.check.findings import judge
from patroni_etcd3_compat.check.plan import Plan, make_plan
from patroni_etcd3_compat.check.plan.model import PreCheck
from tests.unit.finding_facts import facts, of_versions, patroni_facts, patroni_member


def plan(some: Facts, to: str) -> Plan:
    """The plan for these facts, judged as the command judges them."""
    return make_plan(some, judge(some), None, to, False)


def cluster(*versions: str | None, serves: str = 'stock', etcd: Any = None, **config: Any) -> Facts:
    """A leader ``node1`` and replicas of these releases."""
    members = [patroni_member(f'node{number}', version) for number, version in enumerate(versions, 1)]
    return facts(etcd, patroni_facts(*members, **dict({'retry_timeout': 10}, **config)), serves)


def actions(made: Plan) -> list[str]:
    """What is done, in order."""
    return [' '.join(step.action.values()) for step in made.steps]


def results(made: Plan) -> dict[str, str]:
    """The pre-checks that are neither right, nor to be looked at, nor just to be known."""
    return {check.id: check.result for check in made.prechecks if check.result not in ('ok', 'manual', 'info')}


def checks(made: Plan, id: str) -> list[PreCheck]:
    """The pre-checks with that identifier."""
    return [check for check in made.prechecks if check.id == id]


def test_replicas_first_then_the_leader_in_pause() -> None:
    """And the synchronous standby last of the replicas, which is the one that could take over."""
    some = cluster('3.3.11', '3.3.11', '3.3.11')
    assert some.patroni
    some.patroni.members[1].role = 'sync_standby'
    made = plan(some, '4.1.5')
    assert actions(made) == [
        'save-config',
        'upgrade node3 4.1.5',
        'upgrade node2 4.1.5',
        'pause',
        'upgrade node1 4.1.5',
        'resume',
    ]
    assert made.ready and results(made) == {}
    pause = made.steps[3]
    assert 'PostgreSQL alone' in pause.why and any('KillMode' in note for note in pause.notes)
    assert any('patronictl switchover batman --leader node1 --candidate node2' in note for note in pause.notes)
    for step in made.steps:
        assert step.gates and step.back and step.why and step.commands
    assert '"version": ?"4\\.1\\.5"' in made.steps[1].gates[0].command
    assert made.health[0].command.startswith('curl -fsS $API_FLAGS http://node1:8008/patroni')


def test_line_without_a_patch_level() -> None:
    """Means its newest release; members of that line are left alone."""
    made = plan(cluster('4.0.7', '4.1.0', '4.0.7'), '4.1')
    assert actions(made) == ['save-config', 'upgrade node3 4.1', 'pause', 'upgrade node1 4.1', 'resume']
    assert '"version": ?"4\\.1\\.' in made.steps[1].gates[0].command
    assert 'pip install "patroni[etcd3]==4.1.*"' in made.steps[1].commands[1]


@pytest.mark.parametrize('target', ['4.2', '4.2.0', '5.0.1'])
def test_unknown_target(target: str) -> None:
    """Nobody knows here what such a release needs."""
    made = plan(cluster('4.1.5', '4.1.5'), target)
    assert [refusal.id for refusal in made.refusals] == ['target-unknown'] and made.steps == []
    assert target in made.refusals[0].reason and 'up to 4.1' in made.refusals[0].reason


@pytest.mark.parametrize(
    'target',
    [
        '4.1.0rc1',
        '4.1rc1',
        '4.1.5-1',
        '4.1.5+git',
        '4.1.',
        '4',
        '4.1.5.1',
        ' 4.1',
        '4.1\n',
        '\u0664.1',
        '4.\u0661.5',
        '4.1.' + '9' * 5000,
        '',
    ],
)
def test_targets_that_are_none(target: str) -> None:
    """A release candidate would end as the release in the gates; the same for etcd."""
    for to in ((target, None), (None, target)):
        with pytest.raises(ValueError):
            make_plan(cluster('4.0.7'), [], to[0], to[1], False)


def test_odd_ways_to_write_a_version() -> None:
    """Are read, and commands get the usual one."""
    made = plan(cluster('4.0.7', '4.0.7'), 'v4.1.5')
    assert actions(made)[1] == 'upgrade node2 4.1.5' and '"4\\.1\\.5"' in made.steps[1].gates[0].command


def test_single_node_and_paused_cluster() -> None:
    """No switchover without a candidate; what is paused is neither paused nor resumed."""
    made = plan(cluster('4.0.7'), '4.1')
    assert actions(made) == ['save-config', 'pause', 'upgrade node1 4.1', 'resume']
    assert not any('switchover' in note for note in made.steps[1].notes)
    some = cluster('4.0.7', '4.0.7')
    assert some.patroni
    some.patroni.paused = True
    paused = plan(some, '4.1')
    assert actions(paused) == ['save-config', 'upgrade node2 4.1', 'upgrade node1 4.1']
    assert [check.result for check in checks(paused, 'patroni-paused')] == ['info'] and any(
        'paused' in note for note in paused.notes
    )


def test_nothing_to_do() -> None:
    """Says so."""
    made = plan(cluster('4.1.5', '4.1.2'), '4.1')
    assert made.steps == [] and made.notes[0].startswith('Nothing to do') and '4.1.N' in made.notes[0]
    assert actions(plan(cluster('4.1.5', '4.1.2'), '4.1.5')) == ['save-config', 'upgrade node2 4.1.5']


@pytest.mark.parametrize(
    'versions, to, id, way',
    [
        (('3.0.4', '3.1.2'), '4.1.5', 'before-3.1', '--patroni-to 3.3'),
        (('3.0.2', '3.0.2'), '4.0', 'before-3.1', '--patroni-to 4.0'),
        (('4.1.5', '4.0.7'), '4.0.7', 'below', 'former release'),
        (('4.0.7', '4.0.7'), '3.3', 'below', '3.1.0'),
        ((None, None), '4.1', 'versions-unknown', 'patroni-etcd3-compat check'),
    ],
)
def test_refused(versions: tuple[str | None, ...], to: str, id: str, way: str) -> None:
    """With the rule, where it is from, and the path that works."""
    made = plan(cluster(*versions), to)
    (refusal,) = made.refusals
    assert refusal.id == id and way in refusal.way + '\n'.join(refusal.commands) and 'releases.rst' in refusal.source
    assert made.steps == [] and not made.ready


@pytest.mark.parametrize('versions, to', [(('3.1.0', '3.1.0'), '4.1.5'), (('3.0.2', '3.0.2'), '3.3.11')])
def test_not_refused(versions: tuple[str, ...], to: str) -> None:
    """What lies next to the rule."""
    assert not plan(cluster(*versions), to).refusals


@pytest.mark.parametrize(
    'to, result',
    [('4.0.0', 'failed'), ('4.0.2', 'failed'), ('4.0.3', None), ('4.0', None), ('4.1.5', None), ('3.3.11', None)],
)
def test_member_slots(to: str, result: str | None) -> None:
    """4.0.0 to 4.0.2 under the old leader would fill the disks of the replicas: take 4.0.3 or later."""
    made = plan(cluster('3.3.2', '3.3.2'), to)
    assert results(made).get('patroni-member-slots') == result
    if result:
        assert 'plan --patroni-to 4.0.3' in checks(made, 'patroni-member-slots')[0].remedy


def test_upgrade_that_ends_a_hazard() -> None:
    """Slots stand still at present, and the plan is what helps: it is not in its own way."""
    made = plan(cluster('3.3.2', '4.0.2'), '4.1.5')
    assert results(made) == {'patroni-member-slots': 'warning'}
    assert checks(made, 'patroni-member-slots')[0].remedy.startswith('The plan ends it')
    assert actions(made) == ['save-config', 'upgrade node2 4.1.5', 'pause', 'upgrade node1 4.1.5', 'resume']


def test_leader_first_where_no_target_helps() -> None:
    """Permanent physical slots stand still under a leader before 3.2: it goes first, in pause."""
    made = plan(cluster('3.1.2', '3.1.2', slots={'backup': {'type': 'physical'}}), '3.3.11')
    assert actions(made) == ['save-config', 'pause', 'upgrade node1 3.3.11', 'resume', 'upgrade node2 3.3.11']
    assert 'leader first' in made.steps[2].why and 'permanent physical slots' in made.steps[2].why
    assert 'patroni-permanent-slots' not in results(made)
    own = plan(cluster('3.1.2', '3.1.2', slots={'node2': {'type': 'physical'}}), '3.3.11')
    assert actions(own)[1] == 'upgrade node2 3.3.11'


def test_quorum_under_an_old_leader() -> None:
    """Is asynchronous at present: it has to be switched off first, and on again only at the end."""
    made = plan(cluster('3.3.2', '3.3.2', synchronous_mode='quorum'), '4.1.5')
    assert results(made) == {'patroni-quorum-commit': 'failed', 'patroni-quorum-replica': 'failed'} and not made.ready
    assert any('quorum only when every member' in note for note in made.notes)


@pytest.mark.parametrize(
    'versions, to, expected, absent',
    [
        (('3.0.4', '3.0.4'), '3.3.11', {'ctl-certificates'}, {'callbacks', 'ydiff'}),
        (('3.0.4', '3.0.4'), '3.2.2', {'ctl-certificates', 'ydiff'}, {'callbacks'}),
        (
            ('3.3.2', '3.3.2'),
            '4.1.5',
            {'callbacks', 'bootstrap-users', 'patroni-slots-hold-xmin'},
            {'ctl-certificates', 'ydiff'},
        ),
        (('4.0.7', '4.0.7'), '4.1.5', set(), {'callbacks', 'bootstrap-users', 'ydiff', 'ctl-certificates'}),
    ],
)
def test_what_to_look_at(versions: tuple[str, ...], to: str, expected: set[str], absent: set[str]) -> None:
    """By the releases that are crossed."""
    ids = {check.id for check in plan(cluster(*versions), to).prechecks}
    assert expected <= ids and not absent & ids


@pytest.mark.parametrize(
    'config, result',
    [
        ({'ttl': 30, 'loop_wait': 10, 'retry_timeout': 10}, None),
        ({'ttl': 25, 'loop_wait': 10, 'retry_timeout': 10}, 'warning'),
        ({'ttl': None}, None),
    ],
)
def test_times(config: dict[str, Any], result: str | None) -> None:
    """loop_wait + 2 * retry_timeout <= ttl is enforced from 3.2.0 on."""
    assert results(plan(cluster('3.1.2', '3.1.2', **config), '3.3.11')).get('patroni-minimum-times') == result


@pytest.mark.parametrize(
    'etcd, to, serves, id, result',
    [
        (of_versions('3.5.30', auth=True), '4.0.7', 'stock', 'etcd-auth-guard', 'failed'),
        (of_versions('3.5.30', auth=True), '4.1.5', 'stock', 'etcd-auth-guard', 'warning'),
        (of_versions('3.5.16', auth=True), '4.0.7', 'stock', 'etcd-auth-guard', None),
        (of_versions('3.5.30', auth=True), '4.0.7', 'package', 'etcd-auth-guard', None),
        (of_versions('3.6.12'), '4.0.7', 'stock', 'etcd-error-shape', 'warning'),
        (of_versions('3.6.12'), '4.1.5', 'stock', 'etcd-error-shape', 'warning'),
        (of_versions('3.2.26'), '3.3.11', 'stock', 'nested-transactions', 'warning'),
        (of_versions('3.2.26'), '3.3.11', 'package', 'nested-transactions', None),
        (of_versions('3.4.23', '3.5.16'), '4.1.5', 'package', 'etcd-mixed', 'warning'),
    ],
)
def test_target_against_etcd(etcd: Any, to: str, serves: str, id: str, result: str | None) -> None:
    """What the members of etcd want from the target; what it is better at than the present release is no obstacle."""
    made = plan(cluster('3.3.2', '3.3.2', serves=serves, etcd=etcd), to)
    assert results(made).get(id) == result
    ended = [check.remedy.startswith('The plan ends it') for check in checks(made, id)]
    assert any(ended) is (id in ('etcd-auth-guard', 'etcd-error-shape') and to == '4.1.5')


@pytest.mark.parametrize(
    'serves, text',
    [('package', 'in the environment of the new Patroni'), ('patch', 'apply the patch'), ('stock', None)],
)
def test_what_serves_goes_along(serves: str, text: str | None) -> None:
    """The package, or the patch, has to be there in the new release, too."""
    made = plan(cluster('4.0.7', '4.0.7', serves=serves), '4.1.5')
    commands = '\n'.join(made.steps[1].commands)
    assert (text in commands) if text else 'patroni-etcd3-compat' not in commands
    assert bool(checks(made, 'package')) == bool(text)


def test_member_that_is_down() -> None:
    """Has to be brought in order first."""
    made = plan(
        facts(None, patroni_facts(patroni_member('node1', '4.0.7'), patroni_member('node2', None, state=None))), '4.1.5'
    )
    assert results(made)['patroni-running'] == results(made)['patroni-unknown'] == 'failed'


def test_without_configuration() -> None:
    """There is nothing to plan for."""
    some = facts()
    some.patroni = None
    with pytest.raises(ValueError, match='-c FILE'):
        plan(some, '4.1')
