"""What has to be right before an upgrade of Patroni, with its present result. Pure.

Most of it is what ``check`` finds, now and in the cluster as it will be (:mod:`.scenes`). Here is the rest.
"""

from __future__ import annotations

from typing import Sequence

from ...guard import OLDEST
from ...hazards import HAZARDS
from ...versions import NESTED_SINCE, Version, dotted
from ..altered import patroni_at
from ..cluster import covered, known_members, patroni_versions
from ..facts import Facts, Finding, Patroni
from ..findings.gateway import SENDS_NESTED
from ..findings.registry import PATRONI_GATE, PATRONI_UPGRADE
from .common_checks import patroni_runs
from .model import PreCheck
from .patroni_target import KNOWN_TO, NOTES, PLAN, Target, leader_goes_first
from .scenes import NOW, Scene, Terms, finding_checks


def prechecks(facts: Facts, findings: Sequence[Finding], patroni: Patroni, target: Target) -> list[PreCheck]:
    """Return all of them: what is special to the plan first, then what ``check`` finds, now and on the way."""
    low = min(patroni_versions(patroni).values())
    found = patroni_runs(facts, patroni)
    found += _by_hand(low, target.version)
    found += _etcd(facts, target)
    terms = Terms(PATRONI_UPGRADE, (PATRONI_GATE,))
    checks = finding_checks(findings, scenes(facts, patroni, target), terms)
    return found + [_with_target(check, target) for check in checks]


def scenes(facts: Facts, patroni: Patroni, target: Target) -> list[Scene]:
    """Return the cluster as it will be: with only the leader upgraded or not upgraded, and with all upgraded."""
    below = [name for name, version in patroni_versions(patroni).items() if version < target.version]
    first = leader_goes_first(patroni, target) is not None
    early = [name for name in below if (name == patroni.leader) is first]
    found = []
    if early and len(early) < len(patroni.members):
        when = 'while only the leader is upgraded' if first else 'while only the leader is not upgraded'
        found.append(Scene(when, patroni_at(facts, target.version, early)))
    return found + [Scene(f'when all members run {target.text}', patroni_at(facts, target.version, below))]


def _with_target(check: PreCheck, target: Target) -> PreCheck:
    """Name a better target, if that avoids what the upgrade would cause."""
    if check.when == NOW or check.result != 'failed':
        return check
    fixed = next((row.other.before for row in HAZARDS if row.id == check.id and row.other), None)
    if fixed and target.version < fixed:
        check.remedy = f'Use {dotted(fixed)} or later as the target: "{PLAN.format(dotted(fixed))}".'
    return check


def _by_hand(low: Version, target: Version) -> list[PreCheck]:
    """Return what cannot be seen from here, by the releases that are crossed."""
    crossed = [check for release, checks in _CROSSING for check in checks if low < release <= target]
    return crossed + ([_YDIFF] if target < (3, 3, 0) else [])


#: What cannot be seen from here, by the release that it changes with.
_CROSSING: tuple[tuple[Version, tuple[PreCheck, ...]], ...] = (
    (
        (3, 1, 0),
        (
            PreCheck(
                'ctl-certificates',
                'client certificates of the REST API',
                'manual',
                'from 3.1.0 on restapi.certfile is no longer used as a client certificate',
                'With restapi.verify_client: required, set ctl.certfile and ctl.keyfile.',
                NOTES + '310',
            ),
        ),
    ),
    (
        (4, 0, 0),
        (
            PreCheck(
                'callbacks',
                'scripts know the role "primary"',
                'manual',
                'from 4.0.0 on callbacks, REST API and DCS say primary instead of master; role=master, patronictl '
                '--master, no_master and the metric patroni_master are gone',
                'Check callbacks, load balancers, monitoring and your own scripts: they have to accept both until all '
                'members are upgraded.',
                NOTES + '400',
            ),
            PreCheck(
                'bootstrap-users',
                'bootstrap.users is not needed',
                'manual',
                '4.0.0 and later ignore it',
                'This is about new clusters only: use bootstrap.post_bootstrap.',
                NOTES + '400',
            ),
        ),
    ),
)

_YDIFF = PreCheck(
    'ydiff',
    'ydiff before 1.3 is installed',
    'manual',
    'patronictl before 3.3.0 does not work with ydiff 1.3 or later',
    'pip install "ydiff<1.3", or use 3.3.0 or later as the target.',
    NOTES + '330',
)


def _etcd(facts: Facts, target: Target) -> list[PreCheck]:
    """Return what concerns this etcd cluster and what serves it."""
    known = [version for _, version in known_members(facts.etcd)]
    found = []
    if len({version[:2] for version in known}) > 1:
        found.append(
            PreCheck(
                'etcd-mixed',
                'no upgrade of etcd is under way',
                'warning',
                f'its members run {", ".join(dotted(line) for line in sorted({version[:2] for version in known}))}',
                'Finish that upgrade first.',
            )
        )
    serving = {member.serves for member in facts.patroni.members} if facts.patroni else set()
    found += [check for serves, check in _ALONG.items() if serves in serving]
    if covered(facts):
        return found
    if any(version < NESTED_SINCE for version in known) and target.version >= SENDS_NESTED:
        found.append(
            PreCheck(
                'nested-transactions',
                'etcd knows nested transactions',
                'warning',
                'members before 3.3',
                'Patroni 3.0.4 and later sends one when ttl was edited or the lease was lost. Members before 3.3 '
                'refuse it, and Patroni demotes. Upgrade etcd first, or install this package.',
                'https://github.com/patroni/patroni/pull/2693',
            )
        )
    return found


#: What has to be there again with the new Patroni, by what serves now.
_ALONG = {
    'package': PreCheck(
        'package',
        'patroni-etcd3-compat serves the new Patroni as well',
        'manual',
        'it serves members of this cluster',
        'Install it in the environment of the new Patroni too; the first lines of its log say whether it serves. It '
        f'supports Patroni {dotted(OLDEST)} to {dotted(KNOWN_TO)}.',
    ),
    'patch': PreCheck(
        'package',
        'the new Patroni is patched as well',
        'manual',
        'members of this cluster run a patched Patroni',
        'A new release comes without the patch: apply the one for it, or install the package.',
    ),
}
