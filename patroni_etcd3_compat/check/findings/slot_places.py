"""A replication slot and where it is: what the findings about slots share."""

from __future__ import annotations

from typing import Iterator, NamedTuple

from patroni.dcs import slot_name_from_member_name

from ...dynamic import permanent_slots
from ..facts import Facts, Patroni, PatroniMember, Postgres, Slot


class Place(NamedTuple):
    """A slot and where it is."""

    patroni: Patroni
    member: PatroniMember
    postgres: Postgres
    slot: Slot
    #: seconds between the two samples
    interval: float | None

    def __str__(self) -> str:
        return f'{self.member.name}, slot {self.slot.name}'

    @property
    def owners(self) -> list[PatroniMember]:
        """The members that the slot is named after."""
        return [member for member in self.patroni.members if slot_name_from_member_name(member.name) == self.slot.name]

    @property
    def on_leader(self) -> bool:
        """Whether it is a slot of the leader."""
        return self.member.name == self.patroni.leader

    @property
    def drop(self) -> str:
        """The statement that drops it."""
        name = self.slot.name.replace("'", "''")
        return f"SELECT pg_catalog.pg_drop_replication_slot('{name}')"

    @property
    def give_up(self) -> str:
        """How to drop it for good: Patroni creates a permanent slot again in its next loop."""
        if self.slot.name not in permanent_slots(self.patroni.config):
            return self.drop
        scope = self.patroni.scope
        return f'first remove {self.slot.name} from slots (patronictl edit-config {scope}), then {self.drop}'


def places(facts: Facts) -> Iterator[Place]:
    """Yield all slots that were seen."""
    patroni = facts.patroni
    for member in patroni.members if patroni else []:
        for slot in member.postgres.slots if member.postgres else []:
            if patroni and member.postgres:
                yield Place(patroni, member, member.postgres, slot, facts.slots_interval)
