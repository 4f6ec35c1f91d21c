"""The cluster as it will be after steps of a plan, and what ``check`` finds then: pre-checks that are findings."""

from __future__ import annotations

from typing import NamedTuple, Sequence

from ..altered import readable
from ..facts import SEVERITIES, Facts, Finding
from ..findings import Kind, judge, kind_of
from ..findings.registry import PACKAGE
from .model import PreCheck

NOW = 'now'


class Scene(NamedTuple):
    """The cluster at one moment of the plan."""

    #: when that is, such as ``while members run 3.3 and 3.4``
    when: str
    facts: Facts


class Terms(NamedTuple):
    """What counts in a plan."""

    #: :data:`~..findings.registry.ETCD_UPGRADE` or ``PATRONI_UPGRADE``: what the plan does
    upgrade: str
    #: the gates that its steps have
    gates: tuple[str, ...]
    #: how the package gets on every node before a member of etcd is upgraded; empty: the plan does not need it
    package: str = ''


def finding_checks(findings: Sequence[Finding], later: Sequence[Scene], terms: Terms) -> list[PreCheck]:
    """Return the findings of now, and those that the steps of the plan would cause, as pre-checks.

    What is there already is not said again for a later scene, unless it gets worse.

    :param findings: those of now.
    :param later: the scenes after it, in order; the last one is the end of the plan.
    :param terms: what counts.
    """
    judged = [(scene.when, judge(scene.facts)) for scene in later]
    course = _Course([findings] + [found for _, found in judged], terms)
    checks = course.checks(0, NOW)
    for position, (when, _) in enumerate(judged, 1):
        checks += course.checks(position, when)
    return checks


class _Course:
    """The findings over the course of a plan."""

    def __init__(self, scenes: Sequence[Sequence[Finding]], terms: Terms) -> None:
        self._scenes = scenes
        self._ids = [{finding.id for finding in found} for found in scenes]
        self._terms = terms
        self._reported: dict[str, int] = {}

    def checks(self, position: int, when: str) -> list[PreCheck]:
        """Return the pre-checks of one scene."""
        before = dict(self._reported)
        checks = []
        persists = False
        for finding in self._scenes[position]:
            check = self._check(finding, position, when)
            rank = SEVERITIES.index(finding.severity)
            if check is None:
                continue
            if rank <= before.get(finding.id, -1):
                persists = True
                continue
            self._reported[finding.id] = max(rank, self._reported.get(finding.id, -1))
            checks.append(check)
        if not checks and not persists:
            checks.append(PreCheck('findings', 'check finds nothing that is in the way', 'ok', 'nothing', when=when))
        return checks

    def _check(self, finding: Finding, position: int, when: str) -> PreCheck | None:
        kind = kind_of(finding.id)
        if kind.derived:
            return None
        if finding.severity == 'info':
            return self._shown(finding, kind, 'info', when) if self._noted(kind, position) else None
        stops = kind.stops in self._terms.gates
        if finding.severity != 'critical' and not stops:
            result = finding.severity
        else:
            result = 'failed'
        if PACKAGE in kind.ended_by and self._terms.package:
            return self._shown(finding, kind, _milder(result), when, self._terms.package)
        if not stops and self._ends(kind, position):
            first = 'the plan ends it: go through it without delay. Until then'
            return self._shown(finding, kind, _milder(result), when, first)
        return self._shown(finding, kind, result, when)

    def _noted(self, kind: Kind, position: int) -> bool:
        """Return whether the plan names an information: after a step; if such upgrades can end it, only at the end."""
        first = len(self._scenes) - 1 if self._terms.upgrade in kind.ended_by else 1
        return kind.noted and position >= max(first, 1)

    def _ends(self, kind: Kind, position: int) -> bool:
        """Return whether the plan ends a finding: its first step does, or it is declared that the upgrade does."""
        if position == len(self._scenes) - 1:
            return False
        if self._terms.upgrade in kind.ended_by:
            return kind.id not in self._ids[-1]
        return position == 0 and not any(kind.id in ids for ids in self._ids[1:])

    @staticmethod
    def _shown(finding: Finding, kind: Kind, result: str, when: str, first: str = '') -> PreCheck:
        remedy = f'{first}: {finding.remedy}' if first else finding.remedy
        return PreCheck(
            finding.id,
            kind.title,
            result,
            readable(f'{finding.where}: {finding.seen}'),
            readable(sentence(remedy)),
            finding.link,
            when=when,
            consequence=readable(sentence(finding.consequence)),
        )


def _milder(result: str) -> str:
    return 'warning' if result == 'failed' else result


def sentence(text: str) -> str:
    """Return a text of a finding as a sentence."""
    return f'{text[:1].upper()}{text[1:]}{"" if text.endswith(".") else "."}' if text else ''
