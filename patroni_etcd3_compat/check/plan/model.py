"""A plan, as data. The JSON output is :meth:`Plan.as_dict`: ``docs/plan.schema.json`` is made from these classes and
from the comments of their fields (``python -m tools.schemas``), so a change here is a change of :data:`SCHEMA`.

Commands are for ``sh`` and ``bash``. Those of :attr:`Step.commands` that start with ``#`` say what only the site itself
can know, such as how a package is installed; the others can be run as they are once :attr:`Plan.variables` are set.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

#: Version of the JSON output. It grows when a name is removed or changes its meaning, not when one is added.
SCHEMA = 2

#: Results of pre-checks, best first. ``manual``: it cannot be seen from here and needs a manual check. Findings have
#: their severity as the result; ``failed`` is one that is critical, or that keeps a gate of the plan closed.
RESULTS = ('ok', 'info', 'manual', 'unknown', 'warning', 'failed')

#: Values of ``action`` in :attr:`Step.action`.
ACTIONS = (
    'snapshot',
    'log-snapshot',
    'move-leader',
    'upgrade',
    'enable-downgrade',
    'downgrade',
    'save-config',
    'install-package',
    'pause',
    'resume',
)

#: What an entry of :attr:`Plan.members` holds, for the schema.
_MEMBER = {
    'name': 'Its name.',
    'url': 'Where it, or its REST API, answers.',
    'version': 'Its version; null: unknown.',
    'role': 'Its role.',
}


@dataclass
class Variable:
    """A variable of the shell that the commands use."""

    #: its name
    name: str
    #: its value, for double quotes; it may use variables before it
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
    #: what the rule says, and what in this cluster breaks it
    reason: str
    #: where the rule is from, a page
    source: str
    #: the way that works
    way: str
    #: its commands
    commands: list[str] = field(default_factory=list)


@dataclass
class PreCheck:
    """Something that has to be right before the first step."""

    #: identifier; that of the finding if it comes from one
    id: str
    #: what has to be
    title: str
    #: manual: it cannot be seen from here and needs a manual check; failed: do not begin before it passes
    result: str = field(metadata={'enum': RESULTS})
    #: what is there now
    seen: str
    #: what to do about it; empty if it is right
    remedy: str = ''
    #: a page with more about it, or empty
    source: str = ''
    #: for a finding, when it is there: ``now``, or at which moment of the plan
    when: str = ''
    #: for a finding, what follows from it
    consequence: str = ''


@dataclass
class Gate:
    """What has to hold before the plan goes on: a command that ends with status 0."""

    #: what it shows
    title: str
    #: the command
    command: str
    #: what it prints, in words; empty if the status says it all
    expect: str
    #: seconds that it may take until it holds: repeat the command; 0: it holds at once
    seconds: int = 60


@dataclass
class Step:
    """One thing to do."""

    #: what it is
    title: str
    #: the same for programs. Actions on etcd: snapshot (before), log-snapshot (member, option: restart it with that
    #: option before the commands are run), move-leader (member, to), upgrade (member, to), enable-downgrade (to),
    #: downgrade (member, to: restart it as that release, with option if there is one); on Patroni: save-config,
    #: install-package (member), upgrade (member, to), pause, resume
    action: dict[str, str] = field(
        metadata={'schema': {'required': ['action'], 'properties': {'action': {'enum': list(ACTIONS)}}}}
    )
    #: why, and why now
    why: str
    #: what to run
    commands: list[str]
    #: all of these have to hold before the next step
    gates: list[Gate]
    #: the way back, or the statement that there is none
    back: str
    #: its commands
    back_commands: list[str] = field(default_factory=list)
    #: False: from here on the way back is another one than undoing the step
    reversible: bool = True
    #: name of the member that it is done on; None: it is about the whole cluster
    member: str | None = None
    #: URL of that member
    url: str | None = None
    #: the Patroni cluster that it is about, with the number of a Citus group behind it; None: it is about etcd
    cluster: str | None = None
    #: what else to know about the step
    notes: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """The procedure for one cluster."""

    #: what is upgraded, from what to what
    title: str
    #: what is upgraded
    subject: str = field(metadata={'enum': ('etcd', 'patroni')})
    #: version to get to, as it was asked for
    target: str
    #: time of the facts that it was made from, ISO 8601 with zone
    taken: str
    #: name of the host that asked for them
    asked_from: str
    #: the way that skips minor releases of etcd
    direct: bool = False
    #: the target is an older release of etcd than that of the members
    down: bool = False
    #: version of this format
    schema: int = SCHEMA
    #: the members as they are now
    members: list[dict[str, str | None]] = field(
        default_factory=list,
        metadata={
            'items': {
                'description': 'A member of etcd or of Patroni.',
                'required': list(_MEMBER),
                'properties': {
                    name: {'description': text, 'type': ['string', 'null']} for name, text in _MEMBER.items()
                },
            }
        },
    )
    #: what has to be known before anything else
    warnings: list[str] = field(default_factory=list)
    #: rules that forbid the way to the target; with any of these there are no steps
    refusals: list[Refusal] = field(default_factory=list)
    #: variables of the shell that the commands use, to be set in this order
    variables: list[Variable] = field(default_factory=list)
    #: what has to be right before the first step
    prechecks: list[PreCheck] = field(default_factory=list)
    #: what to do, in this order
    steps: list[Step] = field(default_factory=list)
    #: what has to hold at the end
    health: list[Gate] = field(default_factory=list)
    #: what else to know
    notes: list[str] = field(default_factory=list)
    #: pages that the procedure follows
    sources: list[str] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        """There is something to do, nothing forbids it and no pre-check has failed."""
        return bool(self.steps) and not self.refusals and not self.failed

    @property
    def failed(self) -> list[PreCheck]:
        """The pre-checks that have failed, and have to pass first."""
        return [check for check in self.prechecks if check.result == 'failed']

    def as_dict(self) -> dict[str, object]:
        """Return the plan as JSON has it."""
        return dict(asdict(self), ready=self.ready)
