"""The Patroni cluster as findings look at it: who accepts writes, who streams, who could take over."""

from __future__ import annotations

from patroni.utils import parse_bool, parse_int

from ..versions import parse_version
from .facts import RUNNING, Facts, Patroni, PatroniMember

#: From this release on a replica that streams reports ``streaming``; before, it reports ``running`` in any case.
TELLS_STREAMING = (3, 0, 4)

#: From this release on PostgreSQL has the view that Patroni takes that from.
SHOWS_RECEIVER = (9, 6)

#: Bytes; Patroni's own default.
MAXIMUM_LAG = 1048576


def known(facts: Facts) -> Patroni | None:
    """Return the Patroni cluster; ``None`` if nothing is known about it."""
    patroni = facts.patroni
    return patroni if patroni and not patroni.error and (patroni.members or patroni.leader) else None


def namespace(patroni: Patroni) -> str:
    """Return the path that all clusters are below, with a slash at its end."""
    return patroni.namespace.rstrip('/') + '/'


def place(patroni: Patroni) -> str:
    """Return the path of the cluster in the DCS."""
    return namespace(patroni) + patroni.scope


def leader_of(patroni: Patroni) -> PatroniMember | None:
    """Return the member that holds the leader key; ``None`` if nobody does, or if it has no key of its own."""
    return next((member for member in patroni.members if member.name == patroni.leader), None)


def is_primary(member: PatroniMember) -> bool | None:
    """Return whether its PostgreSQL is not in recovery, as it says itself, or as its REST API does."""
    postgres = member.postgres
    if postgres and not postgres.error and postgres.in_recovery is not None:
        return not postgres.in_recovery
    return None if member.error or not member.api_role else member.api_role == 'primary'


def replicas(patroni: Patroni) -> list[PatroniMember]:
    """Return the members that have a key in the DCS and run as replicas."""
    return [
        member
        for member in patroni.members
        if member.in_dcs
        and member.name != patroni.leader
        and member.role not in ('leader', 'standby_leader')
        and member.state in RUNNING
        and not is_primary(member)
    ]


def streams(patroni: Patroni, member: PatroniMember) -> bool | None:
    """Return whether it streams, as its state tells; ``None`` if the release of Patroni or PostgreSQL does not tell."""
    if member.state == 'streaming':
        return True
    version = parse_version(member.version)
    if member.state not in RUNNING or version is None or version < TELLS_STREAMING:
        return None
    return None if not _shows_receiver(patroni, member) else False


def _shows_receiver(patroni: Patroni, member: PatroniMember) -> bool:
    """Return whether its PostgreSQL is known to be new enough; members of a cluster run one major release."""
    postgres = member.postgres
    texts = [member.postgres_version, postgres.version if postgres else None]
    texts += [other.postgres_version for other in patroni.members]
    major = next((text.split('.')[:2] for text in texts if text), [])
    return all(part.isdigit() for part in major) and tuple(map(int, major)) >= SHOWS_RECEIVER


def may_take_over(member: PatroniMember) -> bool:
    """Return whether its tags let Patroni promote it."""
    tags = member.tags
    priority = parse_int(tags.get('failover_priority')) if 'failover_priority' in tags else None
    return not tags.get('nofailover') if priority is None or 'nofailover' in tags else priority > 0


def only_synchronous(patroni: Patroni) -> bool:
    """Return whether a failover promotes none but those that the key ``/sync`` names.

    So it is in synchronous mode once a leader has written the key, also if that names nobody. In quorum mode a member
    that it does not name can be promoted with enough votes.
    """
    written = patroni.synchronous is not None and patroni.synchronous.leader is not None
    return written and 'standby_cluster' not in patroni.config and is_on(patroni.config.get('synchronous_mode'))


def may_be_promoted(patroni: Patroni, member: PatroniMember) -> bool:
    """Return whether its tags and the key ``/sync`` let Patroni promote it."""
    names = patroni.synchronous.standbys if patroni.synchronous else []
    named = member.name.lower() in [name.lower() for name in names]  # Patroni compares them so
    return may_take_over(member) and (named or not only_synchronous(patroni))


def candidates(patroni: Patroni) -> list[PatroniMember]:
    """Return the replicas that :func:`may_be_promoted`; if none may, those whose tags do not forbid it."""
    found = [member for member in replicas(patroni) if may_take_over(member)]
    return [member for member in found if may_be_promoted(patroni, member)] or found


def behind(patroni: Patroni, member: PatroniMember) -> int | None:
    """Return the bytes that a failover would find it behind what the leader has published; ``None`` if not known.

    The leader publishes its position once in loop_wait, so a replica that keeps up is behind by nothing.
    """
    if patroni.position is None or member.position is None:
        return None
    return max(patroni.position - member.position, 0)


def maximum_lag(patroni: Patroni) -> int:
    """Return ``maximum_lag_on_failover`` in bytes, as Patroni reads it."""
    found = parse_int(patroni.config.get('maximum_lag_on_failover'))
    return MAXIMUM_LAG if found is None else found


def is_on(value: object) -> bool:
    """Return whether an option is on, as Patroni reads it."""
    return parse_bool(value) is True


def all_gone(patroni: Patroni) -> bool:
    """Return whether the cluster was started once, and now has no leader and no member with a key."""
    nobody = patroni.leader is None and not any(member.in_dcs for member in patroni.members)
    return nobody and not patroni.error and bool(patroni.initialized) and patroni.paused is not None
