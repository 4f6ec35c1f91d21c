"""Plans for an upgrade of etcd, made of recorded facts: the way, the order, what is refused, what has to be right."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from patroni_etcd3_compat.check.facts import Facts, Slot
from patroni_etcd3_compat.check.findings import judge
from patroni_etcd3_compat.check.findings.registry import ETCD_GATE, PATRONI_GATE, at_the_end, stopping
from patroni_etcd3_compat.check.plan import Plan, make_plan, render_plan
from patroni_etcd3_compat.check.plan.gates import Commands
from patroni_etcd3_compat.check.plan.model import RESULTS, PreCheck
from patroni_etcd3_compat.check.plan.releases import GUIDES
from patroni_etcd3_compat.versions import LINES
from tests.unit.finding_facts import (
    etcd_facts,
    etcd_member,
    facts,
    of_versions,
    patroni_facts,
    patroni_member,
    with_slots,
)


def plan(some: Facts, to: str, direct: bool = False) -> Plan:
    """The plan for these facts, judged as the command judges them."""
    return make_plan(some, judge(some), to, None, direct)


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


def test_one_minor_release_at_a_time() -> None:
    """Snapshot first, the leader last and its leadership handed over, then the same for the next release."""
    made = plan(facts(of_versions('3.3.25', '3.3.25', '3.3.25')), '3.5')
    assert actions(made) == [
        'snapshot 3.4',
        'upgrade infra2 3.4',
        'upgrade infra3 3.4',
        'move-leader infra1 infra2',
        'upgrade infra1 3.4',
        'snapshot 3.5',
        'upgrade infra1 3.5',
        'upgrade infra3 3.5',
        'move-leader infra2 infra1',
        'upgrade infra2 3.5',
    ]
    assert made.ready and made.warnings == [] and results(made) == {}
    last = [step for step in made.steps if not step.reversible]
    assert [step.action['member'] for step in last] == ['infra1', 'infra2']
    assert (
        'members of a lower release no longer start' in last[0].back
        and 'snapshot restore etcd-before-3.4.db' in last[0].back_commands[3]
        and 'patronictl pause batman --wait' in last[0].back_commands[0]
    )
    assert '3.4.32' in last[1].back and 'downgrade_3_5' in made.sources[-1]
    assert 'Stop infra1, install the 3.4 that it ran again' in made.steps[6].back
    assert made.steps[5].url == 'http://10.0.0.2:2379'  # the snapshot comes from who leads by then


def test_every_step_has_gates_and_a_way_back() -> None:
    """Nothing goes on without a command that can fail, and nothing leaves the way back out."""
    for made in (plan(facts(of_versions('3.2.26', '3.2.26')), '3.7'), plan(facts(of_versions('3.4.23')), '3.5.30')):
        for step in made.steps:
            assert step.gates and step.back and step.why and step.commands, step
            assert bool(step.back_commands) or step.reversible
        assert made.health


@pytest.mark.parametrize(
    'versions, to, expected',
    [
        (['3.4.23', '3.3.25', '3.3.25'], '3.4', ['snapshot 3.4', 'upgrade infra2 3.4', 'upgrade infra3 3.4']),
        (
            ['3.5.16', '3.5.30', '3.5.16'],
            '3.5.30',
            ['snapshot 3.5.30', 'upgrade infra3 3.5.30', 'move-leader infra1 infra3', 'upgrade infra1 3.5.30'],
        ),
        (
            ['3.3.25', '3.5.16', '3.3.25'],
            '3.5',
            [
                'snapshot 3.4',
                'upgrade infra3 3.4',
                'move-leader infra1 infra3',
                'upgrade infra1 3.4',
                'snapshot 3.5',
                'upgrade infra1 3.5',
                'move-leader infra3 infra1',
                'upgrade infra3 3.5',
            ],
        ),
        (['3.4.23'], '3.5', ['snapshot 3.5', 'upgrade infra1 3.5']),
    ],
)
def test_members_that_are_there_already(versions: list[str], to: str, expected: list[str]) -> None:
    """An upgrade that is under way goes on from where it is."""
    assert actions(plan(facts(of_versions(*versions)), to)) == expected


def test_nothing_to_do() -> None:
    """Says so."""
    made = plan(facts(of_versions('3.5.16', '3.5.30')), '3.5')
    assert made.steps == [] and not made.ready and not made.refusals
    assert made.notes == [
        'Nothing to do: every member runs 3.5 or later. For a newer patch release, name it: --etcd-to 3.5.N'
    ]


def test_nothing_to_do_but_for_a_silent_member() -> None:
    """It is not known whether it is done: what is wrong comes out, in the text as well."""
    made = plan(facts(etcd_facts(etcd_member(1), etcd_member(2), etcd_member(3, None))), '3.5')
    assert made.steps == [] and not made.ready and not made.refusals
    assert one(made, 'etcd-unreachable').result == 'failed' and 'infra3' in one(made, 'etcd-unreachable').seen
    assert made.notes == ['Every member that answers runs 3.5 or later; unknown: infra3 (http://10.0.0.3:2379).']
    text = render_plan(made, 'markdown')
    assert '## Before you begin' in text and '## Steps' not in text and '## Variables' not in text


def test_what_could_not_be_told_stops_a_plan() -> None:
    """A gate that sees nothing must not let anybody pass."""
    assert 'etcd-unknown' in stopping(ETCD_GATE) and 'patroni-unknown' in stopping(PATRONI_GATE)
    assert 'slot-unknown' in at_the_end()


@pytest.mark.parametrize(
    'line, passes',
    [
        ('| node1 | 10.0.0.1 | Leader         | running             |  1 |', True),
        ('| node1 | 10.0.0.1 | Standby Leader | streaming           |  1 |', True),
        ('| node1 | 10.0.0.1 | Standby Leader | in archive recovery |  1 |', True),
        ('| node1 | 10.0.0.1 | Leader         | stopped             |  1 |', False),
        ('| node1 | 10.0.0.1 | Replica        | streaming           |  1 |', False),
    ],
)
def test_gate_for_the_leader(line: str, passes: bool) -> None:
    """A leader whose PostgreSQL works, that of a standby cluster too."""
    commands = Commands(facts(), [], None)
    for gate in commands.leads() + [commands.up('node1', True, (4, 1, 5))]:
        grep = gate.command.partition(' | ')[2]
        assert (
            subprocess.run(grep, shell=True, input=line.encode(), stdout=subprocess.DEVNULL).returncode == 0
        ) is passes


@pytest.mark.parametrize(
    'version, state, passes',
    [
        ((4, 1, 5), 'streaming', True),
        ((4, 1, 5), 'in archive recovery', True),
        ((4, 1, 5), 'running', False),
        ((3, 0, 4), 'running', False),
        ((3, 0, 3), 'running', True),
        (None, 'running', True),
        ((3, 0, 3), 'starting', False),
        ((4, 1, 5), 'starting', False),
    ],
)
def test_gate_for_a_replica(version: Any, state: str, passes: bool) -> None:
    """From Patroni 3.0.4 on "running" says that it does not stream; before, there is no other state."""
    line = f'| node1 | 10.0.0.1 | Replica | {state:<19} |  1 |     0 |'
    grep = Commands(facts(), [], None).up('node1', False, version).command.partition(' | ')[2]
    assert (subprocess.run(grep, shell=True, input=line.encode(), stdout=subprocess.DEVNULL).returncode == 0) is passes


def test_patch_release_that_the_next_line_wants() -> None:
    """To 3.6 the way leads through 3.5.26 or later, to 3.7 through 3.6.11 or later, and the gates say so."""
    made = plan(facts(of_versions('3.4.23', '3.4.23', '3.4.23')), '3.7')
    titles = [step.title for step in made.steps if step.action['action'] == 'upgrade']
    assert titles[0] == 'Upgrade infra2 to 3.5 (3.5.26 or later)' and titles[3].endswith('3.6 (3.6.11 or later)')
    assert titles[-1].endswith('3.7 (its newest patch release)')
    gates = [step.gates[0].command for step in made.steps if step.action['action'] == 'upgrade']
    assert gates[0].endswith('\'"etcdserver": ?"3\\.5\\.(2[6-9]|[3-9][0-9]|[0-9]{3,})\'')
    assert '3\\.6\\.(1[1-9]|[2-9][0-9]|[0-9]{3,})' in gates[3]


REFUSED = [
    (of_versions('3.4.23', '3.4.23', auth=True), '3.5', False, 'auth', 'auth disable', 'upgrade_3_5'),
    (of_versions('3.3.25', '3.3.25', auth=True), '3.6', False, 'auth', '--etcd-to 3.4 ', 'upgrade_3_5'),
    (of_versions('3.4.23', '3.5.30', auth=True), '3.5', False, 'auth', 'auth disable', 'upgrade_3_5'),
    (of_versions('3.5.16', '3.5.30'), '3.6', False, 'least-3.6', '--etcd-to 3.5.26', 'zombie_members'),
    (of_versions('3.5.25'), '3.7', False, 'least-3.6', '--etcd-to 3.5.26', 'zombie_members'),
    (of_versions('3.6.10'), '3.7', False, 'least-3.7', '--etcd-to 3.6.11', 'upgrade_3_7'),
    (of_versions('3.4.23'), '3.6', True, 'direct-too-far', '--etcd-to 3.6', 'upgrading-etcd'),
    (of_versions('3.5.30'), '3.8', False, 'target-unknown', 'newer release', 'upgrading-etcd'),
    (of_versions('3.5.30'), '4.0', False, 'target-unknown', 'newer release', 'upgrading-etcd'),
    (of_versions('2.3.8'), '3.1', False, 'too-old', 'new etcd cluster', 'upgrading-etcd'),
    (etcd_facts(etcd_member(1, None), etcd_member(2, None)), '3.5', False, 'versions-unknown', 'find out', ''),
]


@pytest.mark.parametrize('etcd, to, direct, id, way, source', REFUSED)
def test_refused(etcd: Any, to: str, direct: bool, id: str, way: str, source: str) -> None:
    """With the rule, where it is from, and the path that works; and then there are no steps."""
    made = plan(facts(etcd), to, direct)
    assert [refusal.id for refusal in made.refusals] == [id]
    (refusal,) = made.refusals
    assert source in refusal.source and refusal.source.startswith('https://')
    assert way.lower() in (refusal.way + '\n' + '\n'.join(refusal.commands)).lower()
    assert made.steps == [] and not made.ready


@pytest.mark.parametrize(
    'etcd, to',
    [
        (of_versions('3.3.25', '3.3.25', auth=True), '3.4'),
        (of_versions('3.5.30', '3.5.30', auth=True), '3.6'),
        (of_versions('3.5.26'), '3.6'),
        (of_versions('3.6.11'), '3.7'),
        (of_versions('3.5.16'), '3.5.30'),
        (of_versions('3.4.23', '3.4.23', auth=None), '3.5'),
    ],
)
def test_not_refused(etcd: Any, to: str) -> None:
    """What lies next to the rules."""
    assert plan(facts(etcd), to).refusals == [] and plan(facts(etcd), to).steps


def test_two_rules_at_once() -> None:
    """Both are told."""
    made = plan(facts(of_versions('3.4.23', '3.5.16', auth=True)), '3.6')
    assert [refusal.id for refusal in made.refusals] == ['auth', 'least-3.6']


def test_authentication_that_is_not_known() -> None:
    """Has to be found out where it matters: the gates of the plan would never open with it."""
    three: dict[str, Any] = {'cluster': '3.4.0', 'auth': None}
    made = plan(facts(of_versions('3.4.23', '3.4.23', '3.4.23', **three)), '3.5')
    check = one(made, 'etcd-unknown')
    assert (check.result, check.when) == ('failed', 'while members run 3.4.23 and 3.5')
    assert '3.5.999' not in check.seen + check.consequence and not made.ready
    assert 'etcd-unknown' in results(plan(facts(of_versions('3.3.25', auth=None)), '3.4'))  # whose newest wants a token
    assert 'etcd-unknown' not in results(plan(facts(of_versions('3.3.25', auth=None)), '3.4.23'))


@pytest.mark.parametrize('serves, steps', [('stock', 4), (None, 4), ('package', 0), ('patch', 0)])
def test_members_before_3_3_want_the_package(serves: str | None, steps: int) -> None:
    """A stock Patroni can destroy the cluster while 3.2 is beside a newer release: first the package, everywhere."""
    made = plan(facts(of_versions('3.2.26', '3.2.26', '3.2.26'), serves=serves), '3.4')
    installing = [name for name in actions(made) if name.startswith(('install', 'pause', 'resume'))]
    assert installing == ['install-package node2', 'pause', 'install-package node1', 'resume'][:steps]
    assert actions(made)[steps] == 'snapshot 3.3'
    check = one(made, 'etcd-nested-transactions')
    assert (check.result, check.when) == ('warning', 'while members run 3.2.26 and 3.3')
    assert 'every member before 3.3 crashes' in check.consequence and made.ready
    if steps:
        assert check.remedy.startswith('The first steps of the plan install the package on node1 and node2')
        assert 'package' not in {check.id for check in made.prechecks}
    else:
        assert one(made, 'package').result == 'ok'
    marks = [gate.command for step in made.steps for gate in step.gates if 'etcd3_compat' in gate.command]
    assert len(marks) == len([step for step in made.steps if step.action['action'] in ('upgrade', 'install-package')])
    assert 'move-leader' not in ' '.join(actions(made)[: steps + 4])  # which 3.2 does not know


def test_package_for_exactly_those_that_lack_it() -> None:
    """The plan installs the package on members without a mark only, and waits for the mark of each."""
    patroni = patroni_facts(
        patroni_member('node1', serves='package'),
        patroni_member('node2', serves='stock'),
        patroni_member('node3', serves='patch'),
        patroni_member('node4'),
    )
    made = plan(facts(of_versions('3.2.26', '3.2.26', '3.2.26'), patroni, serves=None), '3.4')
    assert actions(made)[:3] == ['install-package node2', 'install-package node4', 'snapshot 3.3']
    assert '/service/batman/members/node2 | grep "etcd3_compat"' in made.steps[0].gates[0].command
    assert made.steps[0].gates[0].seconds == 120


def test_plan_that_knows_nothing_of_patroni() -> None:
    """It cannot install the package, so it does not begin where a stock Patroni would suffer."""
    some = facts(of_versions('3.2.26', '3.2.26', '3.2.26'))
    some.patroni = None
    made = plan(some, '3.4')
    assert one(made, 'etcd-nested-transactions').result == 'failed' and not made.ready
    some = facts(of_versions('3.4.45', '3.4.45', '3.4.45'))
    some.patroni = None
    assert plan(some, '3.5').ready


def test_nested_transactions_are_not_in_the_way_of_the_plan_that_ends_them() -> None:
    """Found critical at present, and dealt with by the first steps."""
    made = plan(facts(of_versions('3.2.26', '3.4.23', '3.2.26')), '3.4')
    assert one(made, 'etcd-nested-transactions').result == 'warning'
    assert 'failed' not in results(made).values()


def test_stock_patroni_is_enough_one_release_at_a_time() -> None:
    """Neighbours from 3.3 on share a prefix."""
    made = plan(facts(of_versions('3.3.25', '3.3.25', '3.3.25')), '3.5')
    assert results(made) == {} and not {'package-everywhere', 'node-serves'} & {check.id for check in made.prechecks}
    assert any(
        '3.3 and 3.4 share the gateway prefix /v3beta; 3.4 and 3.5 share the gateway prefix /v3' in note
        for note in made.notes
    )


def test_direct() -> None:
    """One snapshot, one round; the package on every node; and what etcd says about it."""
    some = facts(of_versions('3.3.25', '3.3.25', '3.3.25'))
    made = plan(some, '3.5', direct=True)
    assert actions(made)[4:] == [
        'snapshot 3.5',
        'upgrade infra2 3.5',
        'upgrade infra3 3.5',
        'move-leader infra1 infra2',
        'upgrade infra1 3.5',
    ]
    assert results(made)['etcd-upgrade-skips'] == 'warning' and made.ready
    assert 'skips 3.4' in made.warnings[0] and 'not supported' in made.warnings[0] and len(made.warnings) == 2
    assert made.direct and actions(made)[0] == 'install-package node2'
    near = plan(facts(of_versions('3.4.23')), '3.5', direct=True)
    assert near.warnings == [] and any('no minor release in between' in note for note in near.notes)


def other_etcd(**different: Any) -> Facts:
    """Three members of 3.4, and one that differs."""
    return facts(
        etcd_facts(
            etcd_member(1, '3.4.23', '3.4.0'),
            etcd_member(2, '3.4.23', '3.4.0'),
            etcd_member(3, **{'version': '3.4.23', 'cluster': '3.4.0', **different}),
        )
    )


@pytest.mark.parametrize(
    'some, id, result',
    [
        (
            facts(
                etcd_facts(etcd_member(1, '3.4.23', '3.4.0'), etcd_member(2, '3.4.23', '3.4.0'), etcd_member(3, None))
            ),
            'etcd-unreachable',
            'failed',
        ),
        (facts(of_versions('3.4.23')), 'quorum', 'warning'),
        (facts(of_versions('3.4.23', '3.4.23')), 'quorum', 'warning'),
        (other_etcd(alarms=['NOSPACE']), 'etcd-alarm', 'failed'),
        (other_etcd(learner=True), 'etcd-learner', 'info'),
        (other_etcd(gateway=False, prefixes=[]), 'etcd-gateway-off', 'failed'),
        (other_etcd(cluster_version='not_decided'), 'etcd-cluster-version', 'failed'),
        (other_etcd(cluster_version='3.5.0'), 'cluster-version', 'failed'),
        (other_etcd(cluster_version=None), 'cluster-version', 'failed'),
        (other_etcd(version='strange'), 'versions', 'failed'),
        (facts(of_versions('3.4.23', '3.4.23', '3.4.23', cluster='3.3.0')), 'etcd-cluster-version', 'failed'),
        (facts(of_versions('3.4.23', '3.4.23', '3.4.23', leader=False)), 'leader', 'failed'),
        (facts(of_versions('3.4.23', '3.5.16', '3.4.23')), 'cluster-version', 'warning'),
        (
            facts(
                etcd_facts(
                    *(etcd_member(number, '3.4.23', '3.4.0') for number in (1, 2, 3)),
                    configured=['http://10.0.0.1:2379'],
                )
            ),
            'hosts',
            'warning',
        ),
        (
            facts(
                etcd_facts(*(etcd_member(number, '3.3.25', '3.3.0') for number in (1, 2, 3)), version_prefix='/v3alpha')
            ),
            'etcd-prefix-option',
            'warning',
        ),
        (
            facts(of_versions('3.4.23'), patroni_facts(patroni_member('a'), patroni_member('b', state='stopped'))),
            'patroni-member-down',
            'failed',
        ),
        (
            facts(of_versions('3.4.23'), patroni_facts(patroni_member('a'), leader='gone')),
            'patroni-member-down',
            'failed',
        ),
        (facts(of_versions('3.4.23'), patroni_facts(patroni_member('a', '4.0.7'))), 'etcd-error-shape', 'info'),
        (
            facts(
                of_versions('3.4.23'), patroni_facts(patroni_member('a'), patroni_member('b', state='creating replica'))
            ),
            'patroni-running',
            'failed',
        ),
    ],
)
def test_prechecks(some: Facts, id: str, result: str) -> None:
    """Each comes to the result that the facts give it, with a remedy; on a healthy cluster it is right."""
    made = plan(some, '3.5')
    check = next(check for check in made.prechecks if check.id == id)
    assert check.result == result and check.remedy and check.seen
    assert made.ready == ('failed' not in results(made).values())
    healthy = plan(facts(of_versions('3.4.23', '3.4.23', '3.4.23')), '3.5')
    assert id not in results(healthy)


@pytest.mark.parametrize(
    'serves, version, to, result',
    [
        ('stock', '4.0.7', '3.6', 'failed'),
        ('stock', '4.1.1', '3.6', None),
        ('package', '4.0.7', '3.6', None),
        ('stock', '4.0.7', '3.5.30', 'failed'),
        ('stock', '4.0.7', '3.5.27', None),
    ],
)
def test_token_for_the_member_list(serves: str, version: str, to: str, result: str | None) -> None:
    """Stock Patroni before 4.1.1 does not start on members that want one."""
    some = facts(
        of_versions('3.5.26', '3.5.26', '3.5.26', auth=True), patroni_facts(patroni_member('a', version)), serves
    )
    assert results(plan(some, to)).get('etcd-auth-guard') == result


def test_release_that_can_make_members_differ() -> None:
    """3.5.0 to 3.5.2 are no targets."""
    some = facts(of_versions('3.4.45', '3.4.45', '3.4.45'))
    others = {
        'etcd-defrag-crash': 'warning',
        'etcd-lease-revoked': 'warning',
        'etcd-lease-renewed-late': 'info',
        'etcd-stale-reads': 'info',
        'etcd-defrag-snapshot': 'info',
        'etcd-promotion-forgotten': 'info',
    }
    failed = {'target-release': 'failed', 'etcd-data-inconsistency': 'warning'}
    assert results(plan(some, '3.5.2')) == {**others, **failed}
    assert results(plan(some, '3.5.3')) == {**others, 'etcd-start-fails': 'warning'}


def test_critical_findings_come_first() -> None:
    """What check calls critical stands in the way, and is not said twice."""
    some = facts(of_versions('3.4.45', '3.4.45', '3.4.45', gateway=False, prefixes=[]))
    assert 'etcd-gateway-off' in {finding.id for finding in judge(some) if finding.severity == 'critical'}
    made = plan(some, '3.5')
    assert results(made) == {'etcd-gateway-off': 'failed'} and not made.ready and made.steps
    some = facts(of_versions('3.4.45', '3.4.45', '3.4.45', auth=True), serves='package')
    found = [finding for finding in judge(some) if finding.severity == 'critical']
    assert {finding.id for finding in found} == {'etcd-auth-no-credentials'}
    assert results(plan(some, '3.4.99')) == {'etcd-auth-no-credentials': 'failed', 'etcd-end-of-life': 'info'}


def test_findings_that_no_gate_lets_pass_come_first() -> None:
    """A warning that the gates ask for, too: or the first of them would never open."""
    lost = Slot('node2', 'physical', False, wal_status='lost')
    some = facts(
        of_versions('3.4.45', '3.4.45', '3.4.45'),
        patroni_facts(patroni_member('node1', postgres=with_slots(lost)), patroni_member('node2')),
    )
    assert [finding.severity for finding in judge(some) if finding.id == 'slot-lost'] == ['warning']
    assert results(plan(some, '3.5')) == {'slot-lost': 'failed'}


def test_target_that_is_no_longer_looked_after() -> None:
    """Is a station on the way."""
    some = facts(of_versions('3.3.25', '3.3.25', '3.3.25'))
    assert results(plan(some, '3.4')) == {'etcd-end-of-life': 'info'} and plan(some, '3.4').ready


def test_without_patroni() -> None:
    """``--endpoints`` alone: no word of patronictl, and Patroni has to be looked at by hand."""
    some = facts(of_versions('3.4.23', '3.4.23', '3.4.23'))
    some.patroni = None
    made = plan(some, '3.5')
    commands = [command for step in made.steps for command in step.commands + [gate.command for gate in step.gates]]
    assert not [command for command in commands if 'patronictl' in command or 'CHECK_PATRONI' in command]
    assert [variable.value for variable in made.variables if variable.name == 'CHECK'] == [
        'patroni-etcd3-compat check --endpoints http://10.0.0.1:2379,http://10.0.0.2:2379,http://10.0.0.3:2379'
    ]
    assert one(made, 'patroni').result == 'manual'


def test_split_ports() -> None:
    """etcdctl goes where gRPC is, curl and Patroni where HTTP is."""
    member = etcd_member(1, '3.5.30', advertised=False)
    grpc = etcd_member(1, None, url='http://10.0.0.1:2381', configured=False, protocol='grpc')
    some = facts(etcd_facts(member, grpc))
    made = plan(some, '3.6')
    assert {variable.name: variable.value for variable in made.variables}['ENDPOINTS'] == 'http://10.0.0.1:2381'
    assert '10.0.0.1:2379/version' in made.steps[-1].gates[0].command


def test_learner() -> None:
    """It is upgraded as well; no command asks it for what learners refuse, and no restore gives it a vote."""
    made = plan(other_etcd(learner=True), '3.5')
    assert 'upgrade infra3 3.5' in actions(made)
    values = {variable.name: variable.value for variable in made.variables}
    assert values['ENDPOINTS'] == 'http://10.0.0.1:2379,http://10.0.0.2:2379'
    assert 'infra3' not in '\n'.join(made.steps[-1].back_commands)
    (step,) = [step for step in made.steps if step.action.get('member') == 'infra3']
    assert 'member add infra3 --learner ' in '\n'.join(step.back_commands)


@pytest.mark.parametrize(
    'silent, result, seen',
    [
        ((), 'ok', '5 voting members, 2 may be away'),
        ((1,), 'ok', '5 voting members, 2 may be away; infra1 does not answer'),
        ((1, 2), 'failed', '5 voting members, 2 may be away; infra1 and infra2 do not answer'),
    ],
)
def test_quorum_counts_those_that_answer(silent: tuple[int, ...], result: str, seen: str) -> None:
    """A silent member uses up what a restart needs. No command goes to it where another one will do."""
    some = facts(
        etcd_facts(*(etcd_member(i, None if i in silent else '3.4.23', '3.4.0', leader=i == 5) for i in range(1, 6)))
    )
    made = plan(some, '3.5')
    assert (one(made, 'quorum').result, one(made, 'quorum').seen) == (result, seen)
    some = facts(etcd_facts(etcd_member(1, None), *(etcd_member(i, '3.4.23', '3.4.0', leader=False) for i in (2, 3))))
    made = plan(some, '3.5')
    assert one(made, 'quorum').result == 'failed' and '--endpoints=http://10.0.0.2:2379' in made.steps[0].commands[-1]


def test_url_that_is_dead() -> None:
    """An advertised URL that does not answer is left out if the member answers elsewhere."""
    member = etcd_member(1, '3.5.30', advertised=False)
    dead = etcd_member(1, None, url='http://10.0.0.1:2381', configured=False)
    made = plan(facts(etcd_facts(member, dead)), '3.6')
    assert {variable.name: variable.value for variable in made.variables}['ENDPOINTS'] == 'http://10.0.0.1:2379'


def test_way_back_that_etcd_has() -> None:
    """From 3.6 on the commands of the downgrade stand before those of the snapshot."""
    for version, to, there in (('3.5.30', '3.6', True), ('3.6.11', '3.7', True), ('3.4.23', '3.5', False)):
        back = plan(facts(of_versions(version)), to).steps[-1].back_commands
        assert [' downgrade ' in command for command in back[:2]] == [there, there], back
        assert any('snapshot restore' in command for command in back)
    assert ' downgrade enable 3.5' in plan(facts(of_versions('3.5.30')), '3.6').steps[-1].back_commands[1]


def test_tls_and_authentication() -> None:
    """Options and a user are there to be filled in."""
    some = facts(of_versions('3.5.30', '3.5.30', tls=True, auth=True))
    made = plan(some, '3.6')
    values = {variable.name: variable.value for variable in made.variables}
    assert values['ETCDCTL_USER'] == 'root:PASSWORD' and '--cacert' in values['ETCDCTL_FLAGS']


@pytest.mark.parametrize(
    'etcd_to, patroni_to, direct, text',
    [
        ('3.x', None, False, "'3.x' is no version of etcd"),
        (None, 'new', False, "'new' is no version of Patroni"),
        (None, None, False, 'one of etcd and Patroni'),
        ('3.5', '4.1', False, 'one of etcd and Patroni'),
        (None, '4.1', True, '--direct is about etcd'),
    ],
)
def test_what_makes_no_sense(etcd_to: str | None, patroni_to: str | None, direct: bool, text: str) -> None:
    """Is an error that says why."""
    with pytest.raises(ValueError, match=text):
        make_plan(facts(), [], etcd_to, patroni_to, direct)


def test_tables_agree() -> None:
    """The guides are those of the release lines."""
    assert [guide.minor for guide in GUIDES] == [line.minor for line in LINES]
    assert all(bool(guide.why) == bool(guide.least) for guide in GUIDES)
    assert all(check.result in RESULTS for check in plan(facts(of_versions('3.2.26')), '3.7').prechecks)


def test_log_before_3_6() -> None:
    """Every member takes a snapshot of its log before the first one becomes 3.6; the leader is the last, and moves."""
    made = plan(facts(of_versions('3.5.30', '3.5.30', '3.5.30')), '3.6')
    assert actions(made) == [
        'log-snapshot infra2 --snapshot-count=5',
        'log-snapshot infra3 --snapshot-count=5',
        'move-leader infra1 infra2',
        'log-snapshot infra1 --snapshot-count=5',
        'snapshot 3.6',
        'upgrade infra1 3.6',
        'upgrade infra3 3.6',
        'move-leader infra2 infra1',
        'upgrade infra2 3.6',
    ]
    for version, to, steps in (
        ('3.4.23', '3.5', 0),
        ('3.6.11', '3.6.16', 0),
        ('3.6.11', '3.7', 1),
        ('3.5.30', '3.7', 2),
    ):
        done = actions(plan(facts(of_versions(version)), to))
        assert sum(action.startswith('log-snapshot') for action in done) == steps, done
    assert not any(
        'etcdutl check v2store' in note and '3.5.32' not in note for step in made.steps for note in step.notes
    )
    assert any('--snapshot-count=5' in note for note in made.steps[5].notes)  # which the upgrade takes out again


@pytest.mark.parametrize('count, passes', [('0', False), ('1', False), ('2', True), ('6', True), ('12', True)])
def test_gate_for_the_log(count: str, passes: bool) -> None:
    """One snapshot since the start may be from the middle of the old log; with the second, all of that is behind it."""
    made = plan(facts(of_versions('3.5.30', '3.5.30', '3.5.30')), '3.6')
    grep = made.steps[0].gates[0].command.partition(' | ')[2]
    text = (
        f'# TYPE etcd_debugging_snap_save_total_duration_seconds histogram\n'
        f'etcd_debugging_snap_save_total_duration_seconds_bucket{{le="0.001"}} 7\n'
        f'etcd_debugging_snap_save_total_duration_seconds_count {count}\n'
    )
    assert (subprocess.run(grep, shell=True, input=text.encode(), stdout=subprocess.DEVNULL).returncode == 0) is passes


@pytest.mark.parametrize('revision, passes', [('1', False), ('2', True), ('10', True), ('319', True)])
def test_something_is_written_before_3_5(revision: str, passes: bool) -> None:
    """On data of 3.4 that nobody wrote to, later releases of 3.5 take members for removed ones."""
    made = plan(facts(of_versions('3.4.23', '3.4.23', '3.4.23')), '3.5')
    step = made.steps[0]
    assert step.action['action'] == 'snapshot' and ' put ' in step.commands[0] and ' del ' in step.commands[0]
    grep = step.gates[0].command.partition(' | ')[2]
    status = f'[{{"Endpoint":"x","Status":{{"header":{{"revision":{revision},"raft_term":2}},"raftIndex":22}}}}]'
    assert (
        subprocess.run(grep, shell=True, input=status.encode(), stdout=subprocess.DEVNULL).returncode == 0
    ) is passes
    assert ' put ' not in plan(facts(of_versions('3.5.16')), '3.5.30').steps[0].commands[0]
