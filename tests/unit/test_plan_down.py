"""Plans for an older release of etcd, made of recorded facts: the way, the order, the gates, what is refused."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from patroni_etcd3_compat.check.facts import Facts
from patroni_etcd3_compat.check.findings import judge
from patroni_etcd3_compat.check.plan import Plan, make_plan, render_plan
from patroni_etcd3_compat.check.plan.model import ACTIONS, PreCheck
from tests.unit.finding_facts import etcd_facts, etcd_member, facts, of_versions, patroni_facts, patroni_member


def plan(some: Facts, to: str, direct: bool = False) -> Plan:
    """The plan for these facts, judged as the command judges them."""
    return make_plan(some, judge(some), to, None, direct)


def running(*versions: str, storage: str = '', **different: Any) -> Facts:
    """A healthy cluster of these releases, whose data has the format of their line."""
    line = '.'.join(versions[0].split('.')[:2])
    told = {'storage_version': storage or f'{line}.0', 'downgrade': ''} if line >= '3.6' else {}
    return facts(of_versions(*versions, **{**told, **different}))


def actions(made: Plan) -> list[str]:
    """What is done, in order."""
    return [' '.join(step.action.values()) for step in made.steps]


def results(made: Plan) -> dict[str, str]:
    """The pre-checks that are neither right nor to be looked at."""
    return {check.id: check.result for check in made.prechecks if check.result not in ('ok', 'manual')}


def one(made: Plan, id: str) -> PreCheck:
    """The only pre-check with that identifier."""
    (check,) = [check for check in made.prechecks if check.id == id]
    return check


THREE_SEVEN = ('3.7.3', '3.7.3', '3.7.3')


def test_one_minor_release_at_a_time() -> None:
    """A snapshot, the downgrade enabled, one member after the other, the leader last; then the same once more."""
    made = plan(running(*THREE_SEVEN), '3.5')
    assert actions(made) == [
        'snapshot down-to-3.6',
        'enable-downgrade 3.6',
        'downgrade infra2 3.6',
        'downgrade infra3 3.6',
        'move-leader infra1 infra2',
        'downgrade infra1 3.6',
        'snapshot down-to-3.5',
        'enable-downgrade 3.5',
        'downgrade infra1 3.5',
        'downgrade infra3 3.5',
        'move-leader infra2 infra1',
        'downgrade infra2 3.5',
    ]
    assert made.down and made.ready and made.warnings == [] and results(made) == {}
    assert {step.action['action'] for step in made.steps} <= set(ACTIONS)
    assert made.steps[1].commands == [
        f'etcdctl $ETCDCTL_FLAGS --endpoints=$ENDPOINTS downgrade {word} 3.6' for word in ('validate', 'enable')
    ]
    assert made.steps[1].back_commands == ['etcdctl $ETCDCTL_FLAGS --endpoints=$ENDPOINTS downgrade cancel']
    last = [step for step in made.steps if not step.reversible]
    assert [step.action['member'] for step in last] == ['infra1', 'infra2']
    assert '--etcd-to 3.7"' in last[0].back and '--etcd-to 3.6"' in last[1].back
    assert any('snapshot restore etcd-before-down-to-3.6.db' in command for command in last[0].back_commands)
    assert render_plan(made, 'markdown').startswith(
        '# Downgrade of etcd 3.7.3 to 3.5\n\n**Ready:** 12 steps, 6 restarts'
    )


def test_every_step_has_gates_and_a_way_back() -> None:
    """Nothing goes on without a command that can fail, and nothing leaves the way back out."""
    for made in (plan(running(*THREE_SEVEN), '3.4'), plan(running('3.5.30'), '3.4.40')):
        for step in made.steps:
            assert step.gates and step.back and step.why and step.commands, step
            assert bool(step.back_commands) or step.reversible
        assert made.health


def test_who_is_asked_to_cancel() -> None:
    """The member that goes down last, and so runs the higher release: one of 3.5 may answer with a time-out."""
    made = plan(running('3.6.16', '3.6.16', '3.6.16'), '3.5')
    (back,) = made.steps[2].back_commands
    assert back == 'etcdctl $ETCDCTL_FLAGS --endpoints=http://10.0.0.1:2379 downgrade cancel'
    assert actions(made)[-1] == 'downgrade infra1 3.5'
    some = running('3.5.30', '3.6.16', cluster='3.5.0')
    some.etcd.endpoints[1].downgrade = '3.5.0'
    (finding,) = [finding for finding in judge(some) if finding.id == 'etcd-downgrade']
    assert finding.remedy.endswith('--endpoints=http://10.0.0.2:2379 downgrade cancel')


def test_gates() -> None:
    """Each member's version and storage version are waited for, and in the end that etcd has ended the downgrade."""
    made = plan(running(*THREE_SEVEN), '3.5')
    steps = {' '.join(step.action.values()): [gate.command for gate in step.gates] for step in made.steps}
    enabled = steps['enable-downgrade 3.6']
    assert enabled[0] == '$CHECK -f json --only etcd-downgrade | grep "a downgrade to 3.6\\."'
    assert sum('"storage": ?"3\\.6\\.' in command for command in enabled) == 3
    assert any('"etcdcluster": ?"3\\.6\\.' in command for command in enabled)
    assert '3\\.6\\.(1[1-9]|[2-9][0-9]|[0-9]{3,})' in steps['downgrade infra2 3.6'][0]
    assert '"storage": ?"3\\.6\\.' in steps['downgrade infra2 3.6'][1]
    assert not any('"storage"' in command for command in steps['downgrade infra1 3.5'])  # which 3.5 does not tell
    assert '$CHECK --only etcd-downgrade' in steps['downgrade infra1 3.6']
    assert '$CHECK --only etcd-downgrade' not in steps['downgrade infra3 3.6']
    over = [command for command in steps['downgrade infra2 3.5'] if 'downgrade cancel' in command]
    assert len(over) == 1 and over[0] in [gate.command for gate in made.health]
    values = {variable.name: variable.value for variable in made.variables}
    assert 'etcd-downgrade' not in values['CHECK_ETCD'] and 'etcd-no-leader' in values['CHECK_ETCD']
    upward = {variable.name: variable.value for variable in plan(running('3.6.16'), '3.7').variables}
    assert 'etcd-downgrade' in upward['CHECK_ETCD']


