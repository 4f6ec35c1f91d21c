"""Patroni members of different versions: slot positions that an older leader does not publish, and a warning.

A replica on Patroni 4.0.0 to 4.0.2 keeps a replication slot for every other member. It advances the slot to the
position in the key ``/status``. A leader before 4.0.0 does not write these positions, so the slots do not advance and
WAL piles up (Patroni #3171, #3184). 4.0.3 uses the position that each member reports itself, and so does
:class:`MemberSlots`. It adds the positions only to the view that one call of ``get_cluster`` returns. Patroni's own
copy of the cluster, from which it writes to the DCS, is unchanged.
"""

from __future__ import annotations

import logging
import time
from threading import Lock
from typing import TYPE_CHECKING, Callable

from patroni.dcs import Cluster, Member, slot_name_from_member_name
from patroni.version import __version__ as patroni_version

from .dynamic import Config, permanent_slots
from .hazards import MEMBER_SLOTS
from .hits import hazards, warning
from .versions import dotted, parse_version

if TYPE_CHECKING:
    from patroni.postgresql import Postgresql

logger = logging.getLogger(__name__)

_DAY = 24 * 3600
#: Seconds for which the last known version of a member without a key counts.
_REMEMBERED = 600


def _config(cluster: Cluster) -> Config:
    config = cluster.config.data if cluster.config else None
    return config if isinstance(config, dict) else {}


def _lsn(member: Member) -> int | None:
    """Return the position that a member reports, ``None`` if it is not a position."""
    try:
        return member.lsn if member.lsn and 0 < member.lsn < 2**63 else None
    except (ValueError, OverflowError):  # neither a number nor a number with a unit
        return None


class MemberSlots:
    """Completes each view of the cluster before the HA loop gets it, and warns of incompatible versions.

    :param name: name of this node.
    :param enabled: value of ``member_slots``.
    """

    def __init__(self, name: str, enabled: bool) -> None:
        self.enabled = enabled
        self._name = name
        self._affected = parse_version(patroni_version) in (MEMBER_SLOTS.other or ())
        self._lock = Lock()
        self._for: tuple[str, str] | None = None
        self._lost: set[str] = set()
        #: version of each member and when it was seen, in seconds of the monotonic clock
        self._seen: dict[str, tuple[str | None, float]] = {}
        self._warned: tuple[str, float] = ('', 0.0)
        self._broken = False

    def view(self, cluster: Cluster) -> Cluster:
        """Return the view for the HA loop; in case of doubt *cluster* itself.

        :param cluster: the stock view.
        """
        view = cluster
        with self._lock:  # the REST API has its own threads
            try:
                if self._affected:
                    view = self._completed(cluster)
                self._warn(cluster)
                self._broken = False
            except Exception:
                if not self._broken:
                    logger.exception('Could not compare the versions of the Patroni members; continuing without it')
                self._broken = True
        return view

    def _warn(self, cluster: Cluster) -> None:
        """Warn of members with incompatible versions, on each change and once a day."""
        if cluster.is_unlocked():
            return  # hazards that depend on the leader may not be over
        now = time.monotonic()
        # A key that is missing for a moment, as when the member restarts, is not a change.
        self._seen.update((member.name, (member.data.get('version'), now)) for member in cluster.members)
        self._seen = {name: seen for name, seen in self._seen.items() if now - seen[1] < _REMEMBERED}
        hits = hazards(
            cluster.leader.name, {name: version for name, (version, _) in self._seen.items()}, _config(cluster)
        )
        if self._affected and self.enabled:  # no longer true for this node
            hits = [
                hit._replace(other={name: hit.other[name] for name in hit.other if name != self._name})
                if hit.hazard is MEMBER_SLOTS
                else hit
                for hit in hits
            ]
        text = warning([hit for hit in hits if hit.other or not hit.hazard.other])
        before, when = self._warned
        if text != before or text and now - when >= _DAY:
            if text:
                logger.warning('Patroni members of different versions: %s', text)
            else:
                logger.info('All Patroni members run compatible versions again')
            self._warned = text, now

    def _completed(self, cluster: Cluster) -> Cluster:
        if cluster.is_unlocked():
            return cluster
        leader = cluster.leader.member
        version = parse_version(leader.data.get('version'))
        applies = (
            self.enabled and version is not None and version in MEMBER_SLOTS.one and cluster.leader.name != self._name
        )
        text = dotted(version) if version else 'of an unknown version'
        now = (cluster.leader.name, text) if applies else None
        if now != self._for:
            if now:
                logger.info(
                    'Leader %s runs Patroni %s, which does not publish the positions of member slots. Taking '
                    'them from the members',
                    *now,
                )
            else:
                logger.info(
                    'No longer taking the positions of member slots from the members: %s',
                    f'leader {cluster.leader.name} runs Patroni {text}' if self.enabled else 'member_slots is off',
                )
            self._for = now
        if not applies:
            return cluster

        published = cluster.status.slots or {}
        positions = {slot: lsn for slot, lsn in self._positions(cluster).items() if slot not in published}
        status = cluster.status._replace(slots=dict(published, **positions))
        view = _View(**dict(cluster._asdict(), status=status))
        view.report = self._report_lost
        return view

    def _positions(self, cluster: Cluster) -> dict[str, int]:
        """Return the positions that the members report, by name of the slot."""
        reported: dict[str, list[int | None]] = {}
        for member in cluster.members:
            if not member.nostream:
                reported.setdefault(slot_name_from_member_name(member.name), []).append(_lsn(member))
        reported.pop(slot_name_from_member_name(self._name), None)
        for slot, physical in permanent_slots(_config(cluster)).items():
            if not physical:
                reported.pop(slot, None)
        # Several members may share a slot; it has to hold for the one that is behind or does not report.
        return {slot: min(lsn or 0 for lsn in lsns) for slot, lsns in reported.items() if all(lsns)}

    def _report_lost(self, lost: set[str]) -> None:
        with self._lock:
            for slot in sorted(lost - self._lost):
                logger.error(
                    "Replication slot '%s' is lost: PostgreSQL has removed WAL that it should have kept, it "
                    'cannot be moved any more. Drop it on this node; Patroni then creates it again: '
                    "SELECT pg_catalog.pg_drop_replication_slot('%s')",
                    slot,
                    slot,
                )
            self._lost = lost


class _View(Cluster):  # type: ignore[misc]
    """The cluster with positions for more slots."""

    report: Callable[[set[str]], None]

    def get_replication_slots(self, postgresql: Postgresql, *args: object, **kwargs: object) -> object:
        """Return the slots that this node should have; called by Patroni's SlotsHandler.

        Patroni before 4.0.7 compares the position of a slot with its ``restart_lsn``, which is ``None`` for a lost one.
        The TypeError then keeps all other slots from advancing. Without a position, Patroni does not touch the slot.
        """
        slots = super().get_replication_slots(postgresql, *args, **kwargs)
        known = postgresql.slots_handler._replication_slots
        lost = {
            name
            for name, slot in slots.items()
            if slot['type'] == 'physical'
            and slot.get('lsn')
            and name in known
            and known[name].get('restart_lsn', 0) is None
        }
        for name in lost:
            del slots[name]['lsn']
        self.report(lost)
        return slots
