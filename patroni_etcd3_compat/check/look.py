"""A look at a cluster, as ``check`` and ``plan`` need it: the configuration found, facts collected and judged."""

from __future__ import annotations

import os
import sys
from typing import Callable

import click

from .arguments import CONFIG_FILE, CONFIG_VARIABLE, Access
from .collect import collect, collect_fleet, load_settings
from .facts import CERTIFICATE_DAYS, Facts, Finding, Fleet, Limits
from .findings import judge
from .fleet import judge_fleet


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
) -> tuple[Facts | Fleet, list[Finding]]:
    """Collect the facts about one cluster, or about all of them, and judge them."""
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
        namespace=access.namespace,
        every=access.every,
    )
    facts = collect_fleet(settings, _progress()) if settings.every else collect(settings)
    facts.certificate_days = list(certificate_days)
    facts.limits = limits or facts.limits
    return facts, judge_fleet(facts) if isinstance(facts, Fleet) else judge(facts)


def _progress() -> Callable[[str], None] | None:
    """Return what shows the progress on a terminal; ``None`` if there is none."""
    if not sys.stderr.isatty():
        return None
    return lambda text: click.echo(f'\r{text} ', err=True, nl=False)
