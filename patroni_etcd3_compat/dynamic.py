"""What the dynamic configuration of Patroni, which it keeps in the DCS, says about a cluster. Pure functions.

The conditions of hazards among them take the configuration and the names of the members, and tell whether it is so.
"""

from __future__ import annotations

from typing import Mapping

from patroni.dcs import slot_name_from_member_name
from patroni.utils import parse_bool, parse_int

#: The dynamic configuration.
Config = Mapping[str, object]


def uses_slots(config: Config) -> bool:
    """Return whether Patroni uses replication slots.

    :param config: the dynamic configuration.
    """
    postgresql = config.get('postgresql')
    return bool(parse_bool(postgresql.get('use_slots', True))) if isinstance(postgresql, dict) else True


def permanent_slots(config: Config) -> dict[str, bool]:
    """Return the permanent slots: by name whether they are physical ones.

    :param config: the dynamic configuration.
    """
    slots = next(
        (config[key] for key in ('permanent_replication_slots', 'permanent_slots', 'slots') if config.get(key)), None
    )
    return (
        {
            name: not isinstance(value, dict)
            or value.get('type', 'logical') != 'logical'
            or not (value.get('database') and value.get('plugin'))
            for name, value in slots.items()
        }
        if isinstance(slots, dict)
        else {}
    )


def always(config: Config, names: list[str]) -> bool:
    """Tell that it applies to every cluster."""
    return True


def several(config: Config, names: list[str]) -> bool:
    """Tell whether there are several members."""
    return len(names) > 1


def quorum(config: Config, names: list[str]) -> bool:
    """Tell whether replication is to be synchronous by quorum."""
    return str(config.get('synchronous_mode')).lower() == 'quorum'


def failsafe(config: Config, names: list[str]) -> bool:
    """Tell whether failsafe_mode is on."""
    return bool(parse_bool(config.get('failsafe_mode')))


def member_slots(config: Config, names: list[str]) -> bool:
    """Tell whether replicas keep slots for the other members."""
    return uses_slots(config) and _seconds(config, 'member_slots_ttl', 1800) > 0


def small_times(config: Config, names: list[str]) -> bool:
    """Tell whether ttl, loop_wait and retry_timeout are below what Patroni enforces from 3.2.0 on."""
    ttl, loop_wait, retry_timeout = (
        _seconds(config, name, default) for name, default in (('ttl', 30), ('loop_wait', 10), ('retry_timeout', 10))
    )
    return ttl < 20 or loop_wait < 1 or retry_timeout < 3 or loop_wait + 2 * retry_timeout > ttl


def _seconds(config: Config, name: str, default: int) -> int:
    value = parse_int(config.get(name), 's')
    return default if value is None else int(value)


def foreign_slots(config: Config, names: list[str]) -> bool:
    """Tell whether there is a permanent physical slot that is named after none of the members."""
    own = {slot_name_from_member_name(name) for name in names}
    return any(physical and name not in own for name, physical in permanent_slots(config).items())
