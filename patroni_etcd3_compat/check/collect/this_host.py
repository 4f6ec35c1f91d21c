"""This machine, of which its Patroni alone says something: the command may run in another Python, or elsewhere."""

from __future__ import annotations

from ..facts import Patroni, PatroniMember, ThisHost
from ..processes import running_python
from .settings import Settings


def this_host(settings: Settings, patroni: Patroni | None) -> ThisHost:
    """Return what is known about the Patroni member whose configuration file was read; little without a file.

    :param settings: where the configuration is named.
    :param patroni: the Patroni cluster, ``None`` if it was not looked at.
    """
    if settings.config_file is None:
        return ThisHost(section=settings.section)
    members = patroni.members if patroni else []
    member = next((it for it in members if it.name == settings.name), PatroniMember(''))
    python = running_python(settings.config_file) if settings.name else None
    return ThisHost(
        settings.name,
        settings.section,
        member.serves,
        member.compat,
        member.version,
        python=python.version if python else None,
        interpreter=python.path if python else None,
    )
