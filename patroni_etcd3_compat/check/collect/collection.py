"""The order in which everything is asked: as soon as it is known whom to ask, and concurrently."""

from __future__ import annotations

import socket
import time
from datetime import datetime, timezone
from typing import Iterable, Mapping

from ..facts import JSON, NO_CREDENTIALS, EtcdEndpoint, Facts, PatroniMember, Postgres
from .endpoints import Endpoints
from .interview import Interview, Told
from .patroni_keys import Cluster
from .postgres import ask_postgres
from .questions import Questions
from .rest_api import RestApi, add_lags, add_status, position
from .settings import Settings
from .this_host import this_host
from .web import Web

_ETCD, _REST, _POSTGRES = 'etcd', 'rest', 'postgres'


def collect(settings: Settings) -> Facts:
    """Return the facts; servers that do not answer in time are noted and left out.

    :param settings: what to collect and from whom.

    :returns: the facts. It takes as long as the slowest of those that were asked, and with an interval between two
              samples at least that long.
    """
    return _Collection(settings).run()


class _Collection:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._questions = Questions(settings.timeout)
        self._web = Web(settings.tls)
        self._endpoints = Endpoints(settings)
        self._cluster: Cluster | None = None
        self._rest: RestApi | None = None
        #: what the REST APIs gave, by name of the member
        self._statuses: dict[str, Mapping[str, JSON]] = {}

    def run(self) -> Facts:
        started = time.monotonic()
        taken = datetime.now(timezone.utc).isoformat(timespec='seconds')
        try:
            self._ask_members(self._endpoints.configured())
            self._take_answers()
            if self._settings.scope is not None and self._cluster is None:
                self._ask_patroni()  # no member gave keys that the others have agreed to
                self._take_answers()
            if self._cluster:
                add_lags(self._cluster.facts, self._statuses)
            if self._cluster and self._settings.slots_interval is not None:
                time.sleep(max(self._settings.slots_interval - (time.monotonic() - started), 0))
                self._sample_again()
        finally:
            self._web.close()
        return Facts(
            taken,
            round(time.monotonic() - started, 3),
            self._endpoints.facts(),
            self._cluster.facts if self._cluster else None,
            this_host(self._settings, self._cluster.facts if self._cluster else None),
            self._settings.slots_interval if self._cluster else None,
            asked_from=socket.gethostname(),
        )

    def _ask_members(self, members: Iterable[EtcdEndpoint]) -> None:
        for member in members:
            self._questions.send((_ETCD, member.url), self._interview, member)

    def _interview(self, member: EtcdEndpoint) -> Told:
        return Interview(member, self._settings, self._web).run()

    def _take_answers(self) -> None:
        for (kind, name), value, error in self._questions.outcomes():
            if kind == _ETCD and error:
                self._endpoints.failed(name, error)
            elif kind == _ETCD:
                self._ask_members(self._endpoints.add(value))
                keys = self._endpoints.keys()
                if self._cluster is None and keys and keys.agreed:
                    self._ask_patroni()
            elif kind == _REST:
                self._add_status(name, value or {'error': error})
            else:
                self._member(name).postgres = value or Postgres(error=error)

    def _ask_patroni(self) -> None:
        self._cluster = Cluster(self._settings, self._endpoints.keys())
        self._rest = RestApi(self._settings)
        for member in self._cluster.facts.members:
            self._ask_rest(member)
            arguments = self._postgres_arguments(member)
            if not self._settings.postgres:
                member.postgres = Postgres(error=NO_CREDENTIALS)
            elif not arguments:
                member.postgres = Postgres(error='its key in the DCS has no conn_url')
            else:
                self._questions.send((_POSTGRES, member.name), ask_postgres, arguments, self._settings.timeout)

    def _ask_rest(self, member: PatroniMember) -> None:
        if member.api_url and self._rest:
            self._questions.send((_REST, member.name), self._rest.status, member.api_url)
        else:
            member.error = 'its key in the DCS has no api_url'

    def _postgres_arguments(self, member: PatroniMember) -> dict[str, object]:
        node = self._cluster.nodes.get(member.name) if self._cluster else None
        try:
            return dict(node.conn_kwargs(self._settings.postgres)) if node and member.postgres_address else {}
        except (TypeError, ValueError, AttributeError):
            return {}

    def _member(self, name: str) -> PatroniMember:
        members: list[PatroniMember] = self._cluster.facts.members if self._cluster else []
        return next(member for member in members if member.name == name)

    def _add_status(self, name: str, status: Mapping[str, JSON]) -> None:
        add_status(self._member(name), status)
        self._statuses[name] = status

    def _sample_again(self) -> None:
        """Take the second sample of slots and positions, from those that gave the first one."""
        assert self._cluster and self._rest
        members = self._cluster.facts.members
        for member in members:
            if member.api_url and not member.error:
                self._questions.send((_REST, member.name), self._rest.status, member.api_url)
            if member.postgres and not member.postgres.error:
                self._questions.send(
                    (_POSTGRES, member.name), ask_postgres, self._postgres_arguments(member), self._settings.timeout
                )
        for (kind, name), value, error in self._questions.outcomes():
            member = self._member(name)
            if error or value is None:
                continue
            if kind == _REST:
                member.later_position = position(value)
            elif member.postgres:
                later = {slot.name: slot.restart_lsn for slot in value.slots}
                for slot in member.postgres.slots:
                    slot.later_restart_lsn = later.get(slot.name)