@pytest.mark.parametrize(
    'text, passes',
    [('Error: etcdserver: no inflight downgrade job', True), ('Error: context deadline exceeded', False), ('', False)],
)
def test_gate_for_the_end_of_a_downgrade_to_3_5(text: str, passes: bool) -> None:
    """As etcd 3.5.30 answers before and after it has ended the downgrade."""
    (gate,) = [gate for gate in plan(running('3.6.16'), '3.5').health if 'is over' in gate.title]
    grep = gate.command.partition(' | ')[2]
    assert (subprocess.run(grep, shell=True, input=text.encode(), stdout=subprocess.DEVNULL).returncode == 0) is passes


def test_a_downgrade_that_is_under_way_goes_on() -> None:
    """It is not enabled again, which etcd refuses, and no finding about it is in the way."""
    some = running('3.7.3', '3.6.16', '3.7.3', cluster='3.6.0', storage='3.6.0', downgrade='3.6.0')
    made = plan(some, '3.6')
    assert actions(made) == [
        'snapshot down-to-3.6',
        'downgrade infra3 3.6',
        'move-leader infra1 infra3',
        'downgrade infra1 3.6',
    ]
    assert made.ready and results(made) == {'cluster-version': 'warning'}
    assert 'under way already' in one(made, 'cluster-version').remedy
    further = running(*THREE_SEVEN, cluster='3.6.0', storage='3.6.0', downgrade='3.6.0')
    assert actions(plan(further, '3.5')).count('enable-downgrade 3.6') == 0
    assert actions(plan(further, '3.5')).count('enable-downgrade 3.5') == 1
    assert plan(further, '3.5').ready


