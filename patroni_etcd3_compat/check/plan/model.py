"""A plan, as data. The JSON output is :meth:`Plan.as_dict`, so a change here is a change of :data:`SCHEMA`.

Documented for programs in ``docs/plan.schema.json``.

Commands are for ``sh`` and ``bash``. Those of :attr:`Step.commands` that start with ``#`` say what only the site itself
can know, such as how a package gets installed; the others can be run as they are once :attr:`Plan.variables` are set.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

#: Version of the JSON output. Grows when a name changes its meaning or goes; new names do not count.
SCHEMA = 1

#: Results of pre-checks, best first. ``manual``: it cannot be seen from here and has to be looked at.
RESULTS = ('ok', 'manual', 'unknown', 'warning', 'failed')


@dataclass
class Variable:
    """A variable of the shell that the commands use."""

    name: str
    value: str
    #: what to fill in
    note: str
    #: programs that are started read it, too
    export: bool = False


@dataclass
class Refusal:
    """A rule that forbids the way from here to the target."""

    #: identifier
    id: str
    #: what the rule says, and what of this cluster it hits
    reason: str
    #: where the rule is from
    source: str
    #: the path that works
    way: str
    #: commands of that path
    commands: list[str] = field(default_factory=list)


@dataclass
class PreCheck:
    """Something that has to be right before the first step."""

    #: identifier
    id: str
    title: str
    #: one of :data:`RESULTS`
    result: str
    #: what is there now
    seen: str
    #: what to do about it; empty if it is right
    remedy: str = ''
    #: where it comes from, a page
    source: str = ''


@dataclass
class Gate:
    """What has to hold before the plan goes on: a command that ends with status 0."""

    #: what it shows
    title: str
    command: str
    #: what has to come out, in words
    expect: str
    #: it may take up to so many seconds until it holds: repeat it
    seconds: int = 60


@dataclass
class Step:
    """One thing to do."""

    title: str
    #: the same for a machine: ``{'action': 'upgrade', 'member': 'etcd0', 'to': '3.4'}``. Actions on etcd: snapshot,
    #: move-leader, upgrade; on Patroni: save-config, install-package, upgrade, pause, resume
    action: dict[str, str]
    why: str
    commands: list[str]
    #: all have to hold before the next step
    gates: list[Gate]
    #: the way back, or the statement that there is none
    back: str
    back_commands: list[str] = field(default_factory=list)
    #: False: from here on the way back is another one than undoing the step
    reversible: bool = True
    #: name of the member that it is done on, and its URL
    member: str | None = None
    url: str | None = None
    #: what to mind on the way
    notes: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """The procedure for one cluster."""

    title: str
    #: 'etcd' or 'patroni'
    subject: str
    #: version to get to, as it was asked for
    target: str
    #: time of the facts
    taken: str
    #: the way that skips minor releases of etcd
    direct: bool = False
    schema: int = SCHEMA
    #: the members as they are now: name, url, version, role
    members: list[dict[str, str | None]] = field(default_factory=list)
    #: what has to be known before anything else
    warnings: list[str] = field(default_factory=list)
    #: with any of these there are no steps
    refusals: list[Refusal] = field(default_factory=list)
    variables: list[Variable] = field(default_factory=list)
    prechecks: list[PreCheck] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    #: what has to hold at the end
    health: list[Gate] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: pages that the procedure follows
    sources: list[str] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        """There is something to do, nothing forbids it and no pre-check has failed."""
        return bool(self.steps) and not self.refusals and not self.failed

    @property
    def failed(self) -> list[PreCheck]:
        """The pre-checks that have to pass first."""
        return [check for check in self.prechecks if check.result == 'failed']

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON has it."""
        return dict(asdict(self), ready=self.ready)
