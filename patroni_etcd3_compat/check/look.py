"""A look at a cluster, as ``check`` and ``plan`` need it: the configuration found, facts collected and judged."""

from __future__ import annotations

import os

from .arguments import CONFIG_FILE, CONFIG_VARIABLE, Access
from .collect import collect, load_settings
from .facts import CERTIFICATE_DAYS, Facts, Finding, Limits
from .findings import judge


def find_configuration(named: str | None, endpoints: tuple[str, ...]) -> str | None:
    """Return the configuration file; if none is named, the one that ``patronictl`` would use."""
    if named or endpoints:
        return named
    return os.environ.get(CONFIG_VARIABLE) or (CONFIG_FILE if os.path.exists(CONFIG_FILE) else None)


def look(
    config_file: str | None,
    endpoints: tuple[str, ...],
    scope: str | None,
    timeout: float,
    slots_interval: float | None,
    access: Access,
    members: tuple[str, ...] = (),
    certificate_days: tuple[float, ...] = CERTIFICATE_DAYS,
    limits: Limits | None = None,
) -> tuple[Facts, list[Finding]]:
    """Collect the facts and judge them."""
    file = find_configuration(config_file, endpoints)
    settings = load_settings(
        file,
        endpoints,
        scope,
        timeout,
        slots_interval,
        members,
        etcd=access.etcd,
        group=access.group,
        dcs_url=access.dcs_url,
    )
    facts = collect(settings)
    facts.certificate_days = list(certificate_days)
    facts.limits = limits or facts.limits
    return facts, judge(facts)