def test_a_downgrade_to_something_else_is_in_the_way() -> None:
    """And so it is in the way of an upgrade."""
    some = running('3.6.16', '3.6.16', '3.6.16', cluster='3.5.0', storage='3.5.0', downgrade='3.5.0')
    assert plan(some, '3.5').ready
    assert results(plan(some, '3.7'))['etcd-downgrade'] == 'failed'
    some = running(*THREE_SEVEN, downgrade='3.5.0')
    assert results(plan(some, '3.6'))['etcd-downgrade'] == 'failed'


@pytest.mark.parametrize(
    'different, id, result',
    [
        ({'storage': '3.6.0'}, 'storage-version', 'failed'),
        ({'cluster': '3.8.0'}, 'cluster-version', 'failed'),
        ({'alarms': ['NOSPACE']}, 'etcd-alarm', 'failed'),
    ],
)
def test_prechecks(different: dict[str, Any], id: str, result: str) -> None:
    """What has to be right before, with a remedy; on a healthy cluster it is right."""
    made = plan(running(*THREE_SEVEN, **different), '3.6')
    check = one(made, id)
    assert check.result == result and check.remedy and check.seen and not made.ready
    assert id not in results(plan(running(*THREE_SEVEN), '3.6'))


def test_prechecks_of_an_upgrade_count_as_well() -> None:
    """Quorum, leader, silent members, and Patroni."""
    silent = facts(
        etcd_facts(*(etcd_member(i, None if i == 3 else '3.7.3', '3.7.0', storage_version='3.7.0') for i in (1, 2, 3)))
    )
    assert one(plan(silent, '3.6'), 'quorum').result == 'failed'
    down = facts(
        of_versions(*THREE_SEVEN, storage_version='3.7.0'),
        patroni_facts(patroni_member('a'), patroni_member('b', state='stopped')),
    )
    assert results(plan(down, '3.6')) == {'patroni-member-down': 'failed'}
    unknown = facts(of_versions(*THREE_SEVEN))
    assert one(plan(unknown, '3.6'), 'storage-version').result == 'manual'


def test_to_3_4() -> None:
    """Without commands of etcd: the option, one member at a time, and the users are looked at; nobody has tried it."""
    made = plan(running('3.5.30', '3.5.30', '3.5.30'), '3.4')
    assert actions(made) == [
        'snapshot down-to-3.4',
        'downgrade infra2 3.4 --next-cluster-version-compatible',
        'downgrade infra3 3.4 --next-cluster-version-compatible',
        'move-leader infra1 infra2',
        'downgrade infra1 3.4 --next-cluster-version-compatible',
    ]
    assert made.ready and 'not run by the authors' in made.warnings[0]
    assert one(made, 'users').result == 'manual' and one(made, 'gateway-in-file').result == 'manual'
    assert '3\\.4\\.(3[2-9]|' in made.steps[1].gates[0].command
    assert any('--next-cluster-version-compatible' in note for note in made.steps[1].notes)
    assert not any(' downgrade ' in command for step in made.steps for command in step.commands)
    assert plan(running(*THREE_SEVEN), '3.6').warnings == []


def test_learner() -> None:
    """It goes down as well; its data is looked at where curl reads it, and no command of etcdctl asks it."""
    members = [etcd_member(i, '3.7.3', '3.7.0', storage_version='3.7.0', learner=i == 3) for i in (1, 2, 3)]
    made = plan(facts(etcd_facts(*members)), '3.6')
    assert 'downgrade infra3 3.6' in actions(made)
    values = {variable.name: variable.value for variable in made.variables}
    assert values['ENDPOINTS'] == 'http://10.0.0.1:2379,http://10.0.0.2:2379'
    assert any('10.0.0.3:2379/version' in gate.command for gate in made.steps[1].gates)


