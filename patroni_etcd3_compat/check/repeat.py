"""Something done again and again, as ``check --watch`` does it."""

from __future__ import annotations

import time
from typing import Callable

import click

from .collect import ConfigError
from .render.text import one_line

PROGRAM = 'patroni-etcd3-compat'

#: Exit status if the command could not do its work.
COULD_NOT_TELL = 3


def repeat(once: Callable[[], int], seconds: float) -> int:
    """Repeat something until it is interrupted. A failure is raised the first time; later it is printed, and may pass.

    :returns: the last exit status.
    """
    status, worked = COULD_NOT_TELL, False
    try:
        while True:
            try:
                status, worked = once(), True
            except (ConfigError, click.ClickException) as e:
                if not worked:
                    raise
                status = COULD_NOT_TELL
                click.echo(
                    f'{PROGRAM}: {one_line(e.format_message() if isinstance(e, click.ClickException) else e)}', err=True
                )
            time.sleep(seconds)
    except KeyboardInterrupt:
        return status
