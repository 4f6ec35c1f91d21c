"""The register of findings. All that is known about one stands in one place, beside the function that looks for it.

A module of this folder has a :class:`Subject`, and a function with the decorator ``SUBJECT.finding(...)`` for each of
its findings: facts in, what was :class:`Seen` out. ``--list``, the identifiers in plans, the pre-checks of plans and
docs/findings.md are made from the register.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterator, NamedTuple, Sequence, TypeVar

from ..facts import SEVERITIES, Facts, Finding

#: Upgrades that a plan is for, and names of the variables of its gates, see :attr:`Kind.stops`.
ETCD_GATE, PATRONI_GATE = 'CHECK_ETCD', 'CHECK_PATRONI'

#: What ends a finding, see :attr:`Kind.ended_by`: an upgrade of etcd, one of Patroni, this package on every node.
ETCD_UPGRADE, PATRONI_UPGRADE, PACKAGE = 'etcd', 'patroni', 'package'

PATRONI = 'https://github.com/patroni/patroni/'
ETCD = 'https://github.com/etcd-io/etcd/'
ETCD_DOCS = 'https://etcd.io/docs/v3.6/'
PATRONI_DOCS = 'https://patroni.readthedocs.io/en/latest/'
POSTGRES_DOCS = 'https://www.postgresql.org/docs/current/'


class Seen(NamedTuple):
    """One thing that a check has seen; the register makes a finding of it."""

    #: one of :data:`~patroni_etcd3_compat.check.facts.SEVERITIES`
    severity: str
    #: the member or object
    where: str
    #: what was seen there
    seen: str
    #: what follows from it
    consequence: str
    #: what to do
    remedy: str
    #: a better page than that of the finding
    link: str | None = None


#: A function of facts; one that draws a conclusion (:attr:`Kind.derived`) gets the other findings as well.
Check = Callable[..., Iterator[Seen]]
_AnyCheck = TypeVar('_AnyCheck', bound=Check)


@dataclass(frozen=True)
class Kind:
    """A finding that there may be, and all that is known about it."""

    #: identifier, for ``--only`` and ``--ignore``
    id: str
    #: what it is about, one line
    title: str
    #: a page with more about it
    link: str
    #: severities that it may have, each with its condition in words; empty: always
    severities: dict[str, str]
    #: looks for it
    check: Check
    #: changes the facts of a healthy cluster so that it is there, for the documentation and a test
    example: Callable[[Facts], None]
    #: where it belongs
    subject: Subject
    #: the package and the patch cure it
    cured: bool = False
    #: :data:`ETCD_GATE` or :data:`PATRONI_GATE`: such gates of a plan do not open while it is there
    stops: str | None = None
    #: the last gate of a plan for Patroni looks for it, while something is written
    at_the_end: bool = False
    #: plans that end it, or :data:`PACKAGE` if their first steps do: those do not fail because of it
    ended_by: tuple[str, ...] = ()
    #: a plan names it even as an information, if it is there after a step
    noted: bool = False
    #: it only points to other findings: it is made when these are known, and plans leave it out
    derived: bool = False
    #: tests on real servers that produce the state and show the finding
    shown: tuple[str, ...] = ()
    #: tests on real servers that show its consequence as well; without any, the consequence is quoted from :attr:`link`
    proved: tuple[str, ...] = ()

    def find(self, facts: Facts, others: Sequence[Finding] = ()) -> Iterator[Finding]:
        """Yield what the check finds.

        :param facts: as they were collected, or as they will be after a step of a plan.
        :param others: the findings that it may point to.
        """
        for seen in self.check(facts, others) if self.derived else self.check(facts):
            yield Finding(
                self.id, seen.severity, seen.where, seen.seen, seen.consequence, seen.remedy, seen.link or self.link
            )


_register: dict[str, Kind] = {}


@dataclass(frozen=True)
class Subject:
    """What a module of findings is about."""

    #: its place: findings of one severity are shown in the order of their subjects
    order: int
    #: for the documentation
    title: str

    def finding(
        self,
        id: str,
        title: str,
        link: str,
        *,
        example: Callable[[Facts], None],
        critical: str | None = None,
        warning: str | None = None,
        unknown: str | None = None,
        info: str | None = None,
        cured: bool = False,
        stops: str | None = None,
        at_the_end: bool = False,
        ended_by: Sequence[str] = (),
        noted: bool = False,
        derived: bool = False,
        shown: Sequence[str] = (),
        proved: Sequence[str] = (),
    ) -> Callable[[_AnyCheck], _AnyCheck]:
        """Register a function as the check for a finding.

        The severities that it may have are named, each with its condition in words (empty: always). The rest is as in
        :class:`Kind`.

        :raises ValueError: if the identifier is taken, or no severity is named.
        """
        words = {'critical': critical, 'warning': warning, 'unknown': unknown, 'info': info}
        severities = {severity: condition for severity, condition in words.items() if condition is not None}
        if id in _register or not severities:
            raise ValueError(f'{id}: registered already, or without a severity')

        def register(check: _AnyCheck) -> _AnyCheck:
            _register[id] = Kind(
                id,
                title,
                link,
                severities,
                check,
                example,
                self,
                cured,
                stops,
                at_the_end,
                tuple(ended_by),
                noted,
                derived,
                tuple(shown),
                tuple(proved),
            )
            return check

        return register


def kinds() -> list[Kind]:
    """Return all findings that there are, in the order of their subjects, then of registration."""
    return sorted(_register.values(), key=lambda kind: kind.subject.order)


def kind_of(id: str) -> Kind:
    """Return a finding by its identifier.

    :raises KeyError: if there is none.
    """
    return _register[id]


def stopping(gate: str) -> list[str]:
    """Return the identifiers of the findings that keep a gate closed.

    :param gate: :data:`ETCD_GATE` or :data:`PATRONI_GATE`.
    """
    return [kind.id for kind in kinds() if kind.stops == gate]


def at_the_end() -> list[str]:
    """Return the identifiers that the last gate of a plan for Patroni looks for."""
    return [kind.id for kind in kinds() if kind.at_the_end]


def judge(facts: Facts) -> list[Finding]:
    """Make findings of facts.

    :param facts: as they were collected, or as they will be after a step of a plan.

    :returns: the findings, most severe first, then in the order of :func:`kinds`.
    """
    found: list[Finding] = []
    for kind in sorted(kinds(), key=lambda kind: kind.derived):
        found += kind.find(facts, found)
    places = {kind.id: place for place, kind in enumerate(kinds())}
    return sorted(found, key=lambda finding: (-SEVERITIES.index(finding.severity), places[finding.id]))