REFUSED: list[tuple[Facts, str, bool, str, str, str]] = [
    (running(*THREE_SEVEN), '3.5', True, 'direct-down', '--etcd-to 3.5', 'downgrade_3_7'),
    (running('3.5.30', '3.5.30'), '3.4.31', False, 'least-down', '3.4.32 or later', 'downgrade_3_5'),
    (running('3.6.16'), '3.5.25', False, 'least-down', '3.5.26 or later', 'downgrade_3_6'),
    (running(*THREE_SEVEN), '3.6.10', False, 'least-down', '3.6.11 or later', 'downgrade_3_7'),
    (running('3.5.30', auth=True), '3.4', False, 'auth-down', 'auth disable', 'downgrade_3_5'),
    (running('3.6.16', auth=True), '3.4', False, 'auth-down', '--etcd-to 3.5 ', 'downgrade_3_5'),
    (running('3.8.0', '3.8.0'), '3.7', False, 'members-unknown', 'newer release', 'upgrading-etcd'),
    (running('3.5.30'), '3.3', False, 'below', 'Restore a snapshot', 'recovery'),
    (running('3.4.23'), '3.3', False, 'below', 'Restore a snapshot', 'recovery'),
    (running(*THREE_SEVEN), '3.2.26', False, 'below', 'del --prefix /service/batman/', 'recovery'),
    (running('3.4.23', '3.3.25'), '3.3', False, 'below', 'infra2 still runs 3.3', 'upgrade_3_4'),
    (running('3.7.3', '3.6.16'), '3.6', False, 'below', 'infra2 still runs 3.6', 'upgrade_3_7'),
    (running('3.7.3', '3.6.16'), '3.5', False, 'below', 'Finish the upgrade first', 'upgrade_3_7'),
    (running('3.7.3', '3.6.16', downgrade='3.5.0'), '3.5', False, 'below', 'downgrade cancel', 'upgrade_3_7'),
]


@pytest.mark.parametrize('some, to, direct, id, way, source', REFUSED)
def test_refused(some: Facts, to: str, direct: bool, id: str, way: str, source: str) -> None:
    """With the rule, where it is from, and the path that works; and then there are no steps."""
    made = plan(some, to, direct)
    assert [refusal.id for refusal in made.refusals] == [id]
    (refusal,) = made.refusals
    assert source in refusal.source and refusal.source.startswith('https://')
    assert way.lower() in (refusal.way + '\n' + '\n'.join(refusal.commands)).lower()
    assert made.steps == [] and not made.ready


def test_not_refused() -> None:
    """What lies next to the rules."""
    for some, to in (
        (running('3.5.30'), '3.4.32'),
        (running('3.6.16', auth=True), '3.5'),
        (running('3.6.16'), '3.5.26'),
        (running(*THREE_SEVEN), '3.6.11'),
    ):
        assert plan(some, to).refusals == [] and plan(some, to).steps
    assert plan(running(*THREE_SEVEN), '3.6', True).steps  # nothing is left out there


def test_snapshot_way() -> None:
    """It says what becomes of Patroni: stopped in pause, its keys deleted, the node of the primary first."""
    (refusal,) = plan(running('3.4.23', '3.4.23'), '3.3').refusals
    commands = refusal.commands
    order = [
        'pause batman --wait',
        '# stop Patroni',
        '# stop etcd',
        'restore etcd-before-3.4.db',
        'start etcd on every',
    ]
    order += ['del --prefix /service/batman/', '# start Patroni where the primary runs', 'resume batman --wait']
    places = [next(i for i, command in enumerate(commands) if text in command) for text in order]
    assert places == sorted(places)
    assert 'promote the former leader' in refusal.way
    some = running('3.4.23', '3.4.23')
    some.patroni = None
    commands = plan(some, '3.3').refusals[0].commands
    assert not any('patronictl' in command for command in commands) and commands[0].startswith('# pause every')


def test_gates_of_the_way_up_stay_closed_during_a_downgrade() -> None:
    """With the finding named, and the plan that goes on with it."""
    some = running('3.6.16', '3.6.16', cluster='3.5.0', storage='3.5.0', downgrade='3.5.0')
    (finding,) = [finding for finding in judge(some) if finding.id == 'etcd-downgrade']
    assert 'plan --etcd-to 3.5' in finding.remedy and 'no effect' in finding.consequence
    over = running('3.6.16', '3.6.16', downgrade='3.6.0')
    (finding,) = [finding for finding in judge(over) if finding.id == 'etcd-downgrade']
    assert 'ends the downgrade by itself' in finding.consequence
