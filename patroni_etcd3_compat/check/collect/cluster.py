"""The questions about one Patroni cluster: to the REST APIs of its members, and to their PostgreSQL."""

from __future__ import annotations

from typing import Mapping

from ..facts import JSON, NO_CREDENTIALS, PatroniMember, Postgres
from .patroni_keys import Cluster
from .postgres import ask_postgres
from .questions import Outcome, Questions
from .rest_api import RestApi, add_lags, add_status, position
from .settings import Settings

REST, POSTGRES = 'rest', 'postgres'


class Members:
    """Asks the members of one cluster.

    :param cluster: the cluster as its keys describe it, to be completed.
    :param settings: the credentials for PostgreSQL.
    :param questions: sends the questions. Their names begin with the path of the cluster, see :attr:`path`.
    :param rest: asks the REST APIs.
    :param postgres: whether PostgreSQL is asked, too.
    """

    def __init__(
        self, cluster: Cluster, settings: Settings, questions: Questions, rest: RestApi, postgres: bool = True
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._questions = questions
        self._rest = rest
        self._asks_postgres = postgres
        #: names the cluster in the keys of questions
        self.path = settings.path
        #: what it is completed to
        self.facts = cluster.facts
        #: what the REST APIs gave, by name of the member
        self._statuses: dict[str, Mapping[str, JSON]] = {}

    def ask(self) -> None:
        """Send all questions."""
        for member in self.facts.members:
            if member.api_url:
                self._ask_rest(member)
            else:
                member.error = 'its key in the DCS has no api_url'
            if self._asks_postgres:
                self._ask_postgres(member)

    def _ask_rest(self, member: PatroniMember) -> None:
        self._questions.send((REST, self.path, member.name), self._rest.status, member.api_url, self.facts.scope)

    def _ask_postgres(self, member: PatroniMember) -> None:
        arguments = self._arguments(member)
        if not self._settings.postgres:
            member.postgres = Postgres(error=NO_CREDENTIALS)
        elif not arguments:
            member.postgres = Postgres(error='its key in the DCS has no conn_url')
        else:
            self._questions.send((POSTGRES, self.path, member.name), ask_postgres, arguments, self._settings.timeout)

    def _arguments(self, member: PatroniMember) -> dict[str, object]:
        node = self._cluster.nodes.get(member.name)
        try:
            return dict(node.conn_kwargs(self._settings.postgres)) if node and member.postgres_address else {}
        except (TypeError, ValueError, AttributeError):
            return {}

    def _member(self, name: str) -> PatroniMember:
        return next(member for member in self.facts.members if member.name == name)

    def take(self, outcome: Outcome) -> None:
        """Add what an answer says."""
        kind, _, name = outcome.key
        member = self._member(name)
        if kind == REST:
            self._statuses[name] = outcome.value or {'error': outcome.error}
            add_status(member, self._statuses[name])
        else:
            member.postgres = outcome.value or Postgres(error=outcome.error)

    def work_out(self) -> None:
        """Work out what depends on several answers."""
        add_lags(self.facts, self._statuses)

    def ask_again(self) -> None:
        """Ask for the second sample of slots and positions: those that gave the first one."""
        for member in self.facts.members:
            if member.api_url and not member.error:
                self._ask_rest(member)
            if member.postgres and not member.postgres.error:
                self._ask_postgres(member)

    def take_again(self, outcome: Outcome) -> None:
        """Add the second sample of a member."""
        kind, _, name = outcome.key
        member, value = self._member(name), outcome.value
        if outcome.error or value is None:
            return
        if kind == REST:
            member.later_position = position(value)
        elif member.postgres:
            later = {slot.name: slot.restart_lsn for slot in value.slots}
            for slot in member.postgres.slots:
                slot.later_restart_lsn = later.get(slot.name)
