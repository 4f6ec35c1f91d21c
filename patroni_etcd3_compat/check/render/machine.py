"""The formats that programs read: JSON and YAML with everything, and the findings as tab-separated values.

``docs/check.schema.json`` describes the document that JSON and YAML hold.
"""

from __future__ import annotations

import dataclasses
import json
import math

import yaml

from ..facts import JSON, SCHEMA, Facts, Finding, Fleet
from ..findings import exit_status
from .text import Style, clean

#: Fields of a finding in the order of their columns.
COLUMNS = ('severity', 'id', 'where', 'seen', 'consequence', 'remedy', 'link')


def _plain(value: object) -> JSON:
    """Return a value that JSON can hold: what members wrote into the DCS may be anything, such as NaN."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, bool, int, float)) else str(value)


def document(facts: Facts | Fleet, findings: list[Finding]) -> dict[str, JSON]:
    """Return everything as one document.

    :param facts: what was collected.
    :param findings: the findings to show.

    :returns: the document as ``docs/check.schema.json`` describes it, of dictionaries, lists and plain values.
    """
    return {
        'schema': SCHEMA,
        'exit_status': exit_status(facts, findings),
        'findings': [_plain(dataclasses.asdict(finding)) for finding in findings],
        **{name: _plain(value) for name, value in dataclasses.asdict(facts).items()},
    }


def as_json(facts: Facts | Fleet, findings: list[Finding], style: Style) -> str:
    """Return the document as JSON."""
    return json.dumps(document(facts, findings), indent=2) + '\n'


def as_yaml(facts: Facts | Fleet, findings: list[Finding], style: Style) -> str:
    """Return the same as YAML."""
    return str(yaml.safe_dump(document(facts, findings), sort_keys=False, default_flow_style=False))


def _cell(value: str) -> str:
    return clean(''.join(' ' if char in '\t\r\n' else char for char in value))


def as_tsv(facts: Facts | Fleet, findings: list[Finding], style: Style) -> str:
    """Return the findings one per line, under a line with the names of the columns."""
    columns = COLUMNS + (('cluster',) if isinstance(facts, Fleet) else ())
    rows = [columns] + [tuple(_cell(getattr(finding, name) or '') for name in columns) for finding in findings]
    return ''.join('\t'.join(row) + '\n' for row in rows)
