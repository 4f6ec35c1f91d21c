"""Which rows of the table of hazards apply to a cluster, and one warning of them. Pure functions.

The DCS class warns of what is found here (:func:`warning`), the command ``check`` makes findings of it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Mapping, NamedTuple

from .dynamic import Config
from .hazards import HAZARDS, Hazard
from .versions import dotted, parse_version


class Hit(NamedTuple):
    """A hazard that applies to a cluster."""

    hazard: Hazard
    #: names and versions of the members in range :attr:`Hazard.one`
    one: dict[str, str]
    #: names and versions of those in range :attr:`Hazard.other`
    other: dict[str, str]


def hazards(
    leader: str | None,
    versions: Mapping[str, str | None],
    config: Config,
    tags: Mapping[str, Mapping[str, object]] = MappingProxyType({}),
) -> list[Hit]:
    """Find the hazards in a cluster. Members whose version is unknown play no part.

    :param leader: name of the leader, ``None`` if there is none.
    :param versions: version of Patroni by name of the member, as the members report it.
    :param config: the dynamic configuration.
    :param tags: of the members, by name.

    :returns: what applies, in the order of the table.
    """
    read = {name: parse_version(text) for name, text in versions.items()}
    known = {name: version for name, version in read.items() if version}

    def texts(names: list[str]) -> dict[str, str]:
        return {name: dotted(known[name]) for name in sorted(names)}

    hits = []
    for hazard in HAZARDS:
        one = [
            name
            for name in known
            if known[name] in hazard.one
            and (name == leader or not hazard.leads)
            and (hazard.tag is None or hazard.tag in tags.get(name, ()))
        ]
        other = [name for name in known if hazard.other and known[name] in hazard.other and name not in one]
        if one and (other or hazard.other is None) and hazard.when(config, list(versions)):
            hits.append(Hit(hazard, texts(one), texts(other)))
    return hits


def warning(hits: list[Hit]) -> str:
    """Return the text of one warning about the hazards of members that differ.

    :param hits: as :func:`hazards` gives them.

    :returns: the text; empty if none is critical, or comes from members that differ and is more than an information.
    """

    def members(versions: Mapping[str, str]) -> str:
        return ', '.join(f'{name} ({version})' for name, version in versions.items())

    parts = []
    for hit in hits:
        if hit.hazard.severity == 'critical' or hit.other and hit.hazard.severity != 'info':
            hazard = hit.hazard
            leader, beside = 'leader ' if hazard.leads else '', ' beside ' if hit.other else ''
            parts.append(
                f'{leader}{members(hit.one)}{beside}{members(hit.other)}: {hazard.consequence}. '
                f'What to do: {hazard.remedy} ({hazard.source})'
            )
    return '; '.join(parts)
