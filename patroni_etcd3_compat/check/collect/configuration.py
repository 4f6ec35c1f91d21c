"""Patroni's configuration, read as Patroni itself reads it."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import Any, Dict, Iterator

import urllib3.util.connection
import yaml
from patroni.config import Config
from patroni.exceptions import PatroniException

#: A configuration or a section of it: whatever stands in YAML.
Options = Dict[str, Any]


class ConfigError(Exception):
    """The configuration cannot be used; the text says why and what to do, and holds no secret."""


def read_configuration(config_file: str | None) -> Options:
    """Return the configuration as Patroni reads it.

    :param config_file: a file or a folder of files; ``None``: the environment alone.

    :raises:
        :exc:`ConfigError`: without what Patroni and YAML say about the contents, which may be secret.
    """
    if config_file and not os.path.exists(config_file):
        raise ConfigError(
            f'the configuration file {config_file} does not exist; name the one that Patroni is started with (-c)'
        )
    try:
        with quiet():
            return dict(Config(config_file or '', validator=None).copy())
    except OSError as e:
        raise ConfigError(
            f'{e.filename or config_file} cannot be read: {e.strerror}; run this as the user that Patroni runs as'
        ) from None
    except yaml.YAMLError as e:
        mark = getattr(e, 'problem_mark', None)
        place = f' (line {mark.line + 1}, column {mark.column + 1})' if mark else ''
        raise ConfigError(
            f'{config_file or "PATRONI_CONFIGURATION"} is not valid YAML{place}; '
            '"patroni --validate-config FILE" says more'
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f'{config_file} is not a text file') from None
    except Exception as e:
        text = str(getattr(e, 'value', '')) if isinstance(e, PatroniException) else type(e).__name__
        raise ConfigError(
            f'{config_file or "the environment (PATRONI_*)"} cannot be used as a configuration of Patroni ({text}); '
            '"patroni --validate-config FILE" says more'
        ) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Undo what Patroni changes: it removes its variables from the environment, logs, and replaces a function."""
    environment, disabled = dict(os.environ), logging.root.manager.disable
    create_connection = urllib3.util.connection.create_connection
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(disabled)
        os.environ.clear()
        os.environ.update(environment)
        urllib3.util.connection.create_connection = create_connection
